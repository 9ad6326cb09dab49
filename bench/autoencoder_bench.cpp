// Decodes (or encodes) with an autoencoder, for measurements and comparisons: {"ms": ...} on one line, the
// median of several, with GFLOP/s and the peak memory of the process. Without weights: Stable Diffusion's
// AutoencoderKL with the random weights "sd" of seed 7, as tools/compare/compare_autoencoder.py makes them in
// PyTorch.
//
//   autoencoder_bench [--weights F.safetensors] [--encoder F.safetensors] [--encode] [--input F.npy | --size
//   64]
//                     [--output F.npy] [--dtype bf16] [--threads 0] [--repeats 3]
//
// Arrays are NCHW: latents as the decoder takes them; pictures in [-1, 1]; encoded latents are the mean.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <string>

#include "bench/processor_time.h"
#include "bench/run_bench.h"
#include "tstitch/base/clock.h"
#include "tstitch/base/error.h"
#include "tstitch/io/npy.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/models/load_autoencoder.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/ops/ops.h"
#include "tstitch/zoo/file_weights.h"

namespace tstitch {
namespace {

constexpr uint64_t kSeed = 7;

// The most memory this program has held. (getrusage would count what its parent held when it forked.)
int64_t peak_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) >> 10;
  return 0;
}

std::unique_ptr<Autoencoder> load(Backend& backend, const std::string& weights, const std::string& encoder,
                                  bool encode) {
  if (weights.empty()) {
    const RandomWeights random("sd", kSeed);
    return std::make_unique<AutoencoderKL>(AutoencoderKLConfig{.encoder = encode, .decoder = !encode},
                                           Weights(backend, random));
  }
  const TensorFile file = read_safetensors(weights);
  if (encoder.empty()) return load_autoencoder(backend, FileWeights(file));
  const TensorFile encoder_file = read_safetensors(encoder);
  const FileWeights encoder_weights(encoder_file);
  return load_autoencoder(backend, FileWeights(file), {}, &encoder_weights);
}

int measure(int argc, char** argv) {
  std::string weights, encoder, input, output;
  bool encode = false;
  int64_t size = 64;
  int repeats = 3;
  BackendOptions options{.dtype = "bf16"};
  CLI::App program("One decoding or encoding by an autoencoder");
  program.add_option("--weights", weights);
  program.add_option("--encoder", encoder, "The file of a tiny autoencoder's encoder");
  program.add_flag("--encode", encode);
  program.add_option("--input", input);
  program.add_option("--output", output);
  program.add_option("--size", size, "Latent pixels, without --input")->capture_default_str();
  program.add_option("--dtype", options.dtype)->capture_default_str();
  program.add_option("--threads", options.threads)->capture_default_str();
  program.add_option("--repeats", repeats)->capture_default_str()->check(CLI::Range(1, 1000));
  CLI11_PARSE(program, argc, argv);

  const auto backend = make_backend(options);
  const auto autoencoder = load(*backend, weights, encoder, encode);
  const int64_t side = encode ? autoencoder->factor() * size : size;
  const Shape shape = {1, encode ? 3 : autoencoder->latent_channels(), side, side};
  const Tensor x = to_channels_last(
      *backend,
      backend->upload(input.empty() ? random_uniform("z", shape, std::sqrt(3.0), kSeed) : read_npy(input)));
  const int64_t loaded_mib = peak_mib();

  Tensor y;
  std::vector<double> seconds;
  const double cpu_begin = processor_seconds();
  for (int i = 0; i < repeats; ++i) {
    const Stopwatch stopwatch;
    y = encode ? repeat(*backend, autoencoder->encode(x).mean, 1) : autoencoder->decode(x);
    seconds.push_back(stopwatch.seconds());
  }
  const double cpu_seconds = (processor_seconds() - cpu_begin) / repeats;
  if (!output.empty()) write_npy(output, backend->download(to_channels_first(*backend, y)));

  std::ranges::sort(seconds);
  const double median = seconds[seconds.size() / 2];
  const auto* kl = dynamic_cast<const AutoencoderKL*>(autoencoder.get());
  const double flops =
      kl && !encode ? autoencoder_kl_decode_flops(kl->config(), x.extent(1), x.extent(2)) : 0;
  std::printf(
      "{\"device\": \"%s\", \"ms\": %.1f, \"min_ms\": %.1f, \"cpu_ms\": %.1f, \"gflop_per_s\": %.1f, "
      "\"loaded_mib\": %lld, "
      "\"peak_mib\": %lld}\n",
      backend->description().c_str(), 1e3 * median, 1e3 * seconds[0], 1e3 * cpu_seconds,
      static_cast<double>(x.extent(0)) * flops / median * 1e-9, static_cast<long long>(loaded_mib),
      static_cast<long long>(peak_mib()));
  return 0;
}

}  // namespace
}  // namespace tstitch

int main(int argc, char** argv) { return tstitch::run_bench(tstitch::measure, argc, argv); }
