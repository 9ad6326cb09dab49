#include "apps/arguments.h"

#include <algorithm>
#include <cstdlib>

#include "apps/help.h"
#include "tstitch/base/error.h"
#include "tstitch/engine/checkpoint_folder.h"
#include "tstitch/engine/prompt_loras.h"
#include "tstitch/output/rank.h"
#include "tstitch/zoo/assets.h"
#include "tstitch/zoo/control_net.h"
#include "tstitch/zoo/latents.h"

namespace tstitch {
namespace {

// The stage in that form: what the form does not say is as before. of_run: the run's type, which no stage
// says.
StageOptions in_form(StageOptions stage, const StageOptions& form, const std::string& of_run) {
  if (form.dtype) stage.dtype = form.dtype;
  if (form.dtype == of_run) stage.dtype.reset();
  if (form.form.merge > 0) stage.form.merge = form.form.merge;
  if (form.form.cache.holds()) stage.form.cache = form.form.cache;
  if (!form.form.skip.empty()) stage.form.skip = form.form.skip;
  return stage;
}

}  // namespace

void add_run_options(CLI::App& command, Arguments& a, std::initializer_list<std::string_view> without) {
  for (const Field& field : fields()) {
    if (field.flags.empty() || std::ranges::count(without, field.name)) continue;
    const auto take = [&a, name = std::string(field.name)](const CLI::results_t& texts) {
      a.said[name] = texts;
      return true;
    };
    const std::string flags(field.flags);
    CLI::Option* option =
        field.form == Field::Form::flag
            ? command.add_flag_callback(
                  flags, [take] { take({"true"}); }, field.help)
            // A value each time: CLI11 would take what follows for more of them.
            : command.add_option(flags, take, field.help)
                  ->type_name("")
                  ->expected(1)
                  ->multi_option_policy(field.form == Field::Form::values ? CLI::MultiOptionPolicy::TakeAll
                                                                          : CLI::MultiOptionPolicy::Throw);
    option->group(field.common ? std::string(field.group) : more(field.group));
  }
  command.add_option("-o,--output", a.output)->group(std::string(kRun));
  command.add_flag("--json", a.json, "Print one JSON object and nothing else on stdout")
      ->group(std::string(kRun));
  command.add_flag("-q,--quiet", a.quiet, "Print nothing but errors")->group(std::string(kRun));
}

void add_measure_options(CLI::App& command, MeasureOptions& a) {
  const std::string group = "Metrics";
  command
      .add_option("--reference", a.reference,
                  "The set to compare with: an .npz of pictures, statistics or features, or a folder of .png."
                  " Default for pictures of the demo families: Fashion-MNIST's test set, emoji")
      ->group(group);
  command
      .add_option(
          "--features", a.features,
          "The network whose features are compared, a file. Default for pictures of the demo families:"
          " their own")
      ->group(group);
  command.add_option("--metrics", a.metrics, "Some of " + metric_names() + ", with commas between")
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

Asked read_asked(const Said& said, const Said& before) {
  check_exclusive(said);
  const Said all = merged(before, with_loras_of_prompts(said, before));
  Asked asked{.models = read_models(parse_models(all)), .options = {}};
  asked.options = parse_options(all, asked.models);
  return asked;
}

Said with_forms(const Said& said, const std::vector<std::string>& forms) {
  if (forms.empty()) return said;
  SampleOptions options = parse_models(said);
  for (const StageOptions& stage : options.stages)
    check(!stage.share && !stage.until, ErrorKind::usage,
          "--form adds stages to choose from: it excludes a --stage with share= or until=");
  options.stages.resize(options.models.size());
  const StageOptions last = options.stages.back();
  const std::string model = options.models.back(), of_run = decided_dtype(options.backend);
  const ModelInfo info = read_model_info(resolve_model(model), parse_weight_choice(options.weights));
  for (const std::string& text : forms) {
    const StageOptions form = parse_twin(text, "--form");
    const StageOptions stage = in_form(last, form, of_run);
    check(stage.form != last.form || stage.dtype.value_or(of_run) != last.dtype.value_or(of_run),
          ErrorKind::usage, "--form is ", printable(text),
          ", which the last model itself is: expected another form");
    check(!form.dtype || !stage.dtype || !options.backend.device.starts_with("cuda"), ErrorKind::usage,
          "--form is ", printable(text), ": ", form.dtype.value_or(""), " is another type than the run's ",
          of_run, ", and on the device ", printable(options.backend.device), " all stages have the same");
    // What is wrong with the last stage itself is said of that.
    const bool sound = info.architecture->form_obstacle(last.form).empty();
    const std::string obstacle = sound ? info.architecture->form_obstacle(stage.form) : "";
    check(obstacle.empty(), ErrorKind::usage, "--form is ", printable(text), ": ", to_string(stage.form),
          " does not go with ", info.name, ": ", obstacle);
    const bool steered = !options.controls.empty() && last.controls != Texts{"none"};
    check(stage.form == CheaperForm() || !steered, ErrorKind::usage, "--form is ", printable(text), ": ",
          to_string(stage.form),
          " does not go with a ControlNet, which steers every block of every evaluation: expected a last"
          " --stage with control=none, or another form");
    options.models.insert(options.models.end() - 1, model);
    options.stages.insert(options.stages.end() - 1, stage);
  }
  Said all = said;
  for (const char* replaced : {"small", "large", "twin"}) all.erase(replaced);
  all["model"] = options.models;
  all["stage"].clear();
  for (const StageOptions& stage : options.stages) all["stage"].push_back(to_string(stage));
  return all;
}

void add_form_option(CLI::App& command, std::vector<std::string>& forms) {
  command
      .add_option("--form", forms,
                  "A cheaper form of the last model, one more to choose from, as --twin has it: int8,"
                  " merge=RATIO, cache=N, skip=BLOCKS, commas between; repeat it for more")
      ->type_name("")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->group(std::string(kModels));
}

CommandFiles inputs_of(const Asked& asked) {
  CommandFiles files;
  const SampleOptions& options = asked.options;
  for (const ModelInfo& model : asked.models) {
    files.reads("--model", model.files);
    for (const Lora& lora : model.loras) files.reads("--lora", lora.path);
    for (const ModelControl& control : model.controls) files.reads("--control-net", control.net->files);
  }
  for (const EmbeddingOption& embedding : options.embeddings) files.reads("--embedding", embedding.path);
  files.reads("--embedding-dir", options.embedding_dir, kCheckpointEndings);
  if (!options.vae.empty()) files.reads("--vae", find_decoder(options.vae));
  for (const ControlOption& control : options.controls) files.reads("--control-net", control.image);
  files.reads("--init-image", options.files.init_image);
  files.reads("--mask", options.files.mask);
  files.reads("--init-latent", options.files.init_latent);
  files.reads("--noise", options.files.noise);
  if (options.files.null_context.ends_with(".npy")) files.reads("--uncond", options.files.null_context);
  return files;
}

}  // namespace tstitch
