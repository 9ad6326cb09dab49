#include "tstitch/tune/sweep_state.h"

#include <algorithm>
#include <filesystem>

#include "tstitch/base/error.h"
#include "tstitch/io/atomic_file.h"
#include "tstitch/io/file.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCurve = "curve.json";

// Pictures of one size below each other.
Image stacked(const std::vector<Image>& pictures) {
  Image all = pictures[0];
  all.height *= static_cast<int>(pictures.size());
  all.pixels.clear();
  for (const Image& picture : pictures)
    all.pixels.insert(all.pixels.end(), picture.pixels.begin(), picture.pixels.end());
  return all;
}

// The inverse; none when they are others.
std::vector<Image> unstacked(const Image& all, int64_t count, int64_t height) {
  if (all.height != count * height) return {};
  const auto size = std::ssize(all.pixels) / count;
  std::vector<Image> pictures;
  for (int64_t i = 0; i < count; ++i)
    pictures.push_back({all.width,
                        static_cast<int>(height),
                        all.channels,
                        {all.pixels.begin() + i * size, all.pixels.begin() + (i + 1) * size}});
  return pictures;
}

bool has_run(const Curve& curve, const std::string& fingerprint) {
  return std::ranges::any_of(curve.points, [&](const CurvePoint& point) {
    return std::ranges::find(point.runs, fingerprint, &CurveRun::run) != point.runs.end();
  });
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// A picture of a run, as this version and the ones before keep them.
bool is_of_run(const std::string& name) {
  const fs::path file(name);
  constexpr size_t kFingerprint = 16;
  const std::string run = file.stem().string();
  return file.extension() == ".png" && run.size() == kFingerprint &&
         run.find_first_not_of("0123456789abcdef") == run.npos;
}

bool holds_sweep(const std::string& parts) {
  return std::ranges::any_of(list_folder(parts), [](const fs::path& file) {
    return file.filename() == kCurve || is_of_run(file.filename().string());
  });
}

// The name of the picture does not say that a plan or anybody's file of its stem would be replaced.
void check_is_curve(const std::string& path) {
  try {
    read_curve(path);
  } catch (const Error&) {
    fail(ErrorKind::usage, "\"", printable(path),
         "\" would be replaced and is not of a sweep: move it away, or name another --output");
  }
}

std::string stem_of(const std::string& output) {
  return output.substr(0, output.size() - std::string(".png").size());
}

}  // namespace

std::string SweepState::parts_of(const std::string& output) { return stem_of(output) + ".parts"; }

std::vector<std::string> SweepState::files_of(const std::string& output, const std::vector<Metric>& metrics) {
  const std::string stem = stem_of(output);
  std::vector<std::string> files = {output, stem + ".json", stem + ".csv"};
  for (const Metric metric : metrics)
    for (const char* ending : {".svg", ".png"}) files.push_back(concat(stem, '-', name_of(metric), ending));
  return files;
}

SweepState::SweepState(const std::string& output, bool resume, const std::string& measured,
                       const std::string& timed, const std::vector<Metric>& metrics,
                       const std::vector<std::string>& fingerprints)
    : output_(output), parts_(parts_of(output)), measured_(measured), timed_(timed), metrics_(metrics) {
  folder_.emplace(parts_, false);
  try {
    join(resume, fingerprints);
  } catch (const Error&) {
    leave();
    throw;
  }
}

void SweepState::join(bool resume, const std::vector<std::string>& fingerprints) {
  clear_work(parts_, [](const std::string&) { return false; });
  anything_ = holds_sweep(parts_);
  check(resume || !anything_, ErrorKind::usage, "\"", printable(parts_),
        "\" holds an unfinished sweep: add --resume to continue it, or remove it to start over");
  if (exists(in_parts(kCurve)))
    take_over(in_parts(kCurve), fingerprints);
  else if (const std::string finished = stem_of(output_) + ".json"; exists(finished)) {
    if (resume)
      take_over(finished, fingerprints);
    else
      check_is_curve(finished);
  } else {
    for (const std::string& path : files_of(output_, metrics_))
      check(
          path == output_ || !exists(path), ErrorKind::usage, "\"", printable(path),
          "\" would be replaced and is not of a sweep, whose curve would lie beside it: move it away, or name"
          " another --output");
  }
}

void SweepState::take_over(const std::string& path, const std::vector<std::string>& fingerprints) {
  Curve curve = read_curve(path);
  check(curve.measured.empty() || curve.measured == measured_, ErrorKind::usage,
        "--resume: ", printable(path), " was measured with ", printable(curve.measured), ", this sweep with ",
        measured_.empty() ? "nothing" : printable(measured_), ": expected the same, or another --output");
  check(curve.timed.empty() || curve.timed == timed_, ErrorKind::usage, "--resume: ", printable(path),
        " was timed with ", printable(curve.timed), ", this sweep with ", printable(timed_),
        ": times of both do not compare; expected the same, or another --output");
  for (const CurvePoint& point : curve.points)
    for (const CurveRun& run : point.runs) {
      check(std::ranges::find(fingerprints, run.run) != fingerprints.end(), ErrorKind::usage,
            "--resume: ", printable(path), " has a run that this sweep has not, ", run.images,
            " images at \"", printable(point.label), "\", seed ", run.seed,
            ": expected the same options and at least the same points, or another --output");
      for (const auto& [metric, value] : run.metrics)
        check(std::ranges::find(metrics_, metric) != metrics_.end(), ErrorKind::usage,
              "--resume: ", printable(path), " has the metric ", name_of(metric),
              ", which this sweep does not measure: expected it in --metrics too, or another --output");
      known_[run.run] = run;
    }
  earlier_ = std::move(curve);
}

SweepState::~SweepState() { leave(); }

void SweepState::leave() {
  if (folder_ && !anything_) leave_work(parts_);
  folder_.reset();
}

std::optional<CurveRun> SweepState::find(const std::string& fingerprint) const {
  const auto run = known_.find(fingerprint);
  const bool measured = run != known_.end() && std::ranges::all_of(metrics_, [&](Metric metric) {
                          return value_of(run->second.metrics, metric).has_value();
                        });
  return measured ? std::optional(run->second) : std::nullopt;
}

std::vector<Image> SweepState::find_pictures(const std::string& fingerprint, int64_t count,
                                             int64_t height) const {
  const std::string path = in_parts(fingerprint + ".png");
  return exists(path) ? unstacked(read_png(path), count, height) : std::vector<Image>();
}

void SweepState::keep(const Curve& curve, const SweptRun& latest) {
  // What an earlier sweep has and this one has not come to yet stays.
  Curve all = curve;
  for (CurvePoint point : earlier_.points) {
    std::erase_if(point.runs, [&](const CurveRun& run) { return has_run(curve, run.run); });
    if (!point.runs.empty()) all.points.push_back(std::move(point));
  }
  // The curve first: a run without its pictures can be gone on from, pictures without a curve cannot.
  write_file(in_parts(kCurve), to_json(all));
  anything_ = true;
  known_[latest.run.run] = latest.run;
  if (!latest.pictures.empty()) write_png(in_parts(latest.run.run + ".png"), stacked(latest.pictures), {});
}

std::string SweepState::kept() const {
  return anything_ ? concat("\"", printable(parts_), "\" has what was finished; continue with --resume") : "";
}

void SweepState::finish(const Curve& curve, const std::string& title, const Image& picture,
                        const PngText& text) {
  const std::string stem = stem_of(output_);
  AtomicFiles files;
  files.add(output_, encode_png(picture, text));
  files.add(stem + ".json", to_json(curve));
  files.add(stem + ".csv", to_csv(curve));
  for (const Metric metric : metrics_)
    for (const char* ending : {".svg", ".png"}) {
      const std::string chart = concat(stem, '-', name_of(metric), ending);
      files.add(chart, encode_chart(chart, chart_of(curve, metric, title)));
    }
  files.commit();
  // The curve last: who is killed before continues a sweep that has nothing left to do. Anything else in the
  // folder is somebody's and stays.
  std::error_code ignored;
  clear_work(parts_, is_of_run);
  fs::remove(in_parts(kCurve), ignored);
  anything_ = false;
  leave();
}

}  // namespace tstitch
