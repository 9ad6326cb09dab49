#pragma once

#include <vector>

#include "tstitch/condition/condition_maker.h"
#include "tstitch/condition/picture_sizes.h"
#include "tstitch/condition/text_encoder.h"

namespace tstitch {

// A text as the networks of that kind read it. Those that are told more get their numbers, too: the sizes or,
// instead of the last two, how good the picture is to look like.
Condition text_condition(Backend& backend, const ConditionInfo& info, const EncodedText& text,
                         const PictureSizes& sizes, double score);

// Texts by number; guidance leads away from the negative one.
class TextConditions final : public ConditionMaker {
 public:
  TextConditions(std::vector<Condition> texts, int64_t negative);
  Condition condition(int64_t subject) const override;
  Condition null(uint64_t seed) const override;

 private:
  std::vector<Condition> texts_;
  int64_t negative_;
};

}  // namespace tstitch
