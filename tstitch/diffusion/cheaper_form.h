// Forms of a network that cost less and answer nearly the same: properties of who asks, not of the weights.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace tstitch {

// DeepCache (Ma et al. 2023, arXiv 2312.00858): of every so many evaluations the first is whole, and the
// others take from it what its inner blocks gave.
struct BlockCache {
  // Which blocks the others evaluate: of the first level, those of the paper's code (DeepCache/sd at branch
  // 0), the first pair of a resnet and a transformer and the last two; or those of its package
  // (DeepCacheSDHelper at branch 0), the last pair alone.
  enum class Form { paper, helper };
  // Its code's non-uniform steps (DeepCache/sd, "uniform=False"): those that are whole lie closest together
  // around an evaluation of the stage, counted from 0, the farther apart the farther from it and the larger
  // the power.
  struct Focus {
    int64_t center = 0;
    double power = 1.4;
    bool operator==(const Focus&) const = default;
  };

  int64_t every = 1;  // 1: all are whole
  Form form = Form::paper;
  std::optional<Focus> focus = {};  // or evenly apart

  bool holds() const { return every > 1; }
  // The share that is whole of many evaluations.
  double whole_share() const { return 1 / static_cast<double>(every); }
  bool operator==(const BlockCache&) const = default;
};

// Of that many evaluations of a stage those that are whole, in order, the first among them: evaluations /
// every, rounded up. Throws Error{usage} where not so many lie around the focus.
std::vector<int64_t> whole_evaluations(const BlockCache& cache, int64_t evaluations);

struct CheaperForm {
  double merge = 0;  // of the tokens a picture attends to itself with, how many become one with others
  BlockCache cache = {};
  // Blocks that are left out: each adds to its input, which then stays as it is. Their numbers in order of
  // use, from 0, ascending.
  std::vector<int64_t> skip = {};

  bool operator==(const CheaperForm&) const = default;
};

}  // namespace tstitch
