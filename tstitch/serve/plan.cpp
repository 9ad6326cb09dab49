#include "tstitch/serve/plan.h"

#include <algorithm>
#include <new>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "tstitch/base/edit_distance.h"
#include "tstitch/base/error.h"
#include "tstitch/base/hash.h"
#include "tstitch/base/join.h"
#include "tstitch/engine/checkpoint_folder.h"
#include "tstitch/engine/engine.h"
#include "tstitch/engine/key_values.h"
#include "tstitch/engine/prompt_loras.h"
#include "tstitch/engine/report.h"
#include "tstitch/io/file.h"
#include "tstitch/io/jpeg.h"
#include "tstitch/io/png.h"
#include "tstitch/io/sharded_checkpoint.h"
#include "tstitch/serve/base64.h"
#include "tstitch/serve/json_values.h"
#include "tstitch/serve/refusal.h"
#include "tstitch/zoo/control_net.h"
#include "tstitch/zoo/embedding.h"
#include "tstitch/zoo/model_content.h"

namespace tstitch::serve {

using nlohmann::json;

namespace {

// Of the fields that requests may say; a new one is the server's until it stands here.
const std::map<std::string_view, Saying> kSayings = {
    {"model", Saying::model},
    {"small", Saying::model},
    {"large", Saying::model},
    {"lora", Saying::lora},
    {"control_net", Saying::control},
    {"stage", Saying::stages},
    {"twin", Saying::value},
    {"ratio", Saying::value},
    {"fractions", Saying::value},
    {"switch_step", Saying::value},
    {"switch", Saying::value},
    {"switch_threshold", Saying::value},
    {"assignment", Saying::value},
    {"switch_rule", Saying::value},
    {"sampler", Saying::value},
    {"steps", Saying::value},
    {"scheduler", Saying::value},
    {"spacing", Saying::value},
    {"eta", Saying::value},
    {"solver_reset", Saying::value},
    {"cfg_scale", Saying::value},
    {"cfg_channels", Saying::value},
    {"class", Saying::value},
    {"prompt", Saying::value},
    {"negative_prompt", Saying::value},
    {"prompt_style", Saying::value},
    {"clip_skip", Saying::value},
    {"original_size", Saying::value},
    {"crop", Saying::value},
    {"target_size", Saying::value},
    {"empty_prompt", Saying::value},
    {"batch_count", Saying::value},
    {"seed", Saying::value},
    {"rng", Saying::value},
    {"width", Saying::value},
    {"height", Saying::value},
    {"image_size", Saying::value},
    {"init_image", Saying::picture},
    {"strength", Saying::value},
    {"mask", Saying::picture},
    {"mask_blur", Saying::value},
    {"blend", Saying::value},
    {"timesteps", Saying::value},
    {"aesthetic_score", Saying::value},
    {"negative_aesthetic_score", Saying::value},
};

// What commands have beside the fields of a run and requests have not, with the reason.
constexpr std::string_view kTimed =
    "the models would be timed, which share the device with other requests here: let tstitch plan choose on "
    "a "
    "quiet machine, and send the assignment that it finds";
constexpr std::pair<std::string_view, std::string_view> kNotOfRequests[] = {
    {"budget", kTimed},
    {"speedup", kTimed},
    {"max_metric_loss", kTimed},
    {"plan", "it names a file: send the assignment that it holds"}};

auto find_refused(std::string_view name) {
  return std::ranges::find_if(kNotOfRequests, [&](const auto& one) { return one.first == name; });
}

// Behind a job's field of pictures the name under which PNG files say it.
std::string picture_name(const std::string& field, const std::string& bytes) {
  return concat(field, " of a request, fnv1a64:", hex(fnv1a(bytes.data(), bytes.size())));
}

std::string in_quotes(std::string text) {
  for (size_t at = 0; (at = text.find('"', at)) != text.npos; at += 2) text.insert(at, 1, '"');
  return '"' + text + '"';
}

// "share=0.4,cfg=3" of {"share": 0.4, "cfg": 3}; a list says a key several times.
std::string stage_text(const json& stage) {
  if (stage.is_string()) return stage;
  if (!stage.is_object())
    refuse_field("stages", "\"stages\" holds ", shown(stage),
                 ", expected an object with the keys of --stage");
  std::string text;
  for (const auto& [key, value] : stage.items())
    for (const json& one : value.is_array() ? value : json::array({value})) {
      if (!one.is_string() && !one.is_number())
        refuse_field("stages", "\"", printable(key), "\" of a stage is ", shown(one),
                     ", expected a text or a number");
      text += concat(text.empty() ? "" : ",", key, "=",
                     in_quotes(one.is_string() ? one.get<std::string>() : texts_of(one)[0]));
    }
  return text;
}

std::string nearest_name(const std::string& name) {
  std::string nearest;
  size_t least = 3;
  for (const auto& [known, saying] : kSayings)
    if (const size_t slips = edit_distance(name, known); slips < least) least = slips, nearest = known;
  return nearest;
}

// Throws Refusal for what of a stage is the server's: a new key is, until it stands here.
StageOptions checked_stage(const std::string& text) {
  const StageOptions stage = parse_stage(text);
  const StageOptions allowed{.model = stage.model,
                             .share = stage.share,
                             .until = stage.until,
                             .cfg_scale = stage.cfg_scale,
                             .cfg_interval = stage.cfg_interval,
                             .negative_prompt = stage.negative_prompt,
                             .loras = stage.loras,
                             .controls = stage.controls,
                             .form = stage.form};
  if (!(stage == allowed))
    throw Refusal(422, "not_allowed",
                  concat("the stage \"", printable(text),
                         "\" has a key that is not a request's to say, expected model, "
                         "share, until, cfg, cfg-interval, negative, lora, control, merge, cache and skip"),
                  "stages");
  return stage;
}

// LOW:HIGH, also of [LOW, HIGH].
std::string ends_text(const json& value) {
  if (value.is_array() && value.size() == 2) return concat(texts_of(value[0])[0], ':', texts_of(value[1])[0]);
  return texts_of(value)[0];
}

// One of "control_net" as --control-net has it; its image is still base64.
ControlOption control_of(const json& one) {
  constexpr const char* kField = "control_net";
  if (one.is_string()) return parse_control(kField, one);
  if (!one.is_object()) refuse_value(kField, one, "an object with name and image");
  std::string text;
  for (const auto& [key, value] : one.items()) {
    if (value.is_null()) continue;
    if (key == "name" || key == "image") text_in(value, kField);
    const bool ends = key == "interval" || key == "canny";
    if (!(value.is_string() || value.is_number() ||
          (ends && value.is_array() && value.size() == 2 && value[0].is_number() && value[1].is_number())))
      refuse_field(kField, "\"", printable(key), "\" of \"control_net\" is ", shown(value), ", expected ",
                   ends ? "LOW:HIGH or [LOW, HIGH]" : "a text or a number");
    const std::string said = quoted_value(ends ? ends_text(value) : texts_of(value)[0]);
    text = key == "name" ? concat(said, text) : concat(text, ',', key, '=', said);
  }
  if (!one.contains("name")) refuse_field(kField, "\"control_net\" has no \"name\"");
  if (!one.contains("image")) refuse_field(kField, "\"control_net\" has no \"image\", the picture to follow");
  return parse_control(kField, text);
}

// A value of a field as requests have it: lists where the command line has commas, one where it has several.
json as_field(const Field& field, const json& value) {
  if (field.form == Field::Form::values && !value.is_array()) return json::array({value});
  if (field.form == Field::Form::value && value.is_array() && !value.empty() &&
      std::ranges::all_of(value, [](const json& one) { return one.is_number() || one.is_string(); }))
    return join(texts_of(value), ",");
  return value;
}

// What an evaluation costs grows with the square of the area. width, height: pixels.
void check_area(int64_t width, int64_t height, const ModelInfo& model) {
  constexpr int64_t kMostAreas = 16;
  const int64_t side = model.side * model.pixels_per_latent;
  if (width * height > kMostAreas * side * side)
    throw Refusal(413, "too_large",
                  concat(width, " x ", height, " pixels are more than ", kMostAreas, " times as many as ",
                         model.name, " was trained with"),
                  "width");
}

// All numbers in the text, for none may be larger: "10,20", "ddim25".
int64_t sum_of_numbers(const std::string& text) {
  int64_t sum = 0, number = 0;
  for (const char c : text + ",")
    if ('0' <= c && c <= '9')
      number = std::min<int64_t>(number * 10 + (c - '0'), 1'000'000'000);
    else
      sum += std::exchange(number, 0);
  return sum;
}

std::string text_of(const Said& said, std::string_view field) {
  const auto found = said.find(field);
  return found == said.end() || found->second.empty() ? "" : found->second[0];
}

int64_t number_of(const Said& said, std::string_view field, int64_t otherwise) {
  const std::string text = text_of(said, field);
  return text.empty() ? otherwise : sum_of_numbers(text);
}

bool names_model(const Said& said) {
  if (said.contains("model") || said.contains("small") || said.contains("large")) return true;
  const auto stages = said.find("stage");
  return stages != said.end() && std::ranges::any_of(stages->second, [](const std::string& stage) {
           return !parse_stage(stage).model.empty();
         });
}

// Stages that do not say whose steps are whose may stand beside a ratio: so pictures say it.
void check_rivals(const Said& said) {
  const auto stages = said.find("stage");
  const bool share = stages == said.end() || std::ranges::any_of(stages->second, [](const std::string& text) {
                       const StageOptions stage = parse_stage(text);
                       return stage.share || stage.until;
                     });
  if (share) return check_exclusive(said);
  Said without_stages = said, without_shares = said;
  without_stages.erase("stage");
  for (const std::string_view name : kShareFields) without_shares.erase(std::string(name));
  check_exclusive(without_stages);
  check_exclusive(without_shares);
}

// The sizes that models of one size have, and multiples of what others take.
void take_nearest_size(Said& said, const std::vector<ModelInfo>& models, std::vector<std::string>& notes) {
  const ModelInfo& model = models.back();
  int64_t unit = model.pixels_per_latent;
  for (const ModelInfo& each : models)
    unit = std::lcm(unit, model.pixels_per_latent * each.architecture->unit());
  for (const char* side : {"width", "height"}) {
    if (!said.contains(side)) continue;
    const int64_t asked = number_of(said, side, 0), own = model.side * model.pixels_per_latent;
    const int64_t nearest = model.any_size ? std::max<int64_t>(1, (asked + unit / 2) / unit) * unit : own;
    if (nearest == asked) continue;
    said[side] = {std::to_string(nearest)};
    notes.push_back(concat(side, " ", asked, " is not one of ", model.name, ": ", nearest, " was taken"));
  }
}

}  // namespace

bool is_of_runs(const std::string& name) {
  return name == "stages" || find_field(name) || find_refused(name) != std::end(kNotOfRequests);
}

Saying saying_of(std::string_view field) {
  const auto found = kSayings.find(field);
  return found == kSayings.end() ? Saying::refused : found->second;
}

Image opaque(const TransparentImage& picture, bool is_mask) {
  const Image& colours = picture.colours;
  if (!picture.opacity) return colours;
  const std::vector<uint8_t>& opacity = picture.opacity->pixels;
  if (is_mask && std::ranges::count(opacity, 255) < std::ssize(opacity)) return *picture.opacity;
  Image image = colours;
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    const int share = opacity[i / static_cast<size_t>(image.channels)];
    image.pixels[i] = static_cast<uint8_t>((image.pixels[i] * share + 255 * (255 - share) + 127) / 255);
  }
  return image;
}

Image read_base64_picture(const std::string& field, const std::string& text) {
  std::string_view digits = text;
  if (digits.starts_with("data:")) {
    const size_t comma = digits.find(";base64,");
    if (comma == digits.npos)
      throw Refusal(422, "invalid_image", concat("\"", field, "\" is no data URL in base64"), field);
    digits.remove_prefix(comma + 8);
  }
  if (digits.starts_with("http://") || digits.starts_with("https://"))
    throw Refusal(422, "not_allowed",
                  concat("\"", field, "\" is an address: expected the picture itself in base64"), field);
  const auto bytes = from_base64(digits);
  if (!bytes || bytes->empty())
    throw Refusal(422, "invalid_image",
                  concat("\"", field, "\" is not base64: expected a PNG or JPEG file in it"), field);
  try {
    return is_jpeg(*bytes) ? decode_jpeg(*bytes, field)
                           : opaque(decode_transparent_png(*bytes, field), field == "mask");
  } catch (const Error& error) {
    const bool large = std::string_view(error.what()).find("[RES_LIMIT]") != std::string_view::npos;
    throw Refusal(large ? 413 : 422, "invalid_image", error.what(), field);
  }
}

void check_pictures(const Request& request) {
  constexpr size_t kMostBytes = size_t{256} << 20;
  size_t all = 0;
  for (const auto& [name, picture] : request.pictures) all += picture.pixels.size();
  const auto controls = request.said.find("control_net");
  const bool many = controls != request.said.end() && controls->second.size() > kMostControls;
  if (many || all > kMostBytes)
    throw Refusal(413, "too_large",
                  concat("the pictures of the request are too many or too large, expected at most ",
                         kMostControls, " ControlNets and ", kMostBytes >> 20, " MiB of pixels"),
                  many || request.pictures.size() > 2 ? "control_net" : "init_image");
}

std::string add_control(Request& request, ControlOption control, const std::string& field,
                        const std::string& base64) {
  control.image = picture_name("control_net", base64);
  if (!request.pictures.contains(control.image))
    request.pictures.emplace(control.image, read_base64_picture(field, base64));
  request.said["control_net"].push_back(to_string(control));
  check_pictures(request);
  return control.image;
}

Request read_request(const json& object, const Catalog& catalog) {
  if (!object.is_object()) throw Refusal(400, "invalid_json", "the request is no JSON object");
  Request request;
  for (const auto& [key, value] : object.items()) {
    const std::string name = key == "stages" ? "stage" : key;
    const Field* field = find_field(name);
    const Saying saying = saying_of(name);
    if (const auto refused = find_refused(name); refused != std::end(kNotOfRequests))
      throw Refusal(422, "not_allowed", concat("\"", name, "\" is not taken in requests: ", refused->second),
                    name);
    if (!field) {
      const std::string nearest = nearest_name(key);
      throw Refusal(422, "unknown_field",
                    concat("unknown field \"", printable(key), "\"",
                           nearest.empty() ? "" : concat(": did you mean \"", nearest, "\"?")),
                    printable(key));
    }
    if (saying == Saying::refused)
      throw Refusal(
          422, "not_allowed",
          concat("\"", name, "\" is not a request's to say: it names files of the server or of yours, or ",
                 "is decided where that is started"),
          name);
    if (request.said.contains(name)) refuse_field(key, "\"stage\" and \"stages\" exclude each other");
    if (value.is_null()) continue;
    if (saying == Saying::stages) {
      Texts& texts = request.said[name];
      for (const json& stage : value.is_array() ? value : json::array({value}))
        texts.push_back(stage_text(stage));
      continue;
    }
    if (saying == Saying::control) {
      for (const json& one : value.is_array() ? value : json::array({value}))
        naming_field(name, [&] {
          const ControlOption control = control_of(one);
          add_control(request, control, name, control.image);
        });
      continue;
    }
    Texts texts = naming_field(
        name, [&, &value = value] { return texts_of(*field, as_field(*field, value), "the request"); });
    if (field->form == Field::Form::flag && texts == Texts{"false"}) continue;
    if (saying == Saying::picture) {
      const std::string text = texts[0];
      texts = {picture_name(name, text)};
      request.pictures.emplace(texts[0], read_base64_picture(name, text));
      check_pictures(request);
    }
    if (name == "twin" && naming_field(name, [&] { return parse_twin(texts[0]); }).dtype)
      throw Refusal(
          422, "not_allowed",
          concat("\"twin\" is \"", printable(texts[0]),
                 "\": all models of a server have one type, expected merge=, cache= and skip= alone"),
          name);
    if (saying == Saying::model && name == "model") {
      Texts names;
      for (const std::string& one : texts)
        for (const std::string& part : catalog.split(one)) names.push_back(part);
      texts = names;
    }
    request.said[name] = texts;
  }
  return request;
}

std::string stage_name(const Plan& plan, size_t stage) {
  const std::string form = to_string(plan.models[stage].form);
  return form.empty() ? plan.names[stage] : concat(plan.names[stage], " [", form, ']');
}

Planner::Planner(const Catalog& catalog, Said before, const Limits& limits, const BackendOptions& device)
    : catalog_(catalog), before_(std::move(before)), limits_(limits), device_(device) {}

Said Planner::with_paths(const Said& said, bool of_text) const {
  Said all = said;
  const auto path_of_lora = [&](const std::string& text) {
    LoraOption lora = naming_field("lora", [&] { return parse_lora("lora", text); });
    lora.path = catalog_.lora_path(lora.path);
    return lora;
  };
  const auto named_control = [&](const std::string& name) {
    return name == "none" ? name : catalog_.control_path(name);
  };
  for (auto& [name, texts] : all) switch (saying_of(name)) {
      case Saying::model:
        for (std::string& text : texts) text = text.empty() ? "" : catalog_.model_path(text);
        break;
      case Saying::lora:
        for (std::string& text : texts) text = to_string(path_of_lora(text));
        break;
      case Saying::control:
        for (std::string& text : texts) {
          ControlOption control = parse_control(name, text);
          control.path = catalog_.control_path(control.path);
          text = to_string(control);
        }
        break;
      case Saying::stages:
        for (std::string& text : texts) {
          StageOptions stage = checked_stage(text);
          if (!stage.model.empty()) stage.model = catalog_.model_path(stage.model);
          for (LoraOption& lora : stage.loras)
            if (lora.path != "none") lora = path_of_lora(to_string(lora));
          for (std::string& control : stage.controls) control = named_control(control);
          text = to_string(stage);
        }
        break;
      default:
        break;
    }
  if (names_model(all)) return all;
  const std::vector<std::string> usual = catalog_.usual(of_text);
  if (usual.empty()) throw Refusal(404, "model_not_found", "there is no model here", "model");
  for (const std::string& name : usual) all["model"].push_back(catalog_.model_path(name));
  return all;
}

std::string Planner::in_names(const std::string& message) const {
  PathNames names = catalog_.path_names();
  for (const auto& [name, texts] : before_)
    if (saying_of(name) == Saying::refused)
      for (const std::string& text : texts) {
        const std::string path = name == "embedding" ? parse_embedding(name, text).path : text;
        if (path.find('/') != path.npos) names.emplace_back(path, name_without_folder(path));
      }
  return with_names(message, std::move(names));
}

// What `work` returns; an error of it without the server's paths.
template <class F>
auto Planner::named(F work) const try {
  return work();
} catch (const Error& error) {
  throw Error(error.kind(), in_names(error.what()));
}

std::vector<ModelInfo> Planner::read(const Said& said) const {
  const SampleOptions options = parse_models(said);
  try {
    return read_models(options, [this](const ModelFiles& files) { return content_of_control(files); });
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::input) throw;
    std::vector<std::string> paths = options.models;
    for (const ControlOption& control : options.controls) paths.push_back(control.path);
    for (const LoraOption& lora : options.loras) paths.push_back(lora.path);
    for (const StageOptions& stage : options.stages)
      for (const LoraOption& lora : stage.loras) paths.push_back(lora.path);
    for (const std::string& path : paths) catalog_.check_readable(path);
    throw;
  }
}

std::vector<ModelInfo> Planner::models_of(const Said& said) const {
  return named([&] { return read(merged(before_, with_paths(said, says_text(said)))); });
}

Refusal Planner::refusal(const Error& error, const Plan& plan) const try {
  if (error.kind() == ErrorKind::input) {  // its networks are read when its turn comes
    for (const std::string& name : plan.names) catalog_.check_readable(catalog_.model_path(name));
    for (const ControlOption& control : plan.spec.options.controls)
      catalog_.check_readable(catalog_.control_path(control.path));
  }
  return refusal_of(Error(error.kind(), in_names(error.what())));
} catch (const Refusal& gone) {
  return gone;
}

std::vector<std::vector<std::string>> Planner::controls_of(const std::vector<ModelInfo>& models) const {
  std::vector<std::vector<std::string>> fitting(models.size());
  for (const std::string& name : catalog_.controls()) try {
      const ControlNetInfo net = read_control_net_info(catalog_.control_path(name));
      for (size_t i = 0; i < models.size(); ++i)
        if (control_obstacle(net, models[i]).empty()) fitting[i].push_back(name);
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception&) {  // it could be read when the catalog looked
    }
  return fitting;
}

// That says nothing but what the usual models cannot do without.
Request Planner::silent_request() const {
  Request request;
  request.subject = "";
  const std::vector<ModelInfo> models = models_of({});
  if (std::ranges::none_of(models, [](const ModelInfo& model) { return model.condition.sees_mask; }))
    return request;
  const int64_t side = models.back().side * models.back().pixels_per_latent;
  const Image white{.width = static_cast<int>(side),
                    .height = static_cast<int>(side),
                    .channels = 1,
                    .pixels = std::vector<uint8_t>(static_cast<size_t>(side * side), 255)};
  for (const char* field : {"init_image", "mask"}) {
    request.said[field] = {field};
    request.pictures[field] = white;
  }
  return request;
}

std::shared_ptr<const Plan> Planner::check_own() const {
  if (catalog_.models().empty()) return nullptr;
  const auto what_is_wrong = [&](const Planner& planner, std::shared_ptr<const Plan>& plan) {
    try {
      plan = planner.planned(planner.silent_request());
    } catch (const Refusal& refusal) {
      return std::optional(Error(ErrorKind::usage, refusal.message));
    } catch (const Error& error) {
      return std::optional(error);
    }
    return std::optional<Error>();
  };
  std::shared_ptr<const Plan> plan, without;
  const auto wrong = what_is_wrong(*this, plan);
  if (!wrong) return plan;
  if (!catalog_.usual_is_a_guess()) throw *wrong;
  // What a model of a folder lacks by itself whoever asks for it is told: there are others.
  const Planner silent(catalog_, {}, limits_, device_);
  const auto own = what_is_wrong(silent, without);
  if (!own || std::string_view(own->what()) != wrong->what()) throw *wrong;
  return nullptr;
}

Planner::Stamp Planner::stamp_of(const std::string& path) {
  std::error_code ignored;
  return {std::filesystem::last_write_time(path, ignored), std::filesystem::file_size(path, ignored)};
}

std::string Planner::content_of_control(const ModelFiles& files) const {
  std::vector<std::string> paths = {files.weights, files.config, files.scheduler};
  if (is_shard_index(files.weights))  // which does not show when its shards change: they lie beside it
    for (std::string& path : list_folder(parent_folder(files.weights))) paths.push_back(std::move(path));
  KnownContent now{.stamps = {}, .content = {}};
  for (const std::string& path : paths) now.stamps.push_back(stamp_of(path));
  {
    const std::lock_guard lock(contents_mutex_);
    const KnownContent& known = contents_[files.weights];
    if (known.stamps == now.stamps) return known.content;
  }
  now.content = content_of(files, WeightChoice::automatic, [] {});
  const std::lock_guard lock(contents_mutex_);
  return (contents_[files.weights] = std::move(now)).content;
}

Planner::KnownWords Planner::words_of(const std::string& path, const std::string& name) const {
  KnownWords now{.stamp = stamp_of(path), .names = {}, .vectors = {}};
  const std::lock_guard lock(words_mutex_);
  KnownWords& known = words_[{path, name}];
  if (!known.names.empty() && known.stamp == now.stamp) return known;
  try {
    const Embedding embedding(path, name);
    now.names = embedding.names();
    now.vectors = embedding.vectors();
  } catch (const Error&) {
    now.names = {name.empty() ? name_without_folder(path) : name};
  }
  return known = now;
}

std::map<std::string, std::optional<int64_t>> Planner::embeddings() const {
  std::map<std::string, std::optional<int64_t>> words;
  const auto add = [&](const std::string& path, const std::string& name) {
    const KnownWords found = words_of(path, name);
    for (const std::string& word : found.names)
      if (found.vectors)
        words[word] = found.vectors;
      else
        words.emplace(word, std::nullopt);
  };
  if (const auto folder = before_.find("embedding_dir"); folder != before_.end())
    for (const auto& [name, paths] :
         named([&] { return checkpoints_below("--embedding-dir", folder->second.at(0)); }))
      for (const std::string& path : paths) add(path, name);
  if (const auto given = before_.find("embedding"); given != before_.end())
    for (const std::string& text : given->second) {
      const EmbeddingOption embedding = parse_embedding("--embedding", text);
      add(embedding.path, embedding.name);
    }
  return words;
}

void Planner::check_limits(const Said& said) const {
  const auto most = [](const char* field, int64_t value, int64_t limit, const char* what) {
    if (value > limit)
      throw Refusal(422, "out_of_range",
                    concat("\"", field, "\" is ", value, ", expected at most ", limit, what), field);
  };
  most("steps", number_of(said, "steps", 0), limits_.steps, " steps");
  most("batch_count", number_of(said, "batch_count", 1), limits_.images, " images of a job");
  for (const char* side : {"width", "height", "image_size"})
    most(side, number_of(said, side, 0), limits_.side, " pixels");
  size_t bytes = 0;
  for (const char* field : {"prompt", "negative_prompt", "stage", "class"})
    if (const auto texts = said.find(field); texts != said.end())
      for (const std::string& text : texts->second) bytes += text.size();
  if (bytes > limits_.prompt_bytes)
    throw Refusal(413, "prompt_too_long",
                  concat("the prompts are ", bytes, " bytes, expected at most ", limits_.prompt_bytes),
                  "prompt");
}

std::shared_ptr<const Plan> Planner::plan(Request request) const {
  return named([&] { return planned(std::move(request)); });
}

std::shared_ptr<const Plan> Planner::planned(Request request) const {
  Said& said = request.said;
  if (request.subject) said["prompt"] = {*request.subject};
  check_limits(said);
  if (text_of(merged(before_, said), "prompt_style") != name_of(PromptStyle::plain))
    take_loras_of_prompts(said, [](const std::string& name) { return name; });
  check_rivals(said);
  // A subject is whatever the usual models make of it.
  const Said asked = with_paths(said, !request.subject && says_text(said));
  Said all = merged(before_, asked);
  std::vector<ModelInfo> models = read(all);
  const ModelInfo& model = models.back();
  std::vector<std::string> notes = request.notes;
  if (request.subject && model.condition.kind != ConditionKind::text) {
    const std::string name = said["prompt"][0];
    for (Said* one : {&said, &all}) {
      one->erase("prompt");
      (*one)["class"] = {name.empty() ? "random" : name};
    }
  }
  if (request.nearest_size) take_nearest_size(all, models, notes);

  const int64_t usual_side = model.side * model.pixels_per_latent,
                size = number_of(all, "image_size", usual_side);
  check_area(number_of(all, "width", size), number_of(all, "height", size), model);
  std::map<std::string, std::shared_ptr<const Image>> pictures;
  for (auto& [name, picture] : request.pictures)
    pictures[name] = std::make_shared<const Image>(std::move(picture));
  const auto decide = [&](const Said& options_said) {
    SampleOptions options = parse_options(options_said, models, [&](const std::string& name) {
      const auto found = pictures.find(name);
      check_internal(found != pictures.end(), "no picture of that name");
      return found->second;
    });
    options.backend = device_;
    const int64_t subjects = std::max<int64_t>({1, std::ssize(options.prompts), std::ssize(options.classes)});
    if (subjects * options.batch_count > limits_.images)
      throw Refusal(422, "out_of_range",
                    concat("the job has ", subjects * options.batch_count, " images, expected at most ",
                           limits_.images),
                    "batch_count");
    return make_run_spec(models, options);
  };
  RunSpec spec = decide(all);
  if (spec.trajectory.size() > limits_.steps)
    throw Refusal(422, "out_of_range",
                  concat("the job has ", spec.trajectory.size(), " steps, expected at most ", limits_.steps),
                  "steps");
  // What has no effect is left out where a client's program says it on its own account, and where the run has
  // that value anyway: so a picture's metadata are a request.
  Said effective = all;
  for (const auto& [name, texts] : Said(said)) {
    const Field& field = field_named(name);
    const std::string why = field.idle ? field.idle(spec, models) : "";
    if (why.empty()) continue;
    const bool is_unasked = request.unasked.contains(name);
    if (saying_of(name) == Saying::control) continue;  // the models were read with it
    Said without = effective;
    without.erase(name);
    if (!is_unasked && field.print(decide(without).options) != field.print(spec.options)) continue;
    if (is_unasked) notes.push_back(concat(name, " has no effect: ", why));
    said.erase(name);
    effective = without;
  }
  check_effective(said, spec, models);
  if (effective != all) spec = decide(effective);
  for (const std::string& line : describe_what_saves_nothing(spec, models)) notes.push_back(line);
  check_decodable(model, spec.options.vae);
  const int64_t area = spec.height * spec.width,
                pixels = area * model.pixels_per_latent * model.pixels_per_latent;
  if (spec.images() > limits_.images)
    throw Refusal(422, "out_of_range",
                  concat("the job has ", spec.images(), " images, expected at most ", limits_.images),
                  "batch_count");
  if (pixels * spec.images() > limits_.pixels)
    throw Refusal(
        413, "too_large",
        concat("the job has ", pixels * spec.images(), " pixels, expected at most ", limits_.pixels),
        "width");
  if (const int64_t hints = std::ssize(spec.options.controls); hints > 1 && pixels * hints > limits_.pixels)
    throw Refusal(
        413, "too_large",
        concat(hints, " ControlNets follow ", pixels * hints, " pixels, expected at most ", limits_.pixels),
        "control_net");
  check_area(spec.width * model.pixels_per_latent, spec.height * model.pixels_per_latent, model);
  for (const auto& [name, refusal] : request.uncut) {
    const Image& picture = *pictures.at(name);
    if (picture.width * spec.height != picture.height * spec.width) throw refusal;
  }

  std::vector<bool> used;
  for (int i = 0; i < std::ssize(models); ++i) used.push_back(spec.uses(i));
  const std::string vae = model.pixels ? "" : autoencoder_path(model, spec.options.vae);
  const MemoryNeed need = memory_needed(models, used, spec, vae);
  // Pictures say what a request would say, and nobody's paths: what the server's files hold is not asked of
  // it.
  spec.options.contents.clear();
  std::vector<std::string> names;
  for (std::string& path : spec.options.models) {
    path = catalog_.name_of(path);
    names.push_back(path);
  }
  for (LoraOption& lora : spec.options.loras) lora.path = catalog_.name_of(lora.path);
  for (ControlOption& control : spec.options.controls) control.path = catalog_.name_of(control.path);
  std::map<std::shared_ptr<const ControlNetInfo>, std::shared_ptr<const ControlNetInfo>> renamed;
  for (ModelInfo& each : models) {
    for (Lora& lora : each.loras) lora.path = catalog_.name_of(lora.path);
    for (RefusedLora& lora : each.refused_loras) lora.path = catalog_.name_of(lora.path);
    for (ModelControl& control : each.controls) {
      auto& net = renamed[control.net];
      if (!net) {
        ControlNetInfo copy = *control.net;
        copy.path = catalog_.name_of(copy.path);
        net = std::make_shared<const ControlNetInfo>(std::move(copy));
      }
      control.net = net;
    }
  }
  for (const std::string& line : describe_what_is_left_out(models))
    if (const std::string note = in_names("LoRA " + line); !std::ranges::count(notes, note))
      notes.push_back(note);  // once of a model that serves several stages
  for (EmbeddingOption& embedding : spec.options.embeddings)
    embedding.path = catalog_.name_of(embedding.path);
  for (StageOptions& stage : spec.options.stages) {
    for (LoraOption& lora : stage.loras)
      if (lora.path != "none") lora.path = catalog_.name_of(lora.path);
    for (std::string& control : stage.controls)
      if (control != "none") control = catalog_.name_of(control);
  }
  for (std::string* path : {&spec.options.vae, &spec.options.files.null_context})
    if (!path->empty()) *path = catalog_.name_of(*path);
  return std::make_shared<const Plan>(Plan{.models = std::move(models),
                                           .spec = std::move(spec),
                                           .vae = vae,
                                           .need = need,
                                           .used = std::move(used),
                                           .names = std::move(names),
                                           .notes = std::move(notes)});
}

}  // namespace tstitch::serve
