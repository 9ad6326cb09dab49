#include "tstitch/engine/report.h"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "tstitch/base/error.h"
#include "tstitch/base/hash.h"
#include "tstitch/base/join.h"
#include "tstitch/base/numbers.h"
#include "tstitch/base/version.h"
#include "tstitch/condition/class_names.h"
#include "tstitch/engine/evaluation_counts.h"
#include "tstitch/engine/sampler_names.h"
#include "tstitch/io/json.h"
#include "tstitch/io/png.h"
#include "tstitch/zoo/control_net.h"

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

std::string part_name(std::optional<ClipPlace> place) {
  return !place ? "network" : *place == ClipPlace::first ? "text_encoder" : "text_encoder_2";
}

using Names = std::map<std::string, std::string>;

// Of the LoRAs that the models have or refuse, by their paths.
Names names_of_loras(std::span<const ModelInfo> models) {
  std::set<std::string> paths;
  for (const ModelInfo& model : models) {
    for (const Lora& lora : model.loras) paths.insert(lora.path);
    for (const RefusedLora& lora : model.refused_loras) paths.insert(lora.path);
  }
  Names names;
  for (const auto& [path, name] : short_names(paths)) names[path] = printable(name);
  return names;
}

bool is_whole(const Lora& lora) {
  return std::ranges::none_of(lora.parts, [](const auto& one) { return one.second.without_home > 0; });
}

// "fox x 0.8 on SDXL"
std::string describe(const auto& lora, const ModelInfo& model, const Names& names) {
  return concat(names.at(lora.path), " x ", lora.weight, " on ", model.name);
}

// "network 722, text_encoder 72"
std::string describe_parts(const Lora& lora) {
  return join(lora.parts, ", ", [](const auto& one) {
    const auto& [place, part] = one;
    return concat(part_name(place), " ", part.modules.size(),
                  part.without_home ? concat(" (and ", part.without_home, " without a home)") : "");
  });
}

ordered_json loras_json(const ModelInfo& model) {
  ordered_json loras = ordered_json::array();
  for (const Lora& lora : model.loras) {
    loras.push_back({{"path", lora.path}, {"weight", lora.weight}, {"crc32", lora.content}});
    for (const auto& [place, part] : lora.parts)
      loras.back()[part_name(place)] = {{"changed", part.modules.size()},
                                        {"without_home", part.without_home}};
  }
  return loras;
}

ordered_json controls_json(const RunSpec& spec, const ModelInfo& model, int stage) {
  ordered_json controls = ordered_json::array();
  for (const auto& [number, net] : model.controls)
    controls.push_back({{"path", net->path},
                        {"parameters", control_net_parameters(net->config)},
                        {"strength", spec.options.controls[number].strength},
                        {"steps", spec.steered_steps_of(stage, number)}});
  return controls;
}

ordered_json embeddings_json(const RunSpec& spec) {
  ordered_json embeddings = ordered_json::array();
  for (const Embedding& embedding : spec.embeddings)
    embeddings.push_back({{"names", embedding.names()},
                          {"path", embedding.path()},
                          {"vectors", embedding.vectors()},
                          {"crc32", embedding.content()}});
  return embeddings;
}

std::string dtype_of(const RunSpec& spec, size_t stage) {
  const std::string& own = spec.stages[stage].dtype;
  return own.empty() ? spec.options.backend.dtype : own;
}

// On average over its evaluations, as they fall.
double gflop_per_evaluation(const RunSpec& spec, const ModelInfo& info, int stage) {
  const double whole = evaluation_counts(spec, stage).whole_share(info.form.cache);
  return info.architecture->flops_in(info.form, whole, spec.height, spec.width) / 1e9;
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
                       {"dtype", dtype_of(spec, i)},
                       {"gflop_per_evaluation", gflop_per_evaluation(spec, info, static_cast<int>(i))},
                       {"load_ms", milliseconds(models[i].load_seconds)}});
    if (!info.loras.empty()) entries.back()["loras"] = loras_json(info);
    if (!info.controls.empty())
      entries.back()["control_nets"] = controls_json(spec, info, static_cast<int>(i));
    for (const RefusedLora& lora : info.refused_loras)
      entries.back()["refused_loras"].push_back(
          {{"path", lora.path}, {"weight", lora.weight}, {"reason", lora.obstacle}});
    if (!spec.switch_threshold) entries.back()["steps"] = spec.trajectory.steps_of(static_cast<int>(i));
  }
  ordered_json json = {{"version", kVersion}};
  json.update(to_json(spec.options));
  json.update(decided(spec));
  json["device"] = device;
  json["trajectory"] = trajectory_json(spec, names);
  if (const std::string settings = scheduler_settings(spec.solver); !settings.empty())
    json["solver"] = settings;
  json["models"] = entries;
  if (!spec.embeddings.empty()) json["embeddings"] = embeddings_json(spec);
  json["images"] = spec.images();
  json["latent_shape"] = {spec.images(), spec.channels, spec.height, spec.width};
  json["load_ms"] = milliseconds(load_seconds(models));
  for (int64_t i = 0; i < spec.images(); ++i) json["seeds"].push_back(spec.seed_of(i));
  if (!spec.options.prompts.empty()) {
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
  const auto subject = [&](int64_t i) { return spec.subjects[static_cast<size_t>(i)]; };
  if (!spec.options.prompts.empty())
    return image < 0 ? spec.options.prompts
                     : std::vector{spec.options.prompts[static_cast<size_t>(subject(image))]};
  const ClassNames names(model);
  if (image >= 0) return {names.numbered(subject(image))};
  std::vector<std::string> texts;
  for (int64_t i = 0; i < spec.images(); ++i) texts.push_back(names.numbered(subject(i)));
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

// As A1111's web UI has them in the prompt.
std::string lora_tags(const SampleOptions& options, const Names& names) {
  return join(options.loras, " ", [&](const LoraOption& lora) {
    return concat("<lora:", names.at(lora.path), ":", number_text(lora.weight), ">");
  });
}

// As A1111's web UI has them, of the models' and each once: "fox: 0123abcd, owl: 4567cdef".
std::string lora_hashes(std::span<const ModelInfo> models, const Names& names) {
  std::map<std::string, std::string> hashes;
  for (const ModelInfo& model : models)
    for (const Lora& lora : model.loras) hashes[names.at(lora.path)] = lora.content;
  return join(hashes, ", ", [](const auto& one) { return concat(one.first, ": ", one.second); });
}

std::string embedding_hashes(const RunSpec& spec) {
  return join(spec.embeddings, ", ", [](const Embedding& embedding) {
    return concat(printable(embedding.names()[0]), ": ", embedding.content());
  });
}

// As A1111's web UI writes values that its separators are in.
std::string quoted(const std::string& value) {
  return value.find_first_of(",:\n") == value.npos
             ? value
             : ordered_json(value).dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

// What makes one image of the run alone.
SampleOptions options_of(const RunSpec& spec, int64_t image) {
  SampleOptions options = spec.options;
  const int64_t subject = spec.subjects[static_cast<size_t>(image)];
  options.seed = spec.seed_of(image);
  options.batch_count = 1;
  options.random_classes = false;
  if (options.prompts.empty())
    options.classes = {subject};
  else
    options.prompts = {options.prompts[static_cast<size_t>(subject)]};
  return options;
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

std::vector<std::string> describe_loras(std::span<const ModelInfo> models) {
  const Names names = names_of_loras(models);
  std::vector<std::string> lines;
  for (const ModelInfo& model : models)
    for (const Lora& lora : model.loras)
      lines.push_back(describe(lora, model, names) + ": " + describe_parts(lora));
  return lines;
}

std::vector<std::string> describe_what_is_left_out(std::span<const ModelInfo> models) {
  const Names names = names_of_loras(models);
  std::vector<std::string> lines;
  for (const ModelInfo& model : models) {
    for (const Lora& lora : model.loras)
      if (!is_whole(lora))
        lines.push_back(describe(lora, model, names) + " is applied in part: " + describe_parts(lora));
    for (const RefusedLora& lora : model.refused_loras)
      lines.push_back(describe(lora, model, names) + " is not applied: " + lora.obstacle);
  }
  return lines;
}

std::vector<std::string> describe_controls(const RunSpec& spec, std::span<const ModelInfo> models) {
  std::vector<std::string> lines;
  for (size_t i = 0; i < models.size(); ++i)
    for (const auto& [number, net] : models[i].controls) {
      const int model = static_cast<int>(i);
      lines.push_back(concat(net->name, " x ", spec.options.controls[number].strength, " on ", models[i].name,
                             ": ", spec.steered_steps_of(model, number), " of ",
                             spec.switch_threshold ? spec.trajectory.size() : spec.trajectory.steps_of(model),
                             " steps"));
    }
  return lines;
}

std::vector<std::string> describe_embeddings(const RunSpec& spec) {
  std::vector<std::string> lines;
  for (const Embedding& embedding : spec.embeddings)
    lines.push_back(concat(printable(join(embedding.names())), ": ", embedding.vectors(),
                           embedding.vectors() == 1 ? " vector" : " vectors"));
  return lines;
}

std::string describe(const RunSpec& spec, std::span<const ModelInfo> models) {
  return describe(spec, names_of(models));
}

std::vector<std::string> describe_what_saves_nothing(const RunSpec& spec, std::span<const ModelInfo> models) {
  std::vector<std::string> lines;
  for (size_t i = 0; i < models.size() && !spec.switch_threshold; ++i) {
    const EvaluationCounts counts = evaluation_counts(spec, static_cast<int>(i));
    const CheaperForm cached{.cache = spec.stages[i].form.cache};
    if (cached.cache.holds() && counts.all > 0 && counts.whole == counts.all)
      lines.push_back(concat(to_string(cached), " of ", models[i].name, " saves nothing: ",
                             counts.all == 1
                                 ? "its one evaluation is whole"
                                 : "it is asked once at a time, and the first evaluation is whole"));
  }
  return lines;
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
  if (result.images == spec.images()) report["latents_hash"] = "fnv1a64:" + hex(result.latents_hash);
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
  SampleOptions options = image < 0 ? spec.options : options_of(spec, image);
  const Names names = names_of_loras(models);
  std::string subject = join(subjects(spec, models.back(), image));
  if (const std::string tags = lora_tags(options, names); !tags.empty())
    subject += concat(subject.empty() || subject.ends_with(' ') ? "" : " ", tags);
  if (!options.negative_prompt.empty()) subject += "\nNegative prompt: " + options.negative_prompt;

  const int64_t unit = models.back().pixels_per_latent;
  std::string parameters = concat(
      subject, "\nSteps: ", options.steps.empty() ? std::to_string(spec.trajectory.size()) : options.steps,
      ", Sampler: ", webui_sampler(spec.options.sampler));
  for (const auto& [label, value] : labelled(options, spec, models))
    parameters += concat(", ", label, ": ", quoted(value));
  if (const std::string settings = scheduler_settings(spec.solver); !settings.empty())
    parameters += concat(", Solver: ", quoted(settings));
  parameters +=
      concat(", Size: ", spec.width * unit, "x", spec.height * unit, ", ", stitched_text(spec, models));
  if (const std::string hashes = lora_hashes(models, names); !hashes.empty())
    parameters += concat(", Lora hashes: ", quoted(hashes));
  if (const std::string hashes = embedding_hashes(spec); !hashes.empty())
    parameters += concat(", TI hashes: ", quoted(hashes));
  if (image >= 0) parameters += concat(", Image: ", image);
  parameters += concat(", Version: tstitch ", kVersion);
  std::vector<std::pair<std::string, std::string>> texts = {{"parameters", parameters}};
  const bool of_several =
      spec.options.given.initial || spec.options.given.steps;  // of whose files one is a part
  if (image < 0 || spec.images() == 1 || !of_several)
    texts.emplace_back(kOptionsKeyword,
                       to_json(options, false).dump(-1, ' ', true, ordered_json::error_handler_t::replace));
  texts.emplace_back("Software", concat("tstitch ", kVersion));
  return texts;
}

Said read_png_options(const std::string& path) {
  const auto text = read_png_text(path, kOptionsKeyword);
  check(text.has_value(), ErrorKind::input, "\"", printable(path),
        "\" does not say how it was made: expected a .png of tstitch, made without --no-metadata, and not one"
        " of several with --init-latent or --noise");
  return said_of(parse_json(*text, path), path);
}

}  // namespace tstitch
