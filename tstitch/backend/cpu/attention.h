#pragma once

#include "tstitch/backend/cpu/kernels.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch::cpu {

// softmax(q k^T / sqrt(d)) v per head, see Backend::attention; out: (N, T, D) of q's type. Scores exist for a few
// queries and one block of keys at a time, with a running maximum and sum (Milakov & Gimelshein 2018,
// arXiv 1805.02867), so that memory does not grow with T S.
void attention(const Kernels& kernels, int threads, const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads,
               Tensor& out);

}  // namespace tstitch::cpu
