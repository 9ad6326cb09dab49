// What a run asks for, as the networks read it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/condition/picture_sizes.h"
#include "tstitch/diffusion/condition.h"
#include "tstitch/text/prompt.h"
#include "tstitch/zoo/embedding.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

class ConditionMaker {
 public:
  virtual ~ConditionMaker() = default;
  // What a picture of `subject`, the number of a class or of a prompt, shows.
  virtual Condition condition(int64_t subject) const = 0;
  // What guidance leads away from. seed: of the picture, for what is random in it.
  virtual Condition null(uint64_t seed) const = 0;
};

// What guidance leads away from.
struct NegativePrompt {
  std::string text;
  bool zeros = false;  // instead of what the encoders make of it
  bool operator==(const NegativePrompt&) const = default;
};

// What can be asked for beside the number of a class.
struct ConditionOptions {
  std::vector<std::string> prompts;       // by their numbers; UTF-8
  std::vector<NegativePrompt> negatives;  // of every model
  int64_t clip_skip = 0;                  // see TextEncoder
  PromptStyle prompt_style = PromptStyle::webui;
  std::vector<Embedding> embeddings;  // what words of the texts stand for
  PictureSizes sizes;
  AestheticScores scores;
  Tensor null_token;       // see ClassTokenConditions
  std::vector<bool> used;  // of every model whether it serves a step; empty: all do
  int threads = 0;         // of the host, that merge LoRAs (MergedWeights)
};

// The maker of every model that is used, by the kind of its condition; null for the others. Prompts are
// encoded here, once for all models with the same text encoders. Throws Error{input} when a file lacks what
// is to be encoded with, and as TextEncoder does.
std::vector<std::shared_ptr<const ConditionMaker>> make_condition_makers(Backend& backend,
                                                                         const std::vector<ModelInfo>& models,
                                                                         const ConditionOptions& options);

}  // namespace tstitch
