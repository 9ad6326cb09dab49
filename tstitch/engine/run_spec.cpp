#include "tstitch/engine/run_spec.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tstitch/base/error.h"
#include "tstitch/base/philox.h"
#include "tstitch/diffusion/adaptive_switch.h"

namespace tstitch {
namespace {

constexpr int64_t kMostImages = 1'000'000;
constexpr int64_t kLargestSide = 1024;  // of a latent

void check_stitchable(const std::vector<ModelInfo>& models) {
  check(!models.empty(), ErrorKind::usage, "no model to sample with");
  for (size_t i = 1; i < models.size(); ++i) {
    const auto obstacles = stitch_obstacles(models[0], models[i]);
    check(obstacles.empty(), ErrorKind::input, "\"", models[0].path, "\" and \"", models[i].path,
          "\" cannot be stitched: ", obstacles.empty() ? "" : obstacles[0]);
  }
}

std::vector<int> assign(const SampleOptions& options, SwitchRule rule, size_t models,
                        std::span<const double> timesteps, int train_timesteps) {
  if (options.adaptive) {
    check(options.fractions.empty() && options.switch_steps.empty() && options.assignment.empty(),
          ErrorKind::usage,
          "--switch auto decides during sampling who serves a step: it excludes shares,"
          " --switch-step and plans");
    check(models == 2, ErrorKind::usage, "--switch auto leads from a small model to a large one, but there ",
          models == 1 ? "is 1 model" : concat("are ", models, " models"));
    check(!options.solver_reset, ErrorKind::usage,
          "--solver-reset forgets the steps of a whole batch at once, and with --switch auto its images"
          " switch one by one");
    return std::vector<int>(timesteps.size());
  }
  if (!options.assignment.empty()) {
    const auto [least, most] = std::ranges::minmax(options.assignment);
    check(options.assignment.size() == timesteps.size(), ErrorKind::usage, "models are named for ",
          options.assignment.size(), " steps, but the trajectory has ", timesteps.size());
    check(0 <= least && most < static_cast<int>(models), ErrorKind::usage, "a step is for model ",
          (least < 0 ? least : most) + 1, ", but there are ", models);
    return options.assignment;
  }
  if (!options.switch_steps.empty()) {
    check(options.switch_steps.size() + 1 == models, ErrorKind::usage, "--switch-step names ",
          options.switch_steps.size(), " switches, expected ", models - 1, " for ", models, " models");
    return assign_at(options.switch_steps, static_cast<int>(timesteps.size()));
  }
  std::vector<double> fractions = options.fractions;
  if (fractions.empty())
    fractions = models == 2 ? std::vector<double>{0.4, 0.6}
                            : std::vector<double>(models, 1.0 / static_cast<double>(models));
  check(fractions.size() == models, ErrorKind::usage, fractions.size(), " fractions for ", models, " models");
  return assign_steps(rule, fractions, timesteps, train_timesteps);
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
        " draws what a text says and has no classes: expected --prompt instead of --class");
  check(0 <= options.clip_skip && options.clip_skip <= 256, ErrorKind::usage, "--clip-skip is ",
        options.clip_skip, ", expected 1 ... the layers of the text encoder");
  check(!options.prompts.empty(), ErrorKind::usage, model.name,
        " draws what a text says: name it with --prompt");
  std::vector<int64_t> asked(options.prompts.size());
  std::iota(asked.begin(), asked.end(), int64_t{0});
  return repeated(options, asked);
}

std::vector<int64_t> image_classes(const SampleOptions& options, const ModelInfo& model) {
  const int64_t num_classes = model.num_classes;
  check(options.prompts.empty() && options.negative_prompt.empty(), ErrorKind::usage, model.name,
        " draws classes and understands no text: expected --class instead of a prompt");
  if (options.random_classes) {
    std::vector<int64_t> classes;
    for (uint64_t i = 0; i < static_cast<uint64_t>(options.batch_count); ++i) {
      // The purpose ~0 keeps this stream apart from the noise's (tstitch/diffusion/noise.h).
      const PhiloxBlock block =
          philox({0, ~0u, static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32)}, options.seed);
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
SpacingOptions spacing_of(const SampleOptions& options, const SamplingDefaults& defaults,
                          std::string_view sampler) {
  SpacingOptions spacing = options.spacing;
  if (!spacing.spacing) spacing.spacing = defaults.spacing.spacing;
  if (!spacing.spacing && (sampler == "ddim" || sampler == "ddpm")) spacing.spacing = defaults.ddim_spacing;
  if (!spacing.offset) spacing.offset = defaults.spacing.offset;
  spacing.ends_clean = defaults.spacing.ends_clean;
  return spacing;
}

std::vector<NoiseLevel> levels_of(const ModelInfo& model, const std::string& sampler,
                                  const SampleOptions& options, double strength) {
  const TrainingNoise& noise = model.noise;
  if (!noise.flow()) {
    SpacingOptions spacing = spacing_of(options, model.defaults, sampler);
    spacing.strength = strength;
    return make_levels(sampler, noise.betas(), options.steps, spacing);
  }
  check(sampler == "flow_euler", ErrorKind::usage, "sampler '", printable(sampler), "' for ", model.name,
        ", which is a rectified flow: expected flow_euler");
  check(!options.spacing.spacing && options.spacing.sigmas == SigmaSpacing::discrete, ErrorKind::usage,
        "--spacing and --scheduler are for models with betas, and ", model.name, " is a rectified flow");
  return make_levels(FlowSchedule{.shift = noise.shift, .train_timesteps = noise.timesteps}, options.steps,
                     strength);
}

std::optional<double> switch_threshold_of(const SampleOptions& options, double cfg_scale) {
  check(options.adaptive || !options.switch_threshold, ErrorKind::usage,
        "--switch-threshold is for --switch auto, which was not given");
  if (!options.adaptive) return {};
  const double threshold = options.switch_threshold.value_or(default_switch_threshold(cfg_scale));
  check(std::isfinite(threshold) && threshold >= 0, ErrorKind::usage, "--switch-threshold is ", threshold,
        ", expected 0 or more");
  return threshold;
}

void check_null_context(const Tensor& token, const ModelInfo& model) {
  if (!token) return;
  check(model.class_width > 0, ErrorKind::usage,
        "--uncond is for models whose classes are tokens of context"
        " with none for \"no class\" (LDM), and ",
        model.name, " is not one");
  check(token.elements() == 1 || token.elements() == model.class_width, ErrorKind::input, "--uncond holds ",
        token.elements(), " numbers, expected ", model.class_width);
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

void check_init_image(const RunSpec& spec, const ModelInfo& model) {
  if (!spec.init_image) return;
  const Shape expected = {model.pixels ? spec.channels : 3, spec.height * model.pixels_per_latent,
                          spec.width * model.pixels_per_latent};
  check(spec.init_image.shape() == expected, ErrorKind::usage, "the initial picture is ",
        spec.init_image.shape(), ", expected ", expected, " (channels, height, width)");
  check(!spec.given.initial, ErrorKind::usage, "an initial picture and an initial latent exclude each other");
}

}  // namespace

int64_t latent_side(const char* option, std::optional<int64_t> pixels, const ModelInfo& model) {
  if (!pixels) return model.side;
  const int64_t unit = model.pixels_per_latent * model.architecture->unit();
  check(*pixels >= unit && *pixels % unit == 0 && *pixels / model.pixels_per_latent <= kLargestSide,
        ErrorKind::usage, option, " is ", *pixels, ", expected a multiple of ", unit, " up to ",
        kLargestSide * model.pixels_per_latent);
  return *pixels / model.pixels_per_latent;
}

RunSpec make_run_spec(const std::vector<ModelInfo>& models, const SampleOptions& options) {
  check_stitchable(models);
  const ModelInfo& model = models.back();
  const std::string sampler = options.sampler.empty() ? model.defaults.sampler : options.sampler;
  check(is_solver(sampler), ErrorKind::usage, "--sampler \"", printable(sampler),
        "\" is not known, expected one of: ", solver_names());
  const std::vector<NoiseLevel> all = levels_of(model, sampler, options, 1);
  const std::vector<NoiseLevel> levels =
      options.init_image ? levels_of(model, sampler, options, options.strength) : all;
  // Shares are those of all steps; an assignment names the steps that are taken.
  const std::vector<NoiseLevel>& shared = options.assignment.empty() ? all : levels;
  std::vector<double> timesteps;  // of the steps: the last level is where they end
  for (size_t i = 0; i + 1 < shared.size(); ++i) timesteps.push_back(shared[i].t);
  std::vector<int> assignment = assign(options, options.switch_rule.value_or(model.defaults.switch_rule),
                                       models.size(), timesteps, model.noise.timesteps);
  assignment.erase(assignment.begin(), assignment.end() - (std::ssize(levels) - 1));
  const double eta = options.eta.value_or(model.defaults.eta);
  check(0 <= eta && eta <= 1, ErrorKind::usage, "--eta is ", eta, ", expected 0 ... 1");
  check(is_noise(options.rng), ErrorKind::usage, "--rng \"", printable(options.rng),
        "\" is not known, expected one of: ", noise_names());
  const double cfg_scale = options.cfg_scale.value_or(model.defaults.cfg_scale);
  check(std::isfinite(cfg_scale) && std::abs(cfg_scale) <= 1000, ErrorKind::usage, "--cfg-scale is ",
        cfg_scale, ", expected a number up to 1000");
  check(1 <= options.batch_size && options.batch_size <= 4096, ErrorKind::usage, "--batch-size is ",
        options.batch_size, ", expected 1 ... 4096");

  check(1 <= options.batch_count && options.batch_count <= kMostImages, ErrorKind::usage, "--batch-count is ",
        options.batch_count, ", expected 1 ... ", kMostImages);

  RunSpec spec = {
      .trajectory = Trajectory(levels, assignment),
      .switch_threshold = switch_threshold_of(options, cfg_scale),
      .sampler = sampler,
      .solver = {.eta = eta, .reset_at_switch = options.solver_reset},
      .cfg_scale = cfg_scale,
      .cfg_channels = guided_channels(options, model),
      .subjects = model.context_width ? image_prompts(options, model) : image_classes(options, model),
      .null_context = options.null_context,
      .prompts = options.prompts,
      .negative_prompt = options.negative_prompt,
      .clip_skip = options.clip_skip,
      .batch_size = options.batch_size,
      .seed = options.seed,
      .rng = options.rng,
      .channels = model.channels,
      .height = latent_side("--height", pixels_of(options.height, options.init_image, 1), model),
      .width = latent_side("--width", pixels_of(options.width, options.init_image, 2), model),
      .initial_scale = initial_scale(sampler, spacing_of(options, model.defaults, sampler), levels[0]),
      .given = options.given,
      .init_image = options.init_image};
  check_null_context(spec.null_context, model);
  check_given(spec.given, spec);
  check_init_image(spec, model);
  return spec;
}

}  // namespace tstitch
