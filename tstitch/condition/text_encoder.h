// From prompts to what a text-conditional network is told of them.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/models/clip_text.h"
#include "tstitch/text/clip_tokenizer.h"
#include "tstitch/text/prompt.h"
#include "tstitch/zoo/embedding.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// The id that prompts are padded with for the model's text encoder of that number, from 0: as the tokenizer
// beside it says, else what such encoders were trained with. Throws Error{input} for a token that is not one
// of CLIP's.
int32_t padding_of(const ModelInfo& model, size_t number);

// Whether both have the same text encoders: the same files, or folders of files with the same tensors, which
// is read off the bytes and costs less than encoding twice.
bool encode_alike(const ModelInfo& a, const ModelInfo& b);

struct EncodedText {
  Tensor context;  // (S, width) f32 on the host, S = 77 for each of its chunks (text/prompt.h)
  Tensor pooled;   // (P) f32 on the host: its first chunk as a whole; empty where no network asks for it
};

// One of the text encoders of a model.
class TextEncoder {
 public:
  // What model.files.text_encoders names: a folder with config.json (transformers' CLIPTextModel or
  // CLIPTextModelWithProjection), or a checkpoint of everything. clip_skip: 1 takes the tokens of the last
  // layer, 2 those of the layer before, ...; 0 what the model was trained with: the last, of Stable Diffusion
  // 2 and SDXL the one before. SDXL's are not normalised, and its pooled text is that of the last layer
  // whatever the clip skip is, as in diffusers (whose clip_skip is two less). Throws Error{input} when
  // something is missing, Error{usage} for a clip_skip beyond its layers. threads: see MergedWeights. Of the
  // embeddings it knows those that the model can read.
  TextEncoder(Backend& backend, const ModelInfo& model, size_t number, int64_t clip_skip,
              PromptStyle style = PromptStyle::webui, int threads = 0,
              const std::vector<Embedding>& embeddings = {});

  // The weights of a prompt's words multiply what their tokens are encoded as; a chunk with weights is then
  // scaled so that its mean is what it was, as in the web UI that made them popular. They leave the pooled
  // text as it is. Throws Error{usage} for what is no UTF-8.
  std::vector<EncodedText> encode(const std::vector<std::string>& texts) const;

 private:
  ClipText::Answer encode_chunks(std::span<const int32_t> ids) const;

  Backend& backend_;
  ClipTokenizer tokenizer_;
  std::unique_ptr<ClipText> clip_;
  PromptWords words_;
  PromptStyle style_;
  int32_t padding_;
};

// By all text encoders of the model, one after the other: their tokens side by side. Throws Error{input} when
// they are not those that the network was trained with.
std::vector<EncodedText> encode_texts(Backend& backend, const ModelInfo& model,
                                      const std::vector<std::string>& texts, int64_t clip_skip,
                                      PromptStyle style, int threads = 0,
                                      const std::vector<Embedding>& embeddings = {});

}  // namespace tstitch
