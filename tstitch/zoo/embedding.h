// Vectors that stand for a word of a prompt in place of a text encoder's own (textual inversion: Gal et al.
// 2022, arXiv 2208.01618), as the stable-diffusion-webui, diffusers and kohya's scripts write them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tstitch/io/tensor_file.h"
#include "tstitch/models/clip_text_keys.h"

namespace tstitch {

struct ModelInfo;

// One of the text encoders of a model, and the width of its tokens.
struct TextReader {
  ClipPlace place;
  int64_t width;
};
// In their order. Throws Error{input} where a file is none.
std::vector<TextReader> text_readers(const ModelInfo& model);

class Embedding {
 public:
  // name: what prompts call it; "": as its file is called and, in diffusers' form, by the token that it
  // names. A file has one tensor, whatever its name, or one for each of SDXL's text encoders, "clip_l" and
  // "clip_g" (OneTrainer and diffusers' scripts: "text_encoders_0", "text_encoders_1"). Throws Error{input}
  // as open_checkpoint, and [EMBEDDING] naming the tensor for another, and for shapes that are not (width) or
  // (1 ... 75, width).
  Embedding(const std::string& path, const std::string& name);

  const std::string& path() const { return file_->path(); }
  const std::vector<std::string>& names() const { return names_; }
  const std::string& content() const { return content_; }  // CRC-32 of its bytes, eight hexadecimal digits
  int64_t vectors() const { return vectors_; }

  // Why a model with these text encoders cannot read it, "" where it can.
  std::string obstacle(const std::vector<TextReader>& readers) const;
  // Its vectors for the encoder of that number, (vectors, width) f32 on the host. Throws Error{input} as
  // TensorFile::load. obstacle() must be "".
  Tensor load(const std::vector<TextReader>& readers, size_t number) const;

 private:
  // The tensor for the encoder of that number; null where there is none.
  const std::string* tensor_of(const std::vector<TextReader>& readers, size_t number) const;

  std::shared_ptr<const TensorFile> file_;
  std::vector<std::string> names_;
  std::string content_;
  int64_t vectors_ = 0;
  std::map<std::optional<ClipPlace>, std::string> tensors_;  // by whom they are for; alone: for any
};

}  // namespace tstitch
