// What determines every byte of a run's pictures, so that unfinished runs are only continued as they began.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// Of all levels of all steps, 16 hexadecimal digits: what --steps, --spacing, --scheduler and --strength come
// to.
std::string hash_of_levels(const Trajectory& trajectory);

// What the files of a run hold: their content counts, not where they lie.
struct RunContents {
  // Reads the models' files and, unless it is "", that of the autoencoder at `vae`. between: called now and
  // then; what it throws ends the work.
  RunContents(const std::vector<ModelInfo>& models, const std::string& vae,
              const std::function<void()>& between);

  std::vector<std::string> models, text_encoders, loras;  // of every model; its LoRAs with their weights
  std::vector<std::string> control_nets;                  // of each of the run's
  std::string vae;
};

class RunManifest {
 public:
  // contents: of the same models. What changes no byte is left out: batch size, threads, ranks. Throws
  // Error{usage} when the prompts are too long for a manifest.
  RunManifest(const RunSpec& spec, const std::vector<ModelInfo>& models, const RunContents& contents,
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
