// Fills the table of the processor this file is compiled for.
#pragma once

#include "tstitch/backend/cpu/isa/attention.inl"
#include "tstitch/backend/cpu/isa/conv.inl"
#include "tstitch/backend/cpu/isa/linear.inl"
#include "tstitch/backend/cpu/isa/peak.inl"
#include "tstitch/backend/cpu/isa/rows.inl"

namespace tstitch::cpu::TSTITCH_ISA {

// f(T{}) of the operand's T.
template <class Function>
inline auto with_operand(Operand operand, const Function& f) {
  return operand == Operand::bf16 ? f(bf16{}) : operand == Operand::int8 ? f(q8{}) : f(f32{});
}

constexpr Kernels make_kernels(const char* name) {
  return {
      .name = name,
      .panel_columns = kPanelColumns,
      .operand_bytes =
          [](Operand operand) {
            return with_operand(operand, [](auto x) { return static_cast<int64_t>(sizeof x); });
          },
      .block_rows =
          [](Operand operand) {
            return with_operand(operand, [](auto x) { return int64_t{kBlockRows<decltype(x)>}; });
          },
      .pack_panel =
          [](Operand operand, const void* w, int64_t w_stride, int64_t rows, int64_t columns, void* panel) {
            auto* to = static_cast<uint32_t*>(panel);
            switch (operand) {
              case Operand::f32:
                return pack_panel(static_cast<const f32*>(w), w_stride, rows, columns, to);
              case Operand::bf16:
                return pack_panel(static_cast<const bf16*>(w), w_stride, rows, columns, to);
              case Operand::int8:
                return pack_int8_panel(static_cast<const int8_t*>(w), w_stride, rows, columns,
                                       static_cast<int8_t*>(panel));
            }
          },
      .linear =
          [](const LinearJob& job, int64_t panel, int64_t begin, int64_t end) {
            with_operand(job.operand, [&](auto x) { linear<decltype(x)>(job, panel, begin, end); });
          },
      .dequantize = [](const LinearJob& job, float* sums, int64_t sums_stride, int64_t row, int64_t rows,
                       int64_t column,
                       int64_t columns) { dequantize(job, sums, sums_stride, row, rows, column, columns); },
      .finish = [](const LinearJob& job, const float* sums, int64_t sums_stride, int64_t row, int64_t rows,
                   int64_t column,
                   int64_t columns) { finish(job, sums, sums_stride, row, rows, column, columns); },
      .attention_keys = kKeys,
      .attention_panel_bytes =
          [](bool b, int64_t d, int64_t S) {
            return 4 * (b ? AttentionPanels<bf16>(d).all(S) : AttentionPanels<f32>(d).all(S));
          },
      .pack_keys =
          [](const AttentionJob& job, int64_t head, int64_t s0, void* panels) {
            job.bf16 ? pack_keys<bf16>(job, head, s0, panels) : pack_keys<f32>(job, head, s0, panels);
          },
      .attention_rows = [](bool b) { return b ? kQueries<bf16> : kQueries<f32>; },
      .attention_scratch_bytes =
          [](bool b, int64_t d) {
            return 4 * (b ? AttentionScratch<bf16>(d).end : AttentionScratch<f32>(d).end);
          },
      .attention =
          [](const AttentionJob& job, int64_t head, int64_t begin, int64_t end, const void* panels,
             void* scratch) {
            if (job.bf16)
              attention<bf16>(job, head, begin, end, panels, static_cast<float*>(scratch));
            else
              attention<f32>(job, head, begin, end, panels, static_cast<float*>(scratch));
          },
      .softmax_block = softmax_block<bf16>,
      .normalize =
          [](const float* out, int64_t out_stride, const float* sum, int64_t rows, int64_t d, void* to,
             int64_t to_stride) {
            normalize_rows(out, out_stride, sum, rows, d, static_cast<bf16*>(to), to_stride);
          },
      .pool = [](const PoolJob& job) { job.bf16 ? pool<bf16>(job) : pool<f32>(job); },
      .pixels =
          [](const PixelJob& job, int64_t count) {
            const auto from = [&](auto x) {
              using From = decltype(x);
              with_operand(job.to_type, [&](auto to) { pixels<From, decltype(to)>(job, count); });
            };
            job.x_bf16 ? from(bf16{}) : from(f32{});
          },
      .row_bounds =
          [](bool b, const void* x, const float* factors, int64_t count) {
            return b ? row_bounds(static_cast<const bf16*>(x), factors, count)
                     : row_bounds(static_cast<const f32*>(x), factors, count);
          },
      .channel_bounds =
          [](bool b, const void* x, int64_t x_stride, int64_t count, int64_t channels, float* low,
             float* high) {
            b ? channel_bounds(static_cast<const bf16*>(x), x_stride, count, channels, low, high)
              : channel_bounds(static_cast<const f32*>(x), x_stride, count, channels, low, high);
          },
      .conv =
          [](const ConvJob& job, int64_t panel, int64_t begin, int64_t end) {
            with_operand(job.linear.operand, [&](auto x) { conv<decltype(x)>(job, panel, begin, end); });
          },
      .group_moments =
          [](bool b, const void* x, int64_t x_stride, int64_t count, int64_t channels, int64_t groups,
             float* moments) {
            if (b)
              group_moments(static_cast<const bf16*>(x), x_stride, count, channels, groups, moments);
            else
              group_moments(static_cast<const f32*>(x), x_stride, count, channels, groups, moments);
          },
      .modulated_norm =
          [](const NormJob& job, int64_t rows) {
            job.out_bf16 ? modulated_norm<bf16>(job, rows) : modulated_norm<f32>(job, rows);
          },
      .geglu =
          [](bool b, const void* x, bool out_b, void* out, int64_t count) {
            const auto from = [&](const auto* typed) {
              out_b ? geglu(typed, static_cast<bf16*>(out), count)
                    : geglu(typed, static_cast<f32*>(out), count);
            };
            b ? from(static_cast<const bf16*>(x)) : from(static_cast<const f32*>(x));
          },
      .silu = [](const float* x, float* out,
                 int64_t count) { for_row(count, [&](auto get, auto put) { put(out, silu(get(x))); }); },
      .to_bf16 =
          [](const float* x, void* out, int64_t count) {
            for_row(count, [&](auto get, auto put) { put(static_cast<bf16*>(out), get(x)); });
          },
      .to_f32 =
          [](const void* x, float* out, int64_t count) {
            for_row(count, [&](auto get, auto put) { put(out, get(static_cast<const bf16*>(x))); });
          },
      .peak_flops =
          [](Operand operand) {
            return with_operand(operand,
                                [](auto x) { return 2 * kLanes * kPeakSums * kPerUnit<decltype(x)>; });
          },
      .peak = [](Operand operand, int64_t steps,
                 float* out) { with_operand(operand, [&](auto x) { peak<decltype(x)>(steps, out); }); },
  };
}

}  // namespace tstitch::cpu::TSTITCH_ISA
