#pragma once

#include "tstitch/engine/run_spec.h"
#include "tstitch/output/picture_output.h"

namespace tstitch {

// One .png with all the images side by side, small ones enlarged, or the only one as it is; they stay in
// memory until then.
class PictureGrid final : public PictureOutput {
 public:
  // metadata: say in the file how it was made. Spec and models must outlive it.
  PictureGrid(std::string path, const RunSpec& spec, const std::vector<ModelInfo>& models, bool metadata);

  const std::vector<IndexRange>& missing() const override { return missing_; }
  void add(int64_t first, const std::vector<Image>& pictures) override;
  std::vector<std::string> finish() override;

 private:
  std::string path_;
  const RunSpec& spec_;
  const std::vector<ModelInfo>& models_;
  bool metadata_;
  std::vector<IndexRange> missing_;
  std::vector<Image> pictures_;
};

}  // namespace tstitch
