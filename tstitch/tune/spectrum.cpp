#include "tstitch/tune/spectrum.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <unsupported/Eigen/FFT>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"
#include "tstitch/tune/forwarding_observer.h"

namespace tstitch {
namespace {

constexpr double kFloor = 1e-6;  // keeps the logarithm of nothing finite

using Complex = std::complex<double>;

// Every row, then every column of a (height, width) plane.
void transform(Eigen::FFT<double>& fft, std::vector<Complex>& plane, int64_t height, int64_t width) {
  std::vector<Complex> line(static_cast<size_t>(std::max(height, width))), result(line.size());
  const auto along = [&](int64_t lines, int64_t line_step, int64_t length, int64_t step) {
    if (length == 1) return;  // is its own transform, which Eigen cannot take
    for (int64_t i = 0; i < lines; ++i) {
      Complex* begin = plane.data() + i * line_step;
      for (int64_t k = 0; k < length; ++k) line[static_cast<size_t>(k)] = begin[k * step];
      fft.fwd(result.data(), line.data(), static_cast<int>(length));
      for (int64_t k = 0; k < length; ++k) begin[k * step] = result[static_cast<size_t>(k)];
    }
  };
  along(height, width, width, 1);
  along(width, 1, height, width);
}

// Sums up the spectra of a run.
class Spectra final : public ForwardingObserver, public BatchSink {
 public:
  Spectra(RunObserver& outer, Backend& backend, const RunSpec& spec)
      : ForwardingObserver(outer),
        backend_(backend),
        steps_(static_cast<size_t>(spec.trajectory.size()) + 1, LogAmplitude(spec.height, spec.width)) {}

  void predicted(IndexRange, const Step& step, const Tensor& x, const Prediction&) override {
    steps_[static_cast<size_t>(step.index)].add(backend_.download(to_channels_first(backend_, x)));
  }
  void take(IndexRange, const Tensor& latents) override { steps_.back().add(latents); }

  const std::vector<LogAmplitude>& steps() const { return steps_; }

 private:
  Backend& backend_;
  std::vector<LogAmplitude> steps_;
};

}  // namespace

LogAmplitude::LogAmplitude(int64_t height, int64_t width)
    : height_(height), width_(width), sum_(static_cast<size_t>(height * width)) {}

void LogAmplitude::add(const Tensor& x) {
  check_internal(x.shape().rank() == 4 && x.extent(2) == height_ && x.extent(3) == width_, "spectrum of ",
                 x.shape(), " in one of ", height_, " x ", width_);
  Eigen::FFT<double> fft;
  const int64_t planes = x.extent(0) * x.extent(1), size = height_ * width_;
  std::vector<Complex> plane(static_cast<size_t>(size));
  for (int64_t i = 0; i < planes; ++i) {
    std::copy_n(x.data<float>() + i * size, size, plane.begin());
    transform(fft, plane, height_, width_);
    for (size_t k = 0; k < sum_.size(); ++k) sum_[k] += std::log(std::abs(plane[k]) + kFloor);
  }
  planes_ += planes;
}

std::vector<double> LogAmplitude::frequencies(int64_t height, int64_t width) {
  const int64_t side = std::min(height, width);
  std::vector<double> frequencies;
  for (int64_t k = 0; k <= side / 2; ++k)
    frequencies.push_back(2 * static_cast<double>(k) / static_cast<double>(side));
  return frequencies;
}

std::vector<double> LogAmplitude::radial() const {
  const size_t rings = frequencies(height_, width_).size();
  const double half_side = 0.5 * static_cast<double>(std::min(height_, width_));
  std::vector<double> sums(rings), counts(rings);
  // The frequency of index k, as a share of the highest: those above the middle are the negative ones.
  const auto share = [](int64_t k, int64_t n) {
    return 2 * static_cast<double>(std::min(k, n - k)) / static_cast<double>(n);
  };
  for (int64_t i = 0; i < height_; ++i)
    for (int64_t j = 0; j < width_; ++j) {
      const double radius = std::hypot(share(i, height_), share(j, width_));
      const auto ring = static_cast<size_t>(std::lround(half_side * radius));
      if (ring >= rings) continue;
      sums[ring] += at(i, j);
      ++counts[ring];
    }
  for (size_t ring = 0; ring < rings; ++ring) sums[ring] /= counts[ring] * static_cast<double>(planes_);
  return sums;
}

std::vector<double> LogAmplitude::diagonal() const {
  std::vector<double> values;
  for (int64_t k = 0; height_ == width_ && k < height_ / 2; ++k)
    values.push_back(at(k, k) / static_cast<double>(planes_));
  return values;
}

std::vector<StepSpectrum> latent_spectrum(Backend& backend, std::span<const Model> models,
                                          const RunSpec& spec, RunObserver& observer,
                                          const EncodedInputs& inputs) {
  Spectra spectra(observer, backend, spec);
  const IndexRange all = {0, spec.images()};
  if (run(backend, models, spec, {&all, 1}, spectra, spectra, inputs).cancelled) return {};
  std::vector<StepSpectrum> result;
  for (int i = 0; i <= spec.trajectory.size(); ++i) {
    const LogAmplitude& there = spectra.steps()[static_cast<size_t>(i)];
    result.push_back({i, i == 0 ? spec.trajectory[0].level : spec.trajectory[i - 1].next, there.radial(),
                      there.diagonal()});
  }
  return result;
}

}  // namespace tstitch
