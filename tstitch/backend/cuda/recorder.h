// Work that comes again and again in the same form, as the evaluations of a network do, becomes a graph.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "tstitch/backend/cuda/device.h"

namespace tstitch::cuda {

// A device that, between begin and end, only writes down what it is asked. At the end that is compared with
// what it wrote down before: the third time the same is a graph replayed, the second time it becomes one, the
// first time, whenever anything differs, and where it cannot be recorded, it is done call by call. The bytes
// of uploads may differ; addresses may not, so a graph never outlives the memory it was recorded for: who
// asks with the same addresses has tensors there now. Calls of other threads wait for the end, as the order
// of the calls is that of the memory's reuse; only memory they get and give back meanwhile.
// TSTITCH_CUDA_GRAPHS=0 in the environment: call by call, always.
class Recorder final : public Device {
 public:
  static constexpr size_t kMostGraphs = 32;  // the least recently used gives way

  explicit Recorder(std::unique_ptr<Device> device);

  // While it is held no other thread's calls come between. What follows on begin must hold it.
  using Turn = std::unique_lock<std::recursive_mutex>;
  Turn take_turn() const { return Turn(turn_); }

  void begin();
  void end();
  void abandon();  // instead of end, after an error: what was asked until then is done, as far as it can be

  struct Statistics {
    int64_t called = 0, captured = 0, replayed = 0;  // stretches from begin to end
    int64_t refused = 0;                             // of those called: that could not be recorded
  };
  Statistics statistics() const;

  int number() const override { return device_->number(); }
  std::string name() const override { return device_->name(); }
  DeviceAddress allocate(size_t bytes) override;
  void free(DeviceAddress address, size_t bytes) noexcept override;
  std::optional<int64_t> bytes_free() const override { return device_->bytes_free(); }
  void upload(DeviceAddress to, const void* from, size_t bytes) override;
  void download(void* to, DeviceAddress from, size_t row, size_t pitch, size_t rows) override;
  void synchronize() override;
  void run(const Launch& launch) override;
  void multiply(const Product& product) override;
  void convolve(const Convolution& convolution) override;
  bool attends(const Attention& attention) const override;
  void attend(const Attention& attention) override;
  void begin_capture(size_t upload_bytes) override;
  std::unique_ptr<Graph> end_capture() override;
  void replay(Graph& graph, std::span<const std::byte> uploads) override;

 private:
  // What was asked: a byte that says which call, and its argument, for each.
  using Log = std::vector<std::byte>;
  using Freed = std::vector<std::pair<DeviceAddress, size_t>>;
  struct Work {
    Log log, uploads;
  };
  struct Ending;
  struct Known {
    uint64_t hash;
    Log log;
    std::unique_ptr<Graph> graph;  // from the second time on
    bool refused = false;
  };

  template <class Argument>
  void write(std::byte call, Argument argument, size_t bytes = sizeof(Argument));
  void perform(const Work& work);
  std::unique_ptr<Graph> capture(const Work& work);
  void flush();  // does what has been written down so far
  void give_back_freed() noexcept;

  std::unique_ptr<Device> device_;
  const bool graphs_;
  mutable std::recursive_mutex turn_;  // held from begin to end
  std::atomic<bool> writing_ = false;
  Work work_;
  std::list<Known> known_;  // the most recently used first
  Statistics statistics_;
  std::mutex memory_turn_;  // of the device, which neither allocates nor frees while it captures
  Freed freed_;             // while writing
};

}  // namespace tstitch::cuda
