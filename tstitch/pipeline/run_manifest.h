// What decides every byte of a run's pictures, so that unfinished runs are only continued as they began.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/pipeline/model_info.h"
#include "tstitch/pipeline/plan.h"

namespace tstitch {

class RunManifest {
 public:
  // Reads the models' files and, unless it is "", that of the autoencoder at `vae`: their content counts, not
  // where they lie. What does not decide a byte is left out: batch size, threads, ranks.
  RunManifest(const Plan& plan, const std::vector<ModelInfo>& models, const std::string& vae,
              const Backend& backend);
  // One written by text(). Throws Error{input} [RUN_MANIFEST] or [JSON_...] for what is none; `where` is the
  // file.
  RunManifest(const std::string& text, const std::string& where);

  int64_t images() const { return images_; }
  int64_t height() const { return height_; }  // of the pictures in pixels
  int64_t width() const { return width_; }
  int64_t channels() const { return channels_; }
  bool labelled() const { return labelled_; }  // whether the images have classes
  int64_t picture_bytes() const { return height_ * width_ * channels_; }

  const std::string& text() const { return text_; }  // one JSON object
  uint64_t fingerprint() const;                      // of the text
  std::string fingerprint_text() const;              // the same in 16 hexadecimal digits

  // "--seed is 2, but the unfinished run has 1": what differs from an earlier run's, by the options' names;
  // "" when nothing does.
  std::string differences(const RunManifest& earlier) const;

 private:
  void read_shape(const std::string& where);

  std::string text_;
  int64_t images_ = 0, height_ = 0, width_ = 0, channels_ = 0;
  bool labelled_ = false;
};

}  // namespace tstitch
