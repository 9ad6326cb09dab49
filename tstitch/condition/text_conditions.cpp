#include "tstitch/condition/text_conditions.h"

#include <utility>

#include "tstitch/zoo/unet_network.h"

namespace tstitch {
namespace {

// As Stability's and diffusers' code orders them.
std::vector<double> numbers_of(const ConditionInfo& info, const PictureSizes& sizes, double score) {
  std::vector<double> numbers;
  for (const int64_t size : {sizes.original.height, sizes.original.width, sizes.crop.top, sizes.crop.left})
    numbers.push_back(static_cast<double>(size));
  if (info.scored) {
    numbers.push_back(score);
  } else {
    numbers.push_back(static_cast<double>(sizes.target.height));
    numbers.push_back(static_cast<double>(sizes.target.width));
  }
  return numbers;
}

}  // namespace

Condition text_condition(Backend& backend, const ConditionInfo& info, const EncodedText& text,
                         const PictureSizes& sizes, double score) {
  Condition condition{.context = text.context};
  if (info.pooled_width == 0) return condition;
  const Tensor pooled = backend.upload(text.pooled.reshape({1, info.pooled_width})),
               added =
                   text_time_condition(backend, pooled, numbers_of(info, sizes, score), info.number_width);
  condition.added = backend.download(added.reshape({added.elements()}));
  return condition;
}

TextConditions::TextConditions(std::vector<Condition> texts, int64_t negative)
    : texts_(std::move(texts)), negative_(negative) {}

Condition TextConditions::condition(int64_t subject) const { return texts_.at(static_cast<size_t>(subject)); }

Condition TextConditions::null(uint64_t) const { return condition(negative_); }

}  // namespace tstitch
