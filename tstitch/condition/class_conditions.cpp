#include "tstitch/condition/class_conditions.h"

#include <algorithm>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/base/philox.h"

namespace tstitch {
namespace {

// (1, W), of uniform random numbers in [0, 1).
Tensor random_token(int64_t width, uint64_t seed) {
  Tensor token({1, width}, DType::f32);
  for (int64_t i = 0; i < width; i += 4) {
    // The draw ~1 keeps this stream apart from the noise's and the classes' (tstitch/diffusion/noise.h).
    const PhiloxBlock block = philox({static_cast<uint32_t>(i / 4), ~1u, 0, 0}, seed);
    for (int64_t j = 0; j < std::min<int64_t>(4, width - i); ++j)
      token.data<float>()[i + j] = static_cast<float>(block[static_cast<size_t>(j)] >> 8) * 0x1p-24f;
  }
  return token;
}

}  // namespace

Condition ClassConditions::condition(int64_t subject) const { return {.class_number = subject}; }

Condition ClassConditions::null(uint64_t) const { return {.class_number = num_classes_}; }

ClassTokenConditions::ClassTokenConditions(Tensor tokens, const Tensor& null_token)
    : tokens_(std::move(tokens)) {
  const int64_t W = tokens_.columns();
  if (!null_token) return;
  check_internal(null_token.elements() == 1 || null_token.elements() == W, "a null token of ",
                 null_token.elements(), " numbers for tokens of ", W);
  null_token_ = Tensor({1, W}, DType::f32);
  if (null_token.elements() == 1)
    std::fill_n(null_token_.data<float>(), W, *null_token.data<float>());
  else
    std::copy_n(null_token.data<float>(), W, null_token_.data<float>());
}

Condition ClassTokenConditions::condition(int64_t subject) const {
  return {.context = tokens_.slice(subject, subject + 1)};
}

Condition ClassTokenConditions::null(uint64_t seed) const {
  return {.context = null_token_ ? null_token_ : random_token(tokens_.columns(), seed)};
}

Tensor load_class_tokens(const ModelInfo& model) {
  const ConditionInfo& condition = model.condition;
  return open_weights(model.files, model.weights)
      .load(condition.class_table, {condition.num_classes, condition.width}, DType::f32);
}

}  // namespace tstitch
