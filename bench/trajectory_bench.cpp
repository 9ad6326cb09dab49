// Does a stitched run cost what its parts cost? Runs two models pure and stitched, round after round, and
// compares the wall time of the stitched run with n_small t_small + n_large t_large of the same round. A line
// of JSON for each ratio, medians. The models are the demo family's, or published DiTs with random weights.
//
//   trajectory_bench [--small DiT-S/2 --large DiT-XL/2] [--ratios 0.2,0.4,0.5,0.8] [--rounds 9] [--steps 50]
//                    [--cfg 1.5] [--batch 10] [--device cpu] [--dtype auto] [--threads 0]
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "bench/published_dit.h"
#include "bench/replays.h"
#include "bench/run_bench.h"
#include "tstitch/engine/run.h"
#include "tstitch/zoo/assets.h"

namespace tstitch {
namespace {

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<int64_t>(values.size() / 2));
  return values[values.size() / 2];
}

int measure(int argc, char** argv) {
  int rounds = 9;
  std::string steps = "50", small, large;
  std::vector<double> ratios = {0.2, 0.4, 0.5, 0.8};
  std::optional<double> cfg_scale;
  int64_t batch = 10;
  BackendOptions options;
  CLI::App program("A stitched run against the sum of its parts");
  program.add_option("--small", small);
  program.add_option("--large", large)->needs("--small");
  program.get_option("--small")->needs("--large");
  program.add_option("--ratios", ratios)->delimiter(',')->capture_default_str();
  program.add_option("--cfg", cfg_scale, "Of the guidance; the models' own without it");
  program.add_option("--rounds", rounds)->capture_default_str()->check(CLI::Range(1, 1000));
  program.add_option("--steps", steps)->capture_default_str();
  program.add_option("--batch", batch)->capture_default_str();
  program.add_option("--device", options.device)->capture_default_str();
  program.add_option("--dtype", options.dtype)->capture_default_str();
  program.add_option("--threads", options.threads)->capture_default_str();
  CLI11_PARSE(program, argc, argv);

  const auto backend = make_backend(options);
  std::vector<Model> models;
  if (small.empty())
    for (const ModelInfo& info : read_model_infos(builtin_models()))
      models.push_back(load_model(info, *backend));
  else
    for (const std::string& name : {small, large})
      models.push_back(random_model(dit_info(published_dit(name), name), 7, *backend));
  std::vector<ModelInfo> infos;
  for (const Model& model : models) infos.push_back(model.info);
  RunObserver silent;
  const auto seconds = [&](double ratio) {
    SampleOptions run_options = {.fractions = {ratio, 1 - ratio}, .steps = steps, .batch_size = batch};
    run_options.cfg_scale = cfg_scale;
    return tstitch::run(*backend, models, make_run_spec(infos, run_options), silent).seconds;
  };
  for (int i = 0; i < 2; ++i) seconds(0.5);  // warm
  for (const double ratio : ratios) {
    std::vector<double> overheads, stitched;
    for (int i = 0; i < rounds; ++i) {
      const double small_alone = seconds(1), both = seconds(ratio), large_alone = seconds(0);
      overheads.push_back(both / (ratio * small_alone + (1 - ratio) * large_alone) - 1);
      stitched.push_back(both);
    }
    std::printf("{\"ratio\": %.2f, \"ms\": %.2f, \"overhead_percent\": %.2f, \"rounds\": %d%s}\n", ratio,
                1e3 * median(stitched), 1e2 * median(overheads), rounds, replays(*backend).c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace tstitch

int main(int argc, char** argv) { return tstitch::run_bench(tstitch::measure, argc, argv); }
