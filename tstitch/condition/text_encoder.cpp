#include "tstitch/condition/text_encoder.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>

#include "tstitch/base/error.h"
#include "tstitch/condition/padding_token.h"
#include "tstitch/io/file.h"
#include "tstitch/io/json.h"
#include "tstitch/models/clip_text_keys.h"
#include "tstitch/ops/ops.h"
#include "tstitch/zoo/assets.h"
#include "tstitch/zoo/config_reader.h"
#include "tstitch/zoo/file_weights.h"
#include "tstitch/zoo/naming_file.h"

namespace tstitch {
namespace {

constexpr int64_t kOpenClipWidth = 1024;  // of Stable Diffusion 2's

// config.json of transformers' CLIPTextModel.
ClipTextConfig read_clip_text_config(const std::string& path) {
  const nlohmann::json object = parse_json_file(path);
  const ConfigReader reader(object, path);
  ClipTextConfig config;
  std::string type = "clip_text_model", activation = "quick_gelu";
  reader.read("model_type", type, {"clip_text_model"});
  reader.read("vocab_size", config.vocabulary, 1, 1 << 24);
  reader.read("max_position_embeddings", config.positions, 1, 1 << 16);
  reader.read("hidden_size", config.width, 1, 1 << 16);
  reader.read("num_hidden_layers", config.layers, 1, 256);
  reader.read("num_attention_heads", config.heads, 1, 1024);
  reader.read("intermediate_size", config.mlp_size, 1, 1 << 18);
  reader.read("hidden_act", activation, {"quick_gelu", "gelu"});
  config.activation = activation == "gelu" ? Activation::gelu : Activation::quick_gelu;
  check(config.width % config.heads == 0, ErrorKind::input, path, ": \"hidden_size\" is ", config.width,
        ", which does not divide into ", config.heads, " heads");
  return config;
}

ClipTokenizer make_tokenizer() {
  const MappedFile file(assets_folder() + "/clip_merges.txt");
  return file.parsed([](std::span<const std::byte> bytes) {
    return ClipTokenizer({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  });
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

}  // namespace

const ModelInfo& model_with_text_encoder(const std::vector<ModelInfo>& models) {
  for (auto model = models.rbegin(); model != models.rend(); ++model)
    if (!model->files.text_encoder.empty()) return *model;
  fail(ErrorKind::input, "\"", printable(models.back().path),
       "\" holds no text encoder: expected one in a checkpoint of everything or in diffusers' folder");
}

int32_t padding_of(const ModelInfo& model) {
  const int32_t usual = model.condition.width == kOpenClipWidth ? 0 : ClipTokenizer::kEnd;
  const bool own = model.files.text_encoder == model.files.weights;
  return own ? usual : find_padding(model.files.text_encoder).value_or(usual);
}

TextEncoder::TextEncoder(Backend& backend, const ModelInfo& model, int64_t clip_skip, PromptStyle style)
    : backend_(backend), tokenizer_(make_tokenizer()), style_(style) {
  const std::string& path = model.files.text_encoder;
  const bool own = path == model.files.weights;
  const ModelFiles files = own ? model.files : find_model_files(path);
  const TensorFile file = open_weights(files, WeightChoice::automatic);
  naming_file(file.path(), [&] {
    const FileWeights stored(file);
    const ClipTextKeys keys(stored);
    const bool described = !own && !files.config.empty();
    const ClipTextConfig config =
        described ? read_clip_text_config(files.config) : infer_clip_text_config(keys);
    check(config.vocabulary == ClipTokenizer::kTokens, ErrorKind::input, file.path(), ": a text encoder of ",
          config.vocabulary, " tokens, expected CLIP's ", ClipTokenizer::kTokens);
    check(config.width == model.condition.width, ErrorKind::input, file.path(),
          ": a text encoder that gives ", config.width, " numbers a token, but ", model.name, " reads ",
          model.condition.width);
    // Stable Diffusion 2 reads the layer before the last; transformers' folders have no last one.
    const int64_t trained = config.width == kOpenClipWidth && !described ? 2 : 1;
    clip_ = std::make_unique<ClipText>(config, Weights(backend, keys), (clip_skip ? clip_skip : trained) - 1);
  });
  padding_ = padding_of(model);
}

// A few at a time: those of thousands of prompts at once would want gigabytes.
Tensor TextEncoder::encode_chunks(std::span<const int32_t> ids) const {
  constexpr int64_t kLength = PromptChunk::kLength, kAtOnce = 32;
  const int64_t chunks = std::ssize(ids) / kLength;
  std::vector<Tensor> parts;
  for (int64_t first = 0; first < chunks; first += kAtOnce) {
    const int64_t count = std::min(kAtOnce, chunks - first);
    parts.push_back((*clip_)(
        ids.subspan(static_cast<size_t>(first * kLength), static_cast<size_t>(count * kLength)), count));
  }
  return backend_.download(stack(backend_, parts));
}

std::vector<Tensor> TextEncoder::encode(const std::vector<std::string>& texts) const {
  std::vector<std::vector<PromptChunk>> prompts;
  std::vector<int32_t> ids;
  for (const std::string& text : texts) {
    prompts.push_back(tokenize_prompt(tokenizer_, text, style_, padding_));
    for (const PromptChunk& chunk : prompts.back()) ids.insert(ids.end(), chunk.ids.begin(), chunk.ids.end());
  }
  const Tensor encoded = encode_chunks(ids);  // (chunks, 77, width)
  const int64_t tokens = encoded.extent(1), width = encoded.extent(2);

  std::vector<Tensor> contexts;
  int64_t first = 0;
  for (const auto& prompt : prompts) {
    const int64_t count = std::ssize(prompt);
    for (int64_t c = 0; c < count; ++c) {
      const auto& weights = prompt[static_cast<size_t>(c)].weights;
      Tensor chunk = encoded.slice(first + c, first + c + 1).reshape({tokens, width});
      if (std::ranges::any_of(weights, [](float weight) { return weight != 1; })) weigh(chunk, weights);
    }
    contexts.push_back(encoded.slice(first, first + count).reshape({count * tokens, width}));
    first += count;
  }
  return contexts;
}

}  // namespace tstitch
