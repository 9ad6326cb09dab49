#pragma once

#include <memory>

#include "tstitch/engine/run_spec.h"
#include "tstitch/io/record_file.h"
#include "tstitch/output/picture_output.h"
#include "tstitch/output/run_folder.h"

namespace tstitch {

// A .npz with arr_0, the pictures as uint8 (N, H, W, C), and arr_1, the classes as int64 (N), where the model
// has classes: what ADM's evaluation reads (https://github.com/openai/guided-diffusion). Until all are there
// they lie in record files (tstitch/io/record_file.h) in the folder NAME.npz.parts. Of one rank, finish()
// makes the archive; of several, pack_archive.
class PictureArchive final : public PictureOutput {
 public:
  // Errors as RunFolder's, and Error{device} when the disk lacks the space. The spec must outlive it.
  PictureArchive(const std::string& path, const RunSpec& spec, const RunManifest& manifest, const Rank& rank,
                 bool resume);

  const std::vector<IndexRange>& missing() const override { return missing_; }
  void add(int64_t first, const std::vector<Image>& pictures) override;
  std::vector<std::string> finish() override;
  std::string kept() const override;
  std::string next_step() const override;

 private:
  std::string path_;
  const RunSpec& spec_;
  RunManifest manifest_;
  Rank rank_;
  IndexRange block_;
  std::unique_ptr<RunFolder> folder_;
  std::unique_ptr<RecordWriter> writer_;
  std::vector<IndexRange> missing_;
  int64_t added_ = 0;
  bool complete_ = false;  // the archive is there already
};

// The folder of the record files of an archive.
std::string parts_of(const std::string& archive);

// Joins the record files in `folder` to the archive, whose bytes depend on the run alone: not on ranks,
// batches, and interruptions. Memory does not depend on the number of images. Throws Error{input}
// [NPZ_MISSING_IMAGES] naming the images that are missing; the files stay. between: called now and then; what
// it throws ends the work, and the files stay.
void pack_archive(const std::string& folder, const RunManifest& manifest, const std::string& path,
                  const std::function<void()>& between);

// The same for a run of several ranks, whose folder it removes then. Throws Error{usage} when one is still at
// work, Error{input} when there is no run. Returns what it packed.
RunManifest pack_finished_run(const std::string& folder, const std::string& path,
                              const std::function<void()>& between);

}  // namespace tstitch
