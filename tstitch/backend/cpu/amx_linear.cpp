#include "tstitch/backend/cpu/amx_linear.h"

#include <cstring>

#include "tstitch/backend/cpu/amx_gemm.h"
#include "tstitch/backend/cpu/parallel.h"

namespace tstitch::cpu {
namespace {

// E: as in amx_gemm.h.
template <class Tiles, class E>
class AmxLinear final : public Linear {
 public:
  AmxLinear(const Kernels& kernels, int threads, const Tensor& w, const Tensor& b, const Int8Weight& int8)
      : Linear(w, b, int8, kAmxColumns), kernels_(kernels), steps_(divide_up(inputs_, kStep)) {
    const int64_t panels = divide_up(outputs_, kAmxColumns);
    panels_ = Tensor({panels, steps_ * kStep * kAmxColumns}, w.dtype());
    const auto* rows = reinterpret_cast<const E*>(w.bytes());
    parallel_for(threads, panels, [&](int64_t panel, int) {
      const int64_t row = panel * kAmxColumns;
      amx_pack_panel(rows + row * w.row_stride(), w.row_stride(), std::min(kAmxColumns, outputs_ - row),
                     inputs_, reinterpret_cast<E*>(panels_.bytes()) + panel * panels_.columns());
    });
  }

  int64_t bytes() const override { return panels_.elements() * kSize + bytes_beside_panels(); }
  int64_t row_multiple() const override { return kStep; }

  void run(LinearJob job, int64_t rows, int threads) const override {
    complete(job);
    const int64_t panels = panels_.extent(0);
    const int64_t chunk = rows_per_item(rows, inputs_ * kSize, panels, kAmxRows, threads);
    Tensor padded({threads, kAmxRows, steps_ * kStep}, panels_.dtype());
    parallel_for(threads, divide_up(rows, chunk) * panels, [&](int64_t item, int thread) {
      const int64_t begin = item / panels * chunk;
      multiply(job, item % panels, begin, std::min(rows, begin + chunk), threads,
               reinterpret_cast<E*>(padded.bytes()) + thread * kAmxRows * steps_ * kStep);
    });
  }

 private:
  static constexpr int64_t kStep = kAmxStep<E>, kSize = sizeof(E);

  // Rows begin..end of one panel of outputs. `padded` holds a block of x that has too few rows for its tiles.
  void multiply(const LinearJob& job, int64_t panel, int64_t begin, int64_t end, int threads,
                E* padded) const {
    alignas(64) float sums[kAmxRows * kAmxColumns];
    const auto* panels = reinterpret_cast<const E*>(panels_.bytes());
    const int64_t column = panel * kAmxColumns, columns = std::min(kAmxColumns, outputs_ - column);
    const int64_t next = std::min(panel + threads, panels_.extent(0) - 1);  // probably ours
    const int64_t blocks = divide_up(end - begin, kAmxRows);
    constexpr int64_t kLines = kStep * kAmxColumns * kSize / 64;  // of a step

    Tiles tiles;
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t row = begin + block * kAmxRows, rows = std::min(kAmxRows, end - row);
      const int64_t tile_rows = rows > 16 ? 32 : 16;
      const auto* x = static_cast<const E*>(job.x) + row * job.x_stride;
      int64_t x_stride = job.x_stride;
      if (rows < tile_rows) {
        const int64_t length = steps_ * kStep;
        for (int64_t r = 0; r < rows; ++r)
          std::memcpy(padded + r * length, x + r * x_stride, static_cast<size_t>(kSize * length));
        std::memset(padded + rows * length, 0, static_cast<size_t>(kSize * (tile_rows - rows) * length));
        x = padded;
        x_stride = length;
      }
      const AmxPrefetch prefetch = {panels + next * panels_.columns(), block * kLines / blocks,
                                    (block + 1) * kLines / blocks};
      amx_multiply(tiles, x, x_stride, tile_rows, panels + panel * panels_.columns(), steps_, prefetch,
                   {sums});
      if (job.operand == Operand::int8)
        kernels_.dequantize(job, sums, kAmxColumns, row, rows, column, kAmxColumns);
      kernels_.finish(job, sums, kAmxColumns, row, rows, column, columns);
    }
  }

  const Kernels& kernels_;
  int64_t steps_;
  Tensor panels_;  // as in amx_gemm.h
};

template <class Tiles>
std::unique_ptr<Linear> make(const Kernels& kernels, int threads, const Tensor& w, const Tensor& b,
                             const Int8Weight& int8) {
  if (int8.values) return std::make_unique<AmxLinear<Tiles, uint8_t>>(kernels, threads, w, b, int8);
  return std::make_unique<AmxLinear<Tiles, uint16_t>>(kernels, threads, w, b, int8);
}

}  // namespace

std::unique_ptr<Linear> make_amx_linear(bool emulated, const Kernels& kernels, int threads, const Tensor& w,
                                        const Tensor& b, const Int8Weight& int8) {
  return emulated ? make<EmulatedTiles>(kernels, threads, w, b, int8)
                  : make<HardwareTiles>(kernels, threads, w, b, int8);
}

}  // namespace tstitch::cpu
