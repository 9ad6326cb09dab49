#include "tstitch/serve/route.h"

#include <map>

#include "tstitch/base/version.h"
#include "tstitch/serve/base64.h"

namespace tstitch::serve {

using nlohmann::ordered_json;

namespace {

bool is_a1111(const std::string& path) {
  return path.starts_with("/sdapi/") || path.starts_with("/internal/") || path.starts_with("/controlnet/");
}
bool is_openai(const std::string& path) {
  return path.starts_with("/v1/images/") || path.starts_with("/v1/models");
}

std::string type_of(int status) {
  return status == 401 || status == 403 ? "authentication_error"
         : status == 429                ? "rate_limit_error"
         : status >= 500                ? "server_error"
                                        : "invalid_request_error";
}

ordered_json parameters_of(const std::string& path) {
  ordered_json parameters = ordered_json::array();
  for (size_t at = 0; (at = path.find('{', at)) != path.npos; ++at)
    parameters.push_back({{"name", path.substr(at + 1, path.find('}', at) - at - 1)},
                          {"in", "path"},
                          {"required", true},
                          {"schema", {{"type", "string"}}}});
  return parameters;
}

}  // namespace

std::string text_of(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

void Call::answer(int status, const ordered_json& json, HttpHeaders headers) const {
  reply->send({.status = status, .body = text_of(json), .headers = std::move(headers)});
}

HttpResponse response_of(const Refusal& refusal, const std::string& path) {
  HttpResponse response{.status = refusal.status};
  if (is_a1111(path)) {
    response.body = text_of(
        {{"error", refusal.code}, {"detail", refusal.message}, {"body", ""}, {"errors", refusal.message}});
  } else {
    if (is_openai(path) && response.status == 422) response.status = 400;
    ordered_json error = {{"message", refusal.message},
                          {"type", type_of(refusal.status)},
                          {"param", refusal.param.empty() ? ordered_json() : ordered_json(refusal.param)},
                          {"code", refusal.code}};
    response.body = text_of({{"error", error}});
  }
  if (refusal.retry_after > 0)
    response.headers.emplace_back("Retry-After", std::to_string(refusal.retry_after));
  return response;
}

ordered_json picture_json(const FinishedPicture& picture) {
  return {{"seed", picture.seed}, {"png", base64(picture.png)}};
}

ordered_json control_schema() {
  const ordered_json ends = {{"type", {"array", "string"}}, {"items", {{"type", "number"}}}};
  const ordered_json one = {{"type", {"object", "string"}},
                            {"required", {"name", "image"}},
                            {"properties",
                             {{"name", {{"type", "string"}}},
                              {"image", {{"type", "string"}, {"contentEncoding", "base64"}}},
                              {"strength", {{"type", {"number", "string"}}}},
                              {"interval", ends},
                              {"canny", ends}}}};
  ordered_json schema = one;
  schema["description"] =
      "A ControlNet by its name (GET /controlnet/model_list) and the picture that it follows, or several";
  schema["type"] = {"array", "object", "string"};
  schema["items"] = one;
  return schema;
}

ordered_json openapi_document(const Routes& routes) {
  ordered_json paths = ordered_json::object();
  for (const Route& route : routes) {
    std::string method = route.method;
    for (char& c : method) c = static_cast<char>(c + 32);
    ordered_json operation = {{"summary", route.summary}};
    if (const ordered_json parameters = parameters_of(route.path); !parameters.empty())
      operation["parameters"] = parameters;
    if (route.body != Route::Body::none) {
      const char* type = route.body == Route::Body::json ? "application/json" : "multipart/form-data";
      operation["requestBody"]["content"][type]["schema"] =
          route.request_schema.is_null() ? ordered_json{{"type", "object"}} : route.request_schema;
    }
    operation["responses"] =
        route.responses.is_null() ? ordered_json{{"200", {{"description", "The answer"}}}} : route.responses;
    operation["responses"]["default"] = {{"description", "Why the request is refused"}};
    if (route.open) operation["security"] = ordered_json::array();
    paths[route.path][method] = operation;
  }
  return {{"openapi", "3.1.0"},
          {"info",
           {{"title", "tstitch serve"},
            {"version", kVersion},
            {"description", "Pictures along stitched trajectories, in three dialects."}}},
          {"paths", paths},
          {"components",
           {{"securitySchemes",
             {{"bearer", {{"type", "http"}, {"scheme", "bearer"}}},
              {"basic", {{"type", "http"}, {"scheme", "basic"}}}}}}},
          {"security", ordered_json::array({ordered_json{{"bearer", ordered_json::array()}},
                                            ordered_json{{"basic", ordered_json::array()}}})}};
}

}  // namespace tstitch::serve
