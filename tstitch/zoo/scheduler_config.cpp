#include "tstitch/zoo/scheduler_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/io/json.h"
#include "tstitch/zoo/config_reader.h"
#include "tstitch/zoo/noise_config.h"
#include "tstitch/zoo/scheduler_keys.h"

namespace tstitch {
namespace {

using nlohmann::json;

// Those that a folder may say.
constexpr SigmaSpacing kSigmas[] = {SigmaSpacing::karras, SigmaSpacing::exponential, SigmaSpacing::beta,
                                    SigmaSpacing::lu};

constexpr const char* kWayOut = "; with --sampler this scheduler is left aside";

const SchedulerClass* class_of(const ConfigReader& reader) {
  std::string name;
  reader.read("_class_name", name);
  return find_scheduler(name);
}

// One key of a configuration: what it says, else what diffusers takes.
const json& value_of(const json& object, const SchedulerKey& key) {
  const auto found = object.find(key.name);
  return found == object.end() || found->is_null() ? key.absent : *found;
}

bool says(const ModelConfig& config, const SchedulerClass& scheduler, const char* key, const json& value) {
  const SchedulerKey* known = scheduler.find(key);
  return known && value_of(config.object, *known) == value;
}

std::string shown(const json& value) {
  return printable(value.dump(-1, ' ', true, json::error_handler_t::replace), 60);
}

const SchedulerClass& followed_class(const ModelConfig& config) {
  const SchedulerClass* scheduler = class_of(ConfigReader(config.object, config.where));
  const auto names = join(scheduler_classes(), ", ", &SchedulerClass::name);
  const auto name = config.object.find("_class_name");
  check(scheduler != nullptr, ErrorKind::input, config.where, ": \"_class_name\" is ",
        name == config.object.end() ? "missing" : shown(*name), ", expected one of ", names);
  return *scheduler;
}

void check_values(const ModelConfig& config, const SchedulerClass& scheduler) {
  for (const SchedulerKey& key : scheduler.keys) {
    const json& value = value_of(config.object, key);
    if (key.accepted.empty() || std::ranges::count(key.accepted, value)) continue;
    const std::string accepted = join(key.accepted, " or ", [](const json& one) { return one.dump(); });
    fail(ErrorKind::input, config.where, ": \"", key.name, "\" is ", shown(value),
         &value == &key.absent ? concat(" where it is not said, as in ", scheduler.name) : "",
         ", supported is ", accepted);
  }
  for (const auto& [name, value] : config.object.items())
    check(name.starts_with("_") || is_scheduler_key(name), ErrorKind::input, config.where, ": \"",
          printable(name, 60), "\" is ", shown(value), ", and no scheduler of diffusers has that key");
}

// Values that are fine alone and not together.
void check_combinations(const ModelConfig& config, const SchedulerClass& scheduler) {
  const auto is = [&](const char* key, const json& value) { return says(config, scheduler, key, value); };
  std::string said;
  for (const SigmaSpacing sigmas : kSigmas) {
    const std::string key(key_of(sigmas));
    if (!is(key.c_str(), true)) continue;
    check(said.empty(), ErrorKind::input, config.where, ": \"", said, "\" and \"", key,
          "\" are both true, expected one of them");
    said = key;
  }
  check(!(said == "use_karras_sigmas" || said == "use_lu_lambdas") ||
            !is("beta_schedule", "squaredcos_cap_v2") || !scheduler.find("algorithm_type"),
        ErrorKind::input, config.where, ": \"", said,
        "\" is true and \"beta_schedule\" \"squaredcos_cap_v2\": for "
        "these betas diffusers rounds the timesteps otherwise, which is not supported");
}

// What a folder says of whichever sampler has such a choice.
void read_placement(const ModelConfig& config, SamplingDefaults& defaults) {
  const ConfigReader reader(config.object, config.where);
  defaults.ddim_spacing = Spacing::leading;
  defaults.spacing = {.offset = 1};  // whatever "steps_offset" is: so do Stable Diffusion's pipelines
  std::string spacing, final_sigma;
  bool ends_clean = true;
  int64_t distilled = defaults.spacing.distilled;
  reader.read("timestep_spacing", spacing, {"leading", "linspace", "trailing"});
  if (!spacing.empty()) defaults.spacing.spacing = parse_spacing(spacing);
  for (const SigmaSpacing sigmas : kSigmas) {
    bool said = false;
    reader.read(std::string(key_of(sigmas)).c_str(), said);
    if (said && !defaults.spacing.sigmas) defaults.spacing.sigmas = sigmas;
  }
  if (config.object.contains("set_alpha_to_one")) {
    reader.read("set_alpha_to_one", ends_clean);
    defaults.spacing.ends_clean = ends_clean;
  }
  reader.read("final_sigmas_type", final_sigma, {"zero", "sigma_min"});
  defaults.ends_at_lowest = final_sigma == "sigma_min";
  for (auto [key, ratio] :
       {std::pair{"sigma_min", &defaults.spacing.lowest}, {"sigma_max", &defaults.spacing.highest}}) {
    double said = 0;
    reader.read(key, said, 1e-6, 1e6);
    if (said > 0) *ratio = said;
  }
  reader.read("original_inference_steps", distilled, 1, 1'000'000);
  defaults.spacing.distilled = static_cast<int>(distilled);
}

// Their values are checked (check_values), but for numbers.
SolverOptions read_solver(const ModelConfig& config, const SchedulerClass& scheduler) {
  const auto is = [&](const char* key, const json& value) { return says(config, scheduler, key, value); };
  const ConfigReader reader(config.object, config.where);
  SolverOptions solver;
  for (const int order : {1, 3})
    if (is("solver_order", order)) solver.order = order;
  solver.heun = is("solver_type", "heun") && scheduler.find("algorithm_type");
  solver.bh1 = is("solver_type", "bh1") && scheduler.find("predict_x0");
  solver.large_variance = is("variance_type", "fixed_large");
  if (scheduler.find("timestep_scaling")) reader.read("timestep_scaling", solver.timestep_scaling, 1e-6, 1e6);
  if (scheduler.find("disable_corrector")) {
    std::vector<int64_t> steps;
    reader.read("disable_corrector", steps, 0, 1'000'000);
    solver.uncorrected.assign(steps.begin(), steps.end());
  }
  if (is("thresholding", true)) {
    solver.thresholding.emplace();
    reader.read("dynamic_thresholding_ratio", solver.thresholding->ratio, 0, 1);
    reader.read("sample_max_value", solver.thresholding->most, 1e-6, 1e6);
  }
  return solver;
}

void follow(const ModelConfig& config, SamplingDefaults& defaults) {
  const SchedulerClass& scheduler = followed_class(config);
  const auto is = [&](const char* key, const json& value) { return says(config, scheduler, key, value); };
  defaults.sampler = scheduler.samplers[is("algorithm_type", "sde-dpmsolver++") ? 1 : 0];
  check_values(config, scheduler);
  check_combinations(config, scheduler);
  defaults.lower_order_final = !is("lower_order_final", false);
  defaults.euler_at_final = is("euler_at_final", true);
  defaults.solver = read_solver(config, scheduler);
}

// Instead of a rule for them: a number for each timestep.
void read_trained_betas(const ModelConfig& config, TrainingNoise& noise) {
  const auto betas = config.object.find("trained_betas");
  if (betas == config.object.end() || betas->is_null()) return;
  check(betas->is_array() && std::ssize(*betas) == noise.timesteps, ErrorKind::input, config.where,
        ": \"trained_betas\" is ", betas->is_array() ? concat(betas->size(), " values") : shown(*betas),
        ", expected an array of ", noise.timesteps, " numbers as \"num_train_timesteps\" says");
  for (const json& beta : *betas) {
    check(beta.is_number() && 0 < beta.get<double>() && beta.get<double>() < 1, ErrorKind::input,
          config.where, ": \"trained_betas\" has ", shown(beta), ", expected numbers above 0 and below 1");
    noise.trained.push_back(beta.get<double>());
  }
  noise.kind = "trained";
  noise.start = noise.trained.front();
  noise.end = noise.trained.back();
}

}  // namespace

ModelConfig read_scheduler_file(const std::string& path) { return {parse_python_json_file(path), path}; }

void read_training(const ModelConfig& config, ModelInfo& info) {
  const ConfigReader reader(config.object, config.where);
  const SchedulerClass* scheduler = class_of(reader);
  TrainingNoise& noise = info.noise;
  int64_t timesteps = noise.timesteps;
  reader.read("num_train_timesteps", timesteps, 1, 1'000'000);
  noise.timesteps = static_cast<int>(timesteps);
  if (scheduler && scheduler->samplers[0] == "flow_euler") {
    describe_flow(info);
    reader.read("shift", noise.shift, 1e-3, 1e3);
    return;
  }
  if (scheduler) {
    noise.kind = scheduler->find("beta_schedule")->absent.get<std::string>();
    noise.start = scheduler->find("beta_start")->absent.get<double>();
    noise.end = scheduler->find("beta_end")->absent.get<double>();
    info.prediction = Parameterization::eps;
  }
  reader.read("beta_schedule", noise.kind, {"linear", "scaled_linear", "squaredcos_cap_v2"});
  reader.read("beta_start", noise.start, 0, 1);
  reader.read("beta_end", noise.end, 0, 1);
  read_trained_betas(config, noise);
  // A scheduler without that key ignores it.
  if (!scheduler || scheduler->find("rescale_betas_zero_snr"))
    reader.read("rescale_betas_zero_snr", noise.zero_snr);
  read_prediction(reader, "prediction_type",
                  {{"epsilon", Parameterization::eps},
                   {"v_prediction", Parameterization::v},
                   {"sample", Parameterization::x0}},
                  info.prediction);
}

void read_sampling(const ModelConfig& config, ModelInfo& info) {
  try {
    if (!info.noise.flow()) read_placement(config, info.defaults);
    follow(config, info.defaults);
  } catch (const Error& e) {
    info.defaults.refusal = concat(e.what(), kWayOut);
  }
}

}  // namespace tstitch
