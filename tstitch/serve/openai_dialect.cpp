// /v1/images and /v1/models, as OpenAI's clients speak them.
#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>

#include "tstitch/base/join.h"
#include "tstitch/condition/class_names.h"
#include "tstitch/io/png.h"
#include "tstitch/serve/base64.h"
#include "tstitch/serve/json_values.h"
#include "tstitch/serve/multipart.h"
#include "tstitch/serve/route.h"

namespace tstitch::serve {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

const NeutralValues kNeutral = {
    {"response_format", {nullptr, "b64_json"}},
    {"output_format", {nullptr, "png"}},
    {"output_compression", "*"},  // of formats that lose something
    {"quality", {nullptr, "auto", "standard"}},
    {"style", {nullptr, "vivid"}},
    {"background", {nullptr, "auto", "opaque"}},
    {"moderation", "*"},
    {"user", "*"},
    {"partial_images", "*"},  // there may be fewer
    {"input_fidelity", {nullptr, "low"}},
};

// Names of other servers of this dialect for fields of ours.
const std::map<std::string_view, std::string> kOthers = {
    {"n", "batch_count"}, {"num_inference_steps", "steps"}, {"guidance_scale", "cfg_scale"}};

// "1024x768".
void take_size(const json& value, Request& request) {
  if (value.is_null() || value == "auto") return;
  const std::string text = value.is_string() ? value.get<std::string>() : "";
  const size_t x = text.find('x');
  const auto is_number = [](std::string_view part) {
    return !part.empty() && part.size() < 8 && part.find_first_not_of("0123456789") == part.npos;
  };
  if (x == text.npos || !is_number(std::string_view(text).substr(0, x)) ||
      !is_number(std::string_view(text).substr(x + 1)))
    refuse_value("size", value, "as 1024x1024, or auto");
  request.said["width"] = {text.substr(0, x)};
  request.said["height"] = {text.substr(x + 1)};
}

// What of these fields is OpenAI's; the rest, ours by their names.
Request request_of(const json& body, const Catalog& catalog) {
  json own = json::object();
  std::optional<std::string> prompt;
  for (const auto& [name, value] : body.items()) {
    if (is_neutral(kNeutral, name, value)) continue;
    if (name == "prompt") {
      prompt = text_in(value, name);
    } else if (name == "stream" || name == "size" || (name == "model" && value == "")) {
      continue;
    } else if (const auto other = kOthers.find(name); other != kOthers.end()) {
      own[other->second] = value;
    } else {
      own[name] = value;
    }
  }
  if (!prompt && !own.contains("class")) refuse_field("prompt", "there is no \"prompt\"");
  if (!own.contains("seed")) own["seed"] = -1;
  Request request = read_request(own, catalog);
  if (!own.contains("class")) request.subject = prompt;
  request.nearest_size = true;
  take_size(body.value("size", json()), request);
  return request;
}

int64_t now() { return std::time(nullptr); }

std::string size_of(const Plan& plan) {
  const int64_t unit = plan.models.back().pixels_per_latent;
  return concat(plan.spec.width * unit, "x", plan.spec.height * unit);
}

ordered_json usage_json() {
  return {{"input_tokens", 0},
          {"input_tokens_details", {{"image_tokens", 0}, {"text_tokens", 0}}},
          {"output_tokens", 0},
          {"total_tokens", 0}};
}

ordered_json answer_of(const Job& job, const Plan& plan) {
  ordered_json data = ordered_json::array();
  for (const auto& picture : job.pictures())
    data.push_back({{"b64_json", base64(picture->png)}, {"seed", picture->seed}});
  ordered_json answer = {{"created", now()},
                         {"data", data},
                         {"output_format", "png"},
                         {"size", size_of(plan)},
                         {"usage", usage_json()}};
  if (!plan.notes.empty()) answer["notes"] = plan.notes;
  return answer;
}

// event: NAME and its data, which says the name again.
std::string event_text(const std::string& name, ordered_json data) {
  ordered_json with_type = {{"type", name}};
  with_type.update(data);
  return concat("event: ", name, "\ndata: ", text_of(with_type), "\n\n");
}

void generate(const Parts& parts, Call& call, Request request, bool stream, const std::string& kind) {
  const auto plan = parts.planner.plan(std::move(request));
  const auto job = parts.board.submit(plan, call.caller);
  call.reply->when_gone([&board = parts.board, job] { board.cancel(job); });
  if (stream) call.reply->begin_events();
  job->watch([reply = call.reply, job, plan, stream, kind, path = call.request.path](const JobState& state) {
    if (!state.ended()) return;
    std::optional<Refusal> error = state.error;
    if (state.status == JobStatus::cancelled) error = Refusal(503, "cancelled", "the job was cancelled");
    if (!stream)
      return reply->send(error ? response_of(*error, path)
                               : HttpResponse{.status = 200, .body = text_of(answer_of(*job, *plan))});
    if (error) {
      reply->event(concat("event: error\ndata: ", response_of(*error, path).body, "\n\n"));
    } else {
      std::string events;  // as one: together they are more than a client may leave unread
      for (const auto& picture : job->pictures()) {
        ordered_json data = {{"b64_json", base64(picture->png)},
                             {"created_at", now()},
                             {"size", size_of(*plan)},
                             {"quality", "auto"},
                             {"background", "opaque"},
                             {"output_format", "png"},
                             {"usage", usage_json()}};
        if (!plan->notes.empty()) data["notes"] = plan->notes;
        events += event_text(kind + ".completed", data);
      }
      reply->event(std::move(events));
    }
    reply->end();
  });
}

bool is_true(const json& value) { return value == true || value == "true"; }

// The fields of a form as JSON, and its files: the picture to change, and what of it.
Request request_of_form(const Call& call, const Catalog& catalog, bool& stream) {
  json fields = json::object();
  std::optional<TransparentImage> picture, mask;
  const auto files = parse_multipart(call.request.header("content-type").value_or(""), call.request.body);
  for (const FormPart& part : files) {
    if (part.name == "image" || part.name == "image[]" || part.name == "mask") {
      auto& image = part.name == "mask" ? mask : picture;
      if (image) refuse_field("image", "there are several pictures, expected one");
      const auto bytes = std::as_bytes(std::span(part.content));
      const bool png = part.content.starts_with("\x89PNG");
      image = naming_field(part.name, [&] {
        return png ? decode_transparent_png(bytes, part.name)
                   : TransparentImage{decode_picture(bytes, part.name), std::nullopt};
      });
    } else {
      fields[part.name] = std::string(part.content);
    }
  }
  if (!picture) refuse_field("image", "there is no \"image\"");
  stream = is_true(fields.value("stream", json()));
  for (const char* name : {"stages", "control_net"})
    if (fields.contains(name)) {
      fields[name] = json::parse(fields[name].get<std::string>(), nullptr, false);
      if (fields[name].is_discarded()) refuse_field(name, "\"", name, "\" is no JSON");
    }
  Request request = request_of(fields, catalog);
  request.pictures["image of a request"] = picture->colours;
  request.said["init_image"] = {"image of a request"};
  // What is transparent is painted: of the mask, else of the picture itself. A mask that is opaque throughout
  // is white where to paint.
  std::optional<Image> painted = mask ? mask->opacity : picture->opacity;
  if (painted)
    for (uint8_t& pixel : painted->pixels) pixel = static_cast<uint8_t>(255 - pixel);
  else if (mask)
    painted = mask->colours;
  if (painted && std::ranges::count(painted->pixels, 0) < std::ssize(painted->pixels)) {
    request.pictures["mask of a request"] = *painted;
    request.said["mask"] = {"mask of a request"};
  }
  check_pictures(request);
  return request;
}

ordered_json model_json(const std::string& name) {
  return {{"id", name}, {"object", "model"}, {"created", 0}, {"owned_by", "tstitch"}};
}

// What a page wants to know before it asks.
ordered_json described(const std::string& name, const Parts& parts) {
  const std::vector<std::string> names = parts.catalog.split(name);
  const std::vector<ModelInfo> models = parts.planner.models_of({{"model", names}});
  const ModelInfo& model = models.back();
  ordered_json answer = model_json(name);
  ordered_json details = {{"models", names},
                          {"text", model.condition.kind == ConditionKind::text},
                          {"width", model.side * model.pixels_per_latent},
                          {"height", model.side * model.pixels_per_latent},
                          {"any_size", model.any_size},
                          {"sampler", model.defaults.sampler},
                          {"cfg_scale", model.defaults.cfg_scale},
                          {"controls", parts.planner.controls_of(models)}};
  const ClassNames classes(model);
  if (classes.known())
    for (int64_t c = 0; c < model.condition.num_classes; ++c) details["classes"].push_back(classes.usual(c));
  answer["tstitch"] = details;
  return answer;
}

ordered_json image_schema() {
  return {{"type", "object"},
          {"required", {"prompt"}},
          {"properties",
           {{"prompt", {{"type", "string"}}},
            {"model", {{"type", "string"}}},
            {"n", {{"type", "integer"}, {"minimum", 1}}},
            {"size", {{"type", "string"}, {"pattern", "^(auto|[0-9]+x[0-9]+)$"}}},
            {"stream", {{"type", "boolean"}}},
            {"seed", {{"type", "integer"}}},
            {"ratio", {{"type", "number"}, {"minimum", 0}, {"maximum", 1}}},
            {"stages", {{"type", {"array", "object", "string"}}}},
            {"control_net", control_schema()}}}};
}

}  // namespace

void add_openai_routes(Routes& routes, const Parts& parts) {
  routes.push_back({.method = "POST",
                    .path = "/v1/images/generations",
                    .answer =
                        [parts](Call& call) {
                          parts.board.check_room();
                          generate(parts, call, request_of(call.body, parts.catalog),
                                   is_true(call.body.value("stream", json())), "image_generation");
                        },
                    .body = Route::Body::json,
                    .summary = "Pictures of a text, or of a class by its name",
                    .request_schema = image_schema()});
  ordered_json form = image_schema();
  form["required"].push_back("image");
  for (const char* file : {"image", "mask"})
    form["properties"][file] = {{"type", "string"}, {"contentMediaType", "image/png"}};
  for (const char* field : {"stages", "control_net"}) {  // texts, as all that is no file
    ordered_json& schema = form["properties"][field];
    ordered_json text = {{"type", "string"}, {"contentMediaType", "application/json"}};
    if (schema.contains("description")) text["description"] = schema["description"];
    schema = text;
  }
  routes.push_back({.method = "POST",
                    .path = "/v1/images/edits",
                    .answer =
                        [parts](Call& call) {
                          parts.board.check_room();
                          bool stream = false;
                          Request request = request_of_form(call, parts.catalog, stream);
                          generate(parts, call, std::move(request), stream, "image_edit");
                        },
                    .body = Route::Body::form,
                    .summary = "The same from a picture, all of it or what a mask leaves transparent",
                    .request_schema = form});
  routes.push_back(
      {.method = "GET",
       .path = "/v1/models",
       .answer =
           [parts](Call& call) {
             ordered_json data = ordered_json::array();
             for (const std::string& name : parts.catalog.choices()) data.push_back(model_json(name));
             const auto usual = [&](bool of_text) { return join(parts.catalog.usual(of_text), "+"); };
             call.answer(200, {{"object", "list"},
                               {"data", data},
                               {"tstitch", {{"usual", usual(false)}, {"usual_of_text", usual(true)}}}});
           },
       .summary = "The models, and which of them requests mean that name none"});
  routes.push_back({.method = "GET",
                    .path = "/v1/models/{model}",
                    .answer = [parts](Call& call) { call.answer(200, described(call.parts[0], parts)); },
                    .summary = "One of them, or several as small+large"});
}

}  // namespace tstitch::serve
