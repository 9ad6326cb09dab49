// Work that comes again and again in the same form, as the evaluations of a network do, becomes a graph.
#pragma once

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
// first time, and whenever anything differs, it is done call by call. The bytes of uploads may differ;
// addresses may not, so a graph never outlives the memory it was recorded for: who asks with the same
// addresses has tensors there now. Other threads' calls wait for the end: the order of the calls is that of
// the memory's reuse.
class Recorder final : public Device {
 public:
  static constexpr size_t kMostGraphs = 32;  // the least recently used gives way

  explicit Recorder(std::unique_ptr<Device> device) : device_(std::move(device)) {}

  void begin();
  void end();  // also after an error: what was asked until then is done

  struct Statistics {
    int64_t called = 0, captured = 0, replayed = 0;  // stretches from begin to end
  };
  Statistics statistics() const;

  int number() const override { return device_->number(); }
  std::string name() const override { return device_->name(); }
  DeviceAddress allocate(size_t bytes) override;
  void free(DeviceAddress address, size_t bytes) noexcept override;
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
  struct Known {
    uint64_t hash;
    Log log;
    std::unique_ptr<Graph> graph;  // from the second time on
  };

  template <class Argument>
  void write(std::byte call, Argument argument, size_t bytes = sizeof(Argument));
  void perform();
  std::unique_ptr<Graph> capture();
  void flush();  // does what has been written down so far

  std::unique_ptr<Device> device_;
  mutable std::recursive_mutex turn_;  // held from begin to end
  bool writing_ = false;
  Log log_, uploads_;
  std::list<Known> known_;                               // the most recently used first
  std::vector<std::pair<DeviceAddress, size_t>> freed_;  // while writing
  Statistics statistics_;
};

}  // namespace tstitch::cuda
