#include "tstitch/eval/picture_set.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/eval/inception_score.h"
#include "tstitch/io/file.h"
#include "tstitch/io/npz_reader.h"
#include "tstitch/io/npz_writer.h"
#include "tstitch/io/png.h"

namespace tstitch {
namespace {

constexpr int64_t kBatch = 64;           // pictures at once
constexpr int64_t kMostWidth = 1 << 14;  // of features: 2048 in Inception

std::string text_of(const std::vector<int64_t>& shape) { return concat("(", join(shape), ")"); }

class NpzPictures final : public PictureSource {
 public:
  explicit NpzPictures(NpzArray array) : array_(std::move(array)) {
    const std::vector<int64_t>& s = array_.shape();
    check(array_.dtype() == DType::u8 && s.size() == 4 && (s[3] == 1 || s[3] == 3), ErrorKind::input,
          array_.where(), " is ", name_of(array_.dtype()), " of the shape ", text_of(s),
          ", expected pictures: u8 of (N, H, W, 1 or 3)");
  }
  int64_t left() const override { return array_.left(); }
  Shape picture() const override { return Shape({array_.shape()[1], array_.shape()[2], array_.shape()[3]}); }
  Tensor next(int64_t count) override { return array_.next(count); }

 private:
  NpzArray array_;
};

class FolderPictures final : public PictureSource {
 public:
  explicit FolderPictures(const std::string& folder) {
    files_ = list_folder(folder);
    std::erase_if(files_, [](const std::string& path) { return !path.ends_with(".png"); });
    check(!files_.empty(), ErrorKind::input, folder, ": no .png file in this folder");
    const Image first = read_png(files_[0]);
    picture_ = Shape({first.height, first.width, first.channels});
  }
  int64_t left() const override { return std::ssize(files_) - taken_; }
  Shape picture() const override { return picture_; }
  Tensor next(int64_t count) override {
    Tensor batch({count, picture_[0], picture_[1], picture_[2]}, DType::u8);
    uint8_t* to = batch.data<uint8_t>();
    for (int64_t i = 0; i < count; ++i) {
      const std::string& path = files_[static_cast<size_t>(taken_++)];
      const Image image = read_png(path);
      check(picture_ == Shape({image.height, image.width, image.channels}), ErrorKind::input, path, ": ",
            image.height, " x ", image.width, " x ", image.channels,
            ", but the first picture of the folder is ", picture_, " (height, width, channels)");
      to = std::ranges::copy(image.pixels, to).out;
    }
    return batch;
  }

 private:
  std::vector<std::string> files_;
  int64_t taken_ = 0;
  Shape picture_;
};

// Refuses what would make distances of NaN or below 0. Others compute covariances in f32, hence the
// tolerance.
void check_covariance(const std::string& where, const std::vector<double>& sigma, int64_t D) {
  constexpr double kTolerance = 1e-3;
  const auto at = [&](int64_t i, int64_t j) { return sigma[static_cast<size_t>(i * D + j)]; };
  for (int64_t i = 0; i < D; ++i)
    check(!(at(i, i) < 0), ErrorKind::input, where, " holds the variance ", at(i, i),
          ", expected at least 0");
  for (int64_t i = 0; i < D; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      check(std::isfinite(at(i, j)) && std::isfinite(at(j, i)), ErrorKind::input, where, " holds ",
            std::isfinite(at(i, j)) ? at(j, i) : at(i, j), ", expected finite numbers");
      const double scale = std::sqrt(at(i, i) * at(j, j));
      check(std::abs(at(i, j) - at(j, i)) <= kTolerance * scale &&
                std::abs(at(i, j)) <= (1 + kTolerance) * scale,
            ErrorKind::input, where, " holds ", at(i, j), " and ", at(j, i), " for features ", i, " and ", j,
            " of variances ", at(i, i), " and ", at(j, j), ": not a covariance");
    }
}

std::optional<GaussianStatistics> read_gaussian(const NpzFile& file, const std::string& mu,
                                                const std::string& sigma) {
  if (!file.has(mu) && !file.has(sigma)) return {};
  NpzArray mean = file.open(mu), covariance = file.open(sigma);
  const int64_t D = mean.shape().empty() ? 0 : mean.shape()[0];
  check(mean.shape() == std::vector<int64_t>{D} && 0 < D && D <= kMostWidth, ErrorKind::input, mean.where(),
        " has the shape ", text_of(mean.shape()), ", expected (D)");
  check(covariance.shape() == std::vector<int64_t>{D, D}, ErrorKind::input, covariance.where(),
        " has the shape ", text_of(covariance.shape()), ", expected ", text_of({D, D}));
  GaussianStatistics gaussian{mean.values(), covariance.values()};
  check(std::ranges::all_of(gaussian.mean, [](double value) { return std::isfinite(value); }),
        ErrorKind::input, mean.where(), " holds numbers that are not finite");
  check_covariance(covariance.where(), gaussian.covariance, D);
  return gaussian;
}

// Calls take(rows) with the array's rows, batch by batch.
template <class Take>
int64_t for_rows(const NpzFile& file, const std::string& name, const Take& take) {
  NpzArray array = file.open(name);
  check(array.dtype() != DType::u8 && array.shape().size() == 2 && array.left() >= 2 &&
            0 < array.shape()[1] && array.shape()[1] <= kMostWidth,
        ErrorKind::input, array.where(), " is ", name_of(array.dtype()), " of the shape ",
        text_of(array.shape()), ", expected floating-point numbers of (pictures, width)");
  const int64_t count = array.left();
  constexpr int64_t kRows = 1024;
  while (array.left() > 0) take(array.next(std::min(kRows, array.left())));
  return count;
}

// Mean and covariance of an array of features, unless they are stored themselves.
void read_moments(const NpzFile& file, const std::string& name, std::optional<GaussianStatistics>& to) {
  if (to || !file.has(name)) return;
  std::optional<Moments> moments;
  for_rows(file, name, [&](const Tensor& rows) {
    if (!moments) moments.emplace(rows.columns());
    moments->add(rows);
  });
  to = moments->statistics();
}

void read_features(const NpzFile& file, SetStatistics& set) {
  if (!file.has("features")) return;
  int64_t row = 0;
  NpzArray array = file.open("features");
  set.pictures = for_rows(file, "features", [&](const Tensor& rows) {
    if (!set.features) set.features = Tensor({array.shape()[0], rows.columns()}, DType::f32);
    std::copy_n(rows.data<float>(), rows.elements(), set.features.data<float>() + row * rows.columns());
    row += rows.extent(0);
  });
}

void read_logits(const NpzFile& file, SetStatistics& set) {
  if (!file.has("logits")) return;
  InceptionScore score;
  for_rows(file, "logits", [&](const Tensor& rows) { score.add(rows); });
  set.inception_score = score.value();
}

}  // namespace

bool PictureSet::asks_network(const FeatureNeeds& needs) const {
  return pictures && ((needs.pooled && !stored.pooled) || (needs.spatial && !stored.spatial) ||
                      (needs.features && !stored.features) || (needs.logits && !stored.inception_score) ||
                      (needs.agreement && !prompts.texts.empty()));
}

PictureSet open_picture_set(const std::string& path) {
  PictureSet set{.path = path, .pictures = nullptr, .stored = {}, .prompts = {}};
  set.stored.name = path;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    set.pictures = std::make_unique<FolderPictures>(path);
    return set;
  }
  const NpzFile file(path);
  if (file.has("arr_0")) set.pictures = std::make_unique<NpzPictures>(file.open("arr_0"));
  set.stored.pooled = read_gaussian(file, "mu", "sigma");
  set.stored.spatial = read_gaussian(file, "mu_s", "sigma_s");
  read_moments(file, "features", set.stored.pooled);
  read_moments(file, "spatial", set.stored.spatial);
  read_features(file, set.stored);
  read_logits(file, set.stored);
  const std::string names =
      join(file.names(), ", ", [](const std::string& name) { return printable(name, 40); });
  check(set.pictures || set.stored.pooled || set.stored.spatial || set.stored.inception_score,
        ErrorKind::input, path,
        ": expected an array \"arr_0\" of pictures, \"mu\" and \"sigma\", or \"features\"; there ",
        names.empty() ? "is none" : "are: ", printable(names, 200));
  return set;
}

SetStatistics measure(PictureSet& set, const FeatureExtractor* network, const FeatureNeeds& needs,
                      const std::function<void(int64_t)>& progress) {
  if (!network || !set.asks_network(needs)) return set.stored;
  const FeatureNeeds missing = {.pooled = needs.pooled && !set.stored.pooled,
                                .spatial = needs.spatial && !set.stored.spatial,
                                .features = needs.features && !set.stored.features,
                                .logits = needs.logits && !set.stored.inception_score,
                                .agreement = needs.agreement};
  FeatureCollector collector(*network, missing, set.prompts);
  int64_t seen = 0;
  while (set.pictures->left() > 0) {
    const int64_t count = std::min(kBatch, set.pictures->left());
    collector.add(set.pictures->next(count));
    progress(seen += count);
  }
  SetStatistics all = collector.result(set.path);
  if (!missing.pooled) all.pooled = set.stored.pooled;
  if (!missing.spatial) all.spatial = set.stored.spatial;
  if (!missing.features) all.features = set.stored.features;
  if (!missing.logits) all.inception_score = set.stored.inception_score;
  return all;
}

void write_statistics(const std::string& path, const SetStatistics& set) {
  std::vector<NpzEntry> entries;
  const auto add = [&](const char* mu, const char* sigma, const std::optional<GaussianStatistics>& gaussian) {
    if (!gaussian) return;
    entries.push_back(npz_entry(mu, gaussian->mean, {gaussian->width()}));
    entries.push_back(npz_entry(sigma, gaussian->covariance, {gaussian->width(), gaussian->width()}));
  };
  add("mu", "sigma", set.pooled);
  add("mu_s", "sigma_s", set.spatial);
  if (set.features) entries.push_back(npz_entry("features", set.features));
  write_npz(path, entries);
}

}  // namespace tstitch
