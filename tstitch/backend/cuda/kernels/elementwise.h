// Kernels whose every element is computed by itself. `columns` are those of the result, and element i of the
// result is column i % columns of row i / columns.
#pragma once

#include "tstitch/backend/cuda/kernels/activation.h"
#include "tstitch/backend/cuda/kernels/rows.h"

namespace tstitch::cuda {

// out[i] = x[i % period], rows of either type.
struct Copy {
  Rows x, out;
  int64_t columns, period;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [row, j] = split(i, columns);
    out.set(row, j, x(split(row, period).remainder, j));
  }
};

// out = the parts one after the other.
struct Stack {
  const Part* parts;
  Rows out;
  int64_t columns;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [row, j] = split(i, columns);
    const PlaceInParts place = find(parts, row);
    out.set(row, j, place.part->rows(place.row, j));
  }
};

struct Activate {
  Rows x, out;
  int64_t columns;
  Activation act;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [row, j] = split(i, columns);
    out.set(row, j, activate(act, x(row, j)));
  }
};

struct Clamp {
  Rows x, out;
  int64_t columns;
  float low, high;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [row, j] = split(i, columns);
    const float value = x(row, j);
    out.set(row, j, value < low ? low : value > high ? high : value);
  }
};

// limit tanh(x / limit)
struct SoftClamp {
  Rows x, out;
  int64_t columns;
  float limit;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [row, j] = split(i, columns);
    out.set(row, j, limit * std::tanh(x(row, j) / limit));
  }
};

// offset + sum of factor x, in the order given.
struct Combine {
  static constexpr int kMostTerms = 8;

  Rows x[kMostTerms];
  float factor[kMostTerms];
  int terms;
  float offset;
  Rows out;
  int64_t columns;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [row, j] = split(i, columns);
    float sum = offset;
    for (int k = 0; k < terms; ++k) sum += factor[k] * x[k](row, j);
    out.set(row, j, sum);
  }
};

// mean + exp(log_variance / 2) noise
struct AddNoise {
  Rows mean, log_variance, noise, out;
  int64_t columns;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [row, j] = split(i, columns);
    out.set(row, j, mean(row, j) + std::exp(0.5f * log_variance(row, j)) * noise(row, j));
  }
};

// u + scale (c - u) in the first `channels` columns, c in the others.
struct Guide {
  Rows c, u, out;
  int64_t columns, channels;
  float scale;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [row, j] = split(i, columns);
    const float cond = c(row, j), uncond = u(row, j);
    out.set(row, j, j < channels ? uncond + scale * (cond - uncond) : cond);
  }
};

// a gelu(g) for rows [a | g].
struct Geglu {
  Rows x, out;
  int64_t columns;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [row, j] = split(i, columns);
    out.set(row, j, x(row, j) * activate(Activation::gelu, x(row, columns + j)));
  }
};

// sum += gate[row / T] y, or sum += y without a gate.
struct AddGated {
  Rows sum, gate, y;
  int64_t columns, T;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [row, j] = split(i, columns);
    const float factor = gate.at ? gate(split(row, T).quotient, j) : 1;
    sum.set(row, j, sum(row, j) + factor * y(row, j));
  }
};

// sum += y[row % period]
struct AddRows {
  Rows sum, y;
  int64_t columns, period;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [row, j] = split(i, columns);
    sum.set(row, j, sum(row, j) + y(split(row, period).remainder, j));
  }
};

// out[i] = table[indices[i]]
struct Gather {
  Rows table;
  const int64_t* indices;
  Rows out;
  int64_t columns;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [row, j] = split(i, columns);
    out.set(row, j, table(indices[row], j));
  }
};

// table[indices[i]] = x[i]; no index twice.
struct Scatter {
  Rows table;
  const int64_t* indices;
  Rows x;
  int64_t columns;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [row, j] = split(i, columns);
    table.set(indices[row], j, x(row, j));
  }
};

// [cos(t f) | sin(t f)], f_j = 10000^(-j / half). Frequencies and waves are rounded to f32 from f64, which is
// what the reference's f32 functions give nearly always, and a device's f32 functions do not.
struct TimestepEmbedding {
  const double* t;
  Rows out;
  int64_t columns;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [row, j] = split(i, columns);
    const int64_t half = columns / 2;
    const float exponent = -9.21034037f * static_cast<float>(j % half) / static_cast<float>(half);
    const float angle = static_cast<float>(t[row]) * static_cast<float>(std::exp(double{exponent}));
    out.set(row, j, static_cast<float>(j < half ? std::cos(double{angle}) : std::sin(double{angle})));
  }
};

}  // namespace tstitch::cuda
