#include "tstitch/backend/mean_rows.h"

#include <algorithm>
#include <vector>

#include "tstitch/backend/backend.h"

namespace tstitch {
namespace {

float widened(float x) { return x; }
float widened(bfloat16 x) { return to_float(x); }
void narrow(float x, float& to) { to = x; }
void narrow(float x, bfloat16& to) { to = to_bfloat16(x); }

template <class T>
void mean_of(const Tensor& x, std::span<const int64_t> rows, Tensor& out, int64_t to) {
  const int64_t columns = x.columns();
  const auto row_of = [&](int64_t row) { return x.data<T>() + row * x.row_stride(); };
  T* mean = out.data<T>() + to * out.row_stride();
  if (rows.size() == 1) {
    std::copy_n(row_of(rows[0]), columns, mean);
    return;
  }
  const auto count = static_cast<float>(rows.size());
  for (int64_t c = 0; c < columns; ++c) {
    float sum = 0;
    for (const int64_t row : rows) sum += widened(row_of(row)[c]);
    narrow(sum / count, mean[c]);
  }
}

}  // namespace

void mean_of_rows(const Tensor& x, std::span<const int64_t> rows, Tensor& out, int64_t to) {
  if (x.dtype() == DType::bf16)
    mean_of<bfloat16>(x, rows, out, to);
  else
    mean_of<float>(x, rows, out, to);
}

Tensor Backend::mean_rows(const Tensor& x, std::span<const int64_t> ends, std::span<const int64_t> rows) {
  const Tensor host = download(x);
  Tensor out({std::ssize(ends), x.columns()}, x.dtype());
  size_t first = 0;
  for (size_t i = 0; i < ends.size(); ++i) {
    const auto end = static_cast<size_t>(ends[i]);
    mean_of_rows(host, rows.subspan(first, end - first), out, static_cast<int64_t>(i));
    first = end;
  }
  return upload(out);
}

}  // namespace tstitch
