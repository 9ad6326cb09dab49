// From prompts to the context of a text-conditional network.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/models/clip_text.h"
#include "tstitch/text/clip_tokenizer.h"
#include "tstitch/text/prompt.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// The model whose text encoder serves all of them: the last, as in the reference, else one before it that has
// one. Throws Error{input} when none has.
const ModelInfo& model_with_text_encoder(const std::vector<ModelInfo>& models);

// The id that the prompts of the model with the text encoder are padded with: as the tokenizer beside it
// says, else what encoders of that width were trained with. Throws Error{input} for a token that is not one
// of CLIP's.
int32_t padding_of(const ModelInfo& model);

class TextEncoder {
 public:
  // What model.files.text_encoder names: a folder with config.json (transformers' CLIPTextModel), or the
  // model's own checkpoint. Prompts are padded as the tokenizer beside it says. clip_skip: 1 takes the last
  // layer's answer, 2 that of the layer before, ...; 0 what the model was trained with. Throws Error{input}
  // when it does not suit the model, Error{usage} for a clip_skip beyond its layers.
  TextEncoder(Backend& backend, const ModelInfo& model, int64_t clip_skip,
              PromptStyle style = PromptStyle::webui);

  // Of each text (S, width) f32 on the host, S = 77 for each of its chunks (text/prompt.h). The
  // weights of a prompt's words multiply what their tokens are encoded as; a chunk with weights is then
  // scaled so that its mean is what it was, as in the web UI that made them popular. Throws Error{usage} for
  // what is no UTF-8.
  std::vector<Tensor> encode(const std::vector<std::string>& texts) const;

 private:
  Tensor encode_chunks(std::span<const int32_t> ids) const;

  Backend& backend_;
  ClipTokenizer tokenizer_;
  std::unique_ptr<ClipText> clip_;
  PromptStyle style_;
  int32_t padding_;
};

}  // namespace tstitch
