#include "tstitch/output/run_manifest.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "tstitch/base/error.h"
#include "tstitch/base/hash.h"
#include "tstitch/base/join.h"
#include "tstitch/base/numbers.h"
#include "tstitch/base/version.h"
#include "tstitch/condition/text_encoder.h"
#include "tstitch/engine/fields.h"
#include "tstitch/io/json.h"
#include "tstitch/io/refuse.h"
#include "tstitch/zoo/control_net.h"
#include "tstitch/zoo/latents.h"
#include "tstitch/zoo/model_content.h"

namespace tstitch {
namespace {

using nlohmann::json;

constexpr const char *kFormat = "tstitch run 2", *kFormatBefore = "tstitch run 1";
constexpr int64_t kMostImages = 1'000'000, kLargestSide = 1 << 16;

// What is known of a run beside its fields (fields.h), and what a user changes to change it.
struct Fact {
  const char *key, *option;
};
constexpr Fact kFacts[] = {{"format", "the format"},
                           {"version", "the version of tstitch"},
                           {"models", "--model"},
                           {"predictions", "--prediction"},
                           {"vae", "--vae"},
                           {"text_encoders", "the text encoders"},
                           {"loras", "--lora"},
                           {"control_nets", "--control-net"},
                           {"embeddings", "--embedding"},
                           {"images", "the number of images (--batch-count, --class)"},
                           {"classes", "--class"},
                           {"labelled", "whether the model has classes"},
                           {"picture", "the picture's [height, width, channels]"},
                           {"steps", "--steps"},
                           {"levels", "--spacing, --scheduler or --strength"},
                           {"initial_scale", "--spacing"},
                           {"solver", "what the model's scheduler says of the sampler"},
                           {"trajectory", "the trajectory (--ratio, --switch)"},
                           {"arithmetic", "the device's arithmetic (--device, --dtype)"}};

// Of LoRAs it is the host's, wherever the networks are.
std::string arithmetic_of(const std::vector<ModelInfo>& models, const Backend& backend) {
  const bool merges =
      std::ranges::any_of(models, [](const ModelInfo& model) { return !model.loras.empty(); });
  return merges ? concat(backend.arithmetic(), "; LoRAs by ", MergedWeights::arithmetic())
                : backend.arithmetic();
}

// Of every model; each file once.
std::vector<std::string> text_encoders_of(const std::vector<ModelInfo>& models,
                                          const std::function<void()>& between) {
  std::vector<std::string> all;
  std::map<std::string, std::string> contents;
  for (const ModelInfo& model : models)
    for (size_t i = 0; i < model.files.text_encoders.size(); ++i) {
      const std::string& path = model.files.text_encoders[i];
      const bool of_model =
          std::ranges::any_of(models, [&](const ModelInfo& one) { return one.files.weights == path; });
      if (!contents.contains(path))
        contents[path] =
            of_model ? "of a model" : content_of(find_model_files(path), WeightChoice::automatic, between);
      all.push_back(concat(contents[path], ", padding ", padding_of(model, i)));
    }
  return all;
}

}  // namespace

std::string hash_of_levels(const Trajectory& trajectory) {
  uint64_t hash = fnv1a(nullptr, 0);
  for (const Step& step : trajectory)
    for (const NoiseLevel& level : {step.level, step.next})
      for (const double number : {level.t, level.alpha, level.sigma})
        hash = fnv1a(&number, sizeof number, hash);
  return hex(hash);
}

RunContents::RunContents(const std::vector<ModelInfo>& infos, const std::string& vae_path,
                         const std::function<void()>& between)
    : text_encoders(text_encoders_of(infos, between)),
      vae(vae_path.empty() ? "" : content_of(find_decoder(vae_path), WeightChoice::automatic, between)) {
  for (size_t i = 0; i < infos.size(); ++i) {
    const auto same = std::ranges::find_if(infos, [&](const ModelInfo& other) {  // stages of one model
      return other.files.path == infos[i].files.path && other.weights == infos[i].weights;
    });
    const auto first = static_cast<size_t>(same - infos.begin());
    models.push_back(first < i ? models[first] : content_of(infos[i].files, infos[i].weights, between));
    loras.push_back(join(infos[i].loras, ", ", [](const Lora& lora) {
      return concat("crc32 ", lora.content, " x ", number_text(lora.weight));
    }));
    for (const auto& [number, net] : infos[i].controls) {
      control_nets.resize(std::max(control_nets.size(), number + 1));
      control_nets[number] = net->content;
    }
  }
}

RunManifest::RunManifest(const RunSpec& spec, const std::vector<ModelInfo>& models,
                         const RunContents& contents, const Backend& backend) {
  json predictions = json::array();
  for (const ModelInfo& model : models) predictions.push_back(name_of(model.prediction));
  json embeddings = json::array();
  for (const Embedding& embedding : spec.embeddings)
    embeddings.push_back(concat(join(embedding.names()), ": crc32 ", embedding.content()));
  const ModelInfo& last = models.back();
  const int64_t unit = last.pixels_per_latent;
  json manifest = {
      {"format", kFormat},
      {"version", kVersion},
      {"models", contents.models},
      {"predictions", predictions},
      {"vae", contents.vae},
      {"text_encoders", contents.text_encoders},
      {"loras", contents.loras},
      {"control_nets", contents.control_nets},
      {"embeddings", embeddings},
      {"images", spec.images()},
      {"classes", hex(fnv1a(spec.subjects.data(), spec.subjects.size() * sizeof(int64_t)))},
      {"labelled", last.condition.num_classes > 0},
      {"picture", {spec.height * unit, spec.width * unit, last.pixels ? spec.channels : 3}},
      {"steps", spec.trajectory.size()},
      {"levels", hash_of_levels(spec.trajectory)},
      {"initial_scale", spec.initial_scale},
      {"solver", scheduler_settings(spec.solver)},
      {"trajectory", spec.switch_threshold ? json{{"switch_threshold", *spec.switch_threshold}}
                                           : json(format_assignment(spec.trajectory.assignment()))},
      {"arithmetic", arithmetic_of(models, backend)}};
  for (const Field& field : fields())
    if (field.identity) manifest[std::string(field.name)] = field.identity(field, spec);
  text_ = manifest.dump(2) + "\n";
  check(text_.size() <= kMostJsonBytes, ErrorKind::usage, "the prompts of one run take ", text_.size(),
        " bytes, expected at most ", kMostJsonBytes, ": share them between runs");
  read_shape("this run");
}

RunManifest::RunManifest(const std::string& text, const std::string& where) {
  const json manifest = parse_json(text, where);
  if (!manifest.is_object()) refuse(where, "RUN_MANIFEST", "not a JSON object");
  text_ = manifest.dump(2) + "\n";
  read_shape(where);
}

void RunManifest::read_shape(const std::string& where) {
  const json manifest = json::parse(text_);
  const auto integer = [&](const json& value, const char* key, int64_t most) {
    if (!value.is_number_integer() || value < 1 || value > most)
      refuse(where, "RUN_MANIFEST", "\"", key, "\" is ", printable(value.dump()), ", expected 1 ... ", most);
    return value.get<int64_t>();
  };
  const auto entry = [&](const char* key) -> const json& {
    const auto found = manifest.find(key);
    if (found == manifest.end()) refuse(where, "RUN_MANIFEST", "no \"", key, "\"");
    return *found;
  };
  if (entry("format") == kFormatBefore)
    refuse(where, "RUN_MANIFEST",
           "begun by an earlier version of tstitch, which seeds images otherwise: finish it",
           " with that version, or remove it to start over");
  if (entry("format") != kFormat)
    refuse(where, "RUN_MANIFEST", "\"format\" is ", printable(entry("format").dump()), ", expected \"",
           kFormat, "\"");
  images_ = integer(entry("images"), "images", kMostImages);
  const json& picture = entry("picture");
  if (!picture.is_array() || picture.size() != 3)
    refuse(where, "RUN_MANIFEST", "\"picture\" is ", printable(picture.dump()),
           ", expected [height, width, channels]");
  height_ = integer(picture[0], "picture", kLargestSide);
  width_ = integer(picture[1], "picture", kLargestSide);
  channels_ = integer(picture[2], "picture", 3);
  if (!entry("labelled").is_boolean())
    refuse(where, "RUN_MANIFEST", "\"labelled\" is neither true nor false");
  labelled_ = entry("labelled").get<bool>();
}

uint64_t RunManifest::fingerprint() const { return fnv1a(text_.data(), text_.size()); }

std::string RunManifest::fingerprint_text() const { return hex(fingerprint()); }

std::string RunManifest::differences(const RunManifest& earlier) const {
  const json ours = json::parse(text_), theirs = json::parse(earlier.text_);
  std::string text;
  int shown = 0;
  const auto compare = [&](const std::string& key, const std::string& option) {
    const json before = theirs.value(key, json());
    if (ours.at(key) == before || ++shown > 4) return;
    text += shown == 4 ? "; and more"
                       : concat(text.empty() ? "" : "; ", option, " is ", printable(ours.at(key).dump(), 80),
                                ", but the unfinished run has ", printable(before.dump(), 80));
  };
  for (const auto& [key, option] : kFacts) compare(key, option);
  for (const Field& field : fields())
    if (field.identity) compare(std::string(field.name), field.option());
  return text.empty() && text_ != earlier.text_ ? "its manifest has entries that this version does not know"
                                                : text;
}

}  // namespace tstitch
