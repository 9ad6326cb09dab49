#include "tstitch/engine/run_spec.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

#include "tstitch/base/error.h"
#include "tstitch/base/philox.h"
#include "tstitch/diffusion/adaptive_switch.h"
#include "tstitch/engine/controls.h"
#include "tstitch/engine/evaluation_counts.h"
#include "tstitch/engine/fields.h"
#include "tstitch/engine/init_image.h"
#include "tstitch/engine/mask.h"
#include "tstitch/engine/naming_option.h"
#include "tstitch/engine/take_embeddings.h"
#include "tstitch/engine/take_loras.h"
#include "tstitch/io/npy.h"
#include "tstitch/text/unsupported_grammar.h"
#include "tstitch/zoo/assets.h"
#include "tstitch/zoo/model.h"
#include "tstitch/zoo/scheduler_keys.h"

namespace tstitch {
namespace {

constexpr int64_t kMostImages = 1'000'000;
constexpr int64_t kLargestSide = 1024;  // of a latent
constexpr int64_t kLargestToldSize = 1 << 20;
constexpr double kLargestScale = 1000;  // of guidance
constexpr double kLargestScore = 10;    // of those of training
constexpr const char* kMaskAlone =
    "--mask says which part of an initial picture to paint: name that with --init-image";

void check_stitchable(const std::vector<ModelInfo>& models) {
  check(!models.empty(), ErrorKind::usage, "no model to sample with");
  for (size_t i = 1; i < models.size(); ++i) {
    const auto obstacles = stitch_obstacles(models[0], models[i]);
    check(obstacles.empty(), ErrorKind::input, "\"", models[0].path, "\" and \"", models[i].path,
          "\" cannot be stitched: ", obstacles.empty() ? "" : obstacles[0]);
  }
}

// Exactly one way of saying who serves which step; without any, 0.4 for the first of two models, equal shares
// of more.
void settle_shares(SampleOptions& options, size_t models) {
  const int ways = !options.fractions.empty() + !options.switch_steps.empty() + !options.assignment.empty() +
                   options.adaptive;
  check(
      ways <= 1 || !options.adaptive, ErrorKind::usage,
      "--switch auto decides during sampling who serves a step: it excludes shares, --switch-step and plans");
  check(ways <= 1, ErrorKind::usage, "shares, --switch-step and plans exclude each other");
  if (ways == 0)
    options.fractions = models == 2 ? std::vector<double>{0.4, 0.6}
                                    : std::vector<double>(models, 1.0 / static_cast<double>(models));
}

// 1 for no guidance, which 0 means too.
double checked_scale(const std::string& option, double scale) {
  check(scale == 0 || (1 <= scale && scale <= kLargestScale), ErrorKind::usage, option, scale,
        ", expected more than 1 ... ", kLargestScale, ", or 1 or 0 for none");
  return scale == 0 ? 1 : scale;
}

// What of the command line says how that stage is asked.
std::string stage_option(const SampleOptions& options, size_t i) {
  return i == 0 && !options.twin.empty() ? "--twin" : concat("--stage ", i + 1);
}

std::vector<Stage> stages_of(const SampleOptions& options, const std::vector<ModelInfo>& models) {
  std::vector<Stage> stages(
      models.size(),
      {.cfg_scale = *options.cfg_scale, .cfg_interval = {}, .negative_prompt = options.negative_prompt});
  for (size_t i = 0; i < options.stages.size(); ++i) {
    const StageOptions& said = options.stages[i];
    const std::string option = concat("--stage ", i + 1, ": ");
    Stage& stage = stages[i];
    if (said.cfg_scale) stage.cfg_scale = checked_scale(concat(option, "cfg= is "), *said.cfg_scale);
    check(stage.guided() || !(said.cfg_interval || said.negative_prompt), ErrorKind::usage, option,
          said.cfg_interval ? "cfg-interval=" : "negative=", " has no effect without guidance");
    const ConditionInfo& condition = models[i].condition;
    check(!said.negative_prompt || condition.kind == ConditionKind::text, ErrorKind::usage, option,
          "negative= is for models of text, and ", models[i].name, " draws classes");
    check(!said.negative_prompt || !condition.told_guidance, ErrorKind::usage, option,
          "negative= has no effect: ", models[i].name,
          " is told the scale of guidance and led away from nothing");
    stage.cfg_interval = said.cfg_interval.value_or(stage.cfg_interval);
    stage.negative_prompt = said.negative_prompt.value_or(stage.negative_prompt);
    check_prompt(stage.negative_prompt, options.prompt_style, AndMeans::word);
  }
  for (size_t i = 0; i < models.size(); ++i) {
    const ConditionInfo& condition = models[i].condition;
    for (const ModelControl& control : models[i].controls) stages[i].controls.push_back(control.number);
    stages[i].dtype = models[i].dtype;
    stages[i].form = models[i].form;
    check(stages[i].form == CheaperForm() || stages[i].controls.empty(), ErrorKind::usage,
          stage_option(options, i), ": ", to_string(stages[i].form),
          " does not go with a ControlNet, which steers every block of every "
          "evaluation: expected control=none, or a stage without it");
    stages[i].negative_is_zeros = condition.pooled_width > 0 && stages[i].negative_prompt.empty() &&
                                  options.empty_is_zeros.value_or(condition.empty_is_zeros);
  }
  return stages;
}

// "" for the run's.
std::string dtype_of_stage(const SampleOptions& options, size_t i) {
  const std::string of_run = decided_dtype(options.backend);
  if (i >= options.stages.size()) return "";
  const std::string dtype = options.stages[i].dtype.value_or(of_run);
  // What "auto" becomes is another thing on another machine.
  check(options.stages[i].dtype != options.backend.dtype, ErrorKind::usage, stage_option(options, i),
        ": dtype=", dtype, " is what --dtype makes of the whole run: expected another type, or none");
  if (dtype == of_run) return "";
  check(!options.backend.device.starts_with("cuda"), ErrorKind::usage, stage_option(options, i),
        ": dtype=", dtype, " is another than the run's ", of_run, ", and on the device ",
        printable(options.backend.device), " all stages have the same");
  return dtype;
}

// Why these cannot be asked so is known before anything is loaded.
CheaperForm form_of_stage(const SampleOptions& options, size_t i, const ModelInfo& model) {
  if (i >= options.stages.size() || options.stages[i].form == CheaperForm()) return {};
  const CheaperForm& form = options.stages[i].form;
  const std::string obstacle = model.architecture->form_obstacle(form);
  check(obstacle.empty(), ErrorKind::usage, stage_option(options, i), ": ", to_string(form),
        " does not go with ", model.name, ": ", obstacle);
  return form;
}

void check_adaptive(const SampleOptions& options, size_t models) {
  check(models == 2, ErrorKind::usage, "--switch auto leads from a small model to a large one, but there ",
        models == 1 ? "is 1 model" : concat("are ", models, " models"));
  check(!options.solver_reset, ErrorKind::usage,
        "--solver-reset forgets the steps of a whole batch at once, and with --switch auto its images"
        " switch one by one");
}

// Of the steps between `levels` their numbers among those between `all`: the last of these or, where the
// levels are others (which comes twice, see pndm.h, depends on the first; for LCM's see
// SpacingOptions::strength_keeps_steps), each the last that begins no lower.
std::vector<int> numbers_of(std::span<const NoiseLevel> all, std::span<const NoiseLevel> levels) {
  std::vector<int> numbers(levels.size() - 1);
  const size_t left_out = all.size() - std::min(all.size(), levels.size());
  std::iota(numbers.begin(), numbers.end(), static_cast<int>(left_out));
  if (std::ranges::equal(levels, all.subspan(left_out))) return numbers;
  const auto starts = all.first(all.size() - 1);
  std::ranges::transform(levels.first(numbers.size()), numbers.begin(), [&](const NoiseLevel& level) {
    const auto begun = std::find_if(starts.rbegin(), starts.rend(),
                                    [&](const NoiseLevel& start) { return start.t >= level.t; });
    return static_cast<int>(starts.rend() - begun) - 1;
  });
  return numbers;
}

// Of the steps of these numbers.
std::vector<int> assign(const SampleOptions& options, const ModelInfo& model, size_t models,
                        std::span<const NoiseLevel> all, const std::vector<int>& numbers) {
  const size_t steps = numbers.size();
  if (options.adaptive) {
    check_adaptive(options, models);
    return std::vector<int>(steps);
  }
  if (!options.assignment.empty()) {
    const auto [least, most] = std::ranges::minmax(options.assignment);
    check(options.assignment.size() == steps, ErrorKind::usage, "models are named for ",
          options.assignment.size(), " steps, but the trajectory has ", steps);
    check(0 <= least && most < static_cast<int>(models), ErrorKind::usage, "a step is for model ",
          (least < 0 ? least : most) + 1, ", but there are ", models);
    return options.assignment;
  }
  std::vector<int> assignment;  // of all steps: shares do not depend on where a run starts
  if (!options.switch_steps.empty()) {
    check(options.switch_steps.size() + 1 == models, ErrorKind::usage, "--switch-step names ",
          options.switch_steps.size(), " switches, expected ", models - 1, " for ", models, " models");
    assignment = assign_at(options.switch_steps, static_cast<int>(all.size()) - 1);
  } else {
    check(options.fractions.size() == models, ErrorKind::usage, options.fractions.size(), " fractions for ",
          models, " models");
    std::vector<double> timesteps;
    for (const NoiseLevel& level : all.first(all.size() - 1)) timesteps.push_back(level.t);
    assignment = assign_steps(*options.switch_rule, options.fractions, timesteps, model.noise.timesteps);
  }
  std::vector<int> own;
  for (const int number : numbers) own.push_back(assignment[static_cast<size_t>(number)]);
  return own;
}

// Each of `asked` as often as the options say.
std::vector<int64_t> repeated(const SampleOptions& options, const std::vector<int64_t>& asked) {
  check(std::ssize(asked) * options.batch_count <= kMostImages, ErrorKind::usage, "more than ", kMostImages,
        " images at once");
  std::vector<int64_t> all;
  for (const int64_t one : asked) all.insert(all.end(), static_cast<size_t>(options.batch_count), one);
  return all;
}

std::vector<int64_t> image_prompts(const SampleOptions& options, const ModelInfo& model) {
  check(options.classes.empty() && !options.random_classes, ErrorKind::usage, model.name,
        " draws what a text says and has no classes: expected --prompt ",
        options.prompts.empty() ? "instead of " : "without ",
        options.random_classes ? "--class random or --num-fid-samples" : "--class");
  check(0 <= options.clip_skip && options.clip_skip <= 256, ErrorKind::usage, "--clip-skip is ",
        options.clip_skip, ", expected 1 ... the layers of the text encoder");
  check(!options.prompts.empty(), ErrorKind::usage, model.name,
        " draws what a text says: name it with --prompt");
  for (const std::string& prompt : options.prompts) check_prompt(prompt, options.prompt_style);
  check_prompt(options.negative_prompt, options.prompt_style, AndMeans::word);
  std::vector<int64_t> asked(options.prompts.size());
  std::iota(asked.begin(), asked.end(), int64_t{0});
  return repeated(options, asked);
}

std::vector<int64_t> image_classes(const SampleOptions& options, const ModelInfo& model) {
  const int64_t num_classes = model.condition.num_classes;
  check(options.prompts.empty() && options.negative_prompt.empty(), ErrorKind::usage, model.name,
        " draws classes and understands no text: expected --class instead of a prompt");
  if (options.random_classes) {
    std::vector<int64_t> classes;
    for (int64_t i = 0; i < options.batch_count; ++i) {
      // The purpose ~0 keeps this stream apart from the noise's (tstitch/diffusion/noise.h).
      const PhiloxBlock block = philox({0, ~0u, 0, 0}, seed_of(options.rng, options.seed, i));
      classes.push_back(
          static_cast<int64_t>((uint64_t{block[0]} * static_cast<uint64_t>(num_classes)) >> 32));
    }
    return classes;
  }
  std::vector<int64_t> asked = options.classes;
  if (asked.empty() && num_classes == 1000) asked = {207, 360, 387, 974, 88, 979, 417, 279};
  if (asked.empty()) {
    asked.resize(static_cast<size_t>(num_classes));
    std::iota(asked.begin(), asked.end(), int64_t{0});
  }
  for (const int64_t c : asked)
    check(0 <= c && c < num_classes, ErrorKind::usage, "--class ", c,
          " is not a class of this model, expected 0 ... ", num_classes - 1);
  return repeated(options, asked);
}

// What is asked for, else the picture's.
std::optional<int64_t> pixels_of(std::optional<int64_t> asked, const Tensor& init_image, int axis) {
  if (asked || !init_image) return asked;
  return init_image.extent(axis);
}

int64_t guided_channels(const SampleOptions& options, const ModelInfo& model) {
  const int64_t asked = options.cfg_channels.value_or(model.defaults.cfg_channels);
  check(0 <= asked && asked <= model.channels, ErrorKind::usage, "--cfg-channels is ", asked,
        ", but the latents have ", model.channels, " channels");
  return asked == 0 ? model.channels : asked;
}

// What the user, else the model's scheduler, else the model's reference says about the spacing.
SpacingOptions spacing_of(const SampleOptions& options, const SamplingDefaults& defaults) {
  const std::string& sampler = options.sampler;
  SpacingOptions spacing = options.spacing;
  const auto& said = defaults.spacing;  // by the folder
  if (!spacing.spacing && said.spacing &&
      honours(sampler, "timestep_spacing", std::string(name_of(*said.spacing))))
    spacing.spacing = said.spacing;
  // A folder of Heun means diffusers' default; ours ends before t = 0 (timesteps.h).
  if (!spacing.spacing && sampler == "heun" && defaults.sampler == "heun")
    spacing.spacing = Spacing::linspace;
  if (!spacing.spacing && (sampler == "ddim" || sampler == "ddpm")) spacing.spacing = defaults.ddim_spacing;
  if (!spacing.offset) spacing.offset = defaults.spacing.offset;
  if (!spacing.sigmas && said.sigmas && spacing.timesteps.empty() &&
      honours(sampler, key_of(*said.sigmas), true))
    spacing.sigmas = said.sigmas;
  if (!spacing.sigmas) spacing.sigmas = SigmaSpacing::discrete;
  if (honours(sampler, "sigma_min")) spacing.lowest = said.lowest;
  if (honours(sampler, "sigma_max")) spacing.highest = said.highest;
  if (honours(sampler, "set_alpha_to_one")) spacing.ends_clean = defaults.spacing.ends_clean;
  if (honours(sampler, "final_sigmas_type")) spacing.ends_clean = !defaults.ends_at_lowest;
  spacing.distilled = defaults.spacing.distilled;
  spacing.strength_keeps_steps = defaults.spacing.strength_keeps_steps;
  return spacing;
}

// In N steps, of which this run leaves out the first ones.
SolverOptions solver_of(const SampleOptions& options, const ModelInfo& model, int N, int left_out) {
  const SamplingDefaults& defaults = model.defaults;
  const std::string& sampler = options.sampler;
  SolverOptions solver = sampler == defaults.sampler ? defaults.solver : SolverOptions{};
  solver.eta = *options.eta;
  solver.reset_at_switch = options.solver_reset;
  solver.left_out = left_out;
  if (!model.noise.flow())
    solver.schedule = std::make_shared<const NoiseSchedule>(model.noise.betas().with_finite_ratios());
  solver.averages_v = sampler == "pndm" && model.prediction == Parameterization::v;
  // As diffusers: UniPC always, single steps where the last would be a whole one, the others in few steps. A
  // step that ends clean is of order 1 anyway.
  const bool may_fall = sampler == "unipc" || (sampler == "dpm++2s" ? N % solver.order == 0 : N < 15);
  const bool falls_far = defaults.ends_at_lowest || solver.order > 2 || sampler == "deis";
  const bool own = sampler == defaults.sampler;
  if ((!own || defaults.lower_order_final) && may_fall && falls_far && honours(sampler, "lower_order_final"))
    solver.end = N - left_out;
  if (own && defaults.euler_at_final && defaults.ends_at_lowest && honours(sampler, "euler_at_final"))
    solver.first_order_at = N - left_out - 1;
  return solver;
}

std::vector<NoiseLevel> levels_of(const ModelInfo& model, const SampleOptions& options, double strength) {
  const TrainingNoise& noise = model.noise;
  const std::string& sampler = options.sampler;
  if (!noise.flow()) {
    SpacingOptions spacing = spacing_of(options, model.defaults);
    spacing.strength = strength;
    return make_levels(sampler, noise.betas(), options.steps, spacing);
  }
  check(sampler == "flow_euler", ErrorKind::usage, "sampler '", printable(sampler), "' for ", model.name,
        ", which is a rectified flow: expected flow_euler");
  check(options.spacing.timesteps.empty(), ErrorKind::usage, "--timesteps is for models with betas, and ",
        model.name, " is a rectified flow");
  check(!options.spacing.spacing &&
            options.spacing.sigmas.value_or(SigmaSpacing::discrete) == SigmaSpacing::discrete,
        ErrorKind::usage, "--spacing and --scheduler are for models with betas, and ", model.name,
        " is a rectified flow");
  return make_levels(FlowSchedule{.shift = noise.shift, .train_timesteps = noise.timesteps}, options.steps,
                     strength);
}

// Adds to the models' names what their stages say, LoRAs by their short names, and where different stages
// would have one name, as it is cut, their numbers.
void name_stages(const SampleOptions& options, std::vector<ModelInfo>& models) {
  std::set<std::string> paths;
  for (const StageOptions& stage : options.stages)
    for (const LoraOption& lora : stage.loras) paths.insert(lora.path);
  const std::map<std::string, std::string> names = short_names(paths);
  const size_t stages = std::min(options.stages.size(), models.size());
  std::vector<std::string> settings;
  for (size_t i = 0; i < stages; ++i) {
    StageOptions shown = options.stages[i];
    for (LoraOption& lora : shown.loras) lora.path = names.at(lora.path);
    settings.push_back(settings_of(shown));
    if (!settings[i].empty()) models[i].name += concat(" [", printable(settings[i], 60), "]");
  }
  const std::vector<std::string> named = names_of(models);
  for (size_t i = 0; i < stages; ++i) {
    bool cut = false;
    for (size_t j = 0; j < stages; ++j) cut |= named[j] == named[i] && settings[j] != settings[i];
    if (cut) models[i].name += concat(" #", i + 1);
  }
}

std::optional<double> switch_threshold_of(const SampleOptions& options) {
  check(options.adaptive || !options.switch_threshold, ErrorKind::usage,
        "--switch-threshold is for --switch auto, which was not given");
  if (!options.adaptive) return {};
  const double threshold = options.switch_threshold.value_or(default_switch_threshold(*options.cfg_scale));
  check(std::isfinite(threshold) && threshold >= 0, ErrorKind::usage, "--switch-threshold is ", threshold,
        ", expected 0 or more");
  return threshold;
}

Tensor read_null_context(const std::string& text) {
  if (text == "uniform") return {};
  if (text == "zeros") {
    Tensor zero({1}, DType::f32);
    *zero.data<float>() = 0;
    return zero;
  }
  check(text.ends_with(".npy"), ErrorKind::usage, "--uncond is \"", printable(text),
        "\", expected uniform, zeros or a .npy file");
  const Tensor token = read_npy(text);
  return token.reshape({token.elements()});
}

void check_null_context(const Tensor& token, std::span<const ModelInfo> models) {
  if (!token) return;
  for (const ModelInfo& model : models) {
    check(model.condition.kind == ConditionKind::class_tokens, ErrorKind::usage,
          "--uncond is for models whose classes are tokens of context"
          " with none for \"no class\" (LDM), and ",
          model.name, " is not one");
    check(token.elements() == 1 || token.elements() == model.condition.width, ErrorKind::input,
          "--uncond holds ", token.elements(), " numbers, expected ", model.condition.width, " for ",
          model.name);
  }
}

void check_given(const GivenLatents& given, const RunSpec& spec) {
  const Shape latents = {spec.images(), spec.channels, spec.height, spec.width};
  if (given.initial)
    check(given.initial.shape() == latents, ErrorKind::input, "--init-latent has the shape ",
          given.initial.shape(), ", expected ", latents, " (images, channels, height, width)");
  if (given.steps) {
    const Shape steps = {spec.trajectory.size(), spec.images(), spec.channels, spec.height, spec.width};
    check(given.steps.shape() == steps, ErrorKind::input, "--noise has the shape ", given.steps.shape(),
          ", expected ", steps, " (steps, images, channels, height, width)");
  }
}

// With the picture's size decided.
std::optional<PictureSizes> sizes_of(const SampleOptions& options, const ModelInfo& model) {
  if (model.condition.pooled_width == 0) return std::nullopt;
  const PixelSize picture = {.width = *options.width, .height = *options.height};
  const PictureSizes sizes = {.original = options.original_size.value_or(picture),
                              .crop = options.crop.value_or(PixelPoint{}),
                              .target = options.target_size.value_or(picture)};
  const auto expect = [](const char* option, std::initializer_list<int64_t> values, int64_t least) {
    for (const int64_t value : values)
      check(least <= value && value <= kLargestToldSize, ErrorKind::usage, option, " has ", value,
            ", expected ", least, " ... ", kLargestToldSize, " pixels");
  };
  expect("--original-size", {sizes.original.width, sizes.original.height}, 1);
  expect("--crop", {sizes.crop.left, sizes.crop.top}, 0);
  expect("--target-size", {sizes.target.width, sizes.target.height}, 1);
  return sizes;
}

AestheticScores scores_of(const SampleOptions& options) {
  AestheticScores scores;
  for (const auto& [option, asked, score] :
       {std::tuple{"--aesthetic-score", options.aesthetic_score, &scores.positive},
        {"--negative-aesthetic-score", options.negative_aesthetic_score, &scores.negative}}) {
    if (!asked) continue;
    check(0 <= *asked && *asked <= kLargestScore, ErrorKind::usage, option, " is ", *asked,
          ", expected 0 ... ", kLargestScore);
    *score = *asked;
  }
  return scores;
}

void check_init_image(const RunSpec& spec, const ModelInfo& model) {
  if (!spec.options.init_image) return;
  const double strength = *spec.options.strength;
  check(0 < strength && strength <= 1, ErrorKind::usage, "--strength is ", strength,
        ", expected more than 0 and at most 1");
  const Shape expected = {model.pixels ? spec.channels : 3, spec.height * model.pixels_per_latent,
                          spec.width * model.pixels_per_latent};
  check(spec.options.init_image.shape() == expected, ErrorKind::usage, "the initial picture is ",
        spec.options.init_image.shape(), ", expected ", expected, " (channels, height, width)");
  check(!spec.options.given.initial, ErrorKind::usage,
        "an initial picture and an initial latent exclude each other");
}

// The mask softened as asked; empty where there is none.
Tensor mask_of(const SampleOptions& options) {
  if (!options.mask) return {};
  check(static_cast<bool>(options.init_image), ErrorKind::usage, kMaskAlone);
  const Shape expected = {options.init_image.extent(1), options.init_image.extent(2)};
  check(options.mask.shape() == expected, ErrorKind::usage, "the mask is ", options.mask.shape(),
        ", expected ", expected, " (height, width) as the initial picture");
  check(0 <= options.mask_blur && options.mask_blur <= kMostMaskBlur, ErrorKind::usage, "--mask-blur is ",
        options.mask_blur, ", expected 0 ... ", kMostMaskBlur, " pixels");
  return blurred(options.mask, options.mask_blur);
}

void check_hints(const RunSpec& spec) {
  check(spec.options.hints.size() == spec.options.controls.size(), ErrorKind::usage,
        spec.options.controls.size(), " ControlNets with ", spec.options.hints.size(), " pictures to follow");
  for (const auto& picture : spec.options.hints)
    check(picture && !picture->pixels.empty(), ErrorKind::usage, "the picture of a ControlNet is empty");
  for (size_t number = 0; number < spec.options.controls.size(); ++number)
    check(
        std::ranges::any_of(
            spec.stages, [&](const Stage& stage) { return std::ranges::count(stage.controls, number) > 0; }),
        ErrorKind::usage, "the ControlNet \"", printable(spec.options.controls[number].path),
        "\" steers no model");
}

// The scale that nobody said is the last model's, and means something else to networks that are told it than
// to those that are evaluated with the prompt and without.
void check_scales_are_said(const SampleOptions& asked, const RunSpec& spec,
                           const std::vector<ModelInfo>& models) {
  const ModelInfo& last = models.back();
  for (size_t i = 0; i < models.size() && !asked.cfg_scale; ++i) {
    const bool told = models[i].condition.told_guidance,
               said = i < asked.stages.size() && asked.stages[i].cfg_scale;
    check(told == last.condition.told_guidance || said || !spec.uses(static_cast<int>(i)), ErrorKind::usage,
          told ? models[i].name : last.name, " is told the scale of guidance (LCM), and ",
          told ? last.name : models[i].name,
          " is led away from the negative prompt by it, or was distilled to need none: say it with "
          "--cfg-scale, or of each with --stage cfg=");
  }
}

// Those that were distilled are asked at the timesteps of their training.
void check_distilled(const RunSpec& spec, const std::vector<ModelInfo>& models) {
  const auto consistent = [](const std::string& sampler) { return sampler == "lcm" || sampler == "tcd"; };
  const std::optional<Spacing> spacing = spec.spacing.spacing;
  if (!spec.spacing.timesteps.empty() ||
      !(spacing ? *spacing == Spacing::lcm : consistent(spec.options.sampler)))
    return;
  for (int i = 0; i < std::ssize(models); ++i) {
    const ModelInfo& model = models[static_cast<size_t>(i)];
    const int own = model.defaults.spacing.distilled;
    check(!spec.uses(i) || !consistent(model.defaults.sampler) || own == spec.spacing.distilled,
          ErrorKind::input, model.name, " was distilled at ", own, " timesteps and ", models.back().name,
          " at ", spec.spacing.distilled,
          " (\"original_inference_steps\"): expected the same of models that take turns, or --timesteps");
  }
}

// Where images change over one by one, a step is several models': blending harms none that sees the mask.
std::vector<bool> blended_of(const std::vector<ModelInfo>& models, bool adaptive) {
  std::vector<bool> blended;
  for (const ModelInfo& model : models) blended.push_back(!model.condition.sees_mask);
  if (adaptive) blended.assign(models.size(), std::ranges::count(blended, true) > 0);
  return blended;
}

void check_mask(const RunSpec& spec, const std::vector<ModelInfo>& models) {
  for (int i = 0; i < std::ssize(models); ++i) {
    const ModelInfo& model = models[static_cast<size_t>(i)];
    check(spec.mask || !model.condition.sees_mask || !spec.uses(i), ErrorKind::usage, model.name,
          " was trained to paint a part of a picture: name the picture with --init-image and the part with "
          "--mask");
  }
  if (!spec.mask) return;
  const Tensor places = spec.painted_places();
  const float most = *std::max_element(places.data<float>(), places.data<float>() + places.elements());
  bool cut = false;  // at 1/2, for who was trained so
  for (int i = 0; i < std::ssize(models); ++i)
    cut |= spec.uses(i) && models[static_cast<size_t>(i)].condition.sees_mask;
  check(cut ? most >= 0.5f : most > 0, ErrorKind::usage,
        "--mask leaves nothing to paint: white is painted, and every pixel",
        models.back().pixels ? "" : " that stands for a place of the latent", cut ? " is dark" : " is black");
}

}  // namespace

void settle_stages(SampleOptions& options, size_t models) {
  std::vector<StageOptions>& stages = options.stages;
  if (stages.empty()) return;
  check(stages.size() == models, ErrorKind::usage, "--stage describes ", stages.size(), " stages, but there ",
        models == 1 ? "is 1 model" : concat("are ", models, " models"));
  const bool shares = std::ranges::any_of(stages, [](const StageOptions&s) { return s.share.has_value(); }),
             ends = std::ranges::any_of(stages, [](const StageOptions&s) { return s.until.has_value(); });
  if (!shares && !ends) return;
  check(!options.adaptive, ErrorKind::usage, "--switch auto excludes --stage with share= or until=");
  check(!shares || !ends, ErrorKind::usage, "--stage: share= and until= are not mixed");
  check(options.fractions.empty() && options.switch_steps.empty() && options.assignment.empty(),
        ErrorKind::usage,
        "a --stage with share= or until= excludes --ratio, --fractions, --switch-step and plans");
  check(!stages.back().until, ErrorKind::usage, "--stage ", models,
        " is the last and ends with the trajectory: until= is for those before");
  double rest = 1;
  for (size_t i = 0; i < models; ++i) {
    StageOptions& stage = stages[i];
    const bool last = i + 1 == models;
    check(last || stage.share || stage.until, ErrorKind::usage, "--stage ", i + 1, " has no ",
          shares ? "share=" : "until=", ": only the last stage takes the rest");
    check(!last || !shares || stage.share || rest > -1e-9, ErrorKind::usage,
          "--stage: the shares add up to more than 1");
    if (shares) options.fractions.push_back(stage.share.value_or(std::max(0.0, rest)));
    if (ends && !last) options.switch_steps.push_back(*stage.until);
    rest -= stage.share.value_or(0);
    stage.share.reset();
    stage.until.reset();
  }
}

void read_files(SampleOptions& options, std::span<const ModelInfo> models, const PictureReader& picture_of) {
  const SampleOptions::Files& files = options.files;
  check(files.mask.empty() || !files.init_image.empty(), ErrorKind::usage, kMaskAlone);
  // First: whatever is wrong with a file that has changed, that is why.
  const auto known = [&](const char* field, const std::string& path) -> const std::string& {
    take_content(options.contents, field, path);
    return path;
  };
  const auto picture_named = [&](const char* field, const std::string& name) {
    if (picture_of) return picture_of(name);
    known(field, name);
    return naming_option(field_named(field).option(),
                         [&] { return std::make_shared<const Image>(read_picture(name)); });
  };
  if (!files.init_image.empty()) {
    const auto picture = picture_named("init_image", files.init_image);
    options.init_image =
        make_init_image(*picture, files.init_image, models.back(), options.width, options.height);
    if (!files.mask.empty())
      options.mask = make_mask(*picture_named("mask", files.mask), files.mask, *picture, options.init_image);
  }
  if (!files.init_latent.empty()) options.given.initial = read_npy(known("init_latent", files.init_latent));
  if (!files.noise.empty()) options.given.steps = read_npy(known("noise", files.noise));
  if (files.null_context.ends_with(".npy")) known("uncond", files.null_context);
  if (!files.null_context.empty()) options.null_context = read_null_context(files.null_context);
  options.hints.clear();
  for (const ControlOption& control : options.controls)
    options.hints.push_back(picture_named("control_net", control.image));
}

bool RunSpec::needs_null(std::span<const ModelInfo> models) const {
  for (size_t i = 0; i < stages.size(); ++i)
    if (models[i].condition.needs_null(stages[i].cfg_scale)) return true;
  return false;
}

double RunSpec::cfg_scale_at(const Step& step) const {
  const Stage& stage = stages[static_cast<size_t>(step.denoiser)];
  return stage.cfg_interval.holds(numbers[static_cast<size_t>(step.index)], all_steps) ? stage.cfg_scale : 1;
}

Tensor RunSpec::painted_places() const {
  return mask ? latent_mask(mask, mask.extent(0) / height) : Tensor();
}

int RunSpec::guided_steps_of(int model) const {
  return static_cast<int>(std::ranges::count_if(
      trajectory, [&](const Step& step) { return step.denoiser == model && cfg_scale_at(step) != 1; }));
}

uint64_t RunSpec::controls_at(int stage, int step) const {
  const std::vector<size_t>& own = stages[static_cast<size_t>(stage)].controls;
  uint64_t held = 0;
  for (size_t i = 0; i < own.size(); ++i)
    if (options.controls[own[i]].interval.holds(numbers[static_cast<size_t>(step)], all_steps))
      held |= uint64_t{1} << i;
  return held;
}

int RunSpec::steered_steps_of(int model, size_t control) const {
  const std::vector<size_t>& own = stages[static_cast<size_t>(model)].controls;
  const auto at = std::ranges::find(own, control) - own.begin();
  if (at == std::ssize(own)) return 0;
  return static_cast<int>(std::ranges::count_if(trajectory, [&](const Step& step) {
    return (switch_threshold || step.denoiser == model) && (controls_at(model, step.index) >> at & 1);
  }));
}

bool RunSpec::draws_noise() const {
  const SolverTraits traits = traits_of(options.sampler);
  return traits.noise || (traits.eta && solver.eta > 0);
}

uint64_t seed_of_repeat(const SampleOptions& options, int64_t repeat, int64_t images) {
  // PyTorch's images have S, S + 1, ...; with philox runs of neighbouring seeds share nothing.
  return options.seed + static_cast<uint64_t>(options.rng == "philox" ? repeat : repeat * images);
}

std::vector<ModelInfo> read_models(const SampleOptions& options, const ContentReader& content) {
  std::optional<Parameterization> prediction;
  for (const auto known : {Parameterization::eps, Parameterization::v, Parameterization::x0})
    if (options.prediction == name_of(known)) prediction = known;
  check(prediction.has_value() == !options.prediction.empty(), ErrorKind::usage, "--prediction is \"",
        printable(options.prediction), "\", expected eps, v or x0");
  std::vector<std::string> paths;  // one each, for names tell different files apart
  for (const std::string& name : options.models)
    if (const std::string path = resolve_model(name); !std::ranges::count(paths, path)) paths.push_back(path);
  const auto infos = read_model_infos(paths, parse_weight_choice(options.weights), prediction);
  std::vector<ModelInfo> models;
  for (size_t i = 0; i < options.models.size(); ++i) {
    const auto path = std::ranges::find(paths, resolve_model(options.models[i]));
    models.push_back(infos[static_cast<size_t>(path - paths.begin())]);
    models.back().dtype = dtype_of_stage(options, i);
    models.back().form = form_of_stage(options, i, models.back());
  }
  name_stages(options, models);
  take_loras(options, models);
  take_controls(options, models, content);
  return models;
}

int64_t latent_side(const char* option, std::optional<int64_t> pixels, std::span<const ModelInfo> models) {
  const ModelInfo& model = models.back();
  if (!pixels) return model.side;
  int64_t unit = model.pixels_per_latent;
  for (const ModelInfo& each : models)
    unit = std::lcm(unit, model.pixels_per_latent * each.architecture->unit());
  const int64_t most = kLargestSide * model.pixels_per_latent / unit * unit,
                below = std::clamp(*pixels / unit * unit, unit, most), above = std::min(below + unit, most);
  const std::string nearest = *pixels <= unit || above == below
                                  ? concat("the nearest is ", below)
                                  : concat("the nearest are ", below, " and ", above);
  check(*pixels >= unit && *pixels % unit == 0 && *pixels <= most, ErrorKind::usage, option, " is ", *pixels,
        ", expected a multiple of ", unit, " up to ", most, ": ", nearest);
  return *pixels / model.pixels_per_latent;
}

void check_forms(const RunSpec& spec) {
  for (size_t i = 0; i < spec.stages.size(); ++i) {
    const CheaperForm& form = spec.stages[i].form;
    if (!form.cache.focus) continue;
    check(
        !spec.switch_threshold, ErrorKind::usage, stage_option(spec.options, i), ": ", to_string(form),
        " lays evaluations around one of the stage's, and with --switch auto every image has its own number");
    const int64_t most = most_evaluations(spec, static_cast<int>(i));
    check(most == 0 || form.cache.focus->center < most, ErrorKind::usage, stage_option(spec.options, i), ": ",
          to_string(form), ": center= is evaluation ", form.cache.focus->center,
          " of the stage, counted from 0, and it has ", most);
    try {
      evaluation_counts(spec, static_cast<int>(i));
    } catch (const Error& error) {
      fail(error.kind(), stage_option(spec.options, i), ": ", to_string(form), ": ", error.what());
    }
  }
}

RunSpec make_run_spec(const std::vector<ModelInfo>& models, const SampleOptions& asked) {
  const RunSpec spec = make_spec_of_steps(models, asked);
  check_forms(spec);
  return spec;
}

RunSpec make_spec_of_steps(const std::vector<ModelInfo>& models, const SampleOptions& asked) {
  check_stitchable(models);
  const ModelInfo& model = models.back();
  SampleOptions options = asked;
  if (options.sampler.empty()) {
    check(model.defaults.refusal.empty(), ErrorKind::input, model.defaults.refusal);
    options.sampler = model.defaults.sampler;
  }
  if (options.sampler == "euler" && model.noise.flow()) options.sampler = "flow_euler";  // the same there
  check(is_solver(options.sampler), ErrorKind::usage, "--sampler \"", printable(options.sampler),
        "\" is not known, expected one of: ", solver_names());
  if (options.steps.empty() && options.spacing.timesteps.empty())
    options.steps = std::to_string(model.defaults.steps);
  if (!options.switch_rule) options.switch_rule = model.defaults.switch_rule;
  if (!options.eta) options.eta = model.defaults.eta;
  check(0 <= *options.eta && *options.eta <= 1, ErrorKind::usage, "--eta is ", *options.eta,
        ", expected 0 ... 1");
  if (!options.cfg_scale) options.cfg_scale = model.defaults.cfg_scale;
  options.cfg_scale = checked_scale("--cfg-scale is ", *options.cfg_scale);
  options.cfg_channels = guided_channels(options, model);
  check(is_noise(options.rng), ErrorKind::usage, "--rng \"", printable(options.rng),
        "\" is not known, expected one of: ", noise_names());
  check(1 <= options.batch_size && options.batch_size <= 4096, ErrorKind::usage, "--batch-size is ",
        options.batch_size, ", expected 1 ... 4096");
  check(1 <= options.batch_count && options.batch_count <= kMostImages, ErrorKind::usage, "--batch-count is ",
        options.batch_count, ", expected 1 ... ", kMostImages);
  check(0 <= options.backend.threads && options.backend.threads <= kMostThreads, ErrorKind::usage,
        "--threads is ", options.backend.threads, ", expected 0 (all processors) to ", kMostThreads);
  options.backend.dtype = decided_dtype(options.backend);
  for (StageOptions& stage : options.stages)
    if (stage.dtype == options.backend.dtype) stage.dtype.reset();  // what "auto" is here
  if (!options.strength) options.strength = options.mask ? 1 : 0.75;
  settle_stages(options, models.size());
  settle_shares(options, models.size());
  options.switch_threshold = switch_threshold_of(options);
  const int64_t height = latent_side("--height", pixels_of(options.height, options.init_image, 1), models),
                width = latent_side("--width", pixels_of(options.width, options.init_image, 2), models);
  options.height = height * model.pixels_per_latent;
  options.width = width * model.pixels_per_latent;

  check(!options.adaptive || height * width > 1, ErrorKind::usage,
        "--switch auto compares neighbours in the latent, which has one place: expected a larger --width or"
        " --height");
  const SpacingOptions spacing = spacing_of(options, model.defaults);
  const std::vector<NoiseLevel> all = levels_of(model, options, 1);
  const std::vector<NoiseLevel> levels =
      options.init_image ? levels_of(model, options, *options.strength) : all;
  const std::vector<int> numbers = numbers_of(all, levels);
  const Trajectory trajectory(levels, assign(options, model, models.size(), all, numbers));
  const ModelInfo& first = models[static_cast<size_t>(trajectory[0].denoiser)];
  check(levels[0].alpha > 0 || first.prediction != Parameterization::eps, ErrorKind::input, "\"", first.path,
        "\" predicts eps, from which nothing follows for a picture where its noise schedule ends without any "
        "signal (\"rescale_betas_zero_snr\"), and ",
        options.sampler, " starts there: expected another sampler, or spacing leading");
  RunSpec spec = {.options = options,
                  .spacing = spacing,
                  .trajectory = trajectory,
                  .switch_threshold = options.switch_threshold,
                  .solver = solver_of(options, model, static_cast<int>(all.size()) - 1,
                                      static_cast<int>(all.size() - levels.size())),
                  .stages = stages_of(options, models),
                  .numbers = numbers,
                  .all_steps = static_cast<int>(all.size()) - 1,
                  .cfg_channels = *options.cfg_channels,
                  .subjects = model.condition.kind == ConditionKind::text ? image_prompts(options, model)
                                                                          : image_classes(options, model),
                  .channels = model.channels,
                  .height = height,
                  .width = width,
                  .initial_scale = initial_scale(options.sampler, spacing, levels[0]),
                  .sizes = sizes_of(options, model),
                  .scores = scores_of(options),
                  .embeddings = {},
                  .idle_embedding = {},
                  .idle_embedding_dir = {},
                  .mask = mask_of(options),
                  .blended = blended_of(models, options.adaptive)};
  check_scales_are_said(asked, spec, models);
  check_distilled(spec, models);
  check_null_context(options.null_context, models);
  check_given(options.given, spec);
  check_init_image(spec, model);
  check_hints(spec);
  check_mask(spec, models);
  take_embeddings(spec, models);
  spec.options.contents = contents_of(spec, models);
  return spec;
}

}  // namespace tstitch
