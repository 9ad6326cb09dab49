#include "tstitch/engine/idle_options.h"

#include <algorithm>

#include "tstitch/base/error.h"
#include "tstitch/diffusion/solver.h"

namespace tstitch {

using Models = std::span<const ModelInfo>;

namespace {

std::string unless(bool effective, std::string reason) { return effective ? "" : std::move(reason); }

}  // namespace

std::string guides_nothing(const RunSpec& spec, Models models) {
  for (int i = 0; i < std::ssize(models); ++i)
    if (!spec.stages[static_cast<size_t>(i)].cfg_interval.whole() && spec.trajectory.steps_of(i) > 0 &&
        spec.guided_steps_of(i) == 0)
      return concat("cfg-interval= of stage ", i + 1, " holds none of its steps");
  return "";
}

std::string no_eta(const RunSpec& spec, Models) {
  return unless(traits_of(spec.options.sampler).eta,
                concat("it is for ddim and tcd, and the sampler is ", spec.options.sampler));
}

std::string no_multistep(const RunSpec& spec, Models models) {
  if (models.size() == 1) return "it is for several models, and there is one";
  return unless(traits_of(spec.options.sampler).multistep,
                concat("it is for multistep samplers, and ", spec.options.sampler, " is none"));
}

std::string no_step_noise(const RunSpec& spec, Models) {
  return unless(spec.draws_noise(),
                concat("it is the noise of the steps, and ", spec.options.sampler,
                       traits_of(spec.options.sampler).eta ? " with --eta 0" : "", " adds none"));
}

std::string nothing_drawn(const RunSpec& spec, Models models) {
  const bool drawn = !spec.options.given.initial || (spec.draws_noise() && !spec.options.given.steps) ||
                     spec.options.random_classes ||
                     (models.back().condition.kind == ConditionKind::class_tokens &&
                      spec.needs_null(models) && !spec.options.null_context);
  return unless(drawn, "all noise is given");
}

std::string no_shares(const RunSpec& spec, Models models) {
  if (models.size() == 1) return "it is for several models, and there is one";
  return unless(!spec.options.fractions.empty(), spec.switch_threshold
                                                     ? "with --switch auto every image decides by itself"
                                                     : "it makes steps of shares, and the steps are named");
}

std::string no_guidance(const RunSpec& spec, Models models) {
  const bool told = std::ranges::any_of(spec.stages, &Stage::guided);
  return unless(spec.needs_null(models), told ? "the network is told the scale of guidance and led away from"
                                                " nothing"
                                              : "it is for guidance, and --cfg-scale is 1");
}

std::string no_stage_takes_it(const RunSpec& spec, Models) {
  const auto& stages = spec.options.stages;
  return unless(stages.empty() || !std::ranges::all_of(
                                      stages, [](const StageOptions& s) { return s.cfg_scale.has_value(); }),
                "every --stage says its own cfg=");
}

std::string no_text(const RunSpec& spec, Models models) {
  return unless(!spec.options.prompts.empty(),
                concat("it is for models of text, and ", models.back().name, " draws classes"));
}

std::string unnamed_embedding(const RunSpec& spec, Models models) {
  const std::string reason = no_text(spec, models);
  return reason.empty() ? spec.idle_embedding : reason;
}

std::string unnamed_embedding_dir(const RunSpec& spec, Models models) {
  const std::string reason = no_text(spec, models);
  return reason.empty() ? spec.idle_embedding_dir : reason;
}

std::string no_negative_prompt(const RunSpec& spec, Models models) {
  if (const std::string reason = no_text(spec, models); !reason.empty()) return reason;
  const auto& stages = spec.options.stages;
  bool taken = false;
  for (size_t i = 0; i < spec.stages.size(); ++i)
    taken |= models[i].condition.needs_null(spec.stages[i].cfg_scale) &&
             (i >= stages.size() || !stages[i].negative_prompt);
  return unless(taken, spec.needs_null(models) ? "every guided --stage says its own negative="
                                               : no_guidance(spec, models));
}

std::string no_context(const RunSpec& spec, Models models) {
  if (models.back().condition.kind == ConditionKind::class_tokens) return no_guidance(spec, models);
  return concat("it is for models whose classes are tokens of context with none for \"no class\" (LDM), and ",
                models.back().name, " is not one");
}

std::string no_threads(const RunSpec& spec, Models models) {
  const std::string& device = spec.options.backend.device;
  const bool merges =
      std::ranges::any_of(models, [](const ModelInfo& model) { return !model.loras.empty(); });
  return unless(device == "cpu" || merges, concat("it is for cpu, and the device is ", device));
}

std::string no_sizes(const RunSpec&, Models models) {
  return unless(models.back().condition.pooled_width > 0,
                concat("it is for models that are told sizes (SDXL), and ", models.back().name, " is not"));
}

std::string no_target_size(const RunSpec& spec, Models models) {
  if (const std::string reason = no_sizes(spec, models); !reason.empty()) return reason;
  bool told = false;
  for (int i = 0; i < std::ssize(models); ++i)
    told |= spec.uses(i) && !models[static_cast<size_t>(i)].condition.scored;
  return unless(told, "a refiner is told a score instead");
}

std::string no_score(const RunSpec& spec, Models models) {
  bool told = false;
  for (int i = 0; i < std::ssize(models); ++i)
    told |= spec.uses(i) && models[static_cast<size_t>(i)].condition.scored;
  return unless(told, "it is for SDXL's refiner, and no model that serves a step is one");
}

std::string no_negative_score(const RunSpec& spec, Models models) {
  if (const std::string reason = no_score(spec, models); !reason.empty()) return reason;
  bool led = false;
  for (size_t i = 0; i < models.size(); ++i)
    led |= models[i].condition.scored && spec.uses(static_cast<int>(i)) && spec.stages[i].guided();
  return unless(led, "it is for guidance, and the refiner has none");
}

std::string no_empty_prompt(const RunSpec& spec, Models models) {
  if (const std::string reason = no_sizes(spec, models); !reason.empty()) return reason;
  bool empty = false;
  for (size_t i = 0; i < models.size(); ++i)
    empty |=
        models[i].condition.needs_null(spec.stages[i].cfg_scale) && spec.stages[i].negative_prompt.empty();
  return unless(empty, spec.needs_null(models) ? "every guided stage has a negative prompt"
                                               : no_guidance(spec, models));
}

std::string no_init_image(const RunSpec& spec, Models) {
  return unless(static_cast<bool>(spec.options.init_image),
                "it says how far to leave an initial picture: name one with --init-image");
}

std::string no_mask(const RunSpec& spec, Models) {
  return unless(static_cast<bool>(spec.mask), "it is about a mask: name one with --mask");
}

std::string steers_nothing(const RunSpec& spec, Models models) {
  for (size_t number = 0; number < spec.options.controls.size(); ++number) {
    const ControlOption& control = spec.options.controls[number];
    // Commands that choose who serves which step ask with one choice of many.
    bool steers = control.interval == ControlInterval();
    for (int i = 0; i < std::ssize(models); ++i) steers |= spec.steered_steps_of(i, number) > 0;
    if (!steers)
      return concat("interval= of \"", printable(control.path),
                    "\" holds none of the steps of the stages that it steers");
  }
  return "";
}

std::string nothing_blended(const RunSpec& spec, Models models) {
  if (const std::string reason = no_mask(spec, models); !reason.empty()) return reason;
  bool blended = false;
  for (int i = 0; i < std::ssize(models); ++i)
    blended |= spec.uses(i) && spec.blended[static_cast<size_t>(i)];
  return unless(blended, "every model that serves a step sees the mask itself");
}

}  // namespace tstitch
