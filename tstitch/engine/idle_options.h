// Why an option has no effect on a run: "it is for ddim, and the sampler is euler"; "" where it has one.
#pragma once

#include <span>
#include <string>

#include "tstitch/engine/run_spec.h"

namespace tstitch {

std::string guides_nothing(const RunSpec& spec, std::span<const ModelInfo> models);
std::string no_eta(const RunSpec& spec, std::span<const ModelInfo> models);
std::string no_multistep(const RunSpec& spec, std::span<const ModelInfo> models);
std::string no_step_noise(const RunSpec& spec, std::span<const ModelInfo> models);
std::string nothing_drawn(const RunSpec& spec, std::span<const ModelInfo> models);
std::string no_shares(const RunSpec& spec, std::span<const ModelInfo> models);
std::string no_guidance(const RunSpec& spec, std::span<const ModelInfo> models);
std::string no_stage_takes_it(const RunSpec& spec, std::span<const ModelInfo> models);
std::string no_text(const RunSpec& spec, std::span<const ModelInfo> models);
std::string unnamed_embedding(const RunSpec& spec, std::span<const ModelInfo> models);
std::string unnamed_embedding_dir(const RunSpec& spec, std::span<const ModelInfo> models);
std::string no_negative_prompt(const RunSpec& spec, std::span<const ModelInfo> models);
std::string no_context(const RunSpec& spec, std::span<const ModelInfo> models);
std::string no_threads(const RunSpec& spec, std::span<const ModelInfo> models);
std::string no_sizes(const RunSpec& spec, std::span<const ModelInfo> models);
std::string no_target_size(const RunSpec& spec, std::span<const ModelInfo> models);
std::string no_score(const RunSpec& spec, std::span<const ModelInfo> models);
std::string no_negative_score(const RunSpec& spec, std::span<const ModelInfo> models);
std::string no_empty_prompt(const RunSpec& spec, std::span<const ModelInfo> models);
std::string no_init_image(const RunSpec& spec, std::span<const ModelInfo> models);
std::string no_mask(const RunSpec& spec, std::span<const ModelInfo> models);
std::string steers_nothing(const RunSpec& spec, std::span<const ModelInfo> models);
std::string nothing_blended(const RunSpec& spec, std::span<const ModelInfo> models);

}  // namespace tstitch
