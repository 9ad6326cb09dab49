#include "tstitch/backend/cuda/recorder.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "tstitch/backend/cuda/clear_padding.h"
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

Recorder::Recorder(std::unique_ptr<Device> device)
    : device_(std::move(device)), graphs_([] {
        const char* said = std::getenv("TSTITCH_CUDA_GRAPHS");
        return !said || std::string_view(said) != "0";
      }()) {}

template <class Argument>
void Recorder::write(std::byte call, Argument argument, size_t bytes) {
  clear_padding(argument);
  const auto* first = reinterpret_cast<const std::byte*>(&argument);
  work_.log.push_back(call);
  work_.log.insert(work_.log.end(), first, first + bytes);
}

void Recorder::begin() {
  check_internal(!writing_, "[recorder] begins twice");
  writing_ = true;
}

// However it ends: what is freed from now on need not wait, and what was freed meanwhile need no longer.
struct Recorder::Ending {
  explicit Ending(Recorder& r) : recorder(r), work(std::exchange(r.work_, {})) {}
  ~Ending() {
    recorder.writing_ = false;
    recorder.give_back_freed();
    work.log.clear();
    work.uploads.clear();
    recorder.work_ = std::move(work);  // its memory serves the next stretch
  }

  Recorder& recorder;
  Work work;
};

void Recorder::end() {
  const Ending ending(*this);
  const Work& work = ending.work;
  const uint64_t hash = fnv1a(work.log.data(), work.log.size());
  auto known =
      std::ranges::find_if(known_, [&](const Known& k) { return k.hash == hash && k.log == work.log; });
  if (graphs_ && known != known_.end()) {
    known_.splice(known_.begin(), known_, known);
    if (!known->graph && !known->refused) {
      known->graph = capture(work);
      known->refused = !known->graph;
      ++(known->graph ? statistics_.captured : statistics_.refused);
    } else if (known->graph) {
      ++statistics_.replayed;
    }
    if (known->graph) return device_->replay(*known->graph, work.uploads);
  }
  ++statistics_.called;
  perform(work);
  if (!graphs_ || known != known_.end()) return;
  known_.push_front({hash, work.log, nullptr});
  if (known_.size() > kMostGraphs) known_.pop_back();
}

void Recorder::abandon() {
  const Ending ending(*this);
  try {
    perform(ending.work);
  } catch (const Error&) {  // that is not the first
  }
}

Recorder::Statistics Recorder::statistics() const {
  const std::lock_guard turn(turn_);
  return statistics_;
}

// Null where the device's libraries cannot be recorded in it; what is wrong with the calls themselves shows
// when they are done one by one.
std::unique_ptr<Graph> Recorder::capture(const Work& work) {
  const std::lock_guard memory(memory_turn_);
  device_->begin_capture(work.uploads.size());
  try {
    perform(work);
    return device_->end_capture();
  } catch (const Error&) {
    try {
      device_->end_capture();
    } catch (const Error&) {  // says only that there was one before
    }
    return nullptr;
  }
}

void Recorder::perform(const Work& work) {
  const std::byte* upload = work.uploads.data();
  for (const std::byte *at = work.log.data(), *end = at + work.log.size(); at < end;) switch (*at++) {
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
  const Work work = std::exchange(work_, {});
  perform(work);
}

void Recorder::give_back_freed() noexcept {
  const std::lock_guard turn(memory_turn_);
  for (const auto& [address, bytes] : freed_) device_->free(address, bytes);
  freed_.clear();
}

// Not in turn: whoever allocates may hold a lock that the thread which has the turn waits for.
DeviceAddress Recorder::allocate(size_t bytes) {
  const auto allocated = [&] {
    const std::lock_guard memory(memory_turn_);
    return device_->allocate(bytes);
  };
  const DeviceAddress address = allocated();
  if (address != DeviceAddress{} || !writing_) return address;
  const Turn turn(turn_, std::try_to_lock);
  if (!turn) return address;
  flush();  // what was freed meanwhile may still be read by it
  give_back_freed();
  return allocated();
}

void Recorder::free(DeviceAddress address, size_t bytes) noexcept {
  const std::lock_guard turn(memory_turn_);
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
  work_.uploads.insert(work_.uploads.end(), first, first + bytes);
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
