#pragma once

#include <memory>

#include "tstitch/engine/run_spec.h"
#include "tstitch/output/picture_output.h"
#include "tstitch/output/run_folder.h"

namespace tstitch {

// A folder with a PNG file for each image, 000000.png ... by the image's index in the run. Each appears whole
// and carries the run's fingerprint (the text "Run"), so that one of another run is never taken for done.
// What the run needs to be continued is in the folder's .tstitch-run until all are there. Pictures of another
// run are neither replaced nor left among this run's: a folder that holds any is refused.
class PictureFolder final : public PictureOutput {
 public:
  // Makes the folder where it is missing. metadata: say in the files how they were made, beside which run
  // they are of. Errors as RunFolder's, and Error{usage} for pictures that are not of this run; spec and
  // models must outlive it.
  PictureFolder(const std::string& path, const RunSpec& spec, const std::vector<ModelInfo>& models,
                const RunManifest& manifest, const Rank& rank, bool resume, bool metadata);

  const std::vector<IndexRange>& missing() const override { return missing_; }
  void add(int64_t first, const std::vector<Image>& pictures) override;
  std::vector<std::string> finish() override;
  std::string kept() const override;
  std::string next_step() const override;

 private:
  // Made with those it lies in where they are missing; what was made and is empty at the end goes again.
  struct Folder {
    explicit Folder(const std::string& path);
    ~Folder();
    std::string path;
    std::vector<std::string> made;  // the innermost first
  };

  std::string file_of(int64_t image) const;
  bool is_of_run(const std::string& file) const;
  bool is_done(int64_t image) const;
  void check_no_others() const;

  const Folder picture_folder_;
  const RunSpec& spec_;
  const std::vector<ModelInfo>& models_;
  std::string run_;  // the fingerprint as text
  IndexRange block_;
  bool metadata_;
  std::unique_ptr<RunFolder> folder_;
  std::vector<IndexRange> missing_;
  std::vector<std::string> written_;
  bool complete_ = false;
};

}  // namespace tstitch
