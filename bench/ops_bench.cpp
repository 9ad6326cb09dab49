// Operations of the CPU backend as a fraction of what this machine can do. Weights rotate over kWeightBytes,
// so that each is read from memory as in a run; the limits are measured in the same run.
//
//   ops_bench --benchmark_repetitions=9 --benchmark_enable_random_interleaving=true
//   --benchmark_report_aggregates_only=true
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "tstitch/backend/cpu/amx.h"
#include "tstitch/backend/cpu/cpu_backend.h"
#include "tstitch/backend/cpu/int8.h"
#include "tstitch/backend/cpu/parallel.h"
#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

constexpr int64_t kWeightBytes = 320 << 20;

int processors() { return static_cast<int>(std::thread::hardware_concurrency()); }

// Time that f takes. One thread is timed by what it computes, which others on the machine disturb little;
// several by the clock on the wall.
double seconds_of(int threads, const std::function<void()>& f) {
  const auto now = [threads] {
    timespec time;
    clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  const double begin = now();
  f();
  return now() - begin;
}

void multiply_vectors(const cpu::Kernels& kernels, cpu::Operand operand, int64_t steps) {
  alignas(64) float out[16];
  kernels.peak(operand, steps, out);
  benchmark::DoNotOptimize(out);
}

// E: as in cpu/amx_gemm.h.
template <class E>
constexpr int64_t kTileFlops = 4 * 2 * 16 * 16 * 64 / sizeof(E);  // of a step

template <class E>
void multiply_tiles(int64_t steps) {
  cpu::HardwareTiles tiles;
  for (int64_t i = 0; i < steps; ++i) {
    tiles.multiply_add<0, 4, 6>(E{});
    tiles.multiply_add<1, 4, 7>(E{});
    tiles.multiply_add<2, 5, 6>(E{});
    tiles.multiply_add<3, 5, 7>(E{});
  }
}

// The limit of one thread, FLOP/s (of i8: operations on whole numbers): multiply-adds whose operands never
// leave the registers, the best of several runs.
double measured_peak(const cpu::Isa& isa, DType dtype) {
  const bool int8 = dtype == DType::i8;
  const cpu::Operand operand = cpu::operand_of(dtype);
  constexpr int64_t kSteps = 1 << 18;
  const bool tiles = dtype != DType::f32 && isa.multiplier == cpu::Multiplier::amx;
  const auto multiply = [&] {
    if (!tiles)
      multiply_vectors(*isa.kernels, operand, kSteps);
    else
      int8 ? multiply_tiles<uint8_t>(kSteps) : multiply_tiles<uint16_t>(kSteps);
  };
  double best = 1e9;
  for (int i = 0; i < 15; ++i) best = std::min(best, seconds_of(1, multiply));
  const int64_t flops = !tiles ? isa.kernels->peak_flops(operand)
                        : int8 ? kTileFlops<uint8_t>
                               : kTileFlops<uint16_t>;
  return static_cast<double>(kSteps * flops) / best;
}

Tensor noise(const Shape& shape, DType dtype, double deviation) {
  Tensor x(shape, dtype);
  uint32_t state = 12345;
  for (int64_t i = 0; i < x.elements(); ++i) {
    state = state * 1664525u + 1013904223u;
    const auto value =
        static_cast<float>((static_cast<double>(state) / 4294967296. - 0.5) * 3.46 * deviation);
    if (dtype == DType::f32)
      x.data<float>()[i] = value;
    else
      x.data<bfloat16>()[i] = to_bfloat16(value);
  }
  return x;
}

// Times every iteration and reports the median and the best: what the machine gives and what it can give. On
// a machine that others use too only the second says something about the kernel.
template <class F>
void measure(benchmark::State& state, int threads, double flops, double peak, const F& f) {
  std::vector<double> seconds;
  for (auto _ : state) {
    seconds.push_back(seconds_of(threads, f));
    state.SetIterationTime(seconds.back());
  }
  std::ranges::sort(seconds);
  const double best = flops / seconds.front(), median = flops / seconds[seconds.size() / 2];
  state.counters["GFLOP/s"] = median * 1e-9;
  state.counters["of_peak"] = median / (threads * peak);
  state.counters["best"] = best * 1e-9;
  state.counters["best_of_peak"] = best / (threads * peak);
}

struct LinearShape {
  const char* name;
  int64_t rows, inputs, outputs;
};

constexpr LinearShape kLinearShapes[] = {
    {"XL.qkv", 512, 1152, 3456}, {"XL.proj", 512, 1152, 1152}, {"XL.fc1", 512, 1152, 4608},
    {"XL.fc2", 512, 4608, 1152}, {"L.fc1", 512, 1024, 4096},   {"L.fc2", 512, 4096, 1024},
    {"B.fc1", 512, 768, 3072},   {"B.fc2", 512, 3072, 768},    {"S.qkv", 512, 384, 1152},
    {"S.proj", 512, 384, 384},   {"S.fc1", 512, 384, 1536},    {"S.fc2", 512, 1536, 384},
    {"one.row", 1, 1152, 6912},
};

void linear_bench(benchmark::State& state, const cpu::Isa& isa, DType dtype, int threads,
                  const LinearShape& shape) {
  const bool int8 = dtype == DType::i8;
  const DType in = int8 ? DType::f32 : dtype;  // what x comes as: it is quantised here
  CpuBackend backend(in, threads, isa, int8);
  const double peak = measured_peak(isa, dtype);
  const Tensor x = noise({shape.rows, shape.inputs}, in, 1);
  const Tensor w = noise({shape.outputs, shape.inputs}, in, 1 / std::sqrt(static_cast<double>(shape.inputs)));
  const Tensor b = noise({shape.outputs}, DType::f32, 1);
  std::vector<std::unique_ptr<PackedLinear>> weights;
  for (int64_t bytes = 0; bytes < kWeightBytes; bytes += weights.back()->bytes())
    weights.push_back(int8 ? backend.pack_int8_linear(quantize(w), b) : backend.pack_linear(w, b));
  size_t next = 0;
  measure(state, threads, 2. * static_cast<double>(shape.rows * shape.inputs * shape.outputs), peak, [&] {
    benchmark::DoNotOptimize(linear(backend, x, *weights[next], Activation::none, in));
    next = (next + 1) % weights.size();
  });
}

struct AttentionShape {
  const char* name;
  int64_t N, T, heads, d;
};

constexpr AttentionShape kAttentionShapes[] = {{"XL", 2, 256, 16, 72},      {"S", 2, 256, 6, 64},
                                               {"XL.512", 2, 1024, 16, 72}, {"VAE.512", 1, 4096, 1, 512},
                                               {"SD.64", 2, 4096, 8, 40},   {"SD.32", 2, 1024, 8, 80},
                                               {"SD.16", 2, 256, 8, 160},   {"SDXL.64", 2, 4096, 10, 64}};

void attention_bench(benchmark::State& state, const cpu::Isa& isa, DType dtype, int threads,
                     const AttentionShape& shape) {
  CpuBackend backend(dtype, threads, isa);
  const double peak = measured_peak(isa, dtype);
  const int64_t D = shape.heads * shape.d;
  const auto [q, k, v] = chunk<3>(noise({shape.N, shape.T, 3 * D}, dtype, 1));
  measure(
      state, threads, 4. * static_cast<double>(shape.N * shape.T * shape.T * D), peak,
      [&, &q = q, &k = k, &v = v] { benchmark::DoNotOptimize(attention(backend, q, k, v, shape.heads)); });
}

void norm_bench(benchmark::State& state, const cpu::Isa& isa, DType dtype, int threads) {
  CpuBackend backend(dtype, threads, isa);
  const Tensor x = noise({2, 256, 1152}, DType::f32, 1), m = noise({2, 1152}, DType::f32, 1);
  const double peak = measured_peak(isa, dtype);
  measure(state, threads, 8. * static_cast<double>(x.elements()), peak,  // about 8 operations per element
          [&] { benchmark::DoNotOptimize(modulated_norm(backend, x, m, m)); });
}

void peak_bench(benchmark::State& state, const cpu::Isa& isa, DType dtype) {
  double best = 0;
  for (auto _ : state) best = std::max(best, measured_peak(isa, dtype));
  state.counters["GFLOP/s"] = best * 1e-9;
}

// Reading memory far larger than the caches, by whole cache lines.
void stream_bench(benchmark::State& state, int threads) {
  const Tensor x = noise({kWeightBytes / 4}, DType::f32, 1);
  const auto* words = reinterpret_cast<const uint64_t*>(x.bytes());
  constexpr int64_t kItems = 64, kWords = kWeightBytes / 8 / kItems;
  double best = 1e9;
  for (auto _ : state) {
    const double seconds = seconds_of(threads, [&] {
      cpu::parallel_for(threads, kItems, [&](int64_t item, int) {
        uint64_t sums[8] = {};
        for (int64_t i = item * kWords; i < (item + 1) * kWords; i += 8)
          for (int64_t j = 0; j < 8; ++j) sums[j] += words[i + j];
        benchmark::DoNotOptimize(sums);
      });
    });
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
  }
  state.counters["best_GB/s"] = static_cast<double>(kWeightBytes) / best * 1e-9;
}

void register_all() {
  const auto add = [](const std::string& name, auto f, auto... arguments) {
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) { f(state, arguments...); })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
  };
  std::vector<int> thread_counts = {1};
  if (processors() > 1) thread_counts.push_back(processors());
  for (const int threads : thread_counts) add(concat("stream/threads:", threads), stream_bench, threads);
  for (const cpu::Isa& isa : cpu::known_isas()) {
    if (!isa.available(cpu::this_processor()) || isa.multiplier == cpu::Multiplier::amx_emulated) continue;
    for (const DType dtype : {DType::f32, DType::bf16, DType::i8}) {
      benchmark::RegisterBenchmark(concat("peak/", isa.name, "/", name_of(dtype)).c_str(),
                                   [&isa, dtype](benchmark::State& state) { peak_bench(state, isa, dtype); });
      for (const int threads : thread_counts) {
        const std::string suffix = concat("/", isa.name, "/", name_of(dtype), "/threads:", threads);
        const auto isa_ref = std::cref(isa);
        for (const LinearShape& shape : kLinearShapes)
          add(concat("linear/", shape.name, suffix), linear_bench, isa_ref, dtype, threads, shape);
        if (dtype == DType::i8) continue;
        for (const AttentionShape& shape : kAttentionShapes)
          add(concat("attention/", shape.name, suffix), attention_bench, isa_ref, dtype, threads, shape);
        add("modulated_norm/XL" + suffix, norm_bench, isa_ref, dtype, threads);
      }
    }
  }
}

}  // namespace
}  // namespace tstitch

int main(int argc, char** argv) {
  tstitch::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
