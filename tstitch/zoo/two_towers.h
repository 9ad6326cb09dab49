// Two towers that say how well a picture and a text agree, as CLIP does (Radford et al. 2021, arXiv
// 2103.00020), small: the layers of a DemoClassifier, whose last one gives an embedding, and a text encoder
// that knows some of CLIP's tokens. tools/demo_family/train_towers.py trains them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tstitch/models/clip_text.h"
#include "tstitch/models/demo_classifier.h"
#include "tstitch/text/clip_tokenizer.h"

namespace tstitch {

struct TwoTowersConfig {
  DemoClassifierConfig picture;  // num_classes: E, the width of the embeddings
  ClipTextConfig text;
  // CLIP's ids that the text encoder knows, rising, as 1, 2, ...: the last, which ends a text, is its
  // highest. All others are 0.
  std::vector<int64_t> tokens;
};

// The picture's features are those of the classifier; it has no classes.
class TwoTowers final : public FeatureExtractor {
 public:
  // weights: the classifier's, and "text_model.*" and "text_projection.weight" as in transformers'
  // CLIPTextModelWithProjection. Throws Error{input} naming the tensor that is missing or misshapen.
  TwoTowers(TwoTowersConfig config, Backend& backend, const WeightSource& weights, ClipTokenizer tokenizer);

  PictureFeatures operator()(const Tensor& pictures) const override;
  int64_t channels() const override { return picture_.channels(); }
  int64_t side() const override { return picture_.side(); }
  int64_t features() const override { return picture_.features(); }
  int64_t spatial_features() const override { return picture_.spatial_features(); }
  int64_t classes() const override { return 0; }
  bool reads_texts() const override { return true; }
  // Weights of a prompt's words are left out, and what is longer than the encoder is cut.
  Tensor embed_texts(const std::vector<std::string>& texts) const override;

 private:
  std::vector<int32_t> ids_of(const std::string& text) const;

  TwoTowersConfig config_;
  Backend& backend_;
  ClipTokenizer tokenizer_;
  DemoClassifier picture_;
  ClipText text_;
};

}  // namespace tstitch
