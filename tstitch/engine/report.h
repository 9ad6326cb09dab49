// What a run tells about itself: the JSON of --json and the parameters in a PNG file.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tstitch/engine/fields.h"
#include "tstitch/engine/run.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/zoo/model.h"

namespace tstitch {

// The most memory this process has held, in bytes.
int64_t peak_memory_bytes();

// Of a run with adaptive switching: steps of the small model per image.
double mean_small_steps(const RunResult& result);

// "fashion-s: steps 1-20, fashion-l: 21-50", with the models that serve no step.
std::string describe(const RunSpec& spec, std::span<const ModelInfo> models);

// How much of which LoRA changes which model, a line each: "fox x 0.8 on SDXL: network 722, text_encoder 72";
// modules of the file that the model has not are counted behind it.
std::vector<std::string> describe_loras(std::span<const ModelInfo> models);
// The embeddings that prompts name, a line each: "fox: 3 vectors".
std::vector<std::string> describe_embeddings(const RunSpec& spec);

// Which ControlNet steers which model in which of its steps, a line each: "canny x 0.8 on SDXL: 12 of 20
// steps".
std::vector<std::string> describe_controls(const RunSpec& spec, std::span<const ModelInfo> models);
// Stages that are asked in a form from which they have nothing, a line each: "cache=3 of sd saves nothing:
// its one evaluation is whole".
std::vector<std::string> describe_what_saves_nothing(const RunSpec& spec, std::span<const ModelInfo> models);
// Of those of which a model has only a part, and those that it refuses, with the reason.
std::vector<std::string> describe_what_is_left_out(std::span<const ModelInfo> models);

// One JSON object: what is known of a run before it, its trajectory, models and settings.
std::string json_spec(const RunSpec& spec, std::span<const Model> models, const std::string& device);

// The same and what was measured: evaluations and milliseconds per model, load time, total, peak memory,
// output files, and the hash of the latents ("fnv1a64:0123456789abcdef" of their bytes, f32 NCHW) where this
// run sampled them all. Times in milliseconds.
std::string json_report(const RunSpec& spec, std::span<const Model> models, const RunResult& result,
                        const std::string& device, const std::vector<std::string>& outputs);

// The same with `estimated_ms`, for a run that was only decided.
std::string json_estimate(const RunSpec& spec, std::span<const Model> models, const std::string& device,
                          double estimated_seconds);

// Key and text pairs for a PNG file: `parameters` in the form of A1111's web UI, with the names of the models
// and the steps of each, and kOptionsKeyword: the options (fields.h) that make the picture again. `image` is
// an index into spec.subjects, or -1 for a grid of all.
std::vector<std::pair<std::string, std::string>> png_text(const RunSpec& spec,
                                                          std::span<const ModelInfo> models, int64_t image);
inline constexpr const char* kOptionsKeyword = "tstitch";

// What png_text says of the options of a picture. Throws Error{input} for a file that says nothing.
Said read_png_options(const std::string& path);

}  // namespace tstitch
