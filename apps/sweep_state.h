#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tstitch/eval/curve.h"
#include "tstitch/io/png.h"

namespace tstitch {

// A run of a sweep, and the first of its pictures.
struct SweptRun {
  CurveRun run;
  std::vector<Image> pictures;
};

// What a sweep has done so far, on the disk: NAME.json, and in NAME.parts the pictures of every run, until
// the sweep ends. A run is known by its fingerprint: a sweep with more points or seeds takes over all.
class SweepState {
 public:
  // output: NAME.png. measured: see Curve. fingerprints: of all runs this sweep has. Throws Error{usage} when
  // NAME.json has others, other metrics, or was measured otherwise, as resuming would lose it; or when an
  // unfinished sweep is there and not to be resumed.
  SweepState(const std::string& output, bool resume, const std::string& measured,
             const std::vector<Metric>& metrics, const std::vector<std::string>& fingerprints);

  // The run of that fingerprint when an earlier sweep, or this one at another point, has it with the metrics.
  std::optional<CurveRun> find(const std::string& fingerprint) const;
  // So many of its pictures, of that height; none where the earlier sweep has ended or kept others.
  std::vector<Image> find_pictures(const std::string& fingerprint, int64_t count, int64_t height) const;
  void keep(const Curve& curve, const SweptRun& latest);
  std::string kept() const;  // "" when nothing is
  // The files of the whole sweep; returns their names. Removes NAME.parts.
  std::vector<std::string> finish(const Curve& curve, const std::string& title);

 private:
  std::string picture_path(const std::string& fingerprint) const;

  std::string name_;  // without .png
  std::vector<Metric> metrics_;
  Curve earlier_;
  std::map<std::string, CurveRun> known_;  // runs of the earlier sweep and of this one, by fingerprint
  bool anything_ = false;
};

}  // namespace tstitch
