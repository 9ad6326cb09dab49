// Does a stitched run cost what its parts cost? Runs the demo family pure and stitched, round after round,
// and compares the wall time of the stitched run with n_small t_small + n_large t_large of the same round.
//
//   trajectory_bench [--rounds 9] [--steps 50] [--threads 0] [--batch 10]
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdio>

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
  std::string steps = "50";
  int64_t batch = 10;
  BackendOptions options;
  CLI::App program("A stitched run against the sum of its parts");
  program.add_option("--rounds", rounds)->capture_default_str()->check(CLI::Range(1, 1000));
  program.add_option("--steps", steps)->capture_default_str();
  program.add_option("--batch", batch)->capture_default_str();
  program.add_option("--threads", options.threads)->capture_default_str();
  CLI11_PARSE(program, argc, argv);

  const auto backend = make_backend(options);
  const auto infos = read_model_infos(builtin_models());
  std::vector<Model> models;
  for (const ModelInfo& info : infos) models.push_back(load_model(info, *backend));
  RunObserver silent;
  const auto seconds = [&](double ratio) {
    return tstitch::run(
               *backend, models,
               make_run_spec(infos, {.fractions = {ratio, 1 - ratio}, .steps = steps, .batch_size = batch}),
               silent)
        .seconds;
  };
  seconds(0.5);  // warm
  for (const double ratio : {0.2, 0.4, 0.5, 0.8}) {
    std::vector<double> overheads, stitched;
    for (int i = 0; i < rounds; ++i) {
      const double small = seconds(1), both = seconds(ratio), large = seconds(0);
      overheads.push_back(both / (ratio * small + (1 - ratio) * large) - 1);
      stitched.push_back(both);
    }
    std::printf("ratio %.1f: %.1f ms, %+.2f %% over the sum of its parts (medians of %d rounds)\n", ratio,
                1e3 * median(stitched), 1e2 * median(overheads), rounds);
  }
  return 0;
}

}  // namespace
}  // namespace tstitch

int main(int argc, char** argv) { return tstitch::run_bench(tstitch::measure, argc, argv); }
