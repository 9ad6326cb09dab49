#pragma once

#include "tstitch/engine/run_spec.h"
#include "tstitch/output/picture_output.h"

namespace tstitch {

// One .png with all the images side by side, or the only one; they stay in memory until then.
class PictureGrid final : public PictureOutput {
 public:
  // images_per_class: see grid_columns. Spec and models must outlive it.
  PictureGrid(std::string path, const RunSpec& spec, const std::vector<ModelInfo>& models,
              int64_t images_per_class);

  const std::vector<IndexRange>& missing() const override { return missing_; }
  void add(int64_t first, const std::vector<Image>& pictures) override;
  std::vector<std::string> finish() override;

 private:
  std::string path_;
  const RunSpec& spec_;
  const std::vector<ModelInfo>& models_;
  int64_t images_per_class_;
  std::vector<IndexRange> missing_;
  std::vector<Image> pictures_;
};

}  // namespace tstitch
