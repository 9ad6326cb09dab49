// /sdapi/v1, as the clients of stable-diffusion-webui speak it.
#include <algorithm>
#include <ctime>
#include <deque>
#include <map>
#include <mutex>

#include "tstitch/base/join.h"
#include "tstitch/base/version.h"
#include "tstitch/engine/field_values.h"
#include "tstitch/engine/memory_check.h"
#include "tstitch/engine/report.h"
#include "tstitch/engine/sampler_names.h"
#include "tstitch/serve/a1111_control.h"
#include "tstitch/serve/a1111_request.h"
#include "tstitch/serve/base64.h"
#include "tstitch/serve/infotext.h"
#include "tstitch/serve/json_values.h"
#include "tstitch/serve/route.h"

namespace tstitch::serve {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// What the server remembers of these clients.
struct Shared {
  std::mutex mutex;
  std::string checkpoint;                                        // what POST options chose for all, or ""
  std::deque<std::pair<std::string, std::weak_ptr<Job>>> tasks;  // by force_task_id, the oldest first

  void remember(const std::string& task, const std::shared_ptr<Job>& job) {
    const std::lock_guard lock(mutex);
    tasks.emplace_back(task, job);
    if (tasks.size() > 1000) tasks.pop_front();
  }
  // The last that was called so with that key.
  std::shared_ptr<Job> find(const std::string& task, const std::string& key) {
    const std::lock_guard lock(mutex);
    for (auto one = tasks.rbegin(); one != tasks.rend(); ++one)
      if (one->first == task)
        if (auto job = one->second.lock(); job && job->owner().key == key) return job;
    return nullptr;
  }
};

std::string timestamp() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  char text[20];
  std::strftime(text, sizeof text, "%Y%m%d%H%M%S", &parts);
  return text;
}

std::string prompt_of(const Plan& plan, int64_t image) {
  const auto pairs = parse_infotext(png_text(plan.spec, plan.models, image)[0].second);
  return pairs.empty() ? "" : pairs[0].second;
}

// The JSON text that clients read seeds and parameters from.
std::string info_of(const Plan& plan, const std::vector<std::string>& ignored) {
  const RunSpec& spec = plan.spec;
  const SampleOptions& options = spec.options;
  ordered_json prompts = ordered_json::array(), negatives = prompts, seeds = prompts, infotexts = prompts,
               notes = plan.notes;
  for (int64_t i = 0; i < spec.images(); ++i) {
    prompts.push_back(prompt_of(plan, i));
    negatives.push_back(options.negative_prompt);
    seeds.push_back(spec.seed_of(i));
    infotexts.push_back(png_text(spec, plan.models, i)[0].second);
  }
  if (!ignored.empty()) notes.push_back(concat("not known here, and ignored: ", join(ignored)));
  const int64_t unit = plan.models.back().pixels_per_latent;
  return text_of(
      {{"prompt", prompts[0]},
       {"all_prompts", prompts},
       {"negative_prompt", options.negative_prompt},
       {"all_negative_prompts", negatives},
       {"seed", seeds[0]},
       {"all_seeds", seeds},
       {"subseed", seeds[0]},
       {"all_subseeds", seeds},
       {"subseed_strength", 0},
       {"width", spec.width * unit},
       {"height", spec.height * unit},
       {"sampler_name", webui_sampler(options.sampler)},
       {"cfg_scale", *options.cfg_scale},
       {"steps", spec.all_steps},
       {"batch_size", spec.images()},
       {"restore_faces", false},
       {"face_restoration_model", nullptr},
       {"sd_model_name", join(plan.names, "+")},
       {"sd_model_hash", nullptr},
       {"sd_vae_name", nullptr},
       {"sd_vae_hash", nullptr},
       {"seed_resize_from_w", -1},
       {"seed_resize_from_h", -1},
       {"denoising_strength", options.init_image ? ordered_json(*options.strength) : ordered_json()},
       {"extra_generation_params", {{"Stitched", describe(spec, plan.models)}}},
       {"index_of_first_image", 0},
       {"infotexts", infotexts},
       {"styles", ordered_json::array()},
       {"job_timestamp", timestamp()},
       {"clip_skip", std::max<int64_t>(1, options.clip_skip)},
       {"is_using_inpainting_conditioning", false},
       {"version", concat("tstitch ", kVersion)},
       {"notes", notes}});
}

// What was asked, without the pictures.
ordered_json echoed(const json& body) {
  ordered_json parameters = body;
  for (const char* name : {"init_images", "mask", "control_net"})
    if (parameters.contains(name)) parameters[name] = nullptr;
  if (parameters.contains("alwayson_scripts"))
    for (auto& [name, script] : parameters["alwayson_scripts"].items())
      if (script.is_object() && script.contains("args"))
        for (ordered_json& unit : script["args"])
          for (const char* picture : {"image", "input_image", "mask"})
            if (unit.is_object() && unit.contains(picture)) unit[picture] = nullptr;
  return parameters;
}

void generate(const Parts& parts, const std::shared_ptr<Shared>& shared, Call& call, bool from_picture) {
  parts.board.check_room();
  std::string checkpoint;
  {
    const std::lock_guard lock(shared->mutex);
    checkpoint = shared->checkpoint;
  }
  A1111Request asked = read_a1111_request(call.body, parts.catalog, checkpoint, from_picture);
  const auto plan = parts.planner.plan(std::move(asked.request));
  const auto job = parts.board.submit(plan, call.caller);
  if (!asked.task.empty()) shared->remember(asked.task, job);
  call.reply->when_gone([&board = parts.board, job] { board.cancel(job); });
  const bool sends = call.body.value("send_images", json(true)) != false;
  job->watch([reply = call.reply, job, plan, parameters = echoed(call.body), ignored = asked.ignored,
              sends](const JobState& state) {
    if (!state.ended()) return;
    if (state.error) return reply->send(response_of(*state.error, "/sdapi/"));
    ordered_json images = ordered_json::array();  // none of one that was interrupted
    if (sends)
      for (const auto& picture : job->pictures()) images.push_back(base64(picture->png));
    reply->send({.status = 200,
                 .body = text_of(
                     {{"images", images}, {"parameters", parameters}, {"info", info_of(*plan, ignored)}})});
  });
}

struct Standing {
  double progress = 0, eta = 0;
  int64_t step = 0, steps = 0;
};

Standing standing_of(const std::vector<std::shared_ptr<Job>>& jobs) {
  Standing all;
  double elapsed = 0;
  for (const auto& job : jobs) {
    const JobState state = job->state();
    all.steps += state.steps;
    all.step += std::max<int64_t>(0, state.step - 1);
    elapsed = std::max(elapsed, job->seconds());
  }
  if (all.steps > 0) all.progress = static_cast<double>(all.step) / static_cast<double>(all.steps);
  if (all.progress > 0) all.eta = elapsed / all.progress - elapsed;
  return all;
}

// What the first of the jobs is about to be, where somebody wants to see it.
ordered_json preview_of(const std::vector<std::shared_ptr<Job>>& jobs, bool wanted) {
  if (!wanted || jobs.empty()) return nullptr;
  jobs[0]->look();
  const auto preview = jobs[0]->state().preview;
  return preview ? ordered_json(*preview) : ordered_json();
}

ordered_json progress_json(const std::vector<std::shared_ptr<Job>>& jobs, bool previews) {
  const Standing all = standing_of(jobs);
  return {{"progress", all.progress},
          {"eta_relative", all.eta},
          {"state",
           {{"skipped", false},
            {"interrupted", false},
            {"stopping_generation", false},
            {"job", jobs.empty() ? "" : jobs[0]->id()},
            {"job_count", jobs.size()},
            {"job_timestamp", timestamp()},
            {"job_no", 0},
            {"sampling_step", all.step},
            {"sampling_steps", all.steps}}},
          {"current_image", preview_of(jobs, previews)},
          {"textinfo", nullptr}};
}

ordered_json task_json(const std::shared_ptr<Job>& job, bool previews) {
  const JobState state = job ? job->state() : JobState{};
  const Standing at = job ? standing_of({job}) : Standing{};
  const ordered_json preview =
      preview_of(job ? std::vector{job} : std::vector<std::shared_ptr<Job>>{}, previews);
  return {{"active", job && state.status == JobStatus::running},
          {"queued", job && state.status == JobStatus::queued},
          {"completed", job && state.ended()},
          {"progress", job && state.ended() ? 1 : at.progress},
          {"eta", at.eta},
          {"live_preview",
           preview.is_null() ? preview : ordered_json("data:image/png;base64," + preview.get<std::string>())},
          {"id_live_preview", preview.is_null() ? -1 : state.step},
          {"textinfo", nullptr}};
}

ordered_json named(const std::vector<std::string>& names) {
  ordered_json models = ordered_json::array();
  for (const std::string& name : names)
    models.push_back({{"title", name},
                      {"model_name", name},
                      {"hash", nullptr},
                      {"sha256", nullptr},
                      {"filename", name},
                      {"config", nullptr}});
  return models;
}

ordered_json samplers() {
  ordered_json all = ordered_json::array();
  for (const std::string& name : split(solver_names()))
    all.push_back({{"name", webui_sampler(name)}, {"aliases", {name}}, {"options", ordered_json::object()}});
  return all;
}

ordered_json schedulers() {
  ordered_json all = ordered_json::array();
  for (const std::string& name : split("automatic, " + sigma_spacing_names())) {
    all.push_back({{"name", name},
                   {"label", webui_scheduler(name)},
                   {"aliases", nullptr},
                   {"default_rho", -1},
                   {"need_inner_model", false}});
  }
  return all;
}

ordered_json png_info(const json& body) {
  const std::string text = text_in(body.value("image", json()), "image");
  const size_t comma = text.starts_with("data:") ? text.find(',') + 1 : 0;
  const auto bytes = from_base64(std::string_view(text).substr(comma));
  if (!bytes)
    throw Refusal(422, "invalid_image", "\"image\" is not base64: expected a PNG file in it", "image");
  ordered_json items = ordered_json::object(), parameters = items;
  std::string info;
  for (const auto& [keyword, value] : png_texts(*bytes, "image")) {
    items[keyword] = value;
    if (keyword == "parameters") info = value;
  }
  for (const auto& [key, value] : parse_infotext(info)) parameters[key] = value;
  return {{"info", info}, {"items", items}, {"parameters", parameters}};
}

ordered_json embeddings_json(const Planner& planner) {
  ordered_json answer = {{"loaded", ordered_json::object()}, {"skipped", ordered_json::object()}};
  for (const auto& [word, vectors] : planner.embeddings())
    answer[vectors ? "loaded" : "skipped"][word] = {{"step", nullptr},
                                                    {"sd_checkpoint", nullptr},
                                                    {"sd_checkpoint_name", nullptr},
                                                    {"shape", nullptr},
                                                    {"vectors", vectors.value_or(0)}};
  return answer;
}

ordered_json control_modules_json() {
  ordered_json details = ordered_json::object();
  for (const std::string& name : control_modules())
    details[name] = {{"model_free", false}, {"sliders", ordered_json::array()}};
  const CannyThresholds usual;
  for (const auto& [name, value] : {std::pair{"Low Threshold", usual.low}, {"High Threshold", usual.high}})
    details["canny"]["sliders"].push_back({{"name", name}, {"value", value}, {"min", 1}, {"max", 255}});
  return {{"module_list", control_modules()}, {"module_detail", details}};
}

ordered_json memory_json() {
  const double used = static_cast<double>(peak_memory_bytes()),
               free = static_cast<double>(bytes_free().value_or(0));
  return {{"ram", {{"free", free}, {"used", used}, {"total", free + used}}},
          {"cuda", {{"error", "unavailable"}}}};
}

}  // namespace

void add_a1111_routes(Routes& routes, const Parts& parts) {
  const auto shared = std::make_shared<Shared>();
  const auto get = [&](const char* path, const char* summary, std::function<ordered_json(const Call&)> make) {
    routes.push_back({.method = "GET",
                      .path = path,
                      .answer = [make](Call& call) { call.answer(200, make(call)); },
                      .summary = summary});
  };
  const auto post = [&](const char* path, const char* summary, Route::Body body,
                        std::function<void(Call&)> answer) {
    routes.push_back(
        {.method = "POST", .path = path, .answer = std::move(answer), .body = body, .summary = summary});
  };
  using Body = Route::Body;
  post("/sdapi/v1/txt2img", "Pictures of a text, or of a class by its name", Body::json,
       [=](Call& call) { generate(parts, shared, call, false); });
  post("/sdapi/v1/img2img", "The same from a picture, all of it or what a mask says", Body::json,
       [=](Call& call) { generate(parts, shared, call, true); });
  get("/sdapi/v1/progress", "How the caller's jobs stand", [=](const Call& call) {
    return progress_json(parts.board.active(call.caller),
                         call.request.parameter("skip_current_image") != "true");
  });
  post("/internal/progress", "How the job of a force_task_id stands", Body::json, [=](Call& call) {
    const std::string task = text_in(call.body.value("id_task", json("")), "id_task");
    call.answer(200, task_json(shared->find(task, call.caller.key),
                               call.body.value("live_preview", json(true)) == true));
  });
  const auto interrupt = [=](Call& call) {
    const auto task = call.request.parameter("force_task_id");
    for (const auto& job : parts.board.active(call.caller))
      if (!task || shared->find(*task, call.caller.key) == job) parts.board.cancel(job);
    call.answer(200, ordered_json::object());
  };
  post("/sdapi/v1/interrupt", "Ends the caller's jobs, or that of ?force_task_id=", Body::none, interrupt);
  post("/sdapi/v1/skip", "The same", Body::none, interrupt);
  get("/sdapi/v1/options", "What is set", [=](const Call&) -> ordered_json {
    const std::lock_guard lock(shared->mutex);
    return {{"sd_model_checkpoint",
             shared->checkpoint.empty() ? join(parts.catalog.usual(), "+") : shared->checkpoint},
            {"sd_checkpoint_hash", ""},
            {"sd_vae", "Automatic"},
            {"samples_format", "png"},
            {"CLIP_stop_at_last_layers", 1}};
  });
  post("/sdapi/v1/options", "Chooses the model of requests that name none, for all", Body::json,
       [=](Call& call) {
         for (const auto& [name, value] : call.body.items()) {
           if (name == "sd_model_checkpoint") {
             parts.catalog.split(text_in(value, name));
           } else if ((name == "sd_vae" && value == "Automatic") ||
                      (name == "samples_format" && value == "png") ||
                      (name == "CLIP_stop_at_last_layers" && value == 1) || name == "sd_checkpoint_hash") {
             continue;
           } else {
             refuse_field(name, "\"", printable(name),
                          "\" cannot be set to that here: expected sd_model_checkpoint");
           }
         }
         if (call.body.contains("sd_model_checkpoint")) {
           const std::lock_guard lock(shared->mutex);
           shared->checkpoint = call.body["sd_model_checkpoint"];
           // As it was: a refiner then stands in for the second of a usual pair.
           if (shared->checkpoint == join(parts.catalog.usual(), "+")) shared->checkpoint.clear();
         }
         call.answer(200, nullptr);
       });
  get("/sdapi/v1/samplers", "Their names", [](const Call&) { return samplers(); });
  get("/sdapi/v1/schedulers", "Their names", [](const Call&) { return schedulers(); });
  get("/sdapi/v1/sd-models", "Models, and the usual ones of a pair as small+large",
      [=](const Call&) { return named(parts.catalog.choices()); });
  // Clients ask for these when they start.
  for (const char* path : {"/sdapi/v1/hypernetworks", "/sdapi/v1/face-restorers",
                           "/sdapi/v1/realesrgan-models", "/sdapi/v1/prompt-styles"})
    get(path, "None", [](const Call&) { return ordered_json::array(); });
  get("/sdapi/v1/sd-vae", "None: a model's own is taken", [](const Call&) { return ordered_json::array(); });
  get("/sdapi/v1/loras", "What prompts may name", [=](const Call&) {
    ordered_json all = ordered_json::array();
    for (const std::string& name : parts.catalog.loras())
      all.push_back({{"name", name}, {"alias", name}, {"path", name}, {"metadata", ordered_json::object()}});
    return all;
  });
  get("/sdapi/v1/embeddings", "The words of textual inversions that prompts may have",
      [=](const Call&) { return embeddings_json(parts.planner); });
  get("/sdapi/v1/upscalers", "None", [](const Call&) {
    return ordered_json::array({ordered_json{{"name", "None"},
                                             {"model_name", nullptr},
                                             {"model_path", nullptr},
                                             {"model_url", nullptr},
                                             {"scale", 1}}});
  });
  get("/sdapi/v1/latent-upscale-modes", "None", [](const Call&) { return ordered_json::array(); });
  get("/sdapi/v1/scripts", "What alwayson_scripts may name", [=](const Call&) {
    ordered_json names = {"refiner"};
    if (!parts.catalog.controls().empty()) names.push_back("controlnet");
    return ordered_json{{"txt2img", names}, {"img2img", names}};
  });
  get("/controlnet/version", "Of the interface of A1111's ControlNet extension", [](const Call&) {
    return ordered_json{{"version", 2}};
  });
  get("/controlnet/model_list", "ControlNets; ?update=true looks into the folders again",
      [=](const Call& call) {
        if (call.request.parameter("update") == "true") parts.catalog.refresh();
        return ordered_json{{"model_list", parts.catalog.controls()}};
      });
  get("/controlnet/module_list", "How a hint is made of a picture",
      [](const Call&) { return control_modules_json(); });
  get("/controlnet/control_types", "What goes with what: all of it", [=](const Call&) {
    const std::vector<std::string> models = parts.catalog.controls();
    ordered_json all = {{"module_list", control_modules()},
                        {"model_list", models},
                        {"default_option", "none"},
                        {"default_model", models.empty() ? "None" : models[0]}};
    return ordered_json{{"control_types", {{"All", all}}}};
  });
  get("/controlnet/settings", "How many there may be", [](const Call&) {
    return ordered_json{{"control_net_unit_count", kMostControls}};
  });
  get("/sdapi/v1/cmd-flags", "None", [](const Call&) { return ordered_json::object(); });
  get("/sdapi/v1/memory", "Of the machine, in bytes", [](const Call&) { return memory_json(); });
  post("/sdapi/v1/png-info", "What a PNG file says of itself", Body::json,
       [](Call& call) { call.answer(200, png_info(call.body)); });
  post("/sdapi/v1/refresh-checkpoints", "Looks into the folders again", Body::none, [=](Call& call) {
    parts.catalog.refresh();
    call.answer(200, nullptr);
  });
}

}  // namespace tstitch::serve
