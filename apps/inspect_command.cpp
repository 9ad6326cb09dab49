#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "tstitch/base/error.h"
#include "tstitch/models/dit.h"
#include "tstitch/pipeline/assets.h"
#include "tstitch/pipeline/class_names.h"
#include "tstitch/pipeline/model.h"

namespace tstitch {
namespace {

struct InspectArguments {
  std::vector<std::string> models;
  bool json = false;
};

nlohmann::ordered_json to_json(const ModelInfo& info) {
  const DiTConfig& c = info.config;
  const ClassNames names(info);
  std::vector<std::string> classes;
  for (int64_t i = 0; names.known() && i < c.num_classes; ++i) classes.push_back(names.usual(i));
  return {{"path", info.path},
          {"name", info.name},
          {"architecture", dit_name(c)},
          {"parameters", dit_parameters(c)},
          {"gflop_per_evaluation", dit_flops(c, c.input_size, c.input_size) / 1e9},
          {"dtypes", info.dtypes},
          {"bytes", info.file_bytes},
          {"latent_shape", {c.in_channels, c.input_size, c.input_size}},
          {"pixels", info.pixels},
          {"patch_size", c.patch_size},
          {"hidden_size", c.hidden_size},
          {"depth", c.depth},
          {"num_heads", c.num_heads},
          {"mlp_ratio", c.mlp_ratio},
          {"num_classes", c.num_classes},
          {"learn_sigma", c.learn_sigma},
          {"betas",
           {{"kind", info.betas.kind},
            {"start", info.betas.start},
            {"end", info.betas.end},
            {"timesteps", info.betas.timesteps}}},
          {"classes", classes}};
}

void print(const ModelInfo& info) {
  const DiTConfig& c = info.config;
  std::printf("%s\n", info.path.c_str());
  std::printf("  name            %s\n", info.name.c_str());
  std::printf("  architecture    %s: width %lld, depth %lld, %lld heads, patch %lld%s\n", dit_name(c).c_str(),
              static_cast<long long>(c.hidden_size), static_cast<long long>(c.depth),
              static_cast<long long>(c.num_heads), static_cast<long long>(c.patch_size),
              c.learn_sigma ? ", learned variance" : "");
  std::printf("  parameters      %.2f M\n", static_cast<double>(dit_parameters(c)) / 1e6);
  std::printf("  stored          %s, %.1f MB\n", info.dtypes.c_str(),
              static_cast<double>(info.file_bytes) / 1e6);
  std::printf("  evaluation      %.3f GFLOP for one image, twice that with guidance\n",
              dit_flops(c, c.input_size, c.input_size) / 1e9);
  std::printf("  latents         %lld x %lld x %lld%s\n", static_cast<long long>(c.in_channels),
              static_cast<long long>(c.input_size), static_cast<long long>(c.input_size),
              info.pixels ? ", pixels in [-1, 1]" : ", of an autoencoder");
  std::printf("  noise schedule  %s, %g ... %g, %d timesteps\n", info.betas.kind.c_str(), info.betas.start,
              info.betas.end, info.betas.timesteps);
  std::printf("  classes         %lld", static_cast<long long>(c.num_classes));
  const ClassNames names(info);
  if (names.known()) {
    constexpr int64_t kShown = 10;
    for (int64_t i = 0; i < std::min(kShown, c.num_classes); ++i)
      std::printf("%s%s", i ? ", " : ": ", names.numbered(i).c_str());
    if (c.num_classes > kShown) std::printf(", ... (--json lists all)");
  }
  std::printf("\n");
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
  for (const std::string& name : arguments.models) paths.push_back(resolve_model(name));
  const std::vector<ModelInfo> infos = read_model_infos(paths.empty() ? builtin_models() : paths);
  if (arguments.json) {
    nlohmann::ordered_json report = {{"models", nlohmann::ordered_json::array()},
                                     {"pairs", nlohmann::ordered_json::array()}};
    for (const ModelInfo& info : infos) report["models"].push_back(to_json(info));
    for (size_t i = 0; i < infos.size(); ++i)
      for (size_t j = i + 1; j < infos.size(); ++j) {
        const auto obstacles = stitch_obstacles(infos[i], infos[j]);
        report["pairs"].push_back(
            {{"models", {i, j}}, {"stitchable", obstacles.empty()}, {"obstacles", obstacles}});
      }
    std::printf("%s\n", report.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
    return kDone;
  }
  for (const ModelInfo& info : infos) print(info);
  print_partners(infos);
  return kDone;
}

}  // namespace

Command add_inspect_command(CLI::App& program) {
  auto* command =
      program.add_subcommand("inspect", "Say what checkpoints hold and which of them can be stitched");
  auto arguments = std::make_shared<InspectArguments>();
  command->add_option("models,-m,--model", arguments->models,
                      "Model files or demo models. Default: fashion-s, fashion-l");
  command->add_flag("--json", arguments->json, "Print one JSON object");
  return [arguments] { return inspect_command(*arguments); };
}

}  // namespace tstitch
