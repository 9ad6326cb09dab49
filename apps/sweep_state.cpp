#include "apps/sweep_state.h"

#include <algorithm>
#include <filesystem>

#include "tstitch/base/error.h"
#include "tstitch/io/atomic_file.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

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

bool is_of_run(const fs::path& picture) {
  constexpr size_t kFingerprint = 16;
  const std::string run = picture.stem().string();
  return picture.extension() == ".png" && run.size() == kFingerprint &&
         run.find_first_not_of("0123456789abcdef") == run.npos;
}

bool has_pictures(const fs::path& folder) {
  std::error_code ignored;
  return std::ranges::any_of(fs::directory_iterator(folder, ignored),
                             [](const fs::directory_entry& entry) { return is_of_run(entry.path()); });
}

// Anything else in the folder is somebody's and stays.
void remove_pictures(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (is_of_run(entry.path())) fs::remove(entry.path(), ignored);
  fs::remove(folder, ignored);
}

}  // namespace

SweepState::SweepState(const std::string& output, bool resume, const std::string& measured,
                       const std::vector<Metric>& metrics, const std::vector<std::string>& fingerprints)
    : name_(output.substr(0, output.size() - std::string(".png").size())), metrics_(metrics) {
  const std::string path = name_ + ".json";
  check(resume || !has_pictures(name_ + ".parts"), ErrorKind::usage, "\"", printable(name_),
        ".parts\" holds an unfinished sweep: add --resume to continue it, or remove it to start over");
  if (!resume || !fs::exists(path)) return;
  Curve curve = read_curve(path);
  check(curve.measured.empty() || curve.measured == measured, ErrorKind::usage, "--resume: ", printable(path),
        " was measured with ", printable(curve.measured), ", this sweep with ",
        measured.empty() ? "nothing" : printable(measured), ": expected the same, or another --output");
  for (const CurvePoint& point : curve.points)
    for (const CurveRun& run : point.runs) {
      check(std::ranges::find(fingerprints, run.run) != fingerprints.end(), ErrorKind::usage,
            "--resume: ", printable(path), " has a run that this sweep has not, ", run.images,
            " images at \"", printable(point.label), "\", seed ", run.seed,
            ": expected the same options and at least the same points, or another --output");
      for (const auto& [metric, value] : run.metrics)
        check(std::ranges::find(metrics, metric) != metrics.end(), ErrorKind::usage,
              "--resume: ", printable(path), " has the metric ", name_of(metric),
              ", which this sweep does not measure: expected it in --metrics too, or another --output");
      known_[run.run] = run;
    }
  earlier_ = std::move(curve);
}

std::string SweepState::picture_path(const std::string& fingerprint) const {
  return name_ + ".parts/" + fingerprint + ".png";
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
  const std::string path = picture_path(fingerprint);
  return fs::exists(path) ? unstacked(read_png(path), count, height) : std::vector<Image>();
}

void SweepState::keep(const Curve& curve, const SweptRun& latest) {
  std::error_code error;
  fs::create_directories(name_ + ".parts", error);
  check(!error, ErrorKind::device, "cannot make the folder \"", printable(name_),
        ".parts\": ", error.message());
  if (!latest.pictures.empty()) write_png(picture_path(latest.run.run), stacked(latest.pictures), {});
  // What an earlier sweep has and this one has not come to yet stays.
  Curve all = curve;
  for (CurvePoint point : earlier_.points) {
    std::erase_if(point.runs, [&](const CurveRun& run) { return has_run(curve, run.run); });
    if (!point.runs.empty()) all.points.push_back(std::move(point));
  }
  write_file(name_ + ".json", to_json(all));
  known_[latest.run.run] = latest.run;
  anything_ = true;
}

std::string SweepState::kept() const {
  return anything_ ? concat(name_, ".json has what was finished; continue with --resume") : "";
}

std::vector<std::string> SweepState::finish(const Curve& curve, const std::string& title) {
  std::vector<std::string> outputs = {name_ + ".json", name_ + ".csv"};
  write_file(outputs[0], to_json(curve));
  write_file(outputs[1], to_csv(curve));
  for (const Metric metric : metrics_)
    for (const char* ending : {".svg", ".png"}) {
      outputs.push_back(concat(name_, '-', name_of(metric), ending));
      write_chart(outputs.back(), chart_of(curve, metric, title));
    }
  remove_pictures(name_ + ".parts");
  return outputs;
}

}  // namespace tstitch
