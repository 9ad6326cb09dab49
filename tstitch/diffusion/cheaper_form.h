// Forms of a network that cost less and answer nearly the same: properties of who asks, not of the weights.
#pragma once

#include <cstdint>

namespace tstitch {

// DeepCache (Ma et al. 2023, arXiv 2312.00858): of every so many evaluations the first is whole, and the
// others take from it what its inner blocks gave.
struct BlockCache {
  // Which blocks the others evaluate: of the first level, those of the paper's code (DeepCache/sd at branch
  // 0), the first pair of a resnet and a transformer and the last two; or those of its package
  // (DeepCacheSDHelper at branch 0), the last pair alone.
  enum class Form { paper, helper };

  int64_t every = 1;  // 1: all are whole
  Form form = Form::paper;

  bool holds() const { return every > 1; }
  bool is_whole(int64_t evaluation) const { return evaluation % every == 0; }
  bool operator==(const BlockCache&) const = default;
};

struct CheaperForm {
  double merge = 0;  // of the tokens a picture attends to itself with, how many become one with others
  BlockCache cache = {};

  bool operator==(const CheaperForm&) const = default;
};

}  // namespace tstitch
