#include "tstitch/serve/service.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <tuple>

#include "tstitch/base/ascii.h"
#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/base/version.h"
#include "tstitch/engine/report.h"
#include "tstitch/io/json.h"
#include "tstitch/serve/page.h"

namespace tstitch::serve {

using nlohmann::json;
using nlohmann::ordered_json;

namespace {

constexpr uint64_t kMostSmallBody = 64 << 10;

std::vector<std::string_view> segments_of(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const size_t end = std::min(path.find('/'), path.size());
    segments.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return segments;
}

// Whether the path is one of the route's; parts: what stands in place of its {names}.
bool fits(std::string_view route, std::string_view path, std::vector<std::string>& parts) {
  const auto expected = segments_of(route), there = segments_of(path);
  parts.clear();
  if (expected.size() != there.size()) return false;
  for (size_t i = 0; i < there.size(); ++i) {
    const bool named = expected[i].starts_with('{');
    if (!named && expected[i] != there[i]) return false;
    if (!named) continue;
    const auto decoded = url_decoded(there[i], false);
    if (!decoded || decoded->empty()) return false;
    parts.push_back(*decoded);
  }
  return true;
}

std::string media_type(const HttpRequest& request) {
  std::string type(request.header("content-type").value_or(""));
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ')) type.pop_back();
  return ascii_lowered(type);
}

json parsed(const std::string& body) {
  if (body.empty()) throw Refusal(400, "invalid_json", "there is no body, expected a JSON object");
  json request;
  try {
    request = parse_json(body, "the request");
  } catch (const Error& error) {
    const bool large = std::string_view(error.what()).find("[RES_LIMIT]") != std::string_view::npos;
    throw Refusal(large ? 413 : 400, "invalid_json", error.what());
  }
  if (!request.is_object()) throw Refusal(400, "invalid_json", "the request is no JSON object");
  return request;
}

// In the text form of Prometheus.
class MetricsText {
 public:
  void add(const std::string& name, const char* type, const char* help) {
    text_ += concat("# HELP tstitch_", name, " ", help, "\n# TYPE tstitch_", name, " ", type, "\n");
    name_ = name;
  }
  template <class Value>
  void value(Value value, const std::string& labels = "") {
    text_ += concat("tstitch_", name_, labels.empty() ? "" : "{" + labels + "}", " ", value, "\n");
  }
  template <class Value>
  void one(const std::string& name, const char* type, const char* help, Value it) {
    add(name, type, help);
    value(it);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_, name_;
};

std::string warning(const std::string& message) {
  return text_of({{"event", "warning"}, {"message", message}});
}

CatalogOptions said_by(CatalogOptions options, const std::function<void(const std::string&)>& warn) {
  options.say = [warn](const std::string& message) { warn(warning(message)); };
  return options;
}

// A label's value, as Prometheus quotes it.
std::string label(const char* name, std::string value) {
  std::string quoted;
  for (const char c : value)
    if (c == '\n')
      quoted += "\\n";
    else
      quoted += (c == '"' || c == '\\') ? std::string{'\\', c} : std::string{c};
  return concat(name, "=\"", quoted, "\"");
}

}  // namespace

Service::Service(ServiceOptions options)
    : options_(std::move(options)),
      access_(options_.access),
      catalog_(said_by(options_.catalog, options_.warn)),
      planner_(catalog_, options_.before, options_.limits, options_.device),
      board_(
          options_.backend, options_.limits,
          [this](const std::string& message) {
            options_.log(text_of({{"event", "error"}, {"message", message}}));
          },
          [this](const Error& error, const Plan& plan) { return planner_.refusal(error, plan); }) {
  if (const auto plan = planner_.check_own()) try {
      board_.store().check_fits(plan->need);
    } catch (const Refusal& refusal) {
      if (!catalog_.usual_is_a_guess()) throw Error(ErrorKind::usage, "--memory: " + refusal.message);
      options_.warn(warning("--memory: " + refusal.message));
    }
  add_routes_of_the_house();
  const Parts parts{catalog_, planner_, board_};
  add_own_routes(routes_, parts);
  add_a1111_routes(routes_, parts);
  add_openai_routes(routes_, parts);
}

Service::~Service() = default;

Service::Match Service::match(const HttpRequest& request) const {
  Match match;
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  for (const Route& route : routes_) {
    std::vector<std::string> parts;
    if (!fits(route.path, request.path, parts)) continue;
    if (route.method == method) {
      match.route = &route;
      match.parts = parts;
      return match;
    }
    match.allowed +=
        (match.allowed.empty() ? "" : ", ") + route.method + (route.method == "GET" ? ", HEAD" : "");
  }
  return match;
}

std::optional<HttpResponse> Service::refuse(const HttpRequest& head, uint64_t length) {
  const auto refused = [&](const Refusal& refusal, const HttpHeaders& headers = {}) {
    HttpResponse response = response_of(refusal, head.path);
    response.headers.insert(response.headers.end(), headers.begin(), headers.end());
    return response;
  };
  if (const std::string why = access_.foreign(head); !why.empty()) return refused({403, "foreign_page", why});
  const Match found = match(head);
  if (head.method == "OPTIONS" && !found.allowed.empty()) {
    HttpResponse response{.status = 204, .body = {}, .type = {}, .headers = {{"Allow", found.allowed}}};
    if (!access_.cors_origin(head).empty()) {
      response.headers.emplace_back("Access-Control-Allow-Methods", found.allowed);
      response.headers.emplace_back("Access-Control-Allow-Headers", "Authorization, Content-Type");
    }
    return response;
  }
  if ((!found.route || !found.route->open) && !access_.caller(head))
    return refused({401, "invalid_key", "expected one of the server's keys, as Authorization: Bearer KEY"},
                   {{"WWW-Authenticate", "Bearer realm=\"tstitch\", Basic realm=\"tstitch\""}});
  if (!found.route && found.allowed.empty())
    return refused({404, "not_found", concat("there is no ", printable(head.path))});
  if (!found.route)
    return refused(
        {405, "method_not_allowed",
         concat(printable(head.method), " is not for ", printable(head.path), ", expected ", found.allowed)},
        {{"Allow", found.allowed}});
  const bool has_body = length > 0 || head.header("transfer-encoding");
  const Route::Body body = found.route->body;
  if (body == Route::Body::none && length > kMostSmallBody)
    return refused(
        {413, "too_large", concat("the body is ", length, " bytes, and nothing is expected there")});
  if (has_body && body == Route::Body::json && media_type(head) != "application/json")
    return refused({415, "unsupported_media_type", "expected Content-Type: application/json"});
  if (body == Route::Body::form && media_type(head) != "multipart/form-data")
    return refused({415, "unsupported_media_type", "expected Content-Type: multipart/form-data"});
  return std::nullopt;
}

bool Service::is_quick(const HttpRequest& request) {
  const Match found = match(request);
  return found.route && found.route->quick;
}

void Service::handle(HttpRequest request, std::shared_ptr<HttpReply> reply) {
  const std::string path = request.path;
  try {
    Match found = match(request);
    Call call{.request = std::move(request),
              .caller = {},
              .parts = std::move(found.parts),
              .body = json::object(),
              .reply = reply};
    call.caller = {access_.caller(call.request).value_or(""), call.request.peer};
    if (found.route->body == Route::Body::json) {
      call.body = parsed(call.request.body);
      call.request.body.clear();
    }
    found.route->answer(call);
  } catch (const Refusal& refusal) {
    reply->send(response_of(refusal, path));
  } catch (const Error& error) {
    const Refusal refusal = refusal_of(error);
    if (refusal.status >= 500)
      options_.log(text_of({{"event", "error"}, {"path", path}, {"message", error.what()}}));
    reply->send(response_of(refusal, path));
  } catch (const std::bad_alloc&) {
    reply->send(response_of({503, "out_of_resources", "out of memory", "", 10}, path));
  } catch (const std::exception& error) {
    options_.log(text_of({{"event", "error"}, {"path", path}, {"message", error.what()}}));
    reply->send(response_of(refusal_of(Error(ErrorKind::internal, "")), path));
  }
}

HttpResponse Service::failure(int status, const std::string& message) {
  return response_of({status, status == 413 ? "too_large" : "bad_request", message}, "/");
}

void Service::finish(const HttpRequest& request, HttpResponse& response, double seconds) {
  const auto add = [&](const char* name, const std::string& value) {
    response.headers.emplace_back(name, value);
  };
  add("X-Content-Type-Options", "nosniff");
  if (std::ranges::none_of(response.headers, [](const auto& one) { return one.first == "Cache-Control"; }))
    add("Cache-Control", "no-store");
  if (!options_.access.cors_origins.empty()) {
    add("Vary", "Origin");
    if (const std::string origin = access_.cors_origin(request); !origin.empty())
      add("Access-Control-Allow-Origin", origin);
  }
  {
    const std::lock_guard lock(mutex_);
    ++answers_[response.status];
  }
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  options_.log(text_of({{"event", "answer"},
                        {"time", std::chrono::duration<double>(now).count()},
                        {"peer", request.peer},
                        {"method", request.method},
                        {"path", request.path},
                        {"status", response.status},
                        {"bytes", response.body.size()},
                        {"ms", seconds * 1e3}}));
}

std::string Service::metrics() const {
  const JobBoard::Statistics jobs = board_.statistics();
  const ModelStore::Statistics models = board_.store().statistics();
  MetricsText m;
  m.one("queue_length", "gauge", "Jobs that wait.", jobs.queued);
  m.one("jobs_running", "gauge", "Jobs that run.", jobs.running);
  m.one("jobs_kept", "gauge", "Jobs that have ended and whose pictures are kept.", jobs.kept);
  m.one("kept_bytes", "gauge", "Bytes of these pictures.", jobs.kept_bytes);
  m.add("jobs_total", "counter", "Jobs that have ended.");
  for (const JobStatus status : {JobStatus::done, JobStatus::failed, JobStatus::cancelled})
    m.value(jobs.ended[static_cast<size_t>(status)], label("status", std::string(name_of(status))));
  m.one("pictures_total", "counter", "Pictures made.", jobs.pictures);
  m.one("evaluations_total", "counter", "Evaluations of networks, each for the rows of one job or several.",
        jobs.evaluations.evaluations);
  m.one("rows_total", "counter", "Rows of these: divided by the evaluations, how full they are.",
        jobs.evaluations.rows);
  m.add("stage_evaluations_total", "counter", "Questions to a model, by the jobs that have ended.");
  for (const auto& [name, time] : jobs.stages) m.value(time.evaluations, label("model", name));
  m.add("stage_seconds_total", "counter", "Seconds of waiting for their answers.");
  for (const auto& [name, time] : jobs.stages) m.value(time.seconds, label("model", name));
  m.one("models_loaded", "gauge", "Networks and autoencoders in memory.", models.models);
  m.one("models_bytes", "gauge", "Bytes of their weights.", models.bytes);
  m.one("claimed_bytes", "gauge", "Bytes that running jobs may take beside them.", models.claimed_bytes);
  m.one("model_loads_total", "counter", "Loads of networks and autoencoders.", models.loads);
  m.one("model_evictions_total", "counter", "Those that left to make room.", models.evictions);
  m.one("peak_memory_bytes", "gauge", "The most memory the process has held.", peak_memory_bytes());
  m.add("answers_total", "counter", "Answers by their status.");
  const std::lock_guard lock(mutex_);
  for (const auto& [status, count] : answers_) m.value(count, label("status", std::to_string(status)));
  return m.text();
}

void Service::add_routes_of_the_house() {
  for (const auto& [path, type, text, summary] :
       {std::tuple{"/", "text/html; charset=utf-8", kPageHtml, "The page"},
        {"/page.css", "text/css; charset=utf-8", kPageCss, "What it looks like"},
        {"/page.js", "text/javascript; charset=utf-8", kPageJs, "What it does"}})
    routes_.push_back({.method = "GET",
                       .path = path,
                       .answer =
                           [type = type, text = text](Call& call) {
                             call.reply->send(
                                 {.status = 200,
                                  .body = std::string(text),
                                  .type = type,
                                  .headers = {{"Content-Security-Policy", std::string(kPagePolicy)},
                                              {"Cache-Control", "no-cache"}}});
                           },
                       .open = true,
                       .quick = true,
                       .summary = summary});
  routes_.push_back({.method = "GET",
                     .path = "/healthz",
                     .answer =
                         [](Call& call) {
                           call.answer(200, {{"status", "ok"}, {"version", kVersion}});
                         },
                     .open = true,
                     .quick = true,
                     .summary = "Whether the server lives"});
  routes_.push_back(
      {.method = "GET",
       .path = "/readyz",
       .answer =
           [this](Call& call) {
             const bool closed = board_.is_closed();
             call.answer(closed ? 503 : 200, {{"status", closed ? "shutting_down" : "ready"}});
           },
       .open = true,
       .quick = true,
       .summary = "Whether it takes jobs",
       .responses = {{"200", {{"description", "It does"}}}, {"503", {{"description", "It ends"}}}}});
  routes_.push_back({.method = "GET",
                     .path = "/metrics",
                     .answer =
                         [this](Call& call) {
                           call.reply->send(
                               {.status = 200, .body = metrics(), .type = "text/plain; version=0.0.4"});
                         },
                     .quick = true,
                     .summary = "Counts and sizes, as Prometheus reads them"});
  routes_.push_back({.method = "GET",
                     .path = "/openapi.json",
                     .answer = [this](Call& call) { call.answer(200, openapi_document(routes_)); },
                     .summary = "This document"});
}

}  // namespace tstitch::serve
