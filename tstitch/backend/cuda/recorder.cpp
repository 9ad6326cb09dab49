#include "tstitch/backend/cuda/recorder.h"

#include <algorithm>
#include <cstring>

#include "tstitch/base/error.h"
#include "tstitch/base/hash.h"

namespace tstitch::cuda {
namespace {

constexpr std::byte kRun{1}, kMultiply{2}, kConvolve{3}, kAttend{4}, kUpload{5};

struct Upload {
  DeviceAddress to;
  size_t bytes;
};

template <class Argument>
Argument read(const std::byte*& at) {
  Argument argument;
  std::memcpy(&argument, at, sizeof argument);
  at += sizeof argument;
  return argument;
}

}  // namespace

template <class Argument>
void Recorder::write(std::byte call, Argument argument, size_t bytes) {
#if defined(__has_builtin) && __has_builtin(__builtin_clear_padding)
  __builtin_clear_padding(&argument);
#endif
  const auto* first = reinterpret_cast<const std::byte*>(&argument);
  log_.push_back(call);
  log_.insert(log_.end(), first, first + bytes);
}

void Recorder::begin() {
  std::unique_lock turn(turn_);
  check_internal(!writing_, "[recorder] begins twice");
  writing_ = true;
  turn.release();  // until end
}

void Recorder::end() {
  const std::lock_guard turn(turn_, std::adopt_lock);
  writing_ = false;
  const uint64_t hash = fnv1a(log_.data(), log_.size());
  const auto known =
      std::ranges::find_if(known_, [&](const Known& k) { return k.hash == hash && k.log == log_; });
  if (known == known_.end()) {
    ++statistics_.called;
    known_.push_front({hash, log_, nullptr});
    if (known_.size() > kMostGraphs) known_.pop_back();
  } else {
    known_.splice(known_.begin(), known_, known);
    ++(known->graph ? statistics_.replayed : statistics_.captured);
    if (!known->graph) known->graph = capture();
    device_->replay(*known->graph, uploads_);
    log_.clear();
    uploads_.clear();
  }
  flush();
}

Recorder::Statistics Recorder::statistics() const {
  const std::lock_guard turn(turn_);
  return statistics_;
}

std::unique_ptr<Graph> Recorder::capture() {
  device_->begin_capture(uploads_.size());
  try {
    perform();
  } catch (...) {
    device_->end_capture();
    throw;
  }
  return device_->end_capture();
}

void Recorder::perform() {
  const std::byte* upload = uploads_.data();
  for (const std::byte* at = log_.data(); at < log_.data() + log_.size();) switch (*at++) {
      case kRun: {
        Launch launch;
        const size_t head = offsetof(Launch, parameters);
        std::memcpy(static_cast<void*>(&launch), at, head);
        std::memcpy(launch.parameters.data(), at + head, static_cast<size_t>(launch.bytes));
        at += head + static_cast<size_t>(launch.bytes);
        device_->run(launch);
        break;
      }
      case kMultiply:
        device_->multiply(read<Product>(at));
        break;
      case kConvolve:
        device_->convolve(read<Convolution>(at));
        break;
      case kAttend:
        device_->attend(read<Attention>(at));
        break;
      case kUpload: {
        const auto [to, bytes] = read<Upload>(at);
        device_->upload(to, upload, bytes);
        upload += bytes;
        break;
      }
    }
}

void Recorder::flush() {
  perform();
  log_.clear();
  uploads_.clear();
  for (const auto& [address, bytes] : freed_) device_->free(address, bytes);
  freed_.clear();
}

DeviceAddress Recorder::allocate(size_t bytes) {
  const std::lock_guard turn(turn_);
  return device_->allocate(bytes);
}

void Recorder::free(DeviceAddress address, size_t bytes) noexcept {
  const std::lock_guard turn(turn_);
  if (writing_)
    freed_.emplace_back(address, bytes);
  else
    device_->free(address, bytes);
}

void Recorder::upload(DeviceAddress to, const void* from, size_t bytes) {
  const std::lock_guard turn(turn_);
  if (!writing_) return device_->upload(to, from, bytes);
  write(kUpload, Upload{to, bytes});
  const auto* first = static_cast<const std::byte*>(from);
  uploads_.insert(uploads_.end(), first, first + bytes);
}

void Recorder::download(void* to, DeviceAddress from, size_t row, size_t pitch, size_t rows) {
  const std::lock_guard turn(turn_);
  flush();
  device_->download(to, from, row, pitch, rows);
}

void Recorder::synchronize() {
  const std::lock_guard turn(turn_);
  flush();
  device_->synchronize();
}

void Recorder::run(const Launch& launch) {
  const std::lock_guard turn(turn_);
  if (!writing_) return device_->run(launch);
  write(kRun, launch, offsetof(Launch, parameters) + static_cast<size_t>(launch.bytes));
}

void Recorder::multiply(const Product& product) {
  const std::lock_guard turn(turn_);
  if (!writing_) return device_->multiply(product);
  write(kMultiply, product);
}

void Recorder::convolve(const Convolution& convolution) {
  const std::lock_guard turn(turn_);
  if (!writing_) return device_->convolve(convolution);
  write(kConvolve, convolution);
}

bool Recorder::attends(const Attention& attention) const {
  const std::lock_guard turn(turn_);
  return device_->attends(attention);
}

void Recorder::attend(const Attention& attention) {
  const std::lock_guard turn(turn_);
  if (!writing_) return device_->attend(attention);
  write(kAttend, attention);
}

void Recorder::begin_capture(size_t upload_bytes) {
  const std::lock_guard turn(turn_);
  device_->begin_capture(upload_bytes);
}

std::unique_ptr<Graph> Recorder::end_capture() {
  const std::lock_guard turn(turn_);
  return device_->end_capture();
}

void Recorder::replay(Graph& graph, std::span<const std::byte> uploads) {
  const std::lock_guard turn(turn_);
  device_->replay(graph, uploads);
}

}  // namespace tstitch::cuda
