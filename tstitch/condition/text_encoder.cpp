#include "tstitch/condition/text_encoder.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/condition/padding_token.h"
#include "tstitch/io/file_identity.h"
#include "tstitch/io/json.h"
#include "tstitch/models/clip_text_keys.h"
#include "tstitch/ops/ops.h"
#include "tstitch/zoo/builtin_tokenizer.h"
#include "tstitch/zoo/clip_text_config.h"
#include "tstitch/zoo/file_weights.h"
#include "tstitch/zoo/naming_file.h"

namespace tstitch {
namespace {

constexpr int64_t kOpenClipWidth = 1024;  // of Stable Diffusion 2's

ClipTextConfig config_of(const ModelFiles& files) {
  return read_clip_text_config(parse_json_file(files.config), files.config);
}

double mean_of(const Tensor& x) {
  const float* values = x.data<float>();
  return std::accumulate(values, values + x.elements(), 0.0) / static_cast<double>(x.elements());
}

// One chunk, (77, width): each token's row times its weight, the mean as before.
void weigh(Tensor& chunk, std::span<const float> weights) {
  const double before = mean_of(chunk);
  for (int64_t token = 0; token < chunk.extent(0); ++token)
    for (int64_t i = 0; i < chunk.columns(); ++i)
      chunk.data<float>()[token * chunk.columns() + i] *= weights[static_cast<size_t>(token)];
  const double after = mean_of(chunk);
  if (after == 0) return;
  const auto factor = static_cast<float>(before / after);
  for (int64_t i = 0; i < chunk.elements(); ++i) chunk.data<float>()[i] *= factor;
}

// (S, a) and (S, b) to (S, a + b).
Tensor side_by_side(const Tensor& a, const Tensor& b) {
  const int64_t A = a.columns(), B = b.columns();
  Tensor joined({a.extent(0), A + B}, DType::f32);
  float* to = joined.data<float>();
  for (int64_t row = 0; row < a.extent(0); ++row) {
    to = std::copy_n(a.data<float>() + row * A, A, to);
    to = std::copy_n(b.data<float>() + row * B, B, to);
  }
  return joined;
}

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

bool is_same(const TensorInfo& a, const TensorInfo& b) {
  return a.dtype_name == b.dtype_name && a.shape == b.shape && a.strides == b.strides &&
         a.bytes.size() == b.bytes.size() && std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0;
}

// What is in them is found different at the first tensor that is, as a rule the first of all.
bool are_folders_alike(const std::string& a, const std::string& b) {
  const ModelFiles of_a = find_model_files(a), of_b = find_model_files(b);
  if (of_a.config.empty() || of_b.config.empty() || !(config_of(of_a) == config_of(of_b))) return false;
  if (const auto file = identify(of_a.weights); file && file == identify(of_b.weights)) return true;
  const TensorFile in_a = open_weights(of_a, WeightChoice::automatic),
                   in_b = open_weights(of_b, WeightChoice::automatic);
  return std::ranges::equal(in_a.tensors(), in_b.tensors(), [](const auto& one, const auto& other) {
    return one.first == other.first && is_same(one.second, other.second);
  });
}

// What the network was trained with, unless the user says otherwise.
ClipReading reading_of(const ConditionInfo& condition, ClipPlace place, const ClipTextConfig& config,
                       bool described, int64_t clip_skip) {
  const bool sdxl = condition.pooled_width > 0;
  // Stable Diffusion 2's folders in transformers' layout have no last layer.
  const int64_t trained = sdxl || (config.width == kOpenClipWidth && !described) ? 2 : 1;
  return {.skip = (clip_skip ? clip_skip : trained) - 1,
          .normalised = !sdxl,
          .pooled = place == ClipPlace::second};
}

// What stands for the words of embeddings: tokens behind the vocabulary's.
struct NewTokens {
  PromptWords words;
  Tensor vectors;  // (n, width) f32, or empty
};

// Of those that the model reads, for its encoder of that number.
NewTokens tokens_of(const std::vector<Embedding>& embeddings, const ModelInfo& model, size_t number) {
  if (embeddings.empty()) return {};
  const std::vector<TextReader> readers = text_readers(model);
  std::vector<PromptWord> words;
  std::vector<float> vectors;
  int64_t next = ClipTokenizer::kTokens;
  for (const Embedding& embedding : embeddings) {
    if (!embedding.obstacle(readers).empty()) continue;
    for (const std::string& name : embedding.names())
      words.push_back({name, static_cast<int32_t>(next), static_cast<int32_t>(embedding.vectors())});
    const Tensor own = embedding.load(readers, number);
    vectors.insert(vectors.end(), own.data<float>(), own.data<float>() + own.elements());
    next += embedding.vectors();
  }
  if (words.empty()) return {};
  Tensor all({next - ClipTokenizer::kTokens, readers[number].width}, DType::f32);
  std::ranges::copy(vectors, all.data<float>());
  return {PromptWords(words), all};
}

}  // namespace

void check_text_encoders(const ModelInfo& model) {
  const size_t found = model.files.text_encoders.size(), expected = model.condition.encoders().size();
  check(found > 0, ErrorKind::input, "\"", printable(model.path),
        "\" holds no text encoder: expected one in a checkpoint of everything or in diffusers' folder");
  check(found == expected, ErrorKind::input, "\"", printable(model.path), "\" has text encoders: ", found,
        ", expected ", expected);
}

bool encode_alike(const ModelInfo& a, const ModelInfo& b) {
  const size_t count = a.files.text_encoders.size();
  if (b.files.text_encoders.size() != count) return false;
  for (size_t i = 0; i < count; ++i) {
    const std::string &of_a = a.files.text_encoders[i], &of_b = b.files.text_encoders[i];
    if (of_a == of_b) continue;
    if (!is_folder(of_a) || !is_folder(of_b) || padding_of(a, i) != padding_of(b, i) ||
        !are_folders_alike(of_a, of_b))
      return false;
  }
  return true;
}

int32_t padding_of(const ModelInfo& model, size_t number) {
  check_text_encoders(model);
  const std::string& path = model.files.text_encoders.at(number);
  const bool openclip =
      model.condition.width == kOpenClipWidth || model.condition.encoders().at(number) == ClipPlace::second;
  const int32_t usual = openclip ? 0 : ClipTokenizer::kEnd;
  return is_folder(path) ? find_padding(path).value_or(usual) : usual;
}

TextEncoder::TextEncoder(Backend& backend, const ModelInfo& model, size_t number, int64_t clip_skip,
                         PromptStyle style, int threads, const std::vector<Embedding>& embeddings)
    : backend_(backend), tokenizer_(builtin_tokenizer()), style_(style) {
  const std::string& path = model.files.text_encoders.at(number);
  const ClipPlace place = model.condition.encoders().at(number);
  const ModelFiles files = find_model_files(path);
  const TensorFile file = open_weights(files, WeightChoice::automatic);
  naming_file(file.path(), [&] {
    const FileWeights stored(file);
    const ClipTextKeys keys(stored, place);
    const bool described = is_folder(path) && !files.config.empty();
    ClipTextConfig config = described ? config_of(files) : infer_clip_text_config(keys);
    config.projection = clip_projection(keys);
    check(config.vocabulary == ClipTokenizer::kTokens, ErrorKind::input, file.path(), ": a text encoder of ",
          config.vocabulary, " tokens, expected CLIP's ", ClipTokenizer::kTokens);
    const MergedWeights merged(keys, model.loras, threads, place);
    const NewTokens tokens = tokens_of(embeddings, model, number);
    words_ = tokens.words;
    clip_ = std::make_unique<ClipText>(config, Weights(backend, merged),
                                       reading_of(model.condition, place, config, described, clip_skip),
                                       tokens.vectors);
  });
  padding_ = padding_of(model, number);
}

// A few at a time: those of thousands of prompts at once would want gigabytes.
ClipText::Answer TextEncoder::encode_chunks(std::span<const int32_t> ids) const {
  constexpr int64_t kLength = PromptChunk::kLength, kAtOnce = 32;
  const int64_t chunks = std::ssize(ids) / kLength;
  std::vector<Tensor> tokens, pooled;
  for (int64_t first = 0; first < chunks; first += kAtOnce) {
    const int64_t count = std::min(kAtOnce, chunks - first);
    const ClipText::Answer answer = (*clip_)(
        ids.subspan(static_cast<size_t>(first * kLength), static_cast<size_t>(count * kLength)), count);
    tokens.push_back(answer.tokens);
    if (answer.pooled) pooled.push_back(answer.pooled);
  }
  return {.tokens = backend_.download(stack(backend_, tokens)),
          .pooled = pooled.empty() ? Tensor() : backend_.download(stack(backend_, pooled))};
}

std::vector<EncodedText> TextEncoder::encode(const std::vector<std::string>& texts) const {
  std::vector<std::vector<PromptChunk>> prompts;
  std::vector<int32_t> ids;
  for (const std::string& text : texts) {
    prompts.push_back(tokenize_prompt(tokenizer_, text, style_, padding_, words_));
    for (const PromptChunk& chunk : prompts.back()) ids.insert(ids.end(), chunk.ids.begin(), chunk.ids.end());
  }
  const auto [encoded, pooled] = encode_chunks(ids);  // (chunks, 77, width), (chunks, P)
  const int64_t tokens = encoded.extent(1), width = encoded.extent(2);

  std::vector<EncodedText> all;
  int64_t first = 0;
  for (const auto& prompt : prompts) {
    const int64_t count = std::ssize(prompt);
    for (int64_t c = 0; c < count; ++c) {
      const auto& weights = prompt[static_cast<size_t>(c)].weights;
      Tensor chunk = encoded.slice(first + c, first + c + 1).reshape({tokens, width});
      if (std::ranges::any_of(weights, [](float weight) { return weight != 1; })) weigh(chunk, weights);
    }
    all.push_back({.context = encoded.slice(first, first + count).reshape({count * tokens, width}),
                   .pooled = pooled ? pooled.slice(first, first + 1).reshape({pooled.columns()}) : Tensor()});
    first += count;
  }
  return all;
}

std::vector<EncodedText> encode_texts(Backend& backend, const ModelInfo& model,
                                      const std::vector<std::string>& texts, int64_t clip_skip,
                                      PromptStyle style, int threads,
                                      const std::vector<Embedding>& embeddings) {
  check_text_encoders(model);
  std::vector<EncodedText> all;
  for (size_t number = 0; number < model.files.text_encoders.size(); ++number) {
    std::vector<EncodedText> more =
        TextEncoder(backend, model, number, clip_skip, style, threads, embeddings).encode(texts);
    for (size_t i = 0; i < all.size(); ++i) more[i].context = side_by_side(all[i].context, more[i].context);
    all = std::move(more);
  }
  const auto expect_width = [&](const Tensor& x, int64_t width, const char* what) {
    const int64_t columns = x ? x.extent(x.shape().rank() - 1) : 0;
    check(columns == width, ErrorKind::input, printable(join(model.files.text_encoders)),
          ": text encoders that give ", columns, " numbers a ", what, ", but ", model.name, " reads ", width);
  };
  if (!all.empty()) {
    expect_width(all[0].context, model.condition.width, "token");
    expect_width(all[0].pooled, model.condition.pooled_width, "text");
  }
  return all;
}

}  // namespace tstitch
