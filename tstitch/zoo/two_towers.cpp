#include "tstitch/zoo/two_towers.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/models/clip_text_keys.h"
#include "tstitch/text/prompt.h"

namespace tstitch {
namespace {

// Every row to length 1.
Tensor normalised(Tensor rows) {
  for (int64_t i = 0; i < rows.rows(); ++i) {
    const std::span row(rows.data<float>() + i * rows.columns(), static_cast<size_t>(rows.columns()));
    double squares = 0;
    for (const float value : row) squares += static_cast<double>(value) * value;
    const double length = std::max(std::sqrt(squares), 1e-12);
    for (float& value : row) value = static_cast<float>(value / length);
  }
  return rows;
}

ClipText load_text(const ClipTextConfig& config, Backend& backend, const WeightSource& weights) {
  const ClipTextKeys keys(weights);
  return ClipText(config, Weights(backend, keys), {.pooled = true});
}

}  // namespace

TwoTowers::TwoTowers(TwoTowersConfig config, Backend& backend, const WeightSource& weights,
                     ClipTokenizer tokenizer)
    : config_(std::move(config)),
      backend_(backend),
      tokenizer_(std::move(tokenizer)),
      picture_(config_.picture, Weights(backend, weights)),
      text_(load_text(config_.text, backend, weights)) {}

PictureFeatures TwoTowers::operator()(const Tensor& pictures) const {
  PictureFeatures at = picture_(pictures);
  at.embedding = normalised(std::exchange(at.logits, Tensor()));
  return at;
}

std::vector<int32_t> TwoTowers::ids_of(const std::string& text) const {
  const PromptChunk chunk =
      tokenize_prompt(tokenizer_, text, PromptStyle::webui, ClipTokenizer::kEnd).front();
  const auto longest = static_cast<size_t>(config_.text.positions);
  std::vector<int32_t> ids(chunk.ids.begin(), chunk.ids.begin() + std::min(longest, chunk.ids.size()));
  ids.back() = ClipTokenizer::kEnd;
  for (int32_t& id : ids) {
    const auto known = std::ranges::lower_bound(config_.tokens, id);
    const bool is_known = known != config_.tokens.end() && *known == id;
    id = is_known ? static_cast<int32_t>(known - config_.tokens.begin()) + 1 : 0;
  }
  return ids;
}

Tensor TwoTowers::embed_texts(const std::vector<std::string>& texts) const {
  constexpr size_t kAtOnce = 64;
  const int64_t E = config_.text.projection;
  Tensor all({std::ssize(texts), E}, DType::f32);
  for (size_t first = 0; first < texts.size(); first += kAtOnce) {
    const size_t end = std::min(first + kAtOnce, texts.size());
    std::vector<int32_t> ids;
    for (size_t i = first; i < end; ++i)
      for (const int32_t id : ids_of(texts[i])) ids.push_back(id);
    const Tensor rows = normalised(backend_.download(text_(ids, static_cast<int64_t>(end - first)).pooled));
    std::copy_n(rows.data<float>(), rows.elements(), all.data<float>() + static_cast<int64_t>(first) * E);
  }
  return all;
}

}  // namespace tstitch
