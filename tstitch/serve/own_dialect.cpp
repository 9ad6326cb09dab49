// /v1/jobs: runs by the names of their fields, watched step by step.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "tstitch/serve/route.h"

namespace tstitch::serve {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

ordered_json error_json(const Refusal& refusal) {
  return {{"message", refusal.message},
          {"code", refusal.code},
          {"param", refusal.param.empty() ? ordered_json() : ordered_json(refusal.param)}};
}

ordered_json state_json(const std::string& id, const JobState& state) {
  ordered_json answer = {{"id", id},
                         {"status", name_of(state.status)},
                         {"step", state.step},
                         {"steps", state.steps},
                         {"stage", state.stage.empty() ? ordered_json() : ordered_json(state.stage)}};
  if (state.error) answer["error"] = error_json(*state.error);
  return answer;
}

ordered_json job_json(const Job& job) {
  ordered_json answer = state_json(job.id(), job.state());
  answer["images"] = ordered_json::array();
  for (const auto& picture : job.pictures()) answer["images"].push_back(picture_json(*picture));
  if (!job.notes().empty()) answer["notes"] = job.notes();
  return answer;
}

// One event of a text/event-stream; the data is on one line.
std::string event_text(const std::string& name, const ordered_json& data) {
  return concat("event: ", name, "\ndata: ", text_of(data), "\n\n");
}

void send_events(const std::shared_ptr<Job>& job, const std::shared_ptr<HttpReply>& reply, bool previews) {
  reply->begin_events();
  if (previews) job->look();
  const uint64_t number = job->watch([job, reply, previews](const JobState& state) {
    if (state.ended()) {
      reply->event(event_text(std::string(name_of(state.status)), state_json(job->id(), state)));
      reply->end();
    } else if (state.step > 0) {
      ordered_json step = {{"step", state.step}, {"steps", state.steps}, {"stage", state.stage}};
      if (previews) job->look();
      if (previews && state.preview) step["preview"] = *state.preview;
      reply->event(event_text("step", step));
    } else {
      reply->event(concat(": ", name_of(state.status), "\n\n"));
    }
  });
  reply->when_gone([job, number] { job->unwatch(number); });  // who comes again and again adds up to nothing
}

// Of the value of a field, as requests have it.
ordered_json schema_of(const Field& field, Saying saying) {
  ordered_json schema = {{"description", field.help}};
  const ordered_json scalar = {{"type", {"string", "number"}}};
  switch (saying) {
    case Saying::picture:
      schema["type"] = "string";
      schema["contentEncoding"] = "base64";
      break;
    case Saying::control:
      schema = control_schema();
      break;
    case Saying::stages:
      schema["type"] = {"array", "object", "string"};
      schema["items"] = {{"type", {"object", "string"}}};
      break;
    default:
      if (field.form == Field::Form::flag)
        schema["type"] = "boolean";
      else
        schema["anyOf"] = {scalar, {{"type", "array"}, {"items", scalar}}};
  }
  return schema;
}

ordered_json request_schema() {
  ordered_json properties = ordered_json::object();
  for (const Field& field : fields())
    if (const Saying saying = saying_of(field.name); saying != Saying::refused)
      properties[saying == Saying::stages ? "stages" : std::string(field.name)] = schema_of(field, saying);
  return {{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
}

ordered_json job_schema() {
  return {{"type", "object"},
          {"required", {"id", "status", "step", "steps", "stage"}},
          {"properties",
           {{"id", {{"type", "string"}}},
            {"status", {{"enum", {"queued", "running", "done", "failed", "cancelled"}}}},
            {"step", {{"type", "integer"}}},
            {"steps", {{"type", "integer"}}},
            {"stage", {{"type", {"string", "null"}}}},
            {"images",
             {{"type", "array"},
              {"items",
               {{"type", "object"},
                {"properties",
                 {{"seed", {{"type", "integer"}}},
                  {"png", {{"type", "string"}, {"contentEncoding", "base64"}}}}}}}}},
            {"notes", {{"type", "array"}, {"items", {{"type", "string"}}}}},
            {"error", {{"type", "object"}}}}}};
}

ordered_json job_response(const char* description) {
  ordered_json response = {{"description", description}};
  response["content"]["application/json"]["schema"] = job_schema();
  return response;
}

ordered_json described(std::initializer_list<std::pair<const char*, const char*>> statuses) {
  ordered_json responses = ordered_json::object();
  for (const auto& [status, description] : statuses) responses[status] = {{"description", description}};
  return responses;
}

}  // namespace

void add_own_routes(Routes& routes, const Parts& parts) {
  ordered_json accepted = described({{"413", "Larger than this server takes"},
                                     {"422", "A field is wrong, or not a request's to say"},
                                     {"429", "The queue is full"},
                                     {"503", "The server ends"}});
  accepted["202"] = job_response("The job waits or runs");
  routes.push_back({.method = "POST",
                    .path = "/v1/jobs",
                    .answer =
                        [parts](Call& call) {
                          parts.board.check_room();
                          const auto plan = parts.planner.plan(read_request(call.body, parts.catalog));
                          const auto job = parts.board.submit(plan, call.caller);
                          call.answer(202, job_json(*job), {{"Location", "/v1/jobs/" + job->id()}});
                        },
                    .body = Route::Body::json,
                    .summary = "Begins a run by the names of its fields",
                    .request_schema = request_schema(),
                    .responses = accepted});
  routes.push_back({.method = "GET",
                    .path = "/v1/jobs",
                    .answer =
                        [parts](Call& call) {
                          ordered_json jobs = ordered_json::array();
                          for (const auto& job : parts.board.active(call.caller))
                            jobs.push_back(state_json(job->id(), job->state()));
                          call.answer(200, {{"jobs", jobs}});
                        },
                    .quick = true,
                    .summary = "The caller's jobs that wait or run, the oldest first"});
  ordered_json found = described({{"404", "There is no such job"}, {"410", "It is no longer kept"}});
  found["200"] = job_response("How it stands; its pictures once it is done");
  routes.push_back(
      {.method = "GET",
       .path = "/v1/jobs/{id}",
       .answer =
           [parts](Call& call) { call.answer(200, job_json(*parts.board.find(call.parts[0], call.caller))); },
       .summary = "A job",
       .responses = found});
  ordered_json stream = found;
  stream["200"] = {{"description",
                    "Events: step {step, steps, stage}, with ?previews=true also preview, a PNG file in "
                    "base64; then done, failed or cancelled"}};
  stream["200"]["content"]["text/event-stream"] = ordered_json::object();
  routes.push_back({.method = "GET",
                    .path = "/v1/jobs/{id}/events",
                    .answer =
                        [parts](Call& call) {
                          send_events(parts.board.find(call.parts[0], call.caller), call.reply,
                                      call.request.parameter("previews") == "true");
                        },
                    .summary = "What becomes of a job, as it happens",
                    .responses = stream});
  found["409"] = {{"description", "It has ended"}};
  routes.push_back({.method = "DELETE",
                    .path = "/v1/jobs/{id}",
                    .answer =
                        [parts](Call& call) {
                          const auto job = parts.board.find(call.parts[0], call.caller);
                          if (!parts.board.cancel(job) && job->state().status != JobStatus::cancelled)
                            throw Refusal(409, "job_ended", "the job has ended");
                          call.answer(200, state_json(job->id(), job->state()));
                        },
                    .summary = "Cancels a job, within one step",
                    .responses = found});
}

}  // namespace tstitch::serve
