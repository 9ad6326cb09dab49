#include "tstitch/engine/report.h"

#include <sys/resource.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/base/version.h"
#include "tstitch/condition/class_names.h"
#include "tstitch/io/json.h"

namespace tstitch {
namespace {

using nlohmann::ordered_json;

double milliseconds(double seconds) { return std::round(seconds * 1e6) / 1e3; }

double load_seconds(std::span<const Model> models) {
  double seconds = 0;
  for (const Model& model : models) seconds += model.load_seconds;
  return seconds;
}

std::string describe(const RunSpec& spec, const std::vector<std::string>& names) {
  if (!spec.switch_threshold) return spec.trajectory.describe(names);
  return concat(names[0], " until details are ", *spec.switch_threshold, " of the noise, then ", names[1],
                ", ", spec.trajectory.size(), " steps");
}

ordered_json trajectory_json(const RunSpec& spec, const std::vector<std::string>& names) {
  ordered_json timesteps = ordered_json::array(), segments = ordered_json::array();
  for (const Step& step : spec.trajectory) timesteps.push_back(step.level.t);
  if (spec.switch_threshold)
    return {{"text", describe(spec, names)},
            {"steps", spec.trajectory.size()},
            {"switch_threshold", *spec.switch_threshold},
            {"timesteps", timesteps}};
  for (const Segment& segment : spec.trajectory.segments())
    segments.push_back({{"model", names[static_cast<size_t>(segment.denoiser)]},
                        {"first_step", segment.first + 1},
                        {"last_step", segment.first + segment.count}});
  return {{"text", spec.trajectory.describe(names)},
          {"steps", spec.trajectory.size()},
          {"assignment", format_assignment(spec.trajectory.assignment())},
          {"segments", segments},
          {"timesteps", timesteps}};
}

// What is known before the run.
ordered_json spec_json(const RunSpec& spec, std::span<const Model> models, const std::string& device) {
  std::vector<std::string> names;
  ordered_json entries = ordered_json::array();
  for (size_t i = 0; i < models.size(); ++i) {
    const ModelInfo& info = models[i].info;
    names.push_back(info.name);
    entries.push_back({{"name", info.name},
                       {"path", info.path},
                       {"parameters", info.architecture->parameters()},
                       {"load_ms", milliseconds(models[i].load_seconds)}});
    if (!spec.switch_threshold) entries.back()["steps"] = spec.trajectory.steps_of(static_cast<int>(i));
  }
  ordered_json json = {{"version", kVersion},
                       {"device", device},
                       {"trajectory", trajectory_json(spec, names)},
                       {"models", entries},
                       {"images", spec.images()},
                       {"batch_size", spec.batch_size},
                       {"sampler", spec.sampler},
                       {"eta", spec.solver.eta},
                       {"solver_reset", spec.solver.reset_at_switch},
                       {"cfg_scale", spec.cfg_scale},
                       {"cfg_channels", spec.cfg_channels},
                       {"seed", spec.seed},
                       {"rng", spec.rng},
                       {"latent_shape", {spec.images(), spec.channels, spec.height, spec.width}},
                       {"load_ms", milliseconds(load_seconds(models))}};
  if (!spec.prompts.empty()) {
    json["prompts"] = spec.prompts;
    json["negative_prompt"] = spec.negative_prompt;
    json["prompt_of_image"] = spec.subjects;
  } else {
    const ClassNames class_names(models.back().info);
    json["classes"] = spec.subjects;
    for (const int64_t c : spec.subjects) json["class_names"].push_back(class_names.usual(c));
  }
  return json;
}

// What the images show, or one of them.
std::vector<std::string> subjects(const RunSpec& spec, const ModelInfo& model, int64_t image) {
  if (!spec.prompts.empty())
    return image < 0
               ? spec.prompts
               : std::vector{spec.prompts[static_cast<size_t>(spec.subjects[static_cast<size_t>(image)])]};
  const ClassNames names(model);
  std::vector<std::string> texts;
  for (size_t i = 0; i < spec.subjects.size(); ++i)
    if (image < 0 || i == static_cast<size_t>(image)) texts.push_back(names.numbered(spec.subjects[i]));
  return texts;
}

// "Model: S (steps 1-8) + L (steps 9-20), Switch after step: 8".
std::string stitched_text(const RunSpec& spec, std::span<const ModelInfo> models) {
  if (spec.switch_threshold)
    return concat("Model: ", models[0].name, " + ", models[1].name,
                  ", Switch threshold: ", *spec.switch_threshold);
  std::string used, switches;
  for (const auto& [denoiser, first, count] : spec.trajectory.segments()) {
    used += concat(used.empty() ? "Model: " : " + ", models[static_cast<size_t>(denoiser)].name, " (steps ",
                   first + 1, "-", first + count, ")");
    if (first > 0) switches += concat(switches.empty() ? ", Switch after step: " : "/", first);
  }
  return used + switches;
}

std::string hash_text(uint64_t hash) {
  char text[32];
  std::snprintf(text, sizeof text, "fnv1a64:%016llx", static_cast<unsigned long long>(hash));
  return text;
}

}  // namespace

double mean_small_steps(const RunResult& result) {
  double sum = 0, images = 0;
  for (size_t steps = 0; steps < result.small_steps.size(); ++steps) {
    const auto count = static_cast<double>(result.small_steps[steps]);
    sum += count * static_cast<double>(steps);
    images += count;
  }
  return images > 0 ? sum / images : 0;
}

int64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} << 10;  // Linux counts KiB
}

std::string describe(const RunSpec& spec, std::span<const ModelInfo> models) {
  return describe(spec, names_of(models));
}

std::string json_spec(const RunSpec& spec, std::span<const Model> models, const std::string& device) {
  return json_text(spec_json(spec, models, device));
}

std::string json_report(const RunSpec& spec, std::span<const Model> models, const RunResult& result,
                        const std::string& device, const std::vector<std::string>& outputs) {
  ordered_json report = spec_json(spec, models, device);
  for (size_t i = 0; i < models.size(); ++i) {
    const auto [evaluations, seconds] = result.models[i];
    ordered_json& entry = report["models"][i];
    entry["evaluations"] = evaluations;
    entry["ms"] = milliseconds(seconds);
    entry["ms_per_evaluation"] = evaluations ? milliseconds(seconds / static_cast<double>(evaluations)) : 0.0;
  }
  if (spec.switch_threshold)
    report["small_steps"] = {{"mean", mean_small_steps(result)}, {"images", result.small_steps}};
  report["sample_ms"] = milliseconds(result.seconds);
  if (result.decode_seconds > 0) report["decode_ms"] = milliseconds(result.decode_seconds);
  report["total_ms"] = milliseconds(load_seconds(models) + result.seconds + result.decode_seconds);
  report["peak_memory_bytes"] = peak_memory_bytes();
  report["sampled_images"] = result.images;
  if (result.images == spec.images()) report["latents_hash"] = hash_text(result.latents_hash);
  report["outputs"] = outputs;
  return json_text(report);
}

std::string json_estimate(const RunSpec& spec, std::span<const Model> models, const std::string& device,
                          double estimated_seconds) {
  ordered_json report = spec_json(spec, models, device);
  report["estimated_ms"] = milliseconds(estimated_seconds);
  return json_text(report);
}

std::vector<std::pair<std::string, std::string>> png_text(const RunSpec& spec,
                                                          std::span<const ModelInfo> models, int64_t image) {
  std::string subject = join(subjects(spec, models.back(), image));
  if (!spec.negative_prompt.empty()) subject += "\nNegative prompt: " + spec.negative_prompt;
  std::string sampler = spec.sampler;
  std::ranges::transform(sampler, sampler.begin(), [](unsigned char c) { return std::toupper(c); });

  const int64_t unit = models.back().pixels_per_latent;
  std::string parameters =
      concat(subject, "\nSteps: ", spec.trajectory.size(), ", Sampler: ", sampler,
             ", CFG scale: ", spec.cfg_scale, ", Seed: ", spec.seed, ", RNG: ", spec.rng,
             ", Size: ", spec.width * unit, "x", spec.height * unit, ", ", stitched_text(spec, models));
  if (image >= 0) parameters += concat(", Image: ", image);
  parameters += concat(", Version: tstitch ", kVersion);
  return {{"parameters", parameters}, {"Software", concat("tstitch ", kVersion)}};
}

}  // namespace tstitch
