#include "tstitch/engine/fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/base/hash.h"
#include "tstitch/base/join.h"
#include "tstitch/condition/class_names.h"
#include "tstitch/diffusion/solver.h"
#include "tstitch/diffusion/trajectory.h"
#include "tstitch/io/npy.h"
#include "tstitch/io/refuse.h"
#include "tstitch/zoo/assets.h"

namespace tstitch {
namespace {

using nlohmann::json;
using Models = std::span<const ModelInfo>;

constexpr std::string_view kShares = "ratio,fractions,switch_step,switch,assignment,stage";

// ---- values as texts

template <class Value>
concept Number = std::is_arithmetic_v<Value>;

void read(const Field&, const std::string& text, std::string& value) { value = text; }

void read(const Field&, const std::string& text, bool& value) { value = text == "true"; }

template <Number Value>
void read(const Field& field, const std::string& text, Value& value) {
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  check(error == std::errc() && end == last, ErrorKind::usage, field.option(), " is \"", printable(text),
        "\", expected ", std::is_floating_point_v<Value> ? "a number" : "a whole number");
}

template <class Name>
void read_name(const Field& field, const std::string& text, Name& value, std::optional<Name> parsed,
               const std::string& names) {
  check(parsed.has_value(), ErrorKind::usage, field.option(), " \"", printable(text),
        "\" is not known, expected one of: ", names);
  value = *parsed;
}
void read(const Field& field, const std::string& text, SwitchRule& value) {
  read_name(field, text, value, parse_switch_rule(text), "dit, ldm, step, lcm, round");
}
void read(const Field& field, const std::string& text, Spacing& value) {
  read_name(field, text, value, parse_spacing(text), spacing_names());
}
void read(const Field& field, const std::string& text, PromptStyle& value) {
  read_name(field, text, value, parse_prompt_style(text), "webui, plain");
}
void read(const Field& field, const std::string& text, SigmaSpacing& value) {
  read_name(field, text, value, parse_sigma_spacing(text), sigma_spacing_names());
}

template <class Value>
void read(const Field& field, const std::string& text, std::optional<Value>& value) {
  read(field, text, value.emplace());
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    std::string part = text.substr(begin, end - begin);
    part.erase(0, part.find_first_not_of(' '));
    part.erase(part.find_last_not_of(' ') + 1);
    parts.push_back(part);
    begin = end + 1;
  }
  return parts;
}

template <class Value>
void read(const Field& field, const Texts& texts, Value& value) {
  read(field, texts.at(0), value);
}
template <class Value>
void read(const Field& field, const Texts& texts, std::vector<Value>& values) {
  values.clear();
  for (const std::string& text : texts)
    for (const std::string& part : split(text)) read(field, part, values.emplace_back());
}

// The shortest that reads back as the same.
std::string number_text(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

json value_of(std::string_view value) { return value.empty() ? json() : json(value); }
template <Number Value>
json value_of(Value value) {
  return value;
}
json value_of(SwitchRule rule) { return name_of(rule); }
json value_of(Spacing spacing) { return name_of(spacing); }
json value_of(SigmaSpacing spacing) { return name_of(spacing); }
json value_of(PromptStyle style) { return name_of(style); }
template <class Value>
json value_of(const std::optional<Value>& value) {
  return value ? value_of(*value) : json();
}
template <class Value>
json value_of(const std::vector<Value>& values) {
  return values.empty() ? json() : json(values);
}

// ---- kinds of fields

// The member at the end of a path of members.
template <auto First, auto... Rest>
auto& reach(auto& object) {
  if constexpr (sizeof...(Rest) == 0)
    return object.*First;
  else
    return reach<Rest...>(object.*First);
}

// What stands in the options as it is said.
template <auto... Path>
Field member(Field field) {
  field.parse = [](const Field& self, const Texts& texts, SampleOptions& options, Models) {
    read(self, texts, reach<Path...>(options));
  };
  field.print = [](const SampleOptions& options) { return value_of(reach<Path...>(options)); };
  return field;
}

// The same of one that may be said several times, a value each.
template <auto... Path>
Field members(Field field) {
  field.form = Field::Form::values;
  field.parse = [](const Field&, const Texts& texts, SampleOptions& options, Models) {
    reach<Path...>(options) = texts;
  };
  field.print = [](const SampleOptions& options) { return value_of(reach<Path...>(options)); };
  return field;
}

// Only another way to say what other fields print.
json nothing(const SampleOptions&) { return {}; }

json as_printed(const Field& field, const RunSpec& spec) { return field.print(spec.options); }

json hash_of(const Tensor& tensor) {
  if (!tensor) return {};
  return hex(fnv1a(tensor.bytes(), static_cast<size_t>(tensor.elements() * size_of(tensor.dtype()))));
}

// ---- what single fields need

// "0.4" or "40%".
double parse_share(const Field& field, const std::string& text) {
  const bool percent = text.ends_with('%');
  double share = 0;
  read(field, percent ? text.substr(0, text.size() - 1) : text, share);
  if (percent) share /= 100;
  check(0 <= share && share <= 1, ErrorKind::usage, field.option(), " is ", printable(text),
        ", expected 0 ... 1");
  return share;
}

void parse_ratio(const Field& field, const Texts& texts, SampleOptions& options, Models models) {
  const double ratio = parse_share(field, texts.at(0));
  const size_t count = models.size();
  check(count == 2, ErrorKind::usage, "--ratio shares a trajectory between two models, but there ",
        count == 1 ? "is 1" : concat("are ", count), count > 2 ? ": use --fractions" : "");
  options.fractions = {ratio, 1 - ratio};
}

// 53 bits, which JSON and every reader of it keep.
uint64_t drawn_seed() {
  std::random_device device;
  return ((uint64_t{device()} << 32) | device()) >> 11;
}

void parse_seed(const Field& field, const Texts& texts, SampleOptions& options, Models) {
  if (texts.at(0) == "-1") {
    options.seed = drawn_seed();
    return;
  }
  const char* last = texts[0].data() + texts[0].size();
  const auto [end, error] = std::from_chars(texts[0].data(), last, options.seed);
  check(error == std::errc() && end == last, ErrorKind::usage, field.option(), " is \"", printable(texts[0]),
        "\", expected 0 ... 18446744073709551615, or -1 for one that is drawn");
}

// Numbers and names with commas between; no class name holds a comma.
void parse_classes(const Field& field, const Texts& texts, SampleOptions& options, Models models) {
  options.random_classes = texts.at(0) == "random";
  if (options.random_classes) return;
  const ClassNames names(models.back());
  for (const std::string& part : split(texts[0])) {
    const bool number = !part.empty() && part.find_first_not_of("-0123456789") == part.npos;
    if (number)
      read(field, part, options.classes.emplace_back());
    else
      options.classes.push_back(names.find(part));
  }
}

json print_classes(const SampleOptions& options) {
  return options.random_classes    ? json("random")
         : options.classes.empty() ? json()
                                   : json(join(options.classes, ","));
}

void parse_cfg_channels(const Field& field, const Texts& texts, SampleOptions& options, Models) {
  options.cfg_channels = 0;
  if (texts.at(0) != "all") read(field, texts[0], options.cfg_channels);
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

json stage_texts(const std::vector<StageOptions>& stages, std::string (*text)(const StageOptions&)) {
  json texts;
  for (const StageOptions& stage : stages) texts.push_back(text(stage));
  return texts;
}

// ---- why a field has no effect

std::string unless(bool effective, std::string reason) { return effective ? "" : std::move(reason); }

std::string no_eta(const RunSpec& spec, Models) {
  return unless(traits_of(spec.options.sampler).eta,
                concat("it is for ddim, and the sampler is ", spec.options.sampler));
}

std::string no_multistep(const RunSpec& spec, Models models) {
  if (models.size() == 1) return "it is for several models, and there is one";
  return unless(traits_of(spec.options.sampler).multistep,
                concat("it is for multistep samplers, and ", spec.options.sampler, " is none"));
}

std::string no_step_noise(const RunSpec& spec, Models) {
  return unless(spec.draws_noise(),
                concat("it is the noise of the steps, and ", spec.options.sampler,
                       spec.options.sampler == "ddim" ? " with --eta 0" : "", " adds none"));
}

std::string nothing_drawn(const RunSpec& spec, Models models) {
  const bool drawn = !spec.options.given.initial || (spec.draws_noise() && !spec.options.given.steps) ||
                     spec.options.random_classes ||
                     (models.back().condition.kind == ConditionKind::class_tokens && spec.guided() &&
                      !spec.options.null_context);
  return unless(drawn, "all noise is given");
}

std::string no_shares(const RunSpec& spec, Models models) {
  if (models.size() == 1) return "it is for several models, and there is one";
  return unless(!spec.options.fractions.empty(), spec.switch_threshold
                                                     ? "with --switch auto every image decides by itself"
                                                     : "it makes steps of shares, and the steps are named");
}

std::string no_guidance(const RunSpec& spec, Models) {
  return unless(spec.guided(), "it is for guidance, and --cfg-scale is 1");
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

std::string no_negative_prompt(const RunSpec& spec, Models models) {
  const std::string reason = no_text(spec, models);
  return reason.empty() ? no_guidance(spec, models) : reason;
}

std::string no_context(const RunSpec& spec, Models models) {
  if (models.back().condition.kind == ConditionKind::class_tokens)
    return spec.guided() ? "" : "it is for guidance, and --cfg-scale is 1";
  return concat("it is for models whose classes are tokens of context with none for \"no class\" (LDM), and ",
                models.back().name, " is not one");
}

std::string no_init_image(const RunSpec& spec, Models) {
  return unless(static_cast<bool>(spec.options.init_image),
                "it says how far to leave an initial picture: name one with --init-image");
}

std::string no_adaptive(const RunSpec& spec, Models) {
  return unless(spec.switch_threshold.has_value(), "it is for --switch auto, which was not given");
}

std::vector<Field> make_fields() {
  return {
      members<&SampleOptions::models>(
          {.name = "model",
           .flags = "-m,--model",
           .group = kModels,
           .help = "A checkpoint (.safetensors, .pt, .ckpt, .bin), a folder of diffusers, or a demo model"
                   " (fashion-s, fashion-b, fashion-l); repeat it in order of use, small first. Default:"
                   " fashion-s, fashion-l",
           .common = true,
           .replaces = "small,large"}),
      member<&SampleOptions::small>({.name = "small",
                                     .flags = "--small,--s-ckpt",
                                     .group = kModels,
                                     .help = "The first of two models",
                                     .replaces = "model"}),
      member<&SampleOptions::large>({.name = "large",
                                     .flags = "--large,--xl-ckpt",
                                     .group = kModels,
                                     .help = "The second of two models",
                                     .replaces = "model"}),
      member<&SampleOptions::weights>(
          {.name = "weights",
           .flags = "--weights",
           .group = kModels,
           .help = "Of training checkpoints: ema (their running average), model (what was trained), or auto:"
                   " ema where there is one. Default: auto",
           .neutral = "\"auto\""}),
      member<&SampleOptions::prediction>(
          {.name = "prediction",
           .flags = "--prediction",
           .group = kModels,
           .help =
               "What the models were trained to predict: eps, v or x0. Default: as their files say; single"
               " files of Stable Diffusion 2 say nothing and are taken for v"}),
      member<&SampleOptions::vae>(
          {.name = "vae",
           .flags = "--vae",
           .group = kModels,
           .help = "The autoencoder that makes pictures of latents: a file (AutoencoderKL or TAESD) or"
                   " diffusers' folder. Default: what comes with the last model"}),

      {.name = "stage",
       .flags = "--stage",
       .group = kModels,
       .help =
           "Instead of shares, one for each stage in order of use: model=PATH (else the --model of the same"
           " number), share=F or until=STEP (the last stage takes the rest), cfg=S, cfg-interval=LOW:HIGH"
           " (the steps that are guided, as shares of all), negative=TEXT; commas between, a value with a"
           " comma in double quotes",
       .form = Field::Form::values,
       .replaces = "ratio,fractions,switch_step,switch",
       .parse =
           [](const Field&, const Texts& texts, SampleOptions& o, Models) {
             for (const std::string& text : texts) o.stages.push_back(parse_stage(text));
           },
       .print = [](const SampleOptions& o) { return stage_texts(o.stages, to_string); },
       .identity = [](const Field&,
                      const RunSpec& spec) { return stage_texts(spec.options.stages, settings_of); },
       .label = "Stages"},

      {.name = "ratio",
       .flags = "--ratio",
       .group = kTrajectory,
       .help =
           "Share of the trajectory given to the first of two models, 0 ... 1 or in percent. Default: 0.4",
       .common = true,
       .replaces = kShares,
       .parse = parse_ratio,
       .print =
           [](const SampleOptions& o) {
             return o.stages.empty() && o.fractions.size() == 2 ? json(o.fractions[0]) : json();
           }},
      {.name = "fractions",
       .flags = "--fractions,--three-combo",
       .group = kTrajectory,
       .help = "Shares of all the models, sum 1: 0.4,0.2,0.4",
       .replaces = kShares,
       .parse = [](const Field& self, const Texts& texts, SampleOptions& o,
                   Models) { read(self, texts, o.fractions); },
       .print =
           [](const SampleOptions& o) {
             return o.stages.empty() && o.fractions.size() != 2 ? value_of(o.fractions) : json();
           }},
      {.name = "switch_step",
       .flags = "--switch-step",
       .group = kTrajectory,
       .help = "Instead: the step after which the next model takes over, one for each switch",
       .replaces = kShares,
       .parse = [](const Field& self, const Texts& texts, SampleOptions& o,
                   Models) { read(self, texts, o.switch_steps); },
       .print = [](const SampleOptions& o) { return o.stages.empty() ? value_of(o.switch_steps) : json(); }},
      {.name = "switch",
       .flags = "--switch",
       .group = kTrajectory,
       .help = "share, or auto: every image leaves the first of two models by itself, see docs/adaptive.md."
               " Default: share",
       .replaces = kShares,
       .parse =
           [](const Field&, const Texts& texts, SampleOptions& o, Models) {
             check(texts.at(0) == "share" || texts[0] == "auto", ErrorKind::usage, "--switch is \"",
                   printable(texts[0]), "\", expected share or auto");
             o.adaptive = texts[0] == "auto";
           },
       .print = [](const SampleOptions& o) { return o.adaptive ? json("auto") : json(); },
       .neutral = "\"share\""},
      member<&SampleOptions::switch_threshold>(
          {.name = "switch_threshold",
           .flags = "--switch-threshold",
           .group = kTrajectory,
           .help =
               "How far details of an image stand out of the noise before --switch auto changes its model."
               " Default: (1 + cfg scale) / 80, 40 % of the steps of the demo family",
           .idle = no_adaptive}),
      {.name = "assignment",
       .group = kTrajectory,
       .replaces = "ratio,fractions,switch_step,switch",
       .parse = [](const Field&, const Texts& texts, SampleOptions& o,
                   Models) { o.assignment = parse_assignment(texts.at(0)); },
       .print =
           [](const SampleOptions& o) {
             return o.assignment.empty() ? json() : json(format_assignment(o.assignment));
           }},
      member<&SampleOptions::switch_rule>(
          {.name = "switch_rule",
           .flags = "--switch-rule",
           .group = kTrajectory,
           .help = "How a share becomes steps: dit, ldm, step, lcm (the reference's own comparisons) or round"
                   " (the paper's text). Default: the model's, dit for a DiT",
           .idle = no_shares}),
      member<&SampleOptions::sampler>(
          {.name = "sampler",
           .flags = "--sampler,--sampling-method,--solver",
           .group = kTrajectory,
           .help = "One of: " + solver_names() + ". Default: the model's, ddim for a DiT",
           .common = true,
           .identity = as_printed}),
      member<&SampleOptions::steps>(
          {.name = "steps",
           .flags = "--steps,--num-sampling-steps",
           .group = kTrajectory,
           .help = "Number of steps; with the spacing respaced also per section \"A,B,C\", or \"ddimN\"."
                   " Default: 50",
           .common = true}),
      member<&SampleOptions::spacing, &SpacingOptions::sigmas>(
          {.name = "scheduler",
           .flags = "--scheduler",
           .group = kTrajectory,
           .help =
               "How the noise falls: " + sigma_spacing_names() + ". Default: discrete, as the timesteps say",
           .label = "Schedule type",
           .neutral = "\"discrete\""}),
      member<&SampleOptions::spacing, &SpacingOptions::spacing>(
          {.name = "spacing",
           .flags = "--spacing",
           .group = kTrajectory,
           .help = "Which timesteps: " + spacing_names() + ". Default: the sampler's, see docs/solvers.md",
           .label = "Spacing"}),
      member<&SampleOptions::eta>({.name = "eta",
                                   .flags = "--eta",
                                   .group = kTrajectory,
                                   .help = "Noise of DDIM, 0 ... 1. Default: the model's, 0 for a DiT",
                                   .idle = no_eta,
                                   .identity = as_printed,
                                   .label = "Eta",
                                   .neutral = "0.0"}),
      {.name = "solver_reset",
       .flags = "--solver-reset",
       .group = kTrajectory,
       .help = "Multistep samplers forget the steps of the model before when the next takes over",
       .form = Field::Form::flag,
       .parse = [](const Field& self, const Texts& texts, SampleOptions& o,
                   Models) { read(self, texts.at(0), o.solver_reset); },
       .print = [](const SampleOptions& o) { return json(o.solver_reset); },
       .idle = no_multistep,
       .identity = as_printed,
       .label = "Solver reset",
       .neutral = "false"},
      member<&SampleOptions::cfg_scale>(
          {.name = "cfg_scale",
           .flags = "--cfg-scale",
           .group = kTrajectory,
           .help = "Classifier-free guidance, 1 = none. Default: the model's, 4 for a DiT",
           .common = true,
           .idle = no_stage_takes_it,
           .identity = as_printed,
           .label = "CFG scale"}),
      {.name = "cfg_channels",
       .flags = "--cfg-channels",
       .group = kTrajectory,
       .help = "Guided latent channels, from the first: a number or all. Default: 3 of 4, as Meta's DiT code",
       .parse = parse_cfg_channels,
       .print = [](const SampleOptions& o) { return value_of(o.cfg_channels); },
       .idle = no_guidance,
       .identity = as_printed,
       .label = "CFG channels"},

      {.name = "class",
       .flags = "--class,--classes",
       .group = kImages,
       .help = "Class numbers or names, one image each (207,otter), or random. Default: eight of ImageNet, or"
               " every class of the model",
       .common = true,
       .replaces = "num_fid_samples",
       .parse = parse_classes,
       .print = print_classes},
      members<&SampleOptions::prompts>(
          {.name = "prompt",
           .flags = "-p,--prompt",
           .group = kImages,
           .help = "What to draw, for models of text; repeat it for one image each. (word:1.2) weighs a word",
           .common = true,
           .may_be_empty = true,
           .identity = as_printed}),
      member<&SampleOptions::negative_prompt>({.name = "negative_prompt",
                                               .flags = "-n,--negative-prompt",
                                               .group = kImages,
                                               .help = "What guidance leads away from",
                                               .common = true,
                                               .may_be_empty = true,
                                               .idle = no_negative_prompt,
                                               .identity = as_printed}),
      member<&SampleOptions::prompt_style>({.name = "prompt_style",
                                            .flags = "--prompt-style",
                                            .group = kImages,
                                            .help = "How brackets in prompts are read: webui, (word:1.2) and "
                                                    "[word] as weights and BREAK as a break,"
                                                    " or plain, as they stand. Default: webui",
                                            .idle = no_text,
                                            .identity = as_printed,
                                            .label = "Prompt style",
                                            .neutral = "\"webui\""}),
      member<&SampleOptions::clip_skip>(
          {.name = "clip_skip",
           .flags = "--clip-skip",
           .group = kImages,
           .help = "Which layer of the text encoder answers, counted from the last, 1. Default: as trained",
           .idle = no_text,
           .identity = as_printed,
           .label = "Clip skip",
           .neutral = "0"}),
      {.name = "uncond",
       .flags = "--uncond",
       .group = kImages,
       .help =
           "What stands for no class where the model has no row for it (LDM): uniform, random numbers as in"
           " the reference, zeros, or a .npy of one token. Default: uniform",
       .parse =
           [](const Field&, const Texts& texts, SampleOptions& o, Models) {
             o.files.null_context = texts.at(0);
             o.null_context = read_null_context(texts[0]);
           },
       .print = [](const SampleOptions& o) { return value_of(o.files.null_context); },
       .idle = no_context,
       .identity = [](const Field&, const RunSpec& spec) { return hash_of(spec.options.null_context); },
       .label = "Uncond"},
      member<&SampleOptions::batch_count>(
          {.name = "batch_count",
           .flags = "-b,--batch-count",
           .group = kImages,
           .help = "Images per class or prompt; of --class random, images. Default: 1",
           .common = true,
           .replaces = "num_fid_samples"}),
      {.name = "num_fid_samples",
       .flags = "--num-fid-samples",
       .group = kImages,
       .help = "The same as --class random -b N",
       .replaces = "class,batch_count",
       .parse =
           [](const Field& self, const Texts& texts, SampleOptions& o, Models) {
             o.random_classes = true;
             read(self, texts.at(0), o.batch_count);
           },
       .print = nothing},
      member<&SampleOptions::batch_size>({.name = "batch_size",
                                          .flags = "--batch-size,--per-proc-batch-size",
                                          .group = kImages,
                                          .help = "Images sampled at once. Default: 8"}),
      {.name = "seed",
       .flags = "-s,--seed,--global-seed",
       .group = kImages,
       .help = "Seed of the noise of the first image, from which those of the others follow; -1 draws one."
               " Default: 0",
       .common = true,
       .parse = parse_seed,
       .print = [](const SampleOptions& o) { return json(o.seed); },
       .idle = nothing_drawn,
       .identity = as_printed,
       .label = "Seed"},
      member<&SampleOptions::rng>(
          {.name = "rng",
           .flags = "--rng",
           .group = kImages,
           .help = "Source of the noise: philox, or torch and torch-cuda, which give image i what torch.randn"
                   " gives on that device after manual_seed(seed + i). Default: philox",
           .idle = nothing_drawn,
           .identity = as_printed,
           .label = "RNG"}),
      member<&SampleOptions::width>({.name = "width",
                                     .flags = "-W,--width",
                                     .group = kImages,
                                     .help = "Width in pixels. Default: the model's",
                                     .common = true,
                                     .replaces = "image_size"}),
      member<&SampleOptions::height>({.name = "height",
                                      .flags = "-H,--height",
                                      .group = kImages,
                                      .help = "Height in pixels. Default: the model's",
                                      .common = true,
                                      .replaces = "image_size"}),
      {.name = "image_size",
       .flags = "--image-size",
       .group = kImages,
       .help = "Width and height",
       .replaces = "width,height",
       .parse =
           [](const Field& self, const Texts& texts, SampleOptions& o, Models) {
             read(self, texts.at(0), o.width);
             o.height = o.width;
           },
       .print = nothing},
      member<&SampleOptions::files, &SampleOptions::Files::init_image>(
          {.name = "init_image",
           .flags = "-i,--init-image",
           .group = kImages,
           .help = "Start from this picture (.png) instead of noise; scaled and cut to --width and --height",
           .common = true,
           .identity = [](const Field&, const RunSpec& spec) { return hash_of(spec.options.init_image); },
           .label = "Init image"}),
      {.name = "strength",
       .flags = "--strength",
       .group = kTrajectory,
       .help = "How much of the trajectory the initial picture passes, more than 0 ... 1. Default: 0.75",
       .parse = [](const Field& self, const Texts& texts, SampleOptions& o,
                   Models) { read(self, texts.at(0), o.strength); },
       .print = [](const SampleOptions& o) { return o.init_image ? json(o.strength) : json(); },
       .idle = no_init_image,
       .label = "Denoising strength"},
      member<&SampleOptions::files, &SampleOptions::Files::init_latent>(
          {.name = "init_latent",
           .flags = "--init-latent",
           .group = kImages,
           .help = "Start from these latents: .npy, (N,C,H,W)",
           .identity = [](const Field&, const RunSpec& spec) { return hash_of(spec.options.given.initial); },
           .label = "Init latent"}),
      member<&SampleOptions::files, &SampleOptions::Files::noise>(
          {.name = "noise",
           .flags = "--noise",
           .group = kImages,
           .help = "Use this noise at the steps: .npy, (steps,N,C,H,W)",
           .idle = no_step_noise,
           .identity = [](const Field&, const RunSpec& spec) { return hash_of(spec.options.given.steps); },
           .label = "Noise"}),

      member<&SampleOptions::backend, &BackendOptions::device>(
          {.name = "device", .flags = "--device", .group = kRun, .help = "cpu or reference. Default: cpu"}),
      member<&SampleOptions::backend, &BackendOptions::dtype>(
          {.name = "dtype",
           .flags = "--dtype",
           .group = kRun,
           .help = "f32, bf16, or auto: bf16 where the processor computes it. Default: auto"}),
      member<&SampleOptions::backend, &BackendOptions::threads>(
          {.name = "threads",
           .flags = "-t,--threads",
           .group = kRun,
           .help = concat("Threads, 1 ... ", kMostThreads, ", 0 = all processors. Default: 0")}),
  };  // namespace
}  // namespace tstitch

bool is_model_field(const Field& field) { return field.group == kModels; }

bool goes_without_saying(const Field& field, const Texts& texts) {
  return !field.neutral.empty() && texts == texts_of(json::parse(field.neutral));
}

// Every stage's model, where there are stages; the demo family where nobody names one.
void settle_models(SampleOptions& options) {
  const bool named =
      !options.models.empty() ||
      std::ranges::any_of(options.stages, [](const StageOptions& s) { return !s.model.empty(); });
  if (!named) options.models = builtin_names();
  if (options.stages.empty()) return;
  check(options.models.size() <= options.stages.size(), ErrorKind::usage, "there are ", options.models.size(),
        " models for ", options.stages.size(), options.stages.size() == 1 ? " stage" : " stages",
        ": expected a --stage for each");
  options.models.resize(options.stages.size());
  for (size_t i = 0; i < options.stages.size(); ++i) {
    if (const std::string& model = options.stages[i].model; !model.empty()) options.models[i] = model;
    check(!options.models[i].empty(), ErrorKind::usage, "--stage ", i + 1,
          " has no model: expected model=PATH, or a --model of that number");
  }
}

void check_no_rivals(const Said& said) {
  for (const auto& [name, texts] : said) {
    const Field& field = field_named(name);
    if (goes_without_saying(field, texts)) continue;
    for (const std::string& other : split(std::string(field.replaces)))
      if (const auto rival = said.find(other);
          other != name && rival != said.end() && !goes_without_saying(field_named(other), rival->second))
        fail(ErrorKind::usage, field.option(), " and ", field_named(other).option(), " exclude each other");
  }
}

}  // namespace

std::string Field::option() const {
  for (const std::string& flag : split(std::string(flags)))
    if (flag.starts_with("--")) return flag;
  return std::string(name);
}

bool Field::goes_without_saying(const json& value) const {
  return value.is_null() || (!neutral.empty() && value == json::parse(neutral));
}

std::span<const Field> fields() {
  static const std::vector<Field> all = make_fields();
  return all;
}

const Field* find_field(std::string_view name) {
  const auto found = std::ranges::find(fields(), name, &Field::name);
  return found == fields().end() ? nullptr : &*found;
}

const Field& field_named(std::string_view name) {
  const Field* field = find_field(name);
  check_internal(field != nullptr, "no field \"", name, "\"");
  return *field;
}

SampleOptions parse_models(const Said& said) {
  check_no_rivals(said);
  SampleOptions options;
  for (const Field& field : fields())
    if (const auto found = said.find(field.name); found != said.end() && is_model_field(field))
      field.parse(field, found->second, options, {});
  check(options.small.empty() == options.large.empty(), ErrorKind::usage,
        "--small and --large go together, but only ", options.small.empty() ? "--large" : "--small",
        " is there");
  if (!options.small.empty()) options.models = {options.small, options.large};
  settle_models(options);
  return options;
}

SampleOptions parse_options(const Said& said, Models models) {
  SampleOptions options = parse_models(said);
  for (const Field& field : fields())
    if (const auto found = said.find(field.name); found != said.end() && !is_model_field(field))
      field.parse(field, found->second, options, models);
  return options;
}

std::vector<std::pair<std::string, std::string>> labelled(const SampleOptions& options, const RunSpec& spec,
                                                          Models models) {
  std::vector<std::pair<std::string, std::string>> texts;
  for (const Field& field : fields()) {
    if (field.label.empty()) continue;
    const json value = field.print(options);
    if (!field.goes_without_saying(value) && (!field.idle || field.idle(spec, models).empty()))
      texts.emplace_back(field.label, join(texts_of(value)));
  }
  return texts;
}

void check_effective(const Said& said, const RunSpec& spec, Models models) {
  for (const auto& [name, texts] : said) {
    const Field& field = field_named(name);
    const std::string reason = field.idle ? field.idle(spec, models) : "";
    check(reason.empty(), ErrorKind::usage, field.option(), " has no effect here: ", reason);
  }
}

nlohmann::ordered_json to_json(const SampleOptions& options) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const Field& field : fields())
    if (json value = field.print(options); !value.is_null()) object[std::string(field.name)] = value;
  return object;
}

Texts texts_of(const json& value) {
  const auto text = [](const json& one) {
    return one.is_string()         ? one.get<std::string>()
           : one.is_number_float() ? number_text(one.get<double>())
                                   : one.dump();
  };
  if (!value.is_array()) return {text(value)};
  Texts texts;
  for (const json& one : value) texts.push_back(text(one));
  return texts;
}

Said said_of(const json& object, const std::string& where) {
  if (!object.is_object()) refuse(where, "RUN_OPTIONS", "not a JSON object");
  Said said;
  for (const auto& [name, value] : object.items()) {
    if (!find_field(name)) refuse(where, "RUN_OPTIONS", "unknown option \"", printable(name), "\"");
    said[name] = texts_of(value);
  }
  return said;
}

Said merged(const Said& before, const Said& said) {
  Said all = before;
  for (const auto& [name, texts] : said) {
    for (const std::string& other : split(std::string(field_named(name).replaces))) all.erase(other);
    all[name] = texts;
  }
  return all;
}

}  // namespace tstitch
