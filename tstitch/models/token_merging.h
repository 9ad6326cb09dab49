// Token merging (ToMe for Stable Diffusion: Bolya & Hoffman 2023, arXiv 2303.17604, as tomesd@27a14a3 has
// it): before a picture attends to itself, tokens that say nearly the same become one, and what that one is
// given is given to each of them.
//
// N pictures, T tokens of each, T' of them left, C channels.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tstitch/backend/backend.h"

namespace tstitch {

// Of how many tokens: every cell of 2 x 2 has one target, and of the others, the sources, so many join the
// target that they are most like.
struct MergeCounts {
  int64_t sources, targets, merged;
};
// ratio: of all tokens, which are to go; at the most all sources do.
MergeCounts merge_counts(Extent2d extent, double ratio);

struct TokenMerging {
  // What picks the targets of a picture. Its rows share a draw.
  struct Draw {
    uint64_t seed;
    int64_t evaluation;
  };

  double ratio;
  std::span<const Draw> draws;  // of every picture
};

// One token of every whole cell of 2 x 2, row by row: drawn by Philox at (seed; cell, evaluation, block).
std::vector<int64_t> merge_targets(Extent2d extent, const TokenMerging::Draw& draw, int64_t block);

// Which tokens of the pictures become one.
class TokenGroups {
 public:
  // x: (N, T, C) f32, whose directions tell how alike tokens are; extent: of the pictures; block: the number
  // of the transformer block that asks.
  TokenGroups(Backend& backend, const Tensor& x, Extent2d extent, const TokenMerging& merging, int64_t block);

  // The means of the groups. x: (N, T, C). Returns (N, T', C) of the same type.
  Tensor merge(const Tensor& x) const;
  // x, (N, T, C) f32, and of each token what its group has in y, (N, T', C) f32.
  void add_to(Tensor& x, const Tensor& y) const;

 private:
  Backend& backend_;
  std::vector<int64_t> ends_, members_;  // of every group: see Backend::mean_rows
  std::vector<int64_t> group_of_;        // of every token of all pictures
};

}  // namespace tstitch
