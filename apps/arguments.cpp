#include "apps/arguments.h"

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <charconv>
#include <cstdlib>
#include <sstream>

#include "tstitch/base/error.h"
#include "tstitch/condition/class_names.h"
#include "tstitch/diffusion/solver.h"
#include "tstitch/engine/init_image.h"
#include "tstitch/io/npy.h"
#include "tstitch/output/rank.h"
#include "tstitch/zoo/assets.h"
#include "tstitch/zoo/latents.h"
#include "tstitch/zoo/model.h"

namespace tstitch {
namespace {

// The whole of `text` as an integer.
template <class Integer>
std::optional<Integer> parse_integer(const std::string& text) {
  Integer value = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  return error == std::errc() && end == last ? std::optional(value) : std::nullopt;
}

// Numbers and names with commas between; no class name holds a comma.
std::vector<int64_t> parse_classes(const std::string& text, const ModelInfo& model) {
  const ClassNames names(model);
  std::vector<int64_t> classes;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    part.erase(0, part.find_first_not_of(' '));
    part.erase(part.find_last_not_of(' ') + 1);
    const auto number = parse_integer<int64_t>(part);
    classes.push_back(number ? *number : names.find(part));
  }
  return classes;
}

Tensor read_null_context(const std::string& text) {
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

int64_t parse_cfg_channels(const std::string& text) {
  check(text == "3" || text == "all", ErrorKind::usage, "--cfg-channels is \"", printable(text),
        "\", expected 3 or all");
  return text == "3" ? 3 : 0;
}

}  // namespace

void add_common_options(CLI::App& command, Arguments& a) {
  const std::string models = "Models", trajectory = "Trajectory", images = "Images", run = "Run";

  command
      .add_option(
          "-m,--model", a.models,
          "A checkpoint (.safetensors, .pt, .ckpt, .bin), a folder of diffusers, or a demo model (fashion-s,"
          " fashion-b, fashion-l); repeat it in order of use, small first. Default: fashion-s, fashion-l")
      ->group(models);
  command.add_option("--small,--s-ckpt", a.small, "The first of two models")->group(models);
  command.add_option("--large,--xl-ckpt", a.large, "The second of two models")->group(models);
  command
      .add_option(
          "--weights", a.weights,
          "Of training checkpoints: ema (their running average), model (what was trained), or auto: ema"
          " where there is one")
      ->capture_default_str()
      ->group(models);
  command
      .add_option("--prediction", a.prediction,
                  "What the models were trained to predict: eps, v or x0. Default: as their files say; single"
                  " files of Stable Diffusion 2 say nothing and are taken for v")
      ->group(models);
  command
      .add_option("--vae", a.vae,
                  "The autoencoder that makes pictures of latents: a file (AutoencoderKL or TAESD) or "
                  "diffusers' folder."
                  " Default: what comes with the last model")
      ->group(models);

  command
      .add_option("--switch-rule", a.switch_rule,
                  "How a share becomes steps: dit, ldm, step, lcm (the reference's own"
                  " comparisons) or round (the paper's text). Default: the model's, dit for a DiT")
      ->group(trajectory);
  command
      .add_option("--sampler,--sampling-method,--solver", a.sample.sampler,
                  "One of: " + solver_names() + ". Default: the model's, ddim for a DiT")
      ->group(trajectory);
  command
      .add_option("--steps,--num-sampling-steps", a.sample.steps,
                  "Number of steps; with the spacing respaced also per section \"A,B,C\", or \"ddimN\"")
      ->capture_default_str()
      ->group(trajectory);
  command
      .add_option(
          "--scheduler", a.scheduler,
          "How the noise falls: discrete (as the timesteps say), karras or exponential. Default: discrete")
      ->group(trajectory);
  command
      .add_option("--spacing", a.spacing,
                  "Which timesteps: " + spacing_names() + ". Default: the sampler's, see docs/solvers.md")
      ->group(trajectory);
  command.add_option("--eta", a.sample.eta, "Noise of DDIM, 0 ... 1. Default: the model's, 0 for a DiT")
      ->group(trajectory);
  command
      .add_flag("--solver-reset", a.sample.solver_reset,
                "Multistep samplers forget the steps of the model before when the next takes over")
      ->group(trajectory);
  command
      .add_option("--cfg-scale", a.sample.cfg_scale,
                  "Classifier-free guidance, 1 = none. Default: the model's, 4 for a DiT")
      ->group(trajectory);
  command
      .add_option("--cfg-channels", a.cfg_channels,
                  "Guided latent channels: 3 or all. Default: 3 of 4, as Meta's DiT code")
      ->group(trajectory);

  command
      .add_option("--class,--classes", a.classes,
                  "Class numbers or names, one image each (207,otter), or random. Default:"
                  " eight of ImageNet, or every class of the model")
      ->group(images);
  command
      .add_option("-p,--prompt", a.sample.prompts,
                  "What to draw, for models of text; repeat it for one image each. (word:1.2) weighs a word")
      ->take_all()
      ->group(images);
  command.add_option("-n,--negative-prompt", a.sample.negative_prompt, "What guidance leads away from")
      ->group(images);
  command
      .add_option("--clip-skip", a.sample.clip_skip,
                  "Which layer of the text encoder answers, counted from the last, 1. Default: as trained")
      ->group(images);
  command
      .add_option("--uncond", a.uncond,
                  "What stands for no class where the model has no row for it (LDM): uniform, random numbers"
                  " as in the reference, zeros, or a .npy of one token. Default: uniform")
      ->group(images);
  command
      .add_option("-b,--batch-count", a.sample.batch_count,
                  "Images per class or prompt; of --class random, images")
      ->capture_default_str()
      ->group(images);
  command.add_option("--batch-size,--per-proc-batch-size", a.sample.batch_size, "Images sampled at once")
      ->capture_default_str()
      ->group(images);
  command.add_option("-s,--seed,--global-seed", a.seed, "Seed of the noise")
      ->capture_default_str()
      ->group(images);
  command
      .add_option("--rng", a.sample.rng,
                  "Source of the noise: philox, or torch and torch-cuda, which give image i"
                  " what torch.randn gives on that device after manual_seed(seed + i)")
      ->capture_default_str()
      ->group(images);
  command.add_option("-W,--width", a.sample.width, "Width in pixels. Default: the model's")->group(images);
  command.add_option("-H,--height", a.sample.height, "Height in pixels. Default: the model's")->group(images);
  command.add_option("--image-size", a.image_size, "Width and height")->group(images);
  command
      .add_option("-i,--init-image", a.init_image,
                  "Start from this picture (.png) instead of noise; scaled and cut to --width and --height")
      ->group(images);
  command
      .add_option("--strength", a.strength,
                  "How much of the trajectory the initial picture passes, more than 0 ... 1. Default: 0.75")
      ->group(images);
  command.add_option("--init-latent", a.init_latent, "Start from these latents: .npy, (N,C,H,W)")
      ->group(images);
  command.add_option("--noise", a.noise, "Use this noise at the steps: .npy, (steps,N,C,H,W)")->group(images);

  command.add_option("--device", a.backend.device, "cpu or reference")->capture_default_str()->group(run);
  command.add_option("--dtype", a.backend.dtype, "f32, bf16, or auto: bf16 where the processor computes it")
      ->capture_default_str()
      ->group(run);
  command.add_option("-t,--threads", a.backend.threads, "Threads, 0 = all processors")
      ->capture_default_str()
      ->check(CLI::Range(0, 4096))
      ->group(run);
  command.add_option("-o,--output", a.output)->group(run);
  command.add_flag("--json", a.json, "Print one JSON object and nothing else on stdout")->group(run);
  command.add_flag("-q,--quiet", a.quiet, "Print nothing but errors")->group(run);
}

void add_share_options(CLI::App& command, Arguments& a) {
  const std::string trajectory = "Trajectory";
  command
      .add_option("--ratio", a.ratio,
                  "Share of the trajectory given to the first of two models, 0 ... 1. Default: 0.4")
      ->group(trajectory);
  command
      .add_option("--fractions,--three-combo", a.sample.fractions,
                  "Shares of all the models, sum 1: 0.4,0.2,0.4")
      ->delimiter(',')
      ->group(trajectory);
  command
      .add_option("--switch-step", a.sample.switch_steps,
                  "Instead: the step after which the next model takes over,"
                  " one for each switch")
      ->delimiter(',')
      ->group(trajectory);
}

void add_sample_options(CLI::App& command, Arguments& a) {
  command
      .add_option(
          "--switch", a.switching,
          "share, or auto: every image leaves the first of two models by itself, see docs/adaptive.md")
      ->capture_default_str()
      ->group("Trajectory");
  command
      .add_option("--switch-threshold", a.sample.switch_threshold,
                  "How far details of an image stand out of the noise before --switch auto changes its model."
                  " Default: (1 + cfg scale) / 80, 40 % of the steps of the demo family")
      ->group("Trajectory");
  command.add_option("--save-latent", a.save_latent, "Write the final latents: .npy, f32 (N,C,H,W)")
      ->group("Images");
  command.add_option("--num-fid-samples", a.fid_samples, "The same as --class random -b N")->group("Images");
  command.add_flag("--resume", a.resume, "Continue a run into a .npz or a folder/, or begin it")
      ->group("Run");
  command
      .add_option(
          "--rank", a.rank,
          "Which of the processes that share the images this is, 0 ... W-1. Default: as mpirun, srun or"
          " torchrun say, else the only one")
      ->group("Run");
  command.add_option("--world-size", a.world_size, "How many processes share the images")->group("Run");
  command.add_flag("--dry-run", a.dry_run, "Print the trajectory and the estimated time, sample nothing")
      ->group("Run");
  command.add_flag("-v,--verbose", a.verbose, "Print every step of the trajectory")->group("Run");
  command.get_option("--output")
      ->description(
          "A .png file (a grid when there are several images), a folder/ for one .png per image, or a .npz"
          " (arr_0: uint8 NHWC, arr_1: classes). Default: output.png");
}

void add_measure_options(CLI::App& command, MeasureOptions& a) {
  const std::string group = "Metrics";
  command
      .add_option("--reference", a.reference,
                  "The set to compare with: an .npz of pictures, statistics or features, or a folder of .png."
                  " Default for pictures of the demo family: Fashion-MNIST's test set")
      ->group(group);
  command
      .add_option("--features", a.features,
                  "The network whose features are compared, a file. Default for pictures of the demo family:"
                  " its own classifier")
      ->group(group);
  command.add_option("--metrics", a.metrics, "Some of fid, sfid, is, precision, recall, with commas between")
      ->group(group);
}

void check_only_process(const std::string& command) {
  // The one process of a Slurm batch script has the numbers of the whole job; srun also says those of the
  // step.
  const char* const step_tasks = std::getenv("SLURM_STEP_NUM_TASKS");
  const bool one_task = !step_tasks || std::string_view(step_tasks) == "1";
  const auto environment = [&](const char* name) -> const char* {
    return one_task && std::string_view(name).starts_with("SLURM_") ? nullptr : std::getenv(name);
  };
  Rank rank;
  try {
    rank = find_rank({}, {}, environment);
  } catch (const Error&) {  // half a launcher's variables start no second process
  }
  check(rank.count == 1, ErrorKind::usage, command, " is the work of one process, but ", rank.count,
        " were started (", rank.source, "): start it without the launcher, or unset these");
}

std::vector<std::string> model_paths(const Arguments& a) {
  std::vector<std::string> names = a.models;
  if (!a.small.empty() || !a.large.empty()) {
    check(names.empty(), ErrorKind::usage,
          "name the models with --model, or with --small and --large, not both");
    check(!a.small.empty() && !a.large.empty(), ErrorKind::usage,
          "--small and --large go together, but only ", a.small.empty() ? "--large" : "--small", " is there");
    names = {a.small, a.large};
  }
  if (names.empty()) return builtin_models();
  for (std::string& name : names) name = resolve_model(name);
  return names;
}

std::vector<ModelInfo> read_models(const Arguments& a) {
  std::optional<Parameterization> prediction;
  for (const auto known : {Parameterization::eps, Parameterization::v, Parameterization::x0})
    if (a.prediction == name_of(known)) prediction = known;
  check(prediction.has_value() == !a.prediction.empty(), ErrorKind::usage, "--prediction is \"",
        printable(a.prediction), "\", expected eps, v or x0");
  return read_model_infos(model_paths(a), parse_weight_choice(a.weights), prediction);
}

CommandFiles inputs_of(const Arguments& a, const std::vector<ModelInfo>& models) {
  CommandFiles files;
  for (const ModelInfo& model : models) files.reads("--model", model.files);
  if (!a.vae.empty()) files.reads("--vae", find_decoder(a.vae));
  files.reads("--init-image", a.init_image);
  files.reads("--init-latent", a.init_latent);
  files.reads("--noise", a.noise);
  if (a.uncond.ends_with(".npy")) files.reads("--uncond", a.uncond);
  return files;
}

SampleOptions sample_options(const Arguments& a, const std::vector<ModelInfo>& models) {
  SampleOptions options = a.sample;
  if (!a.switch_rule.empty()) {
    const auto rule = parse_switch_rule(a.switch_rule);
    check(rule.has_value(), ErrorKind::usage, "--switch-rule \"", printable(a.switch_rule),
          "\" is not known, expected one of: dit, ldm, step, lcm, round");
    options.switch_rule = *rule;
  }
  if (!a.scheduler.empty()) {
    const auto sigmas = parse_sigma_spacing(a.scheduler);
    check(sigmas.has_value(), ErrorKind::usage, "--scheduler \"", printable(a.scheduler),
          "\" is not known, expected one of: ", sigma_spacing_names());
    options.spacing.sigmas = *sigmas;
  }
  if (!a.spacing.empty()) {
    options.spacing.spacing = parse_spacing(a.spacing);
    check(options.spacing.spacing.has_value(), ErrorKind::usage, "--spacing \"", printable(a.spacing),
          "\" is not known, expected one of: ", spacing_names());
  }
  const auto seed = parse_integer<uint64_t>(a.seed);
  check(seed.has_value(), ErrorKind::usage, "--seed is \"", printable(a.seed),
        "\", expected 0 ... 18446744073709551615");
  options.seed = *seed;
  if (a.ratio) {
    check(*a.ratio >= 0 && *a.ratio <= 1, ErrorKind::usage, "--ratio is ", *a.ratio, ", expected 0 ... 1");
    check(options.fractions.empty() && options.switch_steps.empty(), ErrorKind::usage,
          "--ratio, --fractions and --switch-step exclude each other");
    const size_t count = models.size();
    check(count == 2, ErrorKind::usage, "--ratio shares a trajectory between two models, but there ",
          count == 1 ? "is 1" : concat("are ", count), count > 2 ? ": use --fractions" : "");
    options.fractions = {*a.ratio, 1 - *a.ratio};
  }
  check(options.fractions.empty() || options.switch_steps.empty(), ErrorKind::usage,
        "--fractions and --switch-step exclude each other");
  check(a.switching == "share" || a.switching == "auto", ErrorKind::usage, "--switch is \"",
        printable(a.switching), "\", expected share or auto");
  options.adaptive = a.switching == "auto";
  if (!a.cfg_channels.empty()) options.cfg_channels = parse_cfg_channels(a.cfg_channels);
  if (a.classes == "random")
    options.random_classes = true;
  else if (!a.classes.empty())
    options.classes = parse_classes(a.classes, models.back());
  if (!a.uncond.empty() && a.uncond != "uniform") options.null_context = read_null_context(a.uncond);
  if (a.fid_samples) {
    check(a.classes.empty() || options.random_classes, ErrorKind::usage,
          "--num-fid-samples draws the classes: use --batch-count with --class");
    options.random_classes = true;
    options.batch_count = *a.fid_samples;
  }
  if (a.image_size) {
    check(!options.width && !options.height, ErrorKind::usage, "--image-size excludes --width and --height");
    options.width = options.height = a.image_size;
  }
  check(!a.strength || !a.init_image.empty(), ErrorKind::usage,
        "--strength says how far to leave an initial picture: name it with --init-image");
  if (a.strength) {
    check(0 < *a.strength && *a.strength <= 1, ErrorKind::usage, "--strength is ", *a.strength,
          ", expected more than 0 and at most 1");
    options.strength = *a.strength;
  }
  if (!a.init_image.empty())
    options.init_image = read_init_image(a.init_image, models.back(), options.width, options.height);
  if (!a.init_latent.empty()) options.given.initial = read_npy(a.init_latent);
  if (!a.noise.empty()) options.given.steps = read_npy(a.noise);
  return options;
}

}  // namespace tstitch
