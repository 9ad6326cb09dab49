#include "tstitch/tune/measured_divergence.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/base/numbers.h"
#include "tstitch/engine/fields.h"
#include "tstitch/io/json.h"
#include "tstitch/io/refuse.h"
#include "tstitch/output/run_manifest.h"
#include "tstitch/tune/timing.h"
#include "tstitch/zoo/control_net.h"
#include "tstitch/zoo/model_content.h"

namespace tstitch {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kFormat = "tstitch-divergence-2";
// What changes the answers of all forms. What pictures are of does, too: the divergence is a mean over some.
constexpr std::string_view kCompared[] = {"cfg_channels", "clip_skip", "empty_prompt", "uncond"};
constexpr int kMostEvaluations = 1'000'000;
constexpr double kMostSeconds = 1e12, kMostWeight = 1e12;

// One number of every distance, [evaluation][age].
ordered_json to_json(const FormDivergence& form, double Distance::*number) {
  ordered_json all = ordered_json::array();
  for (const std::vector<Distance>& ages : form.at) {
    all.emplace_back(ordered_json::array());
    for (const Distance& distance : ages) all.back().push_back(distance.*number);
  }
  return all;
}

FormDivergence form_of(const json& entry, size_t evaluations, bool last, const std::string& where) {
  FormDivergence form{.ages = entry.at("ages"), .at = {}};
  check(form.ages >= 1, ErrorKind::input, where, ": a form of ", form.ages, " ages, expected 1 or more");
  struct Number {
    const char* key;
    double Distance::*member;
    double least, most;
  };
  constexpr double kMost = 1e30;
  for (const auto& [key, member, least, most] :
       {Number{"distance", &Distance::rms, 0, kMost}, Number{"relative", &Distance::relative, 0, kMost},
        Number{"cosine", &Distance::cosine, -1, 1}}) {
    const std::vector<std::vector<double>> numbers = entry.at(key);
    check(numbers.size() == (last ? 0 : evaluations), ErrorKind::input, where, ": \"", key, "\" is of ",
          numbers.size(), " evaluations, expected ", last ? 0 : evaluations);
    form.at.resize(numbers.size());
    for (size_t n = 0; n < numbers.size(); ++n) {
      const size_t ages = std::min(n + 1, static_cast<size_t>(form.ages));
      check(numbers[n].size() == ages, ErrorKind::input, where, ": \"", key, "\" of evaluation ", n + 1,
            " is of ", numbers[n].size(), " ages, expected ", ages);
      form.at[n].resize(ages);
      for (size_t age = 0; age < ages; ++age) {
        const double value = numbers[n][age];
        check(least <= value && value <= most, ErrorKind::input, where, ": \"", key, "\" of evaluation ",
              n + 1, " is ", value, ", expected ", least, " ... ", most);
        form.at[n][age].*member = value;
      }
    }
  }
  return form;
}

MeasuredDivergence measured_of(const json& all, const std::string& where) {
  MeasuredDivergence m{.models = all.at("models"),
                       .contents = all.at("contents"),
                       .stages = all.at("stages"),
                       .settings = all.at("settings"),
                       .sampler = all.at("sampler"),
                       .levels = all.at("levels"),
                       .eta = all.at("eta"),
                       .cfg_scale = all.at("cfg_scale"),
                       .dtype = all.at("dtype"),
                       .height = all.at("height"),
                       .width = all.at("width"),
                       .images = all.at("images"),
                       .sigma_data = all.at("sigma_data"),
                       .weighed = all.at("measured_weights"),
                       .divergence = {},
                       .timed = all.at("timed"),
                       .times = {},
                       .decoding = all.at("decoding_seconds"),
                       .autoencoder = all.at("autoencoder")};
  check(m.models.size() >= 2 && m.contents.size() == m.models.size(), ErrorKind::input, where, ": ",
        m.models.size(), " models with the contents of ", m.contents.size(),
        ", expected two or more of each");
  check(m.stages.size() == m.models.size(), ErrorKind::input, where, ": ", m.stages.size(), " stages of ",
        m.models.size(), " models");
  check(std::isfinite(m.sigma_data) && m.sigma_data > 0, ErrorKind::input, where, ": \"sigma_data\" is ",
        m.sigma_data, ", expected more than 0");
  check(0 <= m.decoding && m.decoding <= kMostSeconds, ErrorKind::input, where, ": \"decoding_seconds\" is ",
        m.decoding);

  m.divergence.evaluations = all.at("evaluations").get<std::vector<int>>();
  int64_t sum = 0;
  for (const int count : m.divergence.evaluations) {
    check(count >= 1 && (sum += count) <= kMostEvaluations, ErrorKind::input, where,
          ": \"evaluations\" holds ", count, ", expected 1 or more of every step, ", kMostEvaluations,
          " at most of all");
  }
  check(sum > 0, ErrorKind::input, where, ": \"evaluations\" names no step");
  m.divergence.weights = all.at("weights").get<std::vector<double>>();
  const size_t steps = m.divergence.evaluations.size();
  check(m.divergence.weights.size() == steps, ErrorKind::input, where, ": \"weights\" is of ",
        m.divergence.weights.size(), " steps, expected ", steps);
  for (const double weight : m.divergence.weights)
    check(0 <= weight && weight <= kMostWeight, ErrorKind::input, where, ": \"weights\" holds ", weight,
          ", expected 0 ... ", kMostWeight);
  const json& forms = all.at("forms");
  check(forms.is_array() && forms.size() == m.models.size(), ErrorKind::input, where, ": ", forms.size(),
        " forms of ", m.models.size(), " models");
  for (size_t i = 0; i < forms.size(); ++i)
    m.divergence.forms.push_back(
        form_of(forms[i], static_cast<size_t>(sum), i + 1 == forms.size(), concat(where, ": form ", i + 1)));
  for (const json& entry : all.at("times")) {
    const Asking asking{.model = entry.at("form").get<size_t>(),
                        .cfg_scale = entry.at("cfg_scale"),
                        .controls = entry.at("controls"),
                        .whole = entry.at("whole")};
    const EvaluationTime time{.mean = entry.at("seconds"), .spread = entry.at("spread")};
    check(asking.model < m.models.size(), ErrorKind::input, where, ": a time is of form ", asking.model,
          " from 0, but there are ", m.models.size());
    check(0 < time.mean && time.mean <= kMostSeconds && 0 <= time.spread && time.spread <= kMostSeconds,
          ErrorKind::input, where, ": an evaluation takes ", time.mean, " +- ", time.spread,
          " s, expected more than 0");
    m.times[asking] = time;
  }
  check(!m.times.empty(), ErrorKind::input, where,
        ": \"times\" is empty, expected the time of an evaluation of every form");
  return m;
}

// The text from the setting on in which it differs from the other: what is long differs far behind.
std::string from_difference(const std::string& text, const std::string& other) {
  const auto at = static_cast<size_t>(std::ranges::mismatch(text, other).in1 - text.begin());
  const size_t comma = at == 0 ? text.npos : text.rfind(',', at - 1);
  return printable(comma == text.npos ? text : concat("...", text.substr(comma + 1)), 100);
}

}  // namespace

std::vector<std::string> contents_of_models(const std::vector<ModelInfo>& models,
                                            const std::function<void()>& between) {
  std::map<std::pair<std::string, WeightChoice>, std::string> known;  // stages of one model
  std::vector<std::string> all;
  for (const ModelInfo& model : models) {
    std::string& content = known[{model.files.path, model.weights}];
    if (content.empty()) content = content_of(model.files, model.weights, between);
    std::string& text = all.emplace_back(content);
    for (const Lora& lora : model.loras)
      text += concat(", LoRA of crc32 ", lora.content, " x ", number_text(lora.weight));
    for (const ModelControl& control : model.controls) text += concat(", ControlNet: ", control.net->content);
  }
  return all;
}

std::vector<std::string> ways_of_stages(const RunSpec& spec, const std::vector<ModelInfo>& models) {
  std::vector<std::string> ways;
  for (size_t i = 0; i < models.size(); ++i) {
    const Stage& stage = spec.stages[i];
    const ConditionInfo& condition = models[i].condition;
    StageOptions said;
    said.cfg_scale = stage.cfg_scale;
    if (stage.guided() && !stage.cfg_interval.whole()) said.cfg_interval = stage.cfg_interval;
    if (condition.kind == ConditionKind::text && condition.needs_null(stage.cfg_scale))
      said.negative_prompt = stage.negative_prompt;
    if (!stage.dtype.empty()) said.dtype = stage.dtype;
    said.form = stage.form;
    std::string& way =
        ways.emplace_back(concat("prediction ", name_of(models[i].prediction), ",", settings_of(said)));
    for (const size_t number : stage.controls) {
      const ControlOption& control = spec.options.controls[number];
      way += concat(",ControlNet x ", number_text(control.strength), " in ",
                    number_text(control.interval.low), ":", number_text(control.interval.high));
    }
  }
  return ways;
}

MeasuredDivergence nothing_measured(const RunSpec& spec, const std::vector<ModelInfo>& models,
                                    std::vector<std::string> contents, const Backend& backend,
                                    double sigma_data) {
  std::map<std::string, std::string> settings;
  for (const std::string_view name : kCompared) {
    const Field& field = field_named(name);
    if (const json value = field.identity(field, spec); !value.is_null())
      settings[std::string(name)] = value.dump();
  }
  return {.models = names_of(models),
          .contents = std::move(contents),
          .stages = ways_of_stages(spec, models),
          .settings = std::move(settings),
          .sampler = spec.options.sampler,
          .levels = hash_of_levels(spec.trajectory),
          .eta = spec.solver.eta,
          .cfg_scale = *spec.options.cfg_scale,
          .dtype = spec.options.backend.dtype,
          .height = spec.height,
          .width = spec.width,
          .images = spec.images(),
          .sigma_data = sigma_data,
          .divergence = {},
          .timed = describe_timing(backend, std::min(spec.options.batch_size, spec.images())),
          .times = {},
          .autoencoder = {}};
}

ordered_json to_json(const MeasuredDivergence& m) {
  ordered_json forms = ordered_json::array(), times = ordered_json::array();
  for (const FormDivergence& form : m.divergence.forms)
    forms.push_back({{"ages", form.ages},
                     {"distance", to_json(form, &Distance::rms)},
                     {"relative", to_json(form, &Distance::relative)},
                     {"cosine", to_json(form, &Distance::cosine)}});
  for (const auto& [asking, time] : m.times)
    times.push_back({{"form", asking.model},
                     {"cfg_scale", asking.cfg_scale},
                     {"controls", asking.controls},
                     {"whole", asking.whole},
                     {"seconds", time.mean},
                     {"spread", time.spread}});
  return {{"format", kFormat},
          {"models", m.models},
          {"contents", m.contents},
          {"stages", m.stages},
          {"settings", m.settings},
          {"sampler", m.sampler},
          {"levels", m.levels},
          {"eta", m.eta},
          {"cfg_scale", m.cfg_scale},
          {"dtype", m.dtype},
          {"height", m.height},
          {"width", m.width},
          {"images", m.images},
          {"sigma_data", m.sigma_data},
          {"measured_weights", m.weighed},
          {"weights", m.divergence.weights},
          {"evaluations", m.divergence.evaluations},
          {"forms", forms},
          {"timed", m.timed},
          {"times", times},
          {"decoding_seconds", m.decoding},
          {"autoencoder", m.autoencoder}};
}

MeasuredDivergence read_measured_divergence(const std::string& path) {
  const json file = parse_json_file(path);
  const std::string where = shown_path(path);
  try {
    const json& all =
        file.is_object() && file.contains("divergence") ? file.at("divergence") : json::object();
    check(all.is_object() && all.value("format", "") == kFormat, ErrorKind::input, where,
          ": not a divergence of `tstitch analyze divergence`: expected \"divergence\" of the \"format\" \"",
          kFormat, "\"");
    return measured_of(all, where);
  } catch (const json::exception& e) {
    fail(ErrorKind::input, where,
         ": not a divergence of `tstitch analyze divergence`: ", printable(e.what(), 200));
  }
}

void check_measured(const MeasuredDivergence& measured, const MeasuredDivergence& expected,
                    const std::string& path) {
  const std::string where = shown_path(path);
  const auto same = [&](const auto& found, const auto& wanted, const auto&... what) {
    check(found == wanted, ErrorKind::usage, where, ": measured with ", what..., ", but this run has ",
          wanted);
  };
  check(measured.models == expected.models, ErrorKind::usage, where,
        ": measured of other models: ", printable(join(measured.models)), ", but this run has ",
        printable(join(expected.models)));
  for (size_t i = 0; i < expected.models.size(); ++i)
    check(measured.contents[i] == expected.contents[i], ErrorKind::usage, where,
          ": measured of another file than that of ", expected.models[i],
          ", or with other LoRAs or ControlNets");
  same(measured.sampler, expected.sampler, "--sampler ", printable(measured.sampler));
  check(measured.levels == expected.levels, ErrorKind::usage, where,
        ": measured along other steps: expected the --steps, --spacing, --scheduler and --strength of this "
        "run");
  same(measured.eta, expected.eta, "--eta ", measured.eta);
  same(measured.cfg_scale, expected.cfg_scale, "--cfg-scale ", measured.cfg_scale);
  same(measured.dtype, expected.dtype, "--dtype ", printable(measured.dtype));
  check(measured.height == expected.height && measured.width == expected.width, ErrorKind::usage, where,
        ": measured of latents of ", measured.height, " x ", measured.width, ", but this run has ",
        expected.height, " x ", expected.width);
  for (size_t i = 0; i < expected.models.size(); ++i) {
    const std::string &found = measured.stages[i], &wanted = expected.stages[i];
    check(found == wanted, ErrorKind::usage, where, ": measured of stage ", i + 1, " with ",
          from_difference(found, wanted), ", but this run has ", from_difference(wanted, found));
  }
  for (const std::string_view name : kCompared) {
    const auto of = [&](const MeasuredDivergence& one) {
      const auto said = one.settings.find(std::string(name));
      return said == one.settings.end() ? std::string("its default") : printable(said->second);
    };
    same(of(measured), of(expected), field_named(name).option(), " ", of(measured));
  }
}

std::set<Asking> askings_of(const RunSpec& spec, const Divergence& divergence) {
  std::set<Asking> all;
  for (const Step& step : spec.trajectory)
    for (size_t form = 0; form < divergence.forms.size(); ++form)
      for (const bool whole : {true, false})
        if (whole || divergence.forms[form].ages > 1) all.insert(asking_in(spec, step, form, whole));
  return all;
}

StepCosts step_costs(const RunSpec& spec, const Divergence& divergence, const Times& times) {
  const auto seconds = [&](const Step& step, size_t form, bool whole) {
    const auto found = times.find(asking_in(spec, step, form, whole));
    check(found != times.end(), ErrorKind::usage, "nothing was timed of form ", form + 1,
          " as it would be asked in step ", step.index + 1,
          ": expected the --stage cfg=, cfg-interval= and control= of this run");
    return found->second.mean * batches_in(spec);
  };
  StepCosts costs{.evaluations = divergence.evaluations, .forms = {}};
  int64_t before = 0;  // evaluations
  for (const FormDivergence& form : divergence.forms)
    costs.forms.push_back({.ages = form.ages, .seconds = {}, .loss = {}});
  for (const Step& step : spec.trajectory) {
    const int count = divergence.evaluations[static_cast<size_t>(step.index)];
    for (size_t f = 0; f < costs.forms.size(); ++f) {
      FormCosts& form = costs.forms[f];
      form.seconds.emplace_back();
      form.loss.emplace_back();
      for (int64_t age = 0; age < std::min(before + 1, form.ages); ++age) {
        double sum = 0;
        for (int e = 0; e < count; ++e) sum += seconds(step, f, (age + e) % form.ages == 0);
        form.seconds.back().push_back(sum);
        form.loss.back().push_back(step_divergence(divergence, f, step.index, age));
      }
    }
    before += count;
  }
  return costs;
}

}  // namespace tstitch
