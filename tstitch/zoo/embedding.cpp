#include "tstitch/zoo/embedding.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "tstitch/base/crc32.h"
#include "tstitch/base/error.h"
#include "tstitch/base/hash.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/io/extents.h"
#include "tstitch/io/file.h"
#include "tstitch/io/refuse.h"
#include "tstitch/text/prompt.h"
#include "tstitch/zoo/file_weights.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {
namespace {

constexpr const char *kCode = "EMBEDDING", *kTokens = "embeddings.token_embedding.weight";

struct Known {
  std::string_view tensor;
  ClipPlace place;
};
constexpr Known kKnown[] = {{"clip_l", ClipPlace::first},
                            {"clip_g", ClipPlace::second},
                            {"text_encoders_0", ClipPlace::first},
                            {"text_encoders_1", ClipPlace::second}};
// What tensors are called that say no token: the webui's and kohya's.
constexpr std::string_view kNoToken[] = {"*", "emb_params"};

const Known* find_known(std::string_view tensor) {
  const auto* found = std::ranges::find(kKnown, tensor, &Known::tensor);
  return found == std::end(kKnown) ? nullptr : found;
}

}  // namespace

std::vector<TextReader> text_readers(const ModelInfo& model) {
  std::vector<TextReader> readers;
  const std::vector<ClipPlace> places = model.condition.encoders();
  const std::vector<std::string>& paths = model.files.text_encoders;
  for (size_t i = 0; i < std::min(places.size(), paths.size()); ++i) {
    const TensorFile file = open_weights(find_model_files(paths[i]), WeightChoice::automatic);
    const FileWeights stored(file);
    const auto tokens = ClipTextKeys(stored, places[i]).shape(kTokens);
    check(tokens && tokens->rank() == 2, ErrorKind::input, file.path(), ": no matrix \"", kTokens,
          "\", which a text encoder has");
    readers.push_back({places[i], (*tokens)[1]});
  }
  return readers;
}

Embedding::Embedding(const std::string& path, const std::string& name)
    : file_(std::make_shared<const TensorFile>(open_checkpoint(path))) {
  const TensorFile::Tensors& all = file_->tensors();
  if (all.empty()) refuse(path, kCode, "no tensor, expected the vectors of a textual inversion");
  for (const auto& [tensor, info] : all) {
    const Known* known = all.size() == 1 ? nullptr : find_known(tensor);
    if (all.size() > 1 && !known)
      refuse(path, kCode, all.size(), " tensors, among them \"", printable(tensor),
             "\", expected one, or \"clip_l\" and \"clip_g\"");
    const size_t rank = info.shape.size();
    const int64_t vectors = rank == 1 ? 1 : rank == 2 ? info.shape[0] : 0, most = PromptChunk::kMaxTokens;
    if (vectors < 1 || vectors > most || info.shape.back() < 1)
      refuse(path, kCode, "tensor \"", printable(tensor), "\" has the shape ", extents_text(info.shape),
             ", expected 1 ... ", most, " vectors");
    if (!tensors_.empty() && vectors != vectors_)
      refuse(path, kCode, "tensors \"", printable(tensors_.begin()->second), "\" and \"", printable(tensor),
             "\" have ", vectors_, " and ", vectors, " vectors");
    vectors_ = vectors;
    const auto place = known ? std::optional(known->place) : std::nullopt;
    if (const auto [there, is_new] = tensors_.emplace(place, tensor); !is_new)
      refuse(path, kCode, "tensors \"", printable(there->second), "\" and \"", printable(tensor),
             "\" are for the same text encoder");
  }
  names_ = {name.empty() ? std::filesystem::path(path).stem().string() : name};
  const std::string& tensor = tensors_.begin()->second;
  const bool says_token = !tensor.empty() && !find_known(tensor) && !std::ranges::count(kNoToken, tensor);
  if (name.empty() && says_token) names_.push_back(tensor);
  content_ = hex(crc32_of_file(path, 0, [] {})).substr(8);
}

const std::string* Embedding::tensor_of(const std::vector<TextReader>& readers, size_t number) const {
  const ClipPlace place = readers.at(number).place;
  const bool alone = readers.size() == 1;
  auto found = tensors_.find(place);
  if (alone && place == ClipPlace::first) found = tensors_.end();  // Stable Diffusion's is not SDXL's first
  if (alone && found == tensors_.end()) found = tensors_.find(std::nullopt);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::string Embedding::obstacle(const std::vector<TextReader>& readers) const {
  for (size_t i = 0; i < readers.size(); ++i) {
    const std::string* tensor = tensor_of(readers, i);
    if (!tensor)
      return concat("it has vectors for ",
                    tensors_.contains(std::nullopt) ? "one text encoder" : "SDXL's two text encoders",
                    ", and the model has ", readers.size());
    const int64_t width = file_->tensors().at(*tensor).shape.back();
    if (width != readers[i].width)
      return concat("its vectors \"", printable(*tensor), "\" are ", width,
                    " wide, and the text encoder reads ", readers[i].width);
  }
  return "";
}

Tensor Embedding::load(const std::vector<TextReader>& readers, size_t number) const {
  const std::string& tensor = *tensor_of(readers, number);
  return file_->load(tensor, Shape(file_->tensors().at(tensor).shape), DType::f32)
      .reshape({vectors_, readers[number].width});
}

}  // namespace tstitch
