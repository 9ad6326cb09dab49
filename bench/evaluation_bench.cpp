// Milliseconds of one guided evaluation of a published DiT with random weights: {"ms": ...} on one line, the
// median of several. Weights are those of the whole network, so each is read cold, as in a run.
//
//   evaluation_bench [--model DiT-XL/2 | --weights FILE] [--batch 1] [--device cpu] [--dtype bf16] [--threads 0]
//                    [--repeats 9] [--answer X.npy --t 501 --output Y.npy]
//
// --answer: instead of timing, what the network answers to the rows of X (N, C, H, W), the first half of them of
// class 7, the others of none (tools/compare/compare_dit.py).
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "bench/published_dit.h"
#include "bench/replays.h"
#include "bench/run_bench.h"
#include "tstitch/condition/class_conditions.h"
#include "tstitch/engine/run.h"
#include "tstitch/io/npy.h"
#include "tstitch/ops/ops.h"
#include "tstitch/zoo/model.h"

namespace tstitch {
namespace {

Tensor evaluate(Backend& backend, const Model& model, const Tensor& x, double t) {
  std::vector<std::unique_ptr<const BoundCondition>> conditions;
  std::vector<Row> rows;
  for (int64_t n = 0; n < x.extent(0); ++n) {
    const int64_t shown = n < x.extent(0) / 2 ? 7 : model.info.condition.num_classes;
    conditions.push_back(model.network->bind({.class_number = shown}, x.extent(2), x.extent(3)));
    rows.push_back({.t = t, .condition = conditions.back().get()});
  }
  const Tensor given = to_channels_last(backend, backend.upload(x));
  return backend.download(to_channels_first(backend, model.network->evaluate(given, rows)));
}

int measure(int argc, char** argv) {
  std::string name = "DiT-XL/2";
  int64_t batch = 1;
  int repeats = 9;
  std::string weights, answer, output;
  double t = 501;
  BackendOptions options{.dtype = "bf16"};
  CLI::App program("One guided evaluation of a DiT with random weights");
  program.add_option("--model", name)->capture_default_str();
  program.add_option("--batch", batch, "Images; guidance doubles them")->capture_default_str();
  program.add_option("--device", options.device)->capture_default_str();
  program.add_option("--dtype", options.dtype)->capture_default_str();
  program.add_option("--threads", options.threads)->capture_default_str();
  program.add_option("--repeats", repeats)->capture_default_str()->check(CLI::Range(1, 1000));
  program.add_option("--weights", weights);
  program.add_option("--answer", answer);
  program.add_option("--t", t)->capture_default_str();
  program.add_option("--output", output);
  CLI11_PARSE(program, argc, argv);

  const auto backend = make_backend(options);
  const Model model = weights.empty() ? random_model(dit_info(published_dit(name), name), 7, *backend)
                                      : load_model(read_model_infos({weights})[0], *backend);
  if (!answer.empty()) {
    write_npy(output, evaluate(*backend, model, read_npy(answer), t));
    return 0;
  }
  const RunSpec spec =
      make_run_spec({model.info}, {.fractions = {1},
                                   .classes = std::vector<int64_t>(static_cast<size_t>(batch), 207),
                                   .batch_size = batch});
  const double seconds = time_evaluation(*backend, model, spec, spec.stages[0].cfg_scale, 0, repeats,
                                         ClassConditions(model.info.condition.num_classes));
  const double flops =
      2 * static_cast<double>(batch) * model.info.architecture->flops(spec.height, spec.width);
  std::printf(
      "{\"model\": \"%s\", \"images\": %lld, \"device\": \"%s\", \"ms\": %.3f, \"gflop_per_s\": %.1f%s}\n",
      name.c_str(), static_cast<long long>(batch), backend->description().c_str(), 1e3 * seconds,
      flops / seconds / 1e9, replays(*backend).c_str());
  return 0;
}

}  // namespace
}  // namespace tstitch

int main(int argc, char** argv) { return tstitch::run_bench(tstitch::measure, argc, argv); }
