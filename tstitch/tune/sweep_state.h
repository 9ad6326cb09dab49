#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tstitch/io/png.h"
#include "tstitch/output/work_folder.h"
#include "tstitch/tune/curve.h"

namespace tstitch {

// A run of a sweep, and the first of its pictures.
struct SweptRun {
  CurveRun run;
  std::vector<Image> pictures;
};

// A sweep on the disk. Until it is whole everything lies in NAME.parts: curve.json, the pictures of every
// run, and a lock; NAME.json and its companions of an earlier sweep stay as they are and are replaced at the
// end. A run is known by its fingerprint: a sweep with more points or seeds takes over all.
class SweepState {
 public:
  // The files of the finished sweep; output: NAME.png, the first of them.
  static std::vector<std::string> files_of(const std::string& output, const std::vector<Metric>& metrics);

  // The folder it works in until it is whole.
  static std::string parts_of(const std::string& output);

  // measured, timed: see Curve. fingerprints: of all runs this sweep has. Continues an unfinished sweep, else
  // with `resume` the finished one. Throws Error{usage} when that has other runs, other metrics, or was
  // measured otherwise, as resuming would lose it; when an unfinished sweep is there and not to be resumed;
  // and when another process is at work there.
  SweepState(const std::string& output, bool resume, const std::string& measured, const std::string& timed,
             const std::vector<Metric>& metrics, const std::vector<std::string>& fingerprints);
  ~SweepState();  // leaves no folder behind in which nothing was kept

  // The run of that fingerprint when an earlier sweep, or this one at another point, has it with the metrics.
  std::optional<CurveRun> find(const std::string& fingerprint) const;
  // So many of its pictures, of that height; none where the earlier sweep has ended or kept others.
  std::vector<Image> find_pictures(const std::string& fingerprint, int64_t count, int64_t height) const;
  void keep(const Curve& curve, const SweptRun& latest);
  std::string kept() const;  // "" when nothing is
  // Writes files_of the whole sweep and removes NAME.parts. text: of the picture, see write_png.
  void finish(const Curve& curve, const std::string& title, const Image& picture, const PngText& text);

 private:
  void join(bool resume, const std::vector<std::string>& fingerprints);
  void take_over(const std::string& path, const std::vector<std::string>& fingerprints);
  void leave();
  std::string in_parts(const std::string& name) const { return parts_ + "/" + name; }

  std::string output_, parts_, measured_, timed_;
  std::vector<Metric> metrics_;
  std::optional<WorkFolder> folder_;
  Curve earlier_;
  std::map<std::string, CurveRun> known_;  // runs of the earlier sweep and of this one, by fingerprint
  bool anything_ = false;                  // of a sweep is kept there
};

}  // namespace tstitch
