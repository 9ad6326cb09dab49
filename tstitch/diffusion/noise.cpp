#include "tstitch/diffusion/noise.h"

#include <algorithm>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/base/philox.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

// ---- from a seed

SeededNoise::SeededNoise(Backend& backend, std::vector<uint64_t> seeds, const Shape& chw)
    : seeds_(std::move(seeds)), backend_(backend), chw_(chw) {
  check_internal(chw.rank() == 3, "a latent of the shape ", chw, ", expected (C, H, W)");
}

Tensor SeededNoise::draw(uint32_t number) {
  Tensor noise({std::ssize(seeds_), chw_[0], chw_[1], chw_[2]}, DType::f32);  // (N, C, H, W)
  const auto size = static_cast<size_t>(chw_.elements());
  for (size_t row = 0; row < seeds_.size(); ++row)
    fill(row, number, {noise.data<float>() + row * size, size});
  return to_channels_last(backend_, backend_.upload(noise));
}

void PhiloxNoise::fill(size_t row, uint32_t draw, std::span<float> out) {
  for (size_t e = 0; e < out.size(); e += 4) {
    const auto normal = philox_normal(philox({static_cast<uint32_t>(e / 4), draw, 0, 0}, seeds_[row]));
    std::copy_n(normal.begin(), std::min<size_t>(4, out.size() - e), out.begin() + e);
  }
}

TorchNoise::TorchNoise(Backend& backend, std::vector<uint64_t> seeds, const Shape& chw)
    : SeededNoise(backend, std::move(seeds), chw) {
  for (size_t row = 0; row < seeds_.size(); ++row) streams_.push_back(start(row));
}

void TorchNoise::fill(size_t row, uint32_t draw, std::span<float> out) {
  Stream& stream = streams_[row];
  if (draw < stream.next) stream = start(row);
  for (; stream.next <= draw; ++stream.next) stream.generator.randn(out);
}

void TorchCudaNoise::fill(size_t row, uint32_t draw, std::span<float> out) {
  torch_cuda_randn(seeds_[row], draw, out);
}

namespace {

using Made = std::unique_ptr<NoiseSource>;

struct Entry {
  std::string_view name;
  Made (*make)(Backend&, std::vector<uint64_t> seeds, const Shape& chw);
};

template <class Noise>
Made make(Backend& backend, std::vector<uint64_t> seeds, const Shape& chw) {
  return std::make_unique<Noise>(backend, std::move(seeds), chw);
}

constexpr Entry kNoises[] = {
    {"philox", make<PhiloxNoise>}, {"torch", make<TorchNoise>}, {"torch-cuda", make<TorchCudaNoise>}};

}  // namespace

std::string noise_names() { return join(kNoises, ", ", &Entry::name); }

bool is_noise(std::string_view name) {
  return std::ranges::any_of(kNoises, [&](const Entry& entry) { return entry.name == name; });
}

std::unique_ptr<NoiseSource> make_noise(Backend& backend, std::string_view name, std::vector<uint64_t> seeds,
                                        const Shape& chw) {
  for (const Entry& entry : kNoises)
    if (entry.name == name) return entry.make(backend, std::move(seeds), chw);
  fail(ErrorKind::usage, "noise '", printable(std::string(name)), "', expected one of ", noise_names());
}

uint64_t seed_of(std::string_view noise, uint64_t seed, int64_t image) {
  if (noise != "philox") return seed + static_cast<uint64_t>(image);
  if (image == 0) return seed;
  const auto i = static_cast<uint64_t>(image);
  // The draw ~3 keeps this stream apart from the noise's and others' of the seed.
  const PhiloxBlock block = philox({static_cast<uint32_t>(i), ~3u, static_cast<uint32_t>(i >> 32), 0}, seed);
  return ((uint64_t{block[0]} << 32) | block[1]) >> 11;
}

// ---- given

namespace {

// name: what the user calls it; leading: dimensions in front of (M, C, H, W).
void check_given(const char* name, const Tensor& given, int leading, int64_t first, const Shape& nchw) {
  const std::string expected = concat("f32 ", leading ? "(steps, images" : "(images", ", ", nchw[1], ", ",
                                      nchw[2], ", ", nchw[3], ") with at least ", first + nchw[0], " images");
  const Shape& shape = given.shape();
  bool fits = given.dtype() == DType::f32 && given.is_contiguous() && shape.rank() == leading + 4 &&
              shape[leading] >= first + nchw[0];
  for (int i = 1; fits && i < 4; ++i) fits = shape[leading + i] == nchw[i];
  check(fits, ErrorKind::input, name, " is ", name_of(given.dtype()), " ", shape, ", expected ", expected);
}

}  // namespace

GivenNoise::GivenNoise(Backend& backend, GivenLatents given, int64_t first, const Shape& nchw,
                       std::unique_ptr<NoiseSource> otherwise)
    : backend_(backend),
      given_(std::move(given)),
      first_(first),
      nchw_(nchw),
      otherwise_(std::move(otherwise)) {
  check_internal(nchw.rank() == 4 && first >= 0, "a batch of the shape ", nchw, " from image ", first);
  if (given_.initial) check_given("the initial latent", given_.initial, 0, first, nchw);
  if (given_.steps) check_given("the noise", given_.steps, 1, first, nchw);
}

Tensor GivenNoise::initial() {
  if (given_.initial)
    return to_channels_last(backend_, backend_.upload(given_.initial.slice(first_, first_ + nchw_[0])));
  check(otherwise_ != nullptr, ErrorKind::input, "no initial latent given");
  return otherwise_->initial();
}

Tensor GivenNoise::step(int index) {
  if (given_.steps) {
    check(index < given_.steps.extent(0), ErrorKind::input, "the noise has ", given_.steps.extent(0),
          " steps, but step ", index + 1, " needs noise");
    const int64_t images = given_.steps.extent(1);
    const Tensor step = given_.steps.slice(index, index + 1).reshape(nchw_.with(0, images));  // (M, C, H, W)
    return to_channels_last(backend_, backend_.upload(step.slice(first_, first_ + nchw_[0])));
  }
  check(otherwise_ != nullptr, ErrorKind::input, "no noise given, but step ", index + 1, " needs it");
  return otherwise_->step(index);
}

}  // namespace tstitch
