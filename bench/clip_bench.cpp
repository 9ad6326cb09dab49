// Milliseconds of encoding texts with a published text encoder and random weights: {"ms": ...} on one line,
// the median of several. Two texts are a prompt and its negative one. Weights are the random numbers of seed
// 7, and tokens those of the formula below, that tools/compare/compare_clip.py makes for PyTorch.
//
//   clip_bench [--model clip_l] [--skip 0] [--texts 2] [--dtype bf16] [--threads 0] [--repeats 5]
//              [--output F.npy]
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "bench/run_bench.h"
#include "tstitch/base/clock.h"
#include "tstitch/base/error.h"
#include "tstitch/io/npy.h"
#include "tstitch/models/clip_text.h"
#include "tstitch/nn/random_weights.h"

namespace tstitch {
namespace {

constexpr uint64_t kSeed = 7;

const std::map<std::string, ClipTextConfig> kPublished = {
    {"clip_l", {}},  // Stable Diffusion 1, SDXL's first
    {"open_clip_h",  // Stable Diffusion 2
     {.width = 1024, .layers = 24, .heads = 16, .mlp_size = 4096, .activation = Activation::gelu}},
    {"open_clip_g",  // SDXL's second
     {.width = 1280, .layers = 32, .heads = 20, .mlp_size = 5120, .activation = Activation::gelu}}};

// Begin, tokens that differ from place to place, end.
std::vector<int32_t> ids_of(int64_t texts, const ClipTextConfig& config) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < texts * config.positions; ++i) {
    const int64_t place = i % config.positions;
    ids.push_back(static_cast<int32_t>(place == 0                      ? config.vocabulary - 2
                                       : place == config.positions - 1 ? config.vocabulary - 1
                                                                       : 7919 * i % (config.vocabulary - 2)));
  }
  return ids;
}

int measure(int argc, char** argv) {
  std::string name = "clip_l", output;
  int64_t skip = 0, texts = 2;
  int repeats = 5;
  BackendOptions options{.dtype = "bf16"};
  CLI::App program("Encoding texts with random weights");
  program.add_option("--model", name, "clip_l, open_clip_h or open_clip_g")->capture_default_str();
  program.add_option("--skip", skip, "Last layers left out")->capture_default_str();
  program.add_option("--texts", texts)->capture_default_str()->check(CLI::Range(1, 1024));
  program.add_option("--dtype", options.dtype)->capture_default_str();
  program.add_option("--threads", options.threads)->capture_default_str();
  program.add_option("--repeats", repeats)->capture_default_str()->check(CLI::Range(1, 1000));
  program.add_option("--output", output);
  CLI11_PARSE(program, argc, argv);

  const auto published = kPublished.find(name);
  check(published != kPublished.end(), ErrorKind::usage, "no text encoder \"", printable(name), "\"");
  const ClipTextConfig& config = published->second;
  const auto backend = make_backend(options);
  const RandomWeights weights(name, kSeed);
  const ClipText encoder(config, Weights(*backend, weights), {.skip = skip});
  const std::vector<int32_t> ids = ids_of(texts, config);

  Tensor y = encoder(ids, texts).tokens;  // once to warm up
  std::vector<double> seconds;
  for (int i = 0; i < repeats; ++i) {
    const Stopwatch stopwatch;
    y = encoder(ids, texts).tokens;
    seconds.push_back(stopwatch.seconds());
  }
  if (!output.empty()) write_npy(output, backend->download(y));

  std::ranges::sort(seconds);
  std::printf("{\"model\": \"%s\", \"device\": \"%s\", \"ms\": %.1f, \"min_ms\": %.1f}\n", name.c_str(),
              backend->description().c_str(), 1e3 * seconds[seconds.size() / 2], 1e3 * seconds[0]);
  return 0;
}

}  // namespace
}  // namespace tstitch

int main(int argc, char** argv) { return tstitch::run_bench(tstitch::measure, argc, argv); }
