#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/commands.h"
#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/base/numbers.h"
#include "tstitch/condition/class_names.h"
#include "tstitch/diffusion/solver.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/io/json.h"
#include "tstitch/zoo/assets.h"
#include "tstitch/zoo/control_net.h"
#include "tstitch/zoo/families/unet.h"
#include "tstitch/zoo/model.h"

namespace tstitch {
namespace {

struct InspectArguments {
  std::vector<std::string> models;
  std::optional<int64_t> width, height;  // of the images in pixels
  bool json = false;
};

struct Size {
  int64_t height, width;  // of the latents
};

Size size_for(const ModelInfo& info, const InspectArguments& a) {
  return {latent_side("--height", a.height, {&info, 1}), latent_side("--width", a.width, {&info, 1})};
}

bool draws_text(const ModelInfo& info) { return info.condition.kind == ConditionKind::text; }

// Of one evaluation of one image.
double gflop(const ModelInfo& info, Size size) {
  return info.architecture->flops(size.height, size.width) / 1e9;
}

// Forms that it has with what one evaluation costs in them, for comparison.
nlohmann::ordered_json cheaper_forms(const ModelInfo& info, Size size) {
  nlohmann::ordered_json forms = nlohmann::ordered_json::object();
  const auto add = [&](const CheaperForm& form) {
    if (!info.architecture->form_obstacle(form).empty()) return false;
    forms[to_string(form)] =
        info.architecture->flops_in(form, form.cache.whole_share(), size.height, size.width) / 1e9;
    return true;
  };
  for (const CheaperForm& form : {CheaperForm{.merge = 0.5},
                                  {.cache = {.every = 3}},
                                  {.cache = {.every = 3, .form = BlockCache::Form::helper}}})
    add(form);
  // The first that may be left out.
  for (int64_t block = 0; block < info.architecture->blocks(); ++block)
    if (add({.skip = {block}})) break;
  return forms;
}

// How it is sampled where nothing is said, or why it is not.
nlohmann::ordered_json sampling(const ModelInfo& info) {
  SampleOptions nothing_said;
  if (draws_text(info)) nothing_said.prompts = {""};
  try {
    const RunSpec spec = make_run_spec({info}, nothing_said);
    const SampleOptions& options = spec.options;
    nlohmann::ordered_json json = {{"sampler", options.sampler}, {"steps", info.defaults.steps}};
    if (traits_of(options.sampler).eta) json["eta"] = *options.eta;
    if (const std::string settings = scheduler_settings(spec.solver); !settings.empty())
      json["solver"] = settings;
    if (spec.spacing.sigmas != SigmaSpacing::discrete) json["scheduler"] = name_of(*spec.spacing.sigmas);
    if (spec.spacing.spacing) json["spacing"] = name_of(*spec.spacing.spacing);
    json["first_timestep"] = spec.trajectory[0].level.t;
    json["ends_clean"] = spec.trajectory[spec.trajectory.size() - 1].next == kClean;
    json["cfg_scale"] = *options.cfg_scale;
    json["cfg_channels"] = spec.cfg_channels;
    json["switch_rule"] = name_of(*options.switch_rule);
    return json;
  } catch (const Error& e) {
    return {{"refused", e.what()}};
  }
}

std::string in_words(const nlohmann::ordered_json& object) {
  std::string text;
  for (const auto& [key, value] : object.items())
    text += concat(text.empty() ? "" : ", ", key, " ",
                   value.is_string()         ? value.get<std::string>()
                   : value.is_number_float() ? number_text(value)
                                             : value.dump());
  return text;
}

nlohmann::ordered_json to_json(const ModelInfo& info, Size size) {
  const ClassNames names(info);
  std::vector<std::string> classes;
  for (int64_t i = 0; names.known() && i < info.condition.num_classes; ++i) classes.push_back(names.usual(i));
  nlohmann::ordered_json json = {{"path", info.path},
                                 {"weights", info.files.weights},
                                 {"name", info.name},
                                 {"architecture", info.architecture->name()},
                                 {"parameters", info.architecture->parameters()},
                                 {"gflop_per_evaluation", gflop(info, size)},
                                 {"dtypes", info.dtypes},
                                 {"bytes", info.file_bytes},
                                 {"latent_shape", {info.channels, size.height, size.width}},
                                 {"pixels", info.pixels}};
  if (const auto forms = cheaper_forms(info, size); !forms.empty()) json["gflop_in_cheaper_forms"] = forms;
  json.update(info.architecture->details());
  json["num_classes"] = info.condition.num_classes;
  json["context_width"] = draws_text(info) ? info.condition.width : 0;
  json["pooled_width"] = info.condition.pooled_width;
  json["prediction"] = name_of(info.prediction);
  json["betas"] = {{"kind", info.noise.kind}, {"timesteps", info.noise.timesteps}};
  if (info.noise.flow()) {
    json["betas"]["shift"] = info.noise.shift;
  } else {
    json["betas"]["start"] = info.noise.start;
    json["betas"]["end"] = info.noise.end;
    json["betas"]["zero_terminal_snr"] = info.noise.zero_snr;
  }
  json["sampling"] = sampling(info);
  json["classes"] = classes;
  return json;
}

void print_classes(const ModelInfo& info) {
  std::printf("  classes         %lld", static_cast<long long>(info.condition.num_classes));
  const ClassNames names(info);
  if (names.known()) {
    constexpr int64_t kShown = 10;
    for (int64_t i = 0; i < std::min(kShown, info.condition.num_classes); ++i)
      std::printf("%s%s", i ? ", " : ": ", names.numbered(i).c_str());
    if (info.condition.num_classes > kShown) std::printf(", ... (--json lists all)");
  }
  std::printf("\n");
}

void print(const ModelInfo& info, Size size) {
  std::printf("%s\n", info.path.c_str());
  std::printf("  name            %s\n", info.name.c_str());
  // Which of a folder's files: there may be several, in other precisions.
  if (info.files.weights != info.path) std::printf("  weights         %s\n", info.files.weights.c_str());
  std::printf("  architecture    %s: %s\n", info.architecture->name().c_str(),
              in_words(info.architecture->details()).c_str());
  std::printf("  parameters      %.2f M\n", static_cast<double>(info.architecture->parameters()) / 1e6);
  std::printf("  stored          %s, %.1f MB\n", info.dtypes.c_str(),
              static_cast<double>(info.file_bytes) / 1e6);
  std::printf("  evaluation      %.3f GFLOP for one image, %s\n", gflop(info, size),
              info.condition.told_guidance ? "with guidance or without" : "twice that with guidance");
  const nlohmann::ordered_json cheaper = cheaper_forms(info, size);
  std::string forms;
  for (const auto& [form, cost] : cheaper.items())
    forms += concat(forms.empty() ? "" : ", ", form, " ",
                    std::lround(100 * cost.get<double>() / gflop(info, size)), " %");
  if (!forms.empty()) std::printf("  cheaper forms   %s of that\n", forms.c_str());
  std::printf("  latents         %lld x %lld x %lld%s\n", static_cast<long long>(info.channels),
              static_cast<long long>(size.height), static_cast<long long>(size.width),
              info.pixels ? ", pixels in [-1, 1]" : ", of an autoencoder");
  const TrainingNoise& noise = info.noise;
  if (noise.flow())
    std::printf("  noise           rectified flow, shift %g, %d timesteps\n", noise.shift, noise.timesteps);
  else
    std::printf("  noise           %s betas, %g ... %g, %d timesteps%s; predicts %s\n", noise.kind.c_str(),
                noise.start, noise.end, noise.timesteps, noise.zero_snr ? ", zero terminal SNR" : "",
                std::string(name_of(info.prediction)).c_str());
  std::printf("  sampling        %s\n", in_words(sampling(info)).c_str());
  if (info.condition.num_classes) print_classes(info);
  if (draws_text(info)) {
    const ConditionInfo& condition = info.condition;
    std::printf("  text            encoded as %lld numbers a token", static_cast<long long>(condition.width));
    if (condition.pooled_width > 0)
      std::printf(" and %lld as a whole; told %s", static_cast<long long>(condition.pooled_width),
                  condition.scored ? "the original size, the crop and a score" : "sizes");
    std::printf("\n");
  }
}

// Which of the published networks it can steer, and which of `infos`.
struct Steered {
  std::string name, obstacle;
};
std::vector<Steered> steered_by(const ControlNetInfo& net, const std::vector<ModelInfo>& infos) {
  std::vector<Steered> steered;
  for (const ModelInfo& info : infos) steered.push_back({info.name, control_obstacle(net, info)});
  return steered;
}

nlohmann::ordered_json to_json(const ControlNetInfo& net, const std::vector<ModelInfo>& infos) {
  const UNetConfig& unet = net.config.unet;
  nlohmann::ordered_json json = {{"path", net.path},
                                 {"weights", net.files.weights},
                                 {"name", net.name},
                                 {"architecture", "ControlNet"},
                                 {"parameters", control_net_parameters(net.config)},
                                 {"bytes", net.file_bytes},
                                 {"difference", net.is_difference},
                                 {"block_out_channels", unet.block_out_channels},
                                 {"transformer_depths", unet.down},
                                 {"context", unet.context_width},
                                 {"for", known_networks_steered_by(net.config)}};
  for (const auto& [name, obstacle] : steered_by(net, infos))
    json["models"].push_back({{"name", name}, {"steered", obstacle.empty()}, {"obstacle", obstacle}});
  return json;
}

void print(const ControlNetInfo& net, const std::vector<ModelInfo>& infos) {
  std::printf("%s\n", net.path.c_str());
  std::printf("  name            %s\n", net.name.c_str());
  if (net.files.weights != net.path) std::printf("  weights         %s\n", net.files.weights.c_str());
  std::printf("  architecture    ControlNet%s\n",
              net.is_difference ? ", stored as a difference from the model that it steers" : "");
  std::printf("  parameters      %.2f M\n", static_cast<double>(control_net_parameters(net.config)) / 1e6);
  std::printf("  stored          %.1f MB\n", static_cast<double>(net.file_bytes) / 1e6);
  const std::vector<std::string> known = known_networks_steered_by(net.config);
  std::printf("  steers          %s\n",
              known.empty() ? "none of the published networks" : join(known).c_str());
  for (const auto& [name, obstacle] : steered_by(net, infos))
    std::printf("%s %s %s%s\n", net.name.c_str(), obstacle.empty() ? "can steer" : "cannot steer",
                name.c_str(), obstacle.empty() ? "" : (": " + obstacle).c_str());
}

// Every pair that can take turns, and why the others cannot.
void print_partners(const std::vector<ModelInfo>& infos) {
  for (size_t i = 0; i < infos.size(); ++i)
    for (size_t j = i + 1; j < infos.size(); ++j) {
      const auto obstacles = stitch_obstacles(infos[i], infos[j]);
      std::printf("%s and %s %s\n", infos[i].name.c_str(), infos[j].name.c_str(),
                  obstacles.empty() ? "can be stitched" : "cannot be stitched:");
      for (const std::string& obstacle : obstacles) std::printf("  %s\n", obstacle.c_str());
    }
}

int inspect_command(const InspectArguments& arguments) {
  std::vector<std::string> paths;
  std::vector<ControlNetInfo> nets;
  for (const std::string& name : arguments.models) {
    const std::string path = resolve_model(name);
    if (is_control_net(open_weights(find_model_files(path), WeightChoice::automatic)))
      nets.push_back(read_control_net_info(path));
    else
      paths.push_back(path);
  }
  const std::vector<ModelInfo> infos =
      read_model_infos(paths.empty() && nets.empty() ? builtin_models() : paths);
  if (arguments.json) {
    nlohmann::ordered_json report = {{"models", nlohmann::ordered_json::array()},
                                     {"pairs", nlohmann::ordered_json::array()}};
    for (const ModelInfo& info : infos) report["models"].push_back(to_json(info, size_for(info, arguments)));
    for (size_t i = 0; i < infos.size(); ++i)
      for (size_t j = i + 1; j < infos.size(); ++j) {
        const auto obstacles = stitch_obstacles(infos[i], infos[j]);
        report["pairs"].push_back(
            {{"models", {i, j}}, {"stitchable", obstacles.empty()}, {"obstacles", obstacles}});
      }
    for (const ControlNetInfo& net : nets) report["control_nets"].push_back(to_json(net, infos));
    std::printf("%s\n", json_text(report).c_str());
    return kDone;
  }
  for (const ModelInfo& info : infos) print(info, size_for(info, arguments));
  print_partners(infos);
  for (const ControlNetInfo& net : nets) print(net, infos);
  return kDone;
}

}  // namespace

Command add_inspect_command(CLI::App& program) {
  auto* command =
      program.add_subcommand("inspect", "Say what checkpoints hold and which of them can be stitched");
  auto arguments = std::make_shared<InspectArguments>();
  command->add_option("models,-m,--model", arguments->models,
                      concat("Files of models and ControlNets, or demo models (", join(demo_models()),
                             "). Default: ", join(builtin_names())));
  command->add_option("-W,--width", arguments->width,
                      "Say what an evaluation costs at this width in pixels. Default: the model's");
  command->add_option("-H,--height", arguments->height, "The same for the height");
  command->add_flag("--json", arguments->json, "Print one JSON object");
  return [arguments] { return inspect_command(*arguments); };
}

}  // namespace tstitch
