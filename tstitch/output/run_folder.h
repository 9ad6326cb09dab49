// The folder that an unfinished run keeps beside its pictures, for the processes that work on it now and
// those that continue it.
#pragma once

#include <optional>
#include <string>

#include "tstitch/io/file_lock.h"
#include "tstitch/output/rank.h"
#include "tstitch/output/run_manifest.h"

namespace tstitch {

// It holds manifest.json (RunManifest), a lock for the short moments of joining and leaving, a lock of each
// rank at work, temporary files, and what the output adds. In a folder without manifest these are the remains
// of a finished run that was killed while it removed them: they go. Files of other names always stay.
class RunFolder {
 public:
  // Joins the run at `path` or begins it there. Throws Error{usage} when the run there is another one, naming
  // the options that differ, or when this rank or a rank of another number of ranks is at work there, naming
  // the process; Error{input} when its manifest is damaged; Error{device} when it cannot be written.
  RunFolder(const std::string& path, const RunManifest& manifest, const Rank& rank);

  // Without keep() a folder that this process began alone goes away again.
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::string& path() const { return path_; }
  bool continued() const { return continued_; }  // the run was there before
  void keep() { kept_ = true; }
  void remove();  // the run is finished

  // Throws Error{usage} unless it is right that this rank goes on with a run that was there: because the user
  // says so, or because the others began it together with this one, which has done nothing yet.
  void check_resume(bool resume, const Rank& rank, bool has_done) const;

 private:
  void join(const RunManifest& manifest, const Rank& rank);

  std::string path_;
  std::optional<FileLock> at_work_;
  bool continued_ = false, alone_, kept_ = false;
};

bool holds_run(const std::string& folder);  // one that is not finished

// The manifest of the run in a folder. Throws Error{input} when there is none.
RunManifest read_manifest(const std::string& folder);

// Keeps ranks from joining while the lock lives. Throws Error{usage} naming the process when one is at work.
FileLock close_run(const std::string& folder);

void remove_run(const std::string& folder);  // by who has closed it

}  // namespace tstitch
