// A GPU for machines without one: what CudaDevice promises, kept on the host and checked where a GPU would
// fail or, worse, would not.
//
// Its memory may not be touched by the host but through it. Its stream runs when somebody waits, so a missing
// wait or a buffer that is used again too early is a wrong result here as well. Its libraries' products
// demand the alignments and types that cuBLASLt and cuDNN demand. Waiting, allocating and uploading during a
// capture fail as they would there.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "lanes.h"
#include "tstitch/backend/cuda/device.h"

namespace tstitch::cuda {

class HostTwin final : public Device {
 public:
  explicit HostTwin(LaneOrder order = LaneOrder::forward);
  ~HostTwin() override;
  HostTwin(const HostTwin&) = delete;

  int number() const override { return 0; }
  std::string name() const override { return "host twin"; }
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

  using Work = std::function<void()>;

 private:
  struct HostGraph;

  void queue(Work work);
  void protect(bool closed) const;
  void refuse_in_capture(const char* what) const;

  const LaneOrder order_;
  std::byte* arena_;
  size_t used_ = 0;
  std::multimap<size_t, std::byte*> free_;  // by size
  std::vector<Work> queue_;
  std::unique_ptr<HostGraph> capture_;
  std::thread::id capturing_;  // only what this thread asks is recorded, as a device has it
  mutable std::recursive_mutex turn_;
};

}  // namespace tstitch::cuda
