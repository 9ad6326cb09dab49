#include "tstitch/models/token_merging.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tstitch/base/error.h"
#include "tstitch/base/philox.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

constexpr uint32_t kDraw = 1;      // last word of the counter: noise and all else that is drawn have 0 there
constexpr int64_t kAlone = -1;     // of a source that joins no target
constexpr int64_t kOfABlock = 64;  // cells, of two bits each
constexpr size_t kStrip = 1024;    // sources whose scores are in memory at once

// 1 / |x| of every token, 0 for one of zeros. x: (T, C).
std::vector<float> inverse_lengths(const Tensor& x) {
  std::vector<float> inverse;
  for (int64_t t = 0; t < x.rows(); ++t) {
    const float* token = x.data<float>() + t * x.columns();
    const double square = std::inner_product(token, token + x.columns(), token, 0.0);
    inverse.push_back(square > 0 ? static_cast<float>(1 / std::sqrt(square)) : 0);
  }
  return inverse;
}

struct Likeness {
  float cosine = -std::numeric_limits<float>::infinity();
  int64_t target = 0;  // the first of those that are most alike
};

// Of a source, by its row of scores, which are too large by its length. What is no number is like nothing.
Likeness likeness_of(std::span<const float> scores, float inverse_length) {
  Likeness most;
  for (size_t j = 0; j < scores.size(); ++j)
    if (scores[j] > most.cosine) most = {scores[j], static_cast<int64_t>(j)};
  const float cosine = most.cosine * inverse_length;
  return {cosine == cosine ? cosine : Likeness().cosine, most.target};
}

// Of every source the number of the target that it joins, or kAlone: those join that are most like theirs.
std::vector<int64_t> join_targets(std::span<const Likeness> sources, int64_t merged) {
  std::vector<size_t> order(sources.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto joining = order.begin() + merged;
  std::nth_element(order.begin(), joining, order.end(), [&](size_t a, size_t b) {
    return sources[a].cosine != sources[b].cosine ? sources[a].cosine > sources[b].cosine : a < b;
  });
  std::vector<int64_t> joined(sources.size(), kAlone);
  for (auto source = order.begin(); source != joining; ++source) joined[*source] = sources[*source].target;
  return joined;
}

}  // namespace

MergeCounts merge_counts(Extent2d extent, double ratio) {
  const int64_t tokens = extent.height * extent.width, targets = (extent.height / 2) * (extent.width / 2),
                sources = tokens - targets;
  if (targets == 0) return {sources, targets, 0};
  return {sources, targets, std::min(sources, static_cast<int64_t>(static_cast<double>(tokens) * ratio))};
}

std::vector<int64_t> merge_targets(Extent2d extent, const TokenMerging::Draw& draw, int64_t block) {
  std::vector<int64_t> targets;
  const int64_t rows = extent.height / 2, columns = extent.width / 2;
  PhiloxBlock drawn{};
  for (int64_t cell = 0; cell < rows * columns; ++cell) {
    const int64_t within = cell % kOfABlock;
    if (within == 0)
      drawn = philox({static_cast<uint32_t>(cell / kOfABlock), static_cast<uint32_t>(draw.evaluation),
                      static_cast<uint32_t>(block), kDraw},
                     draw.seed);
    const uint32_t corner = drawn[static_cast<size_t>(within / 16)] >> (2 * (within % 16)) & 3;
    const int64_t y = 2 * (cell / columns) + (corner >> 1), x = 2 * (cell % columns) + (corner & 1);
    targets.push_back(y * extent.width + x);
  }
  return targets;
}

TokenGroups::TokenGroups(Backend& backend, const Tensor& x, Extent2d extent, const TokenMerging& merging,
                         int64_t block)
    : backend_(backend) {
  const int64_t N = x.extent(0), T = x.extent(1), C = x.extent(2);
  check_internal(T == extent.height * extent.width && N == std::ssize(merging.draws), "tokens ", x.shape(),
                 " of pictures of ", extent.height, " x ", extent.width, " with ", merging.draws.size(),
                 " draws");
  const MergeCounts counts = merge_counts(extent, merging.ratio);
  const Tensor host = backend.download(x);
  group_of_.resize(static_cast<size_t>(N * T));
  for (int64_t n = 0; n < N; ++n) {
    const std::vector<int64_t> targets = merge_targets(extent, merging.draws[static_cast<size_t>(n)], block);
    std::vector<int64_t> sources;
    std::vector<bool> is_target(static_cast<size_t>(T));
    for (const int64_t target : targets) is_target[static_cast<size_t>(target)] = true;
    for (int64_t t = 0; t < T; ++t)
      if (!is_target[static_cast<size_t>(t)]) sources.push_back(t);

    std::vector<int64_t> joined(sources.size(), kAlone);
    if (counts.merged > 0) {
      const Tensor tokens = host.slice(n, n + 1).reshape({T, C});
      const std::vector<float> inverse = inverse_lengths(tokens);
      Tensor directions({counts.targets, C}, DType::f32);
      for (size_t j = 0; j < targets.size(); ++j) {
        const float* token = tokens.data<float>() + targets[j] * C;
        std::transform(token, token + C, directions.data<float>() + static_cast<int64_t>(j) * C,
                       [&](float value) { return value * inverse[static_cast<size_t>(targets[j])]; });
      }
      const auto packed = backend.pack_linear(directions, {});
      std::vector<Likeness> likeness;
      for (size_t first = 0; first < sources.size(); first += kStrip) {
        const auto strip = std::span(sources).subspan(first, std::min(kStrip, sources.size() - first));
        const Tensor scores =
            backend.download(linear(backend, gather(backend, x.slice(n, n + 1).reshape({T, C}), strip),
                                    *packed, Activation::none, DType::f32));  // (strip, targets)
        for (size_t i = 0; i < strip.size(); ++i)
          likeness.push_back(likeness_of({scores.data<float>() + static_cast<int64_t>(i) * counts.targets,
                                          static_cast<size_t>(counts.targets)},
                                         inverse[static_cast<size_t>(strip[i])]));
      }
      joined = join_targets(likeness, counts.merged);
    }

    const auto add = [&](int64_t token) {
      members_.push_back(n * T + token);
      group_of_[static_cast<size_t>(n * T + token)] = std::ssize(ends_);
    };
    const auto end_group = [&] { ends_.push_back(std::ssize(members_)); };
    for (size_t i = 0; i < sources.size(); ++i)
      if (joined[i] == kAlone) add(sources[i]), end_group();
    std::vector<std::vector<int64_t>> joining(targets.size());
    for (size_t i = 0; i < sources.size(); ++i)
      if (joined[i] != kAlone) joining[static_cast<size_t>(joined[i])].push_back(sources[i]);
    for (size_t j = 0; j < targets.size(); ++j) {
      add(targets[j]);
      for (const int64_t source : joining[j]) add(source);
      end_group();
    }
  }
}

Tensor TokenGroups::merge(const Tensor& x) const {
  const int64_t N = x.extent(0);
  return mean_rows(backend_, x, ends_, members_).reshape({N, std::ssize(ends_) / N, x.extent(2)});
}

void TokenGroups::add_to(Tensor& x, const Tensor& y) const {
  const Tensor spread = gather(backend_, y.reshape({y.rows(), y.columns()}), group_of_).reshape(x.shape());
  x = combine(backend_, {{1, &x}, {1, &spread}});
}

}  // namespace tstitch
