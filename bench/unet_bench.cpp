// Milliseconds of one evaluation of a published U-Net with random weights: {"ms": ...} on one line, the
// median of several. A batch of 2 is a guided evaluation of one image. Weights, context and picture are the
// random numbers of seed 7 that tools/compare/compare_unet.py makes for PyTorch.
//
//   unet_bench [--model sd1] [--size 64] [--batch 2] [--tokens 77] [--device cpu] [--dtype bf16] [--threads
//   0]
//              [--warm-up 1] [--repeats 5] [--merge 0.5] [--cache paper|helper] [--output F.npy]
//
// --merge and --cache: in the cheaper forms of docs/twins.md, with --cache an evaluation that is not whole.
// The output is NCHW.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "bench/processor_time.h"
#include "bench/replays.h"
#include "bench/run_bench.h"
#include "tstitch/base/clock.h"
#include "tstitch/base/error.h"
#include "tstitch/io/npy.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/ops/ops.h"
#include "tstitch/zoo/unet_network.h"

namespace tstitch {
namespace {

constexpr uint64_t kSeed = 7;
constexpr double kTimestep = 741;

int measure(int argc, char** argv) {
  std::string name = "sd1", cache, output;
  int64_t size = 64, batch = 2, tokens = 77;
  int warm_up = 1, repeats = 5;
  double merge = 0;
  BackendOptions options{.dtype = "bf16"};
  CLI::App program("One evaluation of a U-Net with random weights");
  program.add_option("--model", name)->capture_default_str();
  program.add_option("--size", size, "Latent pixels")->capture_default_str()->check(CLI::Range(8, 512));
  program.add_option("--batch", batch)->capture_default_str()->check(CLI::Range(1, 64));
  program.add_option("--tokens", tokens, "Of the context")->capture_default_str()->check(CLI::Range(1, 4096));
  program.add_option("--device", options.device)->capture_default_str();
  program.add_option("--dtype", options.dtype)->capture_default_str();
  program.add_option("--threads", options.threads)->capture_default_str();
  program.add_option("--warm-up", warm_up, "Evaluations before; a device records what comes again")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000));
  program.add_option("--repeats", repeats)->capture_default_str()->check(CLI::Range(1, 1000));
  program.add_option("--merge", merge)->check(CLI::Range(0.0, 0.75));
  program.add_option("--cache", cache)->check(CLI::IsMember({"paper", "helper"}));
  program.add_option("--output", output);
  CLI11_PARSE(program, argc, argv);

  const auto backend = make_backend(options);
  const UNetConfig config = unet_preset(name);
  const RandomWeights weights(name, kSeed);
  const UNetNetwork network(UNet(config, Weights(*backend, weights)));
  const auto uniform = [&](const char* what, const Shape& shape) {
    return random_uniform(what, shape, std::sqrt(3.0), kSeed);
  };
  const Tensor contexts = uniform("context", {batch, tokens, config.context_width});
  const Tensor added = config.added_width > 0 ? uniform("added", {batch, config.added_width}) : Tensor();
  std::vector<std::unique_ptr<const BoundCondition>> conditions;
  const BlockCache blocks{.every = cache.empty() ? 1 : 2,
                          .form = cache == "helper" ? BlockCache::Form::helper : BlockCache::Form::paper};
  std::vector<Tensor> kept(static_cast<size_t>(batch));
  std::vector<Row> rows;
  for (int64_t n = 0; n < batch; ++n) {
    const Condition condition = {
        .context = contexts.slice(n, n + 1).reshape({tokens, config.context_width}),
        .added = added ? added.slice(n, n + 1).reshape({config.added_width}) : Tensor()};
    conditions.push_back(network.bind(condition, size, size));
    rows.push_back({.t = kTimestep,
                    .condition = conditions.back().get(),
                    .form = {.merge = merge, .cache = blocks},
                    .context = {.kept = &kept[static_cast<size_t>(n)]}});
  }
  const Tensor x =
      to_channels_last(*backend, backend->upload(uniform("x", {batch, config.in_channels, size, size})));

  Tensor y;  // on the host: a device is waited for
  const auto evaluate = [&] {
    y = backend->download(to_channels_first(*backend, network.evaluate(x, rows)));
  };
  if (blocks.holds()) {
    evaluate();
    for (Row& row : rows) row.context.whole = false;
  }
  for (int i = 0; i < warm_up; ++i) evaluate();
  std::vector<double> seconds;
  const double cpu_begin = processor_seconds();
  for (int i = 0; i < repeats; ++i) {
    const Stopwatch stopwatch;
    evaluate();
    seconds.push_back(stopwatch.seconds());
  }
  const double cpu_seconds = (processor_seconds() - cpu_begin) / repeats;
  if (!output.empty()) write_npy(output, y);

  std::ranges::sort(seconds);
  const double median = seconds[seconds.size() / 2];
  const double of_one =
      blocks.holds() ? unet_shallow_flops(config, size, size, tokens, merge, innermost_skip(blocks.form))
                     : unet_flops(config, size, size, tokens, merge);
  const double flops = static_cast<double>(batch) * of_one;
  std::printf(
      "{\"model\": \"%s\", \"device\": \"%s\", \"ms\": %.2f, \"min_ms\": %.2f, \"cpu_ms\": %.1f, "
      "\"gflop_per_s\": %.1f%s}\n",
      name.c_str(), backend->description().c_str(), 1e3 * median, 1e3 * seconds[0], 1e3 * cpu_seconds,
      flops / median * 1e-9, replays(*backend).c_str());
  return 0;
}

}  // namespace
}  // namespace tstitch

int main(int argc, char** argv) { return tstitch::run_bench(tstitch::measure, argc, argv); }
