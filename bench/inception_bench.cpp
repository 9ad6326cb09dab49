// Pictures per second that the network of FID measures, with random weights: {"pictures_per_second": ...} on
// one line, by the median of several runs. Weights and pictures are the random numbers of seed 7 that
// tools/compare/compare_inception.py makes for PyTorch. of_peak: of what one thread can do in registers,
// measured in turns with the network, both by the time of the processor.
//
//   inception_bench [--weights FILE] [--pictures 32] [--size 256] [--resize tf1] [--dtype f32] [--threads 0]
//                   [--repeats 5] [--output F.npy]
//
// The output is [pooled | spatial | logits].
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "bench/processor_time.h"
#include "bench/run_bench.h"
#include "tstitch/backend/cpu/int8.h"
#include "tstitch/backend/cpu/isa.h"
#include "tstitch/base/clock.h"
#include "tstitch/base/error.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/io/npy.h"
#include "tstitch/models/inception_v3.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/ops/ops.h"
#include "tstitch/zoo/file_weights.h"

namespace tstitch {
namespace {

constexpr uint64_t kSeed = 7;

// FLOP per second of one thread.
double peak(DType dtype) {
  constexpr int64_t kSteps = 1 << 22;
  const cpu::Kernels& kernels = *cpu::find_isa("").kernels;
  const cpu::Operand operand = cpu::operand_of(dtype);
  alignas(64) float out[16];
  const double begin = processor_seconds();
  kernels.peak(operand, kSteps, out);
  return static_cast<double>(kSteps * kernels.peak_flops(operand)) / (processor_seconds() - begin);
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

Tensor random_pictures(int64_t count, int64_t size) {
  const Tensor values = random_uniform("pictures", {count, size, size, 3}, 1, kSeed);
  Tensor pictures(values.shape(), DType::u8);
  std::transform(values.data<float>(), values.data<float>() + values.elements(), pictures.data<uint8_t>(),
                 [](float x) { return static_cast<uint8_t>((x + 1) * 128); });
  return pictures;
}

int measure(int argc, char** argv) {
  std::string file, resize = "tf1", output;
  int64_t count = 32, size = 256;
  int repeats = 5;
  BackendOptions options{.dtype = "f32"};
  CLI::App program("Pictures measured by InceptionV3");
  program.add_option("--weights", file, "A checkpoint of pytorch-fid instead of random weights");
  program.add_option("--pictures", count)->capture_default_str()->check(CLI::Range(1, 4096));
  program.add_option("--size", size, "Of the pictures")->capture_default_str()->check(CLI::Range(1, 4096));
  program.add_option("--resize", resize)->capture_default_str()->check(CLI::IsMember({"tf1", "pytorch_fid"}));
  program.add_option("--dtype", options.dtype)->capture_default_str();
  program.add_option("--threads", options.threads)->capture_default_str();
  program.add_option("--repeats", repeats)->capture_default_str()->check(CLI::Range(1, 1000));
  program.add_option("--output", output);
  CLI11_PARSE(program, argc, argv);

  const auto backend = make_backend(options);
  const InceptionResize how = resize == "tf1" ? InceptionResize::tf1 : InceptionResize::pytorch_fid;
  const auto network = [&] {
    if (file.empty()) return load_inception_v3(*backend, RandomWeights("inception", kSeed), how);
    const TensorFile checkpoint = open_checkpoint(file);
    const FileWeights weights(checkpoint);
    check(is_inception_v3(weights), ErrorKind::input, file, " is not InceptionV3");
    return load_inception_v3(*backend, weights, how);
  }();
  const Tensor pictures = random_pictures(count, size);

  PictureFeatures features = (*network)(pictures);  // once to warm up
  std::vector<double> seconds, of_peak;
  const double flops = inception_v3_flops() * static_cast<double>(count);
  for (int i = 0; i < repeats; ++i) {
    const double limit = peak(backend->compute_dtype());
    const Stopwatch stopwatch;
    const double begin = processor_seconds();
    features = (*network)(pictures);
    of_peak.push_back(flops / (processor_seconds() - begin) / limit);
    seconds.push_back(stopwatch.seconds());
  }
  if (!output.empty()) {
    const Tensor pooled_spatial = concat_columns(*backend, features.pooled, features.spatial);
    write_npy(output, backend->download(concat_columns(*backend, pooled_spatial, features.logits)));
  }
  std::printf("{\"device\": \"%s\", \"pictures_per_second\": %.2f, \"gflops\": %.1f, \"of_peak\": %.3f}\n",
              backend->description().c_str(), static_cast<double>(count) / median(seconds),
              1e-9 * flops / median(seconds), median(of_peak));
  return 0;
}

}  // namespace
}  // namespace tstitch

int main(int argc, char** argv) { return tstitch::run_bench(tstitch::measure, argc, argv); }
