#include "tstitch/engine/field_table.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/base/hash.h"
#include "tstitch/base/join.h"
#include "tstitch/condition/class_names.h"
#include "tstitch/diffusion/solver.h"
#include "tstitch/diffusion/trajectory.h"
#include "tstitch/engine/controls.h"
#include "tstitch/engine/field_values.h"
#include "tstitch/engine/idle_options.h"
#include "tstitch/engine/sampler_names.h"
#include "tstitch/zoo/assets.h"

namespace tstitch {
namespace {

using nlohmann::json;
using Models = std::span<const ModelInfo>;

const std::string kShares = join(kShareFields, ",");

// The member at the end of a path of members.
template <auto First, auto... Rest>
auto& reach(auto& object) {
  if constexpr (sizeof...(Rest) == 0)
    return object.*First;
  else
    return reach<Rest...>(object.*First);
}

Field row(std::string_view name, std::string_view flags, std::string_view group, std::string help,
          Field rest) {
  rest.name = name;
  rest.flags = flags;
  rest.group = group;
  rest.help = std::move(help);
  return rest;
}

// What stands in the options as it is said.
template <auto... Path>
Field member(std::string_view name, std::string_view flags, std::string_view group, std::string help,
             Field rest = {}) {
  Field field = row(name, flags, group, std::move(help), std::move(rest));
  field.parse = [](const Field& self, const Texts& texts, SampleOptions& options, Models) {
    read(self, texts, reach<Path...>(options));
  };
  field.print = [](const SampleOptions& options) { return value_of(reach<Path...>(options)); };
  return field;
}

// The same of one that may be said several times, a value each.
template <auto... Path>
Field members(std::string_view name, std::string_view flags, std::string_view group, std::string help,
              Field rest = {}) {
  Field field = row(name, flags, group, std::move(help), std::move(rest));
  field.form = Field::Form::values;
  field.parse = [](const Field&, const Texts& texts, SampleOptions& options, Models) {
    reach<Path...>(options) = texts;
  };
  field.print = [](const SampleOptions& options) { return value_of(reach<Path...>(options)); };
  return field;
}

// Things, each said in a text, which its to_string writes: Parse(option, text).
template <auto Member, auto Parse>
Field things(std::string_view name, std::string_view flags, std::string_view group, std::string help,
             Field rest) {
  Field field = row(name, flags, group, std::move(help), std::move(rest));
  field.form = Field::Form::values;
  field.parse = [](const Field& self, const Texts& texts, SampleOptions& options, Models) {
    for (const std::string& text : texts) (options.*Member).push_back(Parse(self.option(), text));
  };
  field.print = [](const SampleOptions& options) {
    Texts texts;
    for (const auto& thing : options.*Member) texts.push_back(to_string(thing));
    return value_of(texts);
  };
  return field;
}

// Only another way to say what other fields print.
json nothing(const SampleOptions&) { return {}; }

json as_printed(const Field& field, const RunSpec& spec) { return field.print(spec.options); }

json hash_of(const Tensor& tensor) {
  if (!tensor) return {};
  return hex(fnv1a(tensor.bytes(), static_cast<size_t>(tensor.elements() * size_of(tensor.dtype()))));
}

void parse_ratio(const Field& field, const Texts& texts, SampleOptions& options, Models models) {
  const double ratio = read_share(field.option(), texts.at(0));
  const size_t count = models.size();
  check(count == 2, ErrorKind::usage, "--ratio shares a trajectory between two models, but there ",
        count == 1 ? "is 1" : concat("are ", count), count > 2 ? ": use --fractions" : "");
  options.fractions = {ratio, 1 - ratio};
}

// "fashion-s, fashion-l; with a prompt words-s, words-l"
std::string usual_models() {
  const auto of_classes = builtin_names(), of_text = builtin_names(true);
  return join(of_classes) + (of_text == of_classes ? "" : "; with a prompt " + join(of_text));
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

// A name that is not known stays, for make_run_spec to refuse.
void parse_sampler(const Field&, const Texts& texts, SampleOptions& options, Models) {
  const auto choice = find_sampler(texts.at(0));
  options.sampler = choice ? choice->sampler : texts[0];
  if (choice && choice->scheduler) options.spacing.sigmas = *choice->scheduler;
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

template <auto Part>
json told(const Field&, const RunSpec& spec) {
  return spec.sizes ? value_of((*spec.sizes).*Part) : json();
}

void parse_empty_prompt(const Field& field, const Texts& texts, SampleOptions& options, Models) {
  check(texts.at(0) == "zeros" || texts[0] == "encode", ErrorKind::usage, field.option(), " is \"",
        printable(texts[0]), "\", expected zeros or encode");
  options.empty_is_zeros = texts[0] == "zeros";
}

// Of which stages no negative prompt is zeros.
json zeros_of(const Field&, const RunSpec& spec) {
  json stages;
  for (const Stage& stage : spec.stages) stages.push_back(stage.negative_is_zeros);
  return stages;
}

json print_stages(const SampleOptions& options) {
  json texts;
  for (const StageOptions& stage : options.stages) texts.push_back(to_string(stage));
  return texts;
}

// Of every ControlNet its picture, how it steers and which stages.
json controls_of(const Field&, const RunSpec& spec) {
  const SampleOptions& options = spec.options;
  json controls;
  for (size_t number = 0; number < options.controls.size(); ++number) {
    const ControlOption& control = options.controls[number];
    json stages = json::array();
    for (size_t i = 0; i < spec.stages.size(); ++i)
      if (std::ranges::count(spec.stages[i].controls, number)) stages.push_back(i + 1);
    controls.push_back({hash_of(make_hint(*options.hints[number], control, *options.width, *options.height)),
                        control.strength, control.interval.low, control.interval.high, stages});
  }
  return controls;
}

// Of stages that are asked otherwise than the run; null where all are asked alike.
json guidance_of(const RunSpec& spec) {
  const SampleOptions& options = spec.options;
  const Stage of_run{
      .cfg_scale = *options.cfg_scale, .cfg_interval = {}, .negative_prompt = options.negative_prompt};
  if (std::ranges::all_of(spec.stages, [&](Stage stage) {
        stage.negative_is_zeros = of_run.negative_is_zeros;  // not said by a stage
        stage.controls = of_run.controls;                    // the ControlNets say these
        return stage == of_run;
      }))
    return {};
  json stages;
  for (const Stage& stage : spec.stages) {
    stages.push_back(
        {stage.cfg_scale, stage.cfg_interval.low, stage.cfg_interval.high, stage.negative_prompt});
    if (!stage.dtype.empty()) stages.back().push_back(stage.dtype);
    if (stage.form != CheaperForm()) stages.back().push_back(to_string(stage.form));
  }
  return stages;
}

// The type of all stages, where these have one; else what the run is said to have.
json dtype_of_all(const RunSpec& spec) {
  const std::string& first = spec.stages[0].dtype;
  const bool alike =
      std::ranges::all_of(spec.stages, [&](const Stage& stage) { return stage.dtype == first; });
  return alike && !first.empty() ? first : spec.options.backend.dtype;
}

}  // namespace

std::vector<Field> make_fields() {
  return {
      members<&SampleOptions::models>(
          "model", "-m,--model", kModels,
          "A checkpoint (.safetensors, .gguf, .pt, .ckpt, .bin), a folder of diffusers, or a demo model (" +
              join(demo_models()) + "); repeat it in order of use, small first. Default: " + usual_models(),
          {.common = true, .replaces = "small,large"}),
      member<&SampleOptions::small>("small", "--small,--s-ckpt", kModels, "The first of two models",
                                    {.replaces = "model"}),
      member<&SampleOptions::large>("large", "--large,--xl-ckpt", kModels, "The second of two models",
                                    {.replaces = "model"}),
      member<&SampleOptions::weights>(
          "weights", "--weights", kModels,
          "Of training checkpoints: ema (their running average), model (what was trained), or auto:"
          " ema where there is one. Default: auto",
          {.neutral = "auto"}),
      member<&SampleOptions::prediction>(
          "prediction", "--prediction", kModels,
          "What the models were trained to predict: eps, v or x0. Default: as their files say; single"
          " files of Stable Diffusion 2 say nothing and are taken for v"),
      member<&SampleOptions::vae>(
          "vae", "--vae", kModels,
          "The autoencoder that makes pictures of latents: a file (AutoencoderKL or TAESD) or"
          " diffusers' folder. Default: what comes with the last model"),
      things<&SampleOptions::loras, parse_lora>(
          "lora", "--lora", kModels,
          "A LoRA (or LoCon) for every model it fits, PATH or PATH:WEIGHT; repeat it for more. Default "
          "weight: 1",
          {.common = true}),

      row("lora_dir", "--lora-dir", kModels,
          "The folder of the LoRAs that prompts name: <lora:NAME:WEIGHT> is the file NAME in it or below."
          " Not with --prompt-style plain",
          {.parse = [](const Field&, const Texts&, SampleOptions&,
                       Models) {},  // with_loras_of_prompts reads it
           .print = nothing}),
      things<&SampleOptions::contents, parse_file_content>("contents", "", kModels, "", {}),

      things<&SampleOptions::controls, parse_control>(
          "control_net", "--control-net", kModels,
          "A ControlNet that steers the models: PATH,image=PNG, the picture to follow (canny, depth, pose, "
          "...), and"
          " perhaps strength=S, interval=LOW:HIGH (steps that lie wholly inside are steered, as shares of "
          "all) and"
          " canny=LOW:HIGH, where the picture is a photograph whose edges are to be followed; repeat it for "
          "more",
          {.common = true, .idle = steers_nothing, .identity = controls_of, .label = "ControlNet"}),

      row("stage", "--stage", kModels,
          "Instead of shares, one for each stage in order of use: model=PATH (else the --model of the same"
          " number), share=F or until=STEP (the last stage takes the rest), cfg=S, cfg-interval=LOW:HIGH"
          " (the steps that are guided, as shares of all), negative=TEXT, lora=PATH:WEIGHT (instead of "
          "--lora, or none; may be"
          " repeated), control=PATH (which --control-net steers it, or none; may be repeated), dtype=f32, "
          "bf16"
          " or int8, merge=RATIO (of the tokens, of U-Nets; see docs/twins.md), cache=N or N:helper (one of N"
          " evaluations is whole; :center=EVALUATION lays these closer around one), skip=BLOCKS (left out:"
          " 3+7+12); commas between, a value with a comma in double quotes",
          {.form = Field::Form::values,
           .may_be_empty = true,
           .replaces = kShares,
           .parse =
               [](const Field&, const Texts& texts, SampleOptions& o, Models) {
                 for (const std::string& text : texts) o.stages.push_back(parse_stage(text));
               },
           .print = print_stages,
           .idle = guides_nothing,
           .identity = [](const Field&, const RunSpec& spec) { return guidance_of(spec); },
           .label = "Stages"}),

      row("twin", "--twin", kModels,
          "With one model: a cheaper form of it is the first of two stages, of the length of --ratio: int8,"
          " merge=RATIO, cache=N, skip=BLOCKS, commas between, see docs/twins.md",
          {.replaces = "stage,small,large",
           .parse = [](const Field&, const Texts& texts, SampleOptions& o, Models) { o.twin = texts.at(0); },
           .print = nothing}),  // the stages say it

      row("ratio", "--ratio", kTrajectory,
          "Share of the trajectory given to the first of two models, 0 ... 1 or in percent. Default: 0.4",
          {.common = true,
           .replaces = kShares,
           .parse = parse_ratio,
           .print =
               [](const SampleOptions& o) {
                 return o.fractions.size() == 2 ? json(o.fractions[0]) : json();
               }}),
      row("fractions", "--fractions,--three-combo", kTrajectory,
          "Shares of all the models, sum 1: 0.4,0.2,0.4 or 40%,20%,40%",
          {.replaces = kShares,
           .parse =
               [](const Field& self, const Texts& texts, SampleOptions& o, Models) {
                 o.fractions.clear();
                 for (const std::string& text : texts)
                   for (const std::string& part : split(text))
                     o.fractions.push_back(read_share(self.option(), part));
               },
           .print =
               [](const SampleOptions& o) {
                 return o.fractions.size() == 2 ? json() : value_of(o.fractions);
               }}),
      member<&SampleOptions::switch_steps>(
          "switch_step", "--switch-step", kTrajectory,
          "Instead: the step after which the next model takes over, one for each switch",
          {.replaces = kShares}),
      row("switch", "--switch", kTrajectory,
          "share, or auto: every image leaves the first of two models by itself, see docs/adaptive.md."
          " Default: share",
          {.replaces = kShares,
           .parse =
               [](const Field&, const Texts& texts, SampleOptions& o, Models) {
                 check(texts.at(0) == "share" || texts[0] == "auto", ErrorKind::usage, "--switch is \"",
                       printable(texts[0]), "\", expected share or auto");
                 o.adaptive = texts[0] == "auto";
               },
           .print = [](const SampleOptions& o) { return o.adaptive ? json("auto") : json(); },
           .neutral = "share"}),
      member<&SampleOptions::switch_threshold>(
          "switch_threshold", "--switch-threshold", kTrajectory,
          "How far details of an image stand out of the noise before --switch auto changes its model."
          " Default: (1 + cfg scale) / 80, 40 % of the steps of the demo family"),
      row("assignment", "", kTrajectory, "",
          {.replaces = kShares,
           .parse = [](const Field&, const Texts& texts, SampleOptions& o,
                       Models) { o.assignment = parse_assignment(texts.at(0)); },
           .print =
               [](const SampleOptions& o) {
                 return o.assignment.empty() ? json() : json(format_assignment(o.assignment));
               }}),
      member<&SampleOptions::switch_rule>(
          "switch_rule", "--switch-rule", kTrajectory,
          "How a share becomes steps: dit, ldm, step, lcm (the reference's own comparisons) or round"
          " (the paper's text). Default: the model's, dit for a DiT",
          {.idle = no_shares}),
      row("sampler", "--sampler,--sampling-method,--solver", kTrajectory,
          "One of: " + solver_names() +
              ", or as the web UIs call it (\"DPM++ 2M Karras\"). Default: the model's, ddim for a DiT",
          {.common = true,
           .parse = parse_sampler,
           .print = [](const SampleOptions& o) { return value_of(o.sampler); },
           .identity = as_printed}),
      member<&SampleOptions::steps>(
          "steps", "--steps,--num-sampling-steps", kTrajectory,
          "Number of steps; with the spacing respaced also per section \"A,B,C\", or \"ddimN\"."
          " Default: the model's, 50, of distilled ones 4",
          {.common = true, .replaces = "timesteps"}),
      member<&SampleOptions::spacing, &SpacingOptions::timesteps>(
          "timesteps", "--timesteps", kTrajectory,
          "Instead: the timesteps themselves, falling, 999,749,499,249; see docs/few-steps.md",
          {.replaces = "steps,spacing", .label = "Timesteps"}),
      member<&SampleOptions::spacing, &SpacingOptions::sigmas>(
          "scheduler", "--scheduler", kTrajectory,
          "How the noise falls: " + sigma_spacing_names() +
              ". Default: as the model's folder says, else discrete, as the timesteps say",
          {.decided = [](const RunSpec& spec) { return value_of(spec.spacing.sigmas); },
           .label = "Schedule type",
           .spelt = webui_scheduler,
           .neutral = "discrete"}),
      member<&SampleOptions::spacing, &SpacingOptions::spacing>(
          "spacing", "--spacing", kTrajectory,
          "Which timesteps: " + spacing_names() +
              ". Default: as the model's folder says, else the sampler's, see docs/solvers.md",
          {.replaces = "timesteps",
           .decided = [](const RunSpec& spec) { return value_of(spec.spacing.spacing); },
           .label = "Spacing"}),
      member<&SampleOptions::eta>("eta", "--eta", kTrajectory,
                                  "Noise of DDIM, gamma of TCD, 0 ... 1. Default: the model's, 0 for a DiT",
                                  {.idle = no_eta, .identity = as_printed, .label = "Eta", .neutral = "0"}),
      member<&SampleOptions::solver_reset>(
          "solver_reset", "--solver-reset", kTrajectory,
          "Multistep samplers forget the steps of the model before when the next takes over",
          {.form = Field::Form::flag,
           .idle = no_multistep,
           .identity = as_printed,
           .label = "Solver reset",
           .neutral = "false"}),
      member<&SampleOptions::cfg_scale>(
          "cfg_scale", "--cfg-scale", kTrajectory,
          "Classifier-free guidance, 1 = none. Default: the model's, 4 for a DiT",
          {.common = true, .idle = no_stage_takes_it, .identity = as_printed, .label = "CFG scale"}),
      row("cfg_channels", "--cfg-channels", kTrajectory,
          "Guided latent channels, from the first: a number or all. Default: 3 of 4, as Meta's DiT code",
          {.parse = parse_cfg_channels,
           .print = [](const SampleOptions& o) { return value_of(o.cfg_channels); },
           .idle = no_guidance,
           .identity = as_printed,
           .label = "CFG channels"}),

      row("class", "--class,--classes", kImages,
          "Class numbers or names, one image each (207,otter), or random. Default: eight of ImageNet, or"
          " every class of the model",
          {.common = true, .replaces = "num_fid_samples", .parse = parse_classes, .print = print_classes}),
      members<&SampleOptions::prompts>(
          "prompt", "-p,--prompt", kImages,
          "What to draw, for models of text; repeat it for one image each. (word:1.2) weighs a word",
          {.common = true, .may_be_empty = true, .identity = as_printed}),
      member<&SampleOptions::negative_prompt>(
          "negative_prompt", "-n,--negative-prompt", kImages, "What guidance leads away from",
          {.common = true, .may_be_empty = true, .idle = no_negative_prompt, .identity = as_printed}),
      member<&SampleOptions::prompt_style>(
          "prompt_style", "--prompt-style", kImages,
          "How brackets in prompts are read: webui, (word:1.2) and "
          "[word] as weights and BREAK as a break,"
          " or plain, as they stand. Default: webui",
          {.idle = no_text, .identity = as_printed, .label = "Prompt style", .neutral = "webui"}),
      things<&SampleOptions::embeddings, parse_embedding>(
          "embedding", "--embedding", kImages,
          "A word that prompts may have (textual inversion), PATH or PATH:NAME; repeat it for more. Default "
          "name: the file's, or the token in it",
          {.common = true, .idle = unnamed_embedding}),
      row("embedding_dir", "--embedding-dir,--embd-dir", kImages,
          "The folder of more of them: a prompt has the name of a file in it or below",
          {.parse = [](const Field&, const Texts& texts, SampleOptions& o,
                       Models) { o.embedding_dir = texts.at(0); },
           .print = nothing,  // what is named of it is among the embeddings
           .idle = unnamed_embedding_dir}),
      member<&SampleOptions::clip_skip>(
          "clip_skip", "--clip-skip", kImages,
          "Which layer of the text encoder answers, counted from the last, 1. Default: as trained",
          {.idle = no_text, .identity = as_printed, .label = "Clip skip", .neutral = "0"}),
      member<&SampleOptions::original_size>(
          "original_size", "--original-size", kImages,
          "Of models that are told sizes (SDXL): that of the picture before it was cut to shape, WxH."
          " Default: the picture's",
          {.idle = no_sizes, .identity = told<&PictureSizes::original>, .label = "Original size"}),
      member<&SampleOptions::crop>(
          "crop", "--crop", kImages, "Of the same: where it was cut, LEFT,TOP. Default: 0,0",
          {.idle = no_sizes, .identity = told<&PictureSizes::crop>, .label = "Crop"}),
      member<&SampleOptions::target_size>(
          "target_size", "--target-size", kImages,
          "Of the same: what it was cut to, WxH. Default: the picture's",
          {.idle = no_target_size, .identity = told<&PictureSizes::target>, .label = "Target size"}),
      member<&SampleOptions::aesthetic_score>(
          "aesthetic_score", "--aesthetic-score", kImages,
          "Of SDXL's refiner: how good the picture is to look like, 0 ... 10. Default: 6",
          {.idle = no_score,
           .identity = [](const Field&, const RunSpec& spec) { return value_of(spec.scores.positive); },
           .label = "Aesthetic score"}),
      member<&SampleOptions::negative_aesthetic_score>(
          "negative_aesthetic_score", "--negative-aesthetic-score", kImages,
          "Of the same: what guidance leads away from, 0 ... 10. Default: 2.5",
          {.idle = no_negative_score,
           .identity = [](const Field&, const RunSpec& spec) { return value_of(spec.scores.negative); },
           .label = "Negative aesthetic score"}),
      row("empty_prompt", "--empty-prompt", kImages,
          "What no negative prompt is to SDXL: zeros, as it was trained, or encode, the encoded \"\", as the"
          " web UIs have it. Default: as the model's folder says, else zeros",
          {.parse = parse_empty_prompt,
           .print =
               [](const SampleOptions& o) {
                 return o.empty_is_zeros ? json(*o.empty_is_zeros ? "zeros" : "encode") : json();
               },
           .idle = no_empty_prompt,
           .identity = zeros_of,
           .label = "Empty prompt"}),
      member<&SampleOptions::files, &SampleOptions::Files::null_context>(
          "uncond", "--uncond", kImages,
          "What stands for no class where the model has no row for it (LDM): uniform, random numbers as in"
          " the reference, zeros, or a .npy of one token. Default: uniform",
          {.idle = no_context,
           .identity = [](const Field&, const RunSpec& spec) { return hash_of(spec.options.null_context); },
           .label = "Uncond"}),
      member<&SampleOptions::batch_count>("batch_count", "-b,--batch-count", kImages,
                                          "Images per class or prompt; of --class random, images. Default: 1",
                                          {.common = true, .replaces = "num_fid_samples"}),
      row("num_fid_samples", "--num-fid-samples", kImages, "The same as --class random -b N",
          {.replaces = "class,batch_count",
           .parse =
               [](const Field& self, const Texts& texts, SampleOptions& o, Models) {
                 o.random_classes = true;
                 read(self, texts.at(0), o.batch_count);
               },
           .print = nothing}),
      member<&SampleOptions::batch_size>("batch_size", "--batch-size,--per-proc-batch-size", kImages,
                                         "Images sampled at once. Default: 8", {.passing = true}),
      row("seed", "-s,--seed,--global-seed", kImages,
          "Seed of the noise of the first image, from which those of the others follow; -1 draws one."
          " Default: 0",
          {.common = true,
           .parse = parse_seed,
           .print = [](const SampleOptions& o) { return json(o.seed); },
           .idle = nothing_drawn,
           .identity = as_printed,
           .label = "Seed"}),
      member<&SampleOptions::rng>(
          "rng", "--rng", kImages,
          "Source of the noise: philox, or torch and torch-cuda, which give image i what torch.randn"
          " gives on that device after manual_seed(seed + i). Default: philox",
          {.idle = nothing_drawn, .identity = as_printed, .label = "RNG"}),
      member<&SampleOptions::width>("width", "-W,--width", kImages, "Width in pixels. Default: the model's",
                                    {.common = true, .replaces = "image_size"}),
      member<&SampleOptions::height>("height", "-H,--height", kImages,
                                     "Height in pixels. Default: the model's",
                                     {.common = true, .replaces = "image_size"}),
      row("image_size", "--image-size", kImages, "Width and height",
          {.replaces = "width,height",
           .parse =
               [](const Field& self, const Texts& texts, SampleOptions& o, Models) {
                 read(self, texts.at(0), o.width);
                 o.height = o.width;
               },
           .print = nothing}),
      member<&SampleOptions::files, &SampleOptions::Files::init_image>(
          "init_image", "-i,--init-image", kImages,
          "Start from this picture (.png, .jpg) instead of noise; scaled and cut to --width and --height",
          {.common = true,
           .replaces = "init_latent",
           .identity = [](const Field&, const RunSpec& spec) { return hash_of(spec.options.init_image); },
           .label = "Init image"}),
      row("strength", "--strength", kTrajectory,
          "How much of the trajectory the initial picture passes, more than 0 ... 1 or in percent. Default: "
          "0.75, with --mask 1",
          {.parse = [](const Field& self, const Texts& texts, SampleOptions& o,
                       Models) { o.strength = read_share(self.option(), texts.at(0)); },
           .print = [](const SampleOptions& o) { return o.init_image ? value_of(o.strength) : json(); },
           .idle = no_init_image,
           .label = "Denoising strength"}),
      member<&SampleOptions::files, &SampleOptions::Files::mask>(
          "mask", "--mask", kImages,
          "Paint only a part of the initial picture: a picture (.png, .jpg) of its size, white where to "
          "paint, see"
          " docs/inpainting.md",
          {.common = true,
           .identity = [](const Field&, const RunSpec& spec) { return hash_of(spec.mask); },
           .label = "Mask"}),
      row("mask_blur", "--mask-blur", kImages,
          "How far the edge of the mask is softened: deviation of a Gaussian in pixels, 0 ... 64. Default: 0",
          {.parse = [](const Field& self, const Texts& texts, SampleOptions& o,
                       Models) { read(self, texts, o.mask_blur); },
           .print = [](const SampleOptions& o) { return o.mask ? json(o.mask_blur) : json(); },
           .idle = no_mask,
           .label = "Mask blur",
           .neutral = "0"}),
      row("blend", "--blend", kImages,
          "How models that do not see the mask keep what is known: step, put back after every step, or x0, "
          "into"
          " the estimate of the clean latent. Default: step",
          {.parse = [](const Field& self, const Texts& texts, SampleOptions& o,
                       Models) { read(self, texts, o.blend); },
           .print = [](const SampleOptions& o) { return o.mask ? value_of(o.blend) : json(); },
           .idle = nothing_blended,
           .identity = as_printed,
           .label = "Blend",
           .neutral = "step"}),
      member<&SampleOptions::files, &SampleOptions::Files::init_latent>(
          "init_latent", "--init-latent", kImages, "Start from these latents: .npy, (N,C,H,W)",
          {.replaces = "init_image,strength,mask,mask_blur,blend",
           .identity = [](const Field&, const RunSpec& spec) { return hash_of(spec.options.given.initial); },
           .label = "Init latent"}),
      member<&SampleOptions::files, &SampleOptions::Files::noise>(
          "noise", "--noise", kImages, "Use this noise at the steps: .npy, (steps,N,C,H,W)",
          {.idle = no_step_noise,
           .identity = [](const Field&, const RunSpec& spec) { return hash_of(spec.options.given.steps); },
           .label = "Noise"}),

      member<&SampleOptions::backend, &BackendOptions::device>(
          "device", "--device", kRun, "cpu, cuda, cuda:1 ..., or reference. Default: cpu",
          {.of_models = true}),
      member<&SampleOptions::backend, &BackendOptions::dtype>(
          "dtype", "--dtype", kRun,
          "f32, bf16, int8, or auto: bf16 where the device computes it. int8: the products of the networks'"
          " bodies, all else as auto has it. Default: auto",
          {.of_models = true, .decided = dtype_of_all}),
      member<&SampleOptions::backend, &BackendOptions::threads>(
          "threads", "-t,--threads", kRun,
          concat("Threads, 1 ... ", kMostThreads, ", 0 = all processors. Default: 0"),
          {.passing = true, .idle = no_threads}),
      member<&SampleOptions::no_memory_check>(
          "no_memory_check", "--no-memory-check", kRun,
          "Load the models even where memory does not seem to suffice: swapping, or the system ends the"
          " program",
          {.form = Field::Form::flag, .passing = true}),
  };
}

}  // namespace tstitch
