// Whether a run fits into memory, asked before its weights are read: the kernel ends a process that takes too
// much without a word.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tstitch/engine/run_spec.h"

namespace tstitch {

// What a run comes to hold, in bytes.
struct MemoryNeed {
  int64_t networks = 0;  // their weights, and those of what steers them, in the compute type, each file once;
  int64_t text_encoder = 0;  // those of the largest of them, which is gone before the networks come,
  int64_t autoencoder = 0;   // and those of the half that makes pictures
  // A batch of latents and pictures, what ControlNets have read of their hints, and the tensors of an
  // evaluation of the batch, with what those before it left (BlockCache), or of decoding a picture, or of
  // reading a hint, whichever are larger.
  int64_t work = 0;

  int64_t total() const { return autoencoder + std::max(networks, text_encoder) + work; }
};

// Of a model's weights, in its own type or the device's.
int64_t network_bytes(const ModelInfo& model, BackendOptions device);
// Of a ControlNet's, in the device's.
int64_t control_net_bytes(const ControlNetInfo& net, const BackendOptions& device);
// Of a run with those of `models` that are still to be loaded. A little less than it really takes, so that
// nothing that fits is refused. vae: "" where no pictures are made.
MemoryNeed memory_needed(std::span<const ModelInfo> models, const std::vector<bool>& to_load,
                         const RunSpec& spec, const std::string& vae);

// Of /proc/meminfo: what can be had without and with swapping. Nothing where it does not say.
std::optional<int64_t> bytes_available(std::string_view meminfo);
// Of a control group: its limit, what it uses, and its memory.stat; caches make room. Nothing for "max".
std::optional<int64_t> bytes_left(std::string_view max, std::string_view current, std::string_view stat);
// The least of these here and now, in control groups of either version. Nothing where nobody says. root: of
// the file system.
std::optional<int64_t> bytes_free(const std::string& root = "/");

// Two different amounts as texts that differ: in GiB, or in MiB where one is below a GiB, to one digit behind
// the point or as many as tell them apart.
std::pair<std::string, std::string> amounts_apart(int64_t bytes, int64_t other);

// Throws Error{device} where more is needed than is free, with what the options can do about it.
void check_memory(const SampleOptions& options, int64_t needed, int64_t free);

}  // namespace tstitch
