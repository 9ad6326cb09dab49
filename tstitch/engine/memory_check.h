// Whether a run fits into memory, asked before its weights are read: the kernel ends a process that takes too
// much without a word.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tstitch/engine/run_spec.h"

namespace tstitch {

// What a run comes to hold: the weights of those of `models` that are still to be loaded, in the compute
// type, each file once, those of the ControlNets that steer them, those of the largest of their text encoders
// before them, the autoencoder's, a batch of latents and pictures, and the tensors of an evaluation of the
// batch or of decoding a picture, whichever are larger. A little less than it really takes, so that nothing
// that fits is refused. vae: "" where no pictures are made.
int64_t bytes_needed(std::span<const ModelInfo> models, const std::vector<bool>& to_load, const RunSpec& spec,
                     const std::string& vae);

// Of /proc/meminfo: what can be had without and with swapping. Nothing where it does not say.
std::optional<int64_t> bytes_available(std::string_view meminfo);
// Of a control group: its limit, what it uses, and its memory.stat; caches make room. Nothing for "max".
std::optional<int64_t> bytes_left(std::string_view max, std::string_view current, std::string_view stat);
// The least of these here and now, in control groups of either version. Nothing where nobody says. root: of
// the file system.
std::optional<int64_t> bytes_free(const std::string& root = "/");

// Throws Error{device} where more is needed than is free, with what the options can do about it.
void check_memory(const SampleOptions& options, int64_t needed, int64_t free);

}  // namespace tstitch
