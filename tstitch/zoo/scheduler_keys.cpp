#include "tstitch/zoo/scheduler_keys.h"

#include <algorithm>
#include <array>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"

namespace tstitch {
namespace {

using nlohmann::json;
using Keys = std::vector<SchedulerKey>;
using Values = std::vector<json>;

SchedulerKey honoured(std::string name, json absent, Values accepted = {}) {
  return {std::move(name), std::move(absent), std::move(accepted), true, ""};
}
SchedulerKey neutral(std::string name, json absent, std::string why) {
  return {std::move(name), std::move(absent), {}, false, std::move(why)};
}
// Nothing but the default and what is the same.
SchedulerKey refused(std::string name, json absent, Values same = {}) {
  Values accepted = {absent};
  accepted.insert(accepted.end(), same.begin(), same.end());
  return {std::move(name), std::move(absent), std::move(accepted), false, ""};
}

Keys operator+(Keys a, const Keys& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const Values kSwitch = {false, true};

Keys training(double start, double end, const char* betas, const Values& predictions) {
  return {honoured("num_train_timesteps", 1000),
          honoured("beta_start", start),
          honoured("beta_end", end),
          honoured("beta_schedule", betas, {"linear", "scaled_linear", "squaredcos_cap_v2"}),
          honoured("trained_betas", nullptr),
          honoured("prediction_type", "epsilon", predictions)};
}

Keys spacing(const char* absent, const Values& accepted = {"leading", "linspace", "trailing"}) {
  return {honoured("timestep_spacing", absent, accepted),
          neutral("steps_offset", 0, "Stable Diffusion's pipelines make it 1")};
}

const Values kAnyPrediction = {"epsilon", "v_prediction", "sample"};
const Values kNoSample = {"epsilon", "v_prediction"};

// diffusers' DDIM and PNDM step by T div N timesteps, which are not those of linspace.
const Values kEqualSteps = {"leading", "trailing"};

const Keys kClip = {neutral("clip_sample", true, "Stable Diffusion's pipelines switch it off"),
                    neutral("clip_sample_range", 1.0, "only with `clip_sample`")};
const Keys kThreshold = {honoured("thresholding", false, kSwitch),
                         honoured("dynamic_thresholding_ratio", 0.995), honoured("sample_max_value", 1.0)};
const Keys kZeroSnr = {honoured("rescale_betas_zero_snr", false, kSwitch)};
const Keys kSigmas = {honoured("use_karras_sigmas", false, kSwitch),
                      honoured("use_exponential_sigmas", false, kSwitch),
                      honoured("use_beta_sigmas", false, kSwitch)};
const Keys kFinalSigma = {honoured("final_sigmas_type", "zero", {"zero", "sigma_min"})};
const Keys kSigmaRange = {honoured("sigma_min", nullptr), honoured("sigma_max", nullptr)};
const Keys kFlow = {refused("use_flow_sigmas", false),
                    neutral("flow_shift", 1.0, "only with `use_flow_sigmas`"),
                    refused("use_dynamic_shifting", false),
                    neutral("time_shift_type", "exponential", "only with `use_dynamic_shifting`")};
const Keys kOrder = {honoured("solver_order", 2, {1, 2, 3}), honoured("lower_order_final", true, kSwitch)};

std::vector<SchedulerClass> make_classes() {
  return {
      {"DDIMScheduler",
       {"ddim"},
       training(1e-4, 2e-2, "linear", kAnyPrediction) + spacing("leading", kEqualSteps) +
           Keys{honoured("set_alpha_to_one", true, kSwitch)} + kClip + kThreshold + kZeroSnr},
      {"DDPMScheduler",
       {"ddpm"},
       training(1e-4, 2e-2, "linear", kAnyPrediction) + spacing("leading") +
           Keys{honoured("variance_type", "fixed_small", {"fixed_small", "fixed_small_log", "fixed_large"})} +
           kClip + kThreshold + kZeroSnr},
      {"PNDMScheduler",
       {"pndm"},
       training(1e-4, 2e-2, "linear", kNoSample) + spacing("leading", kEqualSteps) +
           Keys{honoured("set_alpha_to_one", false, kSwitch), honoured("skip_prk_steps", false, {true})}},
      {"EulerDiscreteScheduler",
       {"euler"},
       training(1e-4, 2e-2, "linear", kAnyPrediction) + spacing("linspace") + kSigmas + kFinalSigma +
           Keys{refused("interpolation_type", "linear"), refused("timestep_type", "discrete")} + kSigmaRange +
           kZeroSnr},
      {"EulerAncestralDiscreteScheduler",
       {"euler_a"},
       training(1e-4, 2e-2, "linear", kNoSample) + spacing("linspace") + kZeroSnr},
      {"HeunDiscreteScheduler",
       {"heun"},
       training(0.00085, 0.012, "linear", kNoSample) + spacing("linspace") + kSigmas + kClip},
      {"DPMSolverMultistepScheduler",
       {"dpm++2m", "dpm++2m_sde"},
       training(1e-4, 2e-2, "linear", kAnyPrediction) + spacing("linspace") + kSigmas +
           Keys{honoured("use_lu_lambdas", false, kSwitch)} + kFinalSigma +
           Keys{honoured("algorithm_type", "dpmsolver++", {"dpmsolver++", "sde-dpmsolver++", "deis"}),
                honoured("solver_type", "midpoint", {"midpoint", "heun", "logrho", "bh1", "bh2"})} +
           kOrder +
           Keys{honoured("euler_at_final", false, kSwitch), refused("lambda_min_clipped", "-Infinity"),
                refused("variance_type", nullptr)} +
           kThreshold + kFlow + kZeroSnr},
      {"UniPCMultistepScheduler",
       {"unipc"},
       training(1e-4, 2e-2, "linear", kAnyPrediction) + spacing("linspace") + kSigmas + kFinalSigma + kOrder +
           Keys{honoured("solver_type", "bh2", {"bh1", "bh2", "midpoint", "heun", "logrho"}),
                refused("predict_x0", true), honoured("disable_corrector", json::array()),
                refused("solver_p", nullptr)} +
           kSigmaRange + kThreshold + kFlow + Keys{refused("shift_terminal", nullptr)} + kZeroSnr},
      {"LCMScheduler",
       {"lcm"},
       training(0.00085, 0.012, "scaled_linear", kAnyPrediction) +
           Keys{honoured("original_inference_steps", 50), honoured("timestep_scaling", 10.0),
                neutral("timestep_spacing", "leading", "LCM has timesteps of its own"),
                neutral("steps_offset", 0, "LCM has timesteps of its own"),
                neutral("set_alpha_to_one", true, "LCM's last step ends clean")} +
           kClip + kThreshold + kZeroSnr},
      {"FlowMatchEulerDiscreteScheduler",
       {"flow_euler"},
       {honoured("num_train_timesteps", 1000), honoured("shift", 1.0), refused("use_dynamic_shifting", false),
        neutral("base_shift", 0.5, "only with `use_dynamic_shifting`"),
        neutral("max_shift", 1.15, "only with `use_dynamic_shifting`"),
        neutral("base_image_seq_len", 256, "only with `use_dynamic_shifting`"),
        neutral("max_image_seq_len", 4096, "only with `use_dynamic_shifting`"),
        neutral("time_shift_type", "exponential", "only with `use_dynamic_shifting`"),
        refused("invert_sigmas", false), refused("shift_terminal", nullptr),
        refused("use_karras_sigmas", false), refused("use_exponential_sigmas", false),
        refused("use_beta_sigmas", false), refused("stochastic_sampling", false)}},
  };
}

// Of the schedulers that are not followed and of diffusers' older releases.
constexpr std::array kOthers = {"corrector_order",
                                "eta",
                                "noise_sampler_seed",
                                "predictor_order",
                                "rho",
                                "sigma_data",
                                "sigma_schedule",
                                "snr_shift_scale",
                                "s_noise",
                                "tau_func",
                                "tensor_format",
                                "timestep_values",
                                "scale_factors",
                                "upscale_mode",
                                "skip_type"};

std::string short_name(std::string name) {
  name.erase(name.find("Scheduler"));
  if (const size_t discrete = name.find("Discrete"); discrete != std::string::npos) name.erase(discrete, 8);
  return name;
}

std::string fate(const SchedulerKey& key) {
  const std::string values =
      join(key.accepted, ", ", [](const json& value) { return concat("`", value.dump(), "`"); });
  if (key.honoured) return concat("honoured | ", key.accepted.empty() ? "any" : values);
  if (!key.accepted.empty()) return concat("refused, but for | ", values);
  return concat("neutral | any: ", key.why);
}

}  // namespace

const SchedulerKey* SchedulerClass::find(std::string_view key) const {
  const auto found = std::ranges::find(keys, key, &SchedulerKey::name);
  return found == keys.end() ? nullptr : &*found;
}

const std::vector<SchedulerClass>& scheduler_classes() {
  static const std::vector<SchedulerClass> classes = make_classes();
  return classes;
}

const SchedulerClass* find_scheduler(std::string_view class_name) {
  const auto found = std::ranges::find(scheduler_classes(), class_name, &SchedulerClass::name);
  return found == scheduler_classes().end() ? nullptr : &*found;
}

namespace {

// Of the scheduler that the sampler stands for; null where it is honoured by none.
const SchedulerKey* honoured_key(std::string_view sampler, std::string_view key) {
  for (const SchedulerClass& scheduler : scheduler_classes()) {
    const SchedulerKey* found = scheduler.find(key);
    if (std::ranges::count(scheduler.samplers, sampler) && found && found->honoured) return found;
  }
  return nullptr;
}

}  // namespace

bool honours(std::string_view sampler, std::string_view key) { return honoured_key(sampler, key) != nullptr; }

bool honours(std::string_view sampler, std::string_view key, const nlohmann::json& value) {
  const SchedulerKey* found = honoured_key(sampler, key);
  return found && (found->accepted.empty() || std::ranges::count(found->accepted, value));
}

std::string_view key_of(SigmaSpacing sigmas) {
  switch (sigmas) {
    case SigmaSpacing::discrete:
      return "";
    case SigmaSpacing::karras:
      return "use_karras_sigmas";
    case SigmaSpacing::exponential:
      return "use_exponential_sigmas";
    case SigmaSpacing::beta:
      return "use_beta_sigmas";
    case SigmaSpacing::lu:
      return "use_lu_lambdas";
  }
  fail(ErrorKind::internal, "unknown sigmas ", static_cast<int>(sigmas));
}

bool is_scheduler_key(std::string_view key) {
  return std::ranges::count(kOthers, key) ||
         std::ranges::any_of(scheduler_classes(),
                             [&](const SchedulerClass& scheduler) { return scheduler.find(key) != nullptr; });
}

std::string scheduler_key_table() {
  // Keys in the order in which they first come; one row for all schedulers that treat a key alike.
  struct Row {
    std::string key, fate, schedulers;
  };
  std::vector<Row> rows;
  for (const SchedulerClass& scheduler : scheduler_classes())
    for (const SchedulerKey& key : scheduler.keys) {
      const auto same = std::ranges::find_if(
          rows, [&](const Row& row) { return row.key == key.name && row.fate == fate(key); });
      if (same != rows.end()) {
        same->schedulers += ", " + short_name(scheduler.name);
        continue;
      }
      const auto last = std::ranges::find(rows.rbegin(), rows.rend(), key.name, &Row::key);
      rows.insert(last.base() == rows.begin() ? rows.end() : last.base(),
                  {key.name, fate(key), short_name(scheduler.name)});
    }
  std::string text = "| key | is | values | of |\n|---|---|---|---|\n";
  for (const Row& row : rows) text += concat("| `", row.key, "` | ", row.fate, " | ", row.schedulers, " |\n");
  return text;
}

}  // namespace tstitch
