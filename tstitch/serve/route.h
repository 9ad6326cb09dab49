// What a server answers: a table of routes, of which its OpenAPI document is a walk.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tstitch/serve/catalog.h"
#include "tstitch/serve/http.h"
#include "tstitch/serve/job_board.h"
#include "tstitch/serve/plan.h"

namespace tstitch::serve {

// What all dialects speak about.
struct Parts {
  Catalog& catalog;
  const Planner& planner;
  JobBoard& board;
};

// A request that has come to its route.
struct Call {
  HttpRequest request;
  Caller caller;
  std::vector<std::string> parts;  // what stands in place of the {names} of the path
  nlohmann::json body;             // an object, of routes that read JSON; else an empty one
  std::shared_ptr<HttpReply> reply;

  void answer(int status, const nlohmann::ordered_json& json, HttpHeaders headers = {}) const;
};

struct Route {
  enum class Body { none, json, form };

  std::string method, path;           // "/v1/jobs/{id}"
  std::function<void(Call&)> answer;  // may throw Refusal and Error
  Body body = Body::none;
  bool open = false;   // answered without a key
  bool quick = false;  // takes no more than moments
  std::string summary;
  nlohmann::ordered_json request_schema = {}, responses = {};  // of OpenAPI; responses by status
};
using Routes = std::vector<Route>;

// Of OpenAPI: "control_net" of a request in JSON.
nlohmann::ordered_json control_schema();
nlohmann::ordered_json openapi_document(const Routes& routes);

// JSON as text; what is not UTF-8 is replaced.
std::string text_of(const nlohmann::ordered_json& json);

// The answer to a request that is refused, as the dialect of its path words it.
HttpResponse response_of(const Refusal& refusal, const std::string& path);

// The dialects.
void add_own_routes(Routes& routes, const Parts& parts);
void add_a1111_routes(Routes& routes, const Parts& parts);
void add_openai_routes(Routes& routes, const Parts& parts);

// The seed's, the PNG file in base64: as all dialects but A1111's have pictures.
nlohmann::ordered_json picture_json(const FinishedPicture& picture);

}  // namespace tstitch::serve
