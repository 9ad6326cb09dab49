// ControlNets of requests, of our own dialect and as clients of A1111's extension send them: the pictures are
// those of the command line, the networks are loaded once, and what is not honoured is refused by name.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>
#include <tuple>

#include "tests/engine/tiny_sd.h"
#include "tests/support/tiny_control_nets.h"
#include "tstitch/engine/engine.h"
#include "tstitch/engine/memory_check.h"
#include "tstitch/io/png.h"
#include "tstitch/serve/a1111_request.h"
#include "tstitch/serve/base64.h"
#include "tstitch/serve/job_board.h"

namespace tstitch::serve {
namespace {

using nlohmann::json;

class ControlOfRequests : public StableDiffusion {
 protected:
  static void SetUpTestSuite() {
    StableDiffusion::SetUpTestSuite();
    add_vae("large");
    // Another that ControlNets for "large" can steer; "small" lacks some of its skips.
    fs::copy(folder() / "large", folder() / "even", fs::copy_options::recursive);
    write_part(folder() / "even" / "unet", parse_json_file(golden_path("sd/large_config.json")), "even",
               parse_json_file(golden_path("sd/large_names.json")));
    write_tiny_control_net(nets() / "canny", "sd");
    write_tiny_control_net(nets() / "more" / "depth", "sd_2");
    write_png((folder() / "hint.png").string(), tiny_hint(), {});
  }
  static fs::path nets() { return folder() / "nets"; }
  static std::string path(const char* name) { return (folder() / name).string(); }
  static std::string hint() { return base64(encode_png(tiny_hint(), {})); }

  static json request(const json& more) {
    json all = {{"prompt", "a fox"}, {"width", 64}, {"height", 64}, {"steps", 4}, {"seed", 3}};
    all.update(more);
    return all;
  }
  std::shared_ptr<const Plan> plan(const json& more) const {
    return planner.plan(read_request(request(more), catalog));
  }

  // What the command line makes of it.
  std::vector<Image> alone(const Said& more) const {
    Said said = {{"model", {path("even"), path("large")}},
                 {"prompt", {"a fox"}},
                 {"width", {"64"}},
                 {"height", {"64"}},
                 {"steps", {"4"}},
                 {"seed", {"3"}},
                 {"dtype", {"f32"}},
                 {"threads", {"2"}}};
    said.insert(more.begin(), more.end());
    const auto models = read_models(parse_models(said));
    const RunSpec spec = make_run_spec(models, parse_options(said, models));
    Engine engine(models, device);
    engine.load(spec);
    return engine.sample(spec);
  }
  Refusal refusal(const json& more) const try {
    plan(more);
    ADD_FAILURE() << "not refused: " << more;
    return {0, "", ""};
  } catch (const Refusal& r) {
    return r;
  } catch (const Error& error) {
    return refusal_of(error);
  }

  // Of A1111's dialect, with that unit.
  A1111Request unit(const json& more, const json& body = json::object()) const {
    json one = {{"image", hint()}, {"model", "canny"}, {"resize_mode", "Crop and Resize"}};
    one.update(more);
    json all = {{"prompt", "a fox"}, {"alwayson_scripts", {{"ControlNet", {{"args", {one}}}}}}};
    all.update(body);
    return read_a1111_request(all, catalog, "", all.contains("init_images"));
  }
  ControlOption control_of(const json& more) const {
    const Said said = unit(more).request.said;
    EXPECT_EQ(said.at("control_net").size(), 1u);
    return parse_control("control_net", said.at("control_net")[0]);
  }
  void expect_refused(const json& more, const std::string& message, const json& body = json::object()) const
      try {
    unit(more, body);
    ADD_FAILURE() << "not refused: " << more;
  } catch (const Refusal& r) {
    EXPECT_EQ(std::tuple(r.status, r.param), std::tuple(422, std::string("alwayson_scripts"))) << r.message;
    EXPECT_NE(r.message.find(message), r.message.npos) << more << "\n" << r.message;
  }

  const BackendOptions device{.dtype = "f32", .threads = 2};
  Limits limits;
  const Catalog catalog{CatalogOptions{.models = {path("even"), path("large")},
                                       .models_dir = {},
                                       .lora_dir = {},
                                       .control_dir = nets().string()}};
  const Planner planner{catalog, {}, limits, device};
};

std::vector<std::vector<uint8_t>> pixels_of(const Job& job) {
  std::vector<std::vector<uint8_t>> pixels;
  for (const auto& picture : job.pictures()) pixels.push_back(decode_png(picture->png, "picture").pixels);
  return pixels;
}
std::vector<std::vector<uint8_t>> pixels_of(const std::vector<Image>& images) {
  std::vector<std::vector<uint8_t>> pixels;
  for (const Image& image : images) pixels.push_back(image.pixels);
  return pixels;
}

void wait_for(const std::shared_ptr<Job>& job) {
  while (!job->state().ended()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

TEST_F(ControlOfRequests, PicturesAreThoseOfTheCommandLine) {
  const std::string net = (nets() / "canny").string(), file = net + ",image=" + path("hint.png");
  const json one = {{"name", "canny"}, {"image", hint()}, {"strength", 0.8}, {"interval", {0, 0.75}}};
  json of_photograph = one;
  of_photograph.update({{"canny", {30, 90}}, {"interval", nullptr}});
  const std::vector<std::pair<json, Said>> runs = {
      {{{"control_net", one}, {"ratio", 0.5}},
       {{"control_net", {file + ",strength=0.8,interval=0:0.75"}}, {"ratio", {"0.5"}}}},
      {{{"control_net", {of_photograph}},
        {"stages", {{{"share", 0.5}, {"control", "none"}}, {{"control", "canny"}}}}},
       {{"control_net", {file + ",strength=0.8,canny=30:90"}},
        {"stage", {"share=0.5,control=none", "control=" + net}}}},
      {{{"ratio", 0.5}}, {{"ratio", {"0.5"}}}}};
  JobBoard board(make_backend(device), limits, [](const std::string& line) { ADD_FAILURE() << line; });
  std::vector<std::shared_ptr<Job>> jobs;
  for (int round = 0; round < 2; ++round)
    for (const auto& [asked, said] : runs) jobs.push_back(board.submit(plan(asked), {}));
  for (size_t i = 0; i < jobs.size(); ++i) {
    wait_for(jobs[i]);
    ASSERT_EQ(jobs[i]->state().status, JobStatus::done) << jobs[i]->state().error->message;
    EXPECT_EQ(pixels_of(*jobs[i]), pixels_of(alone(runs[i % runs.size()].second)))
        << runs[i % runs.size()].first;
  }
  EXPECT_NE(pixels_of(*jobs[0]), pixels_of(*jobs[2]));
  EXPECT_NE(pixels_of(*jobs[0]), pixels_of(*jobs[1]));
  // Two networks, the autoencoder and the ControlNet, each once.
  EXPECT_EQ(board.store().statistics().loads, 4);
  EXPECT_EQ(board.store().statistics().claimed_bytes, 0);
  const auto texts = png_texts(jobs[0]->pictures()[0]->png, "picture");
  for (const auto& [keyword, text] : texts) EXPECT_EQ(text.find(folder().string()), text.npos) << text;
  EXPECT_TRUE(std::ranges::any_of(
      texts, [](const auto& said) { return said.second.find("canny,image=") != std::string::npos; }));
}

TEST_F(ControlOfRequests, TheirMemoryIsCountedAndKeptForTheNext) {
  const json control = {{"name", "canny"}, {"image", hint()}};
  const auto steered = plan({{"control_net", control}}), bare = plan(json::object());
  const ControlNetInfo& net = *steered->models[1].controls.at(0).net;
  EXPECT_EQ(net.path, "canny");
  EXPECT_EQ(steered->need.networks - bare->need.networks, control_net_bytes(net, device));
  const auto deep = plan({{"control_net", {{"name", "depth"}, {"image", hint()}}}});
  for (const auto& each : {steered, deep})
    limits.memory = std::max(limits.memory, each->need.networks + each->need.text_encoder +
                                                each->need.autoencoder + each->need.work + 1000);
  JobBoard board(make_backend(device), limits, [](const std::string& line) { ADD_FAILURE() << line; });
  // The other net comes when the first has left.
  for (const char* name : {"canny", "more/depth", "depth"}) {
    const auto job = board.submit(plan({{"control_net", {{"name", name}, {"image", hint()}}}}), {});
    wait_for(job);
    EXPECT_EQ(job->state().status, JobStatus::done) << job->state().error->message;
  }
  EXPECT_EQ(board.store().statistics().loads, 5);  // both U-Nets, the autoencoder, and both nets
  EXPECT_EQ(board.store().statistics().evictions, 1);
  EXPECT_LE(board.store().statistics().bytes, limits.memory);
}

TEST_F(ControlOfRequests, TheyAreNamesAndNothingElse) {
  const json control = {{"name", "canny"}, {"image", hint()}};
  for (const std::string& name :
       {std::string("scribble"), (nets() / "canny").string(), std::string("../nets/canny")}) {
    json other = control;
    other["name"] = name;
    const Refusal r = refusal({{"control_net", other}});
    EXPECT_EQ(std::tuple(r.status, r.code, r.param),
              std::tuple(404, std::string("control_net_not_found"), std::string("control_net")))
        << r.message;
    EXPECT_EQ(r.message.find(folder().string()) == r.message.npos, name.find(folder().string()) == name.npos);
    EXPECT_EQ(
        refusal({{"control_net", control}, {"stages", {{{"share", 0.5}, {"control", name}}, json::object()}}})
            .status,
        404);
  }
  for (const auto& [more, message] :
       {std::pair<json, const char*>{{{"stages", {{{"share", 0.5}, {"control", "none"}}, json::object()}}},
                                     "there is no control_net that it could leave out"},
        {{{"control_net", control}, {"stages", {{{"share", 0.5}, {"control", "depth"}}, json::object()}}},
         "one that control_net names: canny"},
        {{{"control_net", {{"name", "canny"}, {"image", hint()}, {"interval", {0.1, 0.2}}}}},
         "holds none of the steps"}}) {
    const Refusal r = refusal(more);
    EXPECT_EQ(r.status, 422) << r.message;
    EXPECT_NE(r.message.find(message), r.message.npos) << r.message;
  }
}

TEST_F(ControlOfRequests, UnitsSayWhatTheExtensionsClientsSay) {
  const ControlOption plain = control_of(json::object());
  EXPECT_EQ(std::tuple(plain.path, plain.strength, plain.interval, plain.canny),
            std::tuple(std::string("canny"), 1.0, ControlInterval{}, std::optional<CannyThresholds>()));
  // As webuiapi 0.9.17 sends one whose owner said a weight and an end.
  const json webuiapi = {{"mask", nullptr},        {"module", "canny"},   {"model", "canny [0123abcd]"},
                         {"weight", 0.7},          {"low_vram", false},   {"resize_mode", "Resize and Fill"},
                         {"processor_res", 512},   {"threshold_a", 64},   {"threshold_b", 32.0},
                         {"guidance_start", 0.0},  {"guidance_end", 0.5}, {"control_mode", "Balanced"},
                         {"pixel_perfect", false}, {"hr_option", "Both"}, {"enabled", true}};
  const A1111Request read = unit(webuiapi, {{"width", 64}, {"height", 64}});
  const ControlOption control = parse_control("control_net", read.request.said.at("control_net")[0]);
  EXPECT_EQ(control.path, "canny");
  EXPECT_EQ(control.strength, 0.7);
  EXPECT_EQ(control.interval, (ControlInterval{0, 0.5}));
  EXPECT_EQ(control.canny, (CannyThresholds{32, 64}));
  EXPECT_EQ(read.request.pictures.at(control.image).width, 64);
  ASSERT_EQ(read.request.notes.size(), 1u);
  EXPECT_NE(read.request.notes[0].find("pixel_perfect"), std::string::npos);
  EXPECT_TRUE(read.ignored.empty());
  EXPECT_EQ(planner.plan(read.request)->spec.options.controls.at(0).path, "canny");

  // Older names, other forms of the picture, thresholds that are none, and what is not known.
  EXPECT_EQ(control_of({{"image", nullptr}, {"input_image", hint()}, {"guidance", 0.4}}).interval.high, 0.4);
  EXPECT_EQ(unit({{"input_image", nullptr}, {"guidance_end", 0.4}, {"guidance", 0.2}})
                .request.pictures.begin()
                ->second.width,
            64);
  EXPECT_EQ(control_of({{"guidance_end", 0.4}, {"guidance", 0.2}}).interval.high, 0.4);
  EXPECT_EQ(control_of({{"image", {{"image", hint()}, {"mask", nullptr}}}}).path, "canny");
  for (const json& on : {json(nullptr), json(true), json(1), json("true")})
    EXPECT_EQ(control_of({{"enabled", on}}).path, "canny") << on;
  EXPECT_EQ(control_of({{"image", {hint(), nullptr}}}).path, "canny");
  EXPECT_EQ(control_of({{"module", "canny"}, {"threshold_a", -1}, {"threshold_b", -1}}).canny,
            (CannyThresholds{100, 200}));
  EXPECT_EQ(unit({{"colour", 1}}).ignored, std::vector<std::string>{"alwayson_scripts.ControlNet.colour"});
  // What does nothing is left out.
  for (const json& nothing :
       {json{{"enabled", false}, {"model", "None"}, {"control_mode", 2}}, json{{"enabled", 0}},
        json{{"enabled", "false"}}, json{{"weight", 0}}, json{{"weight", 0}, {"control_mode", 2}}})
    EXPECT_FALSE(unit(nothing).request.said.contains("control_net")) << nothing;
  // Beside our own field it is one more, and all together have one limit.
  const json own = {{"name", "depth"}, {"image", hint()}};
  try {
    unit(json::object(), {{"control_net", json(16, own)}});
    ADD_FAILURE() << "17 ControlNets";
  } catch (const Refusal& r) {
    EXPECT_EQ(r.status, 413) << r.message;
  }
  EXPECT_EQ(unit(json::object(), {{"control_net", own}}).request.said.at("control_net").size(), 2u);
  // Without a picture of its own it follows the one to start from.
  const A1111Request from_picture = unit({{"image", nullptr}}, {{"init_images", {hint()}}});
  EXPECT_EQ(from_picture.request.pictures.size(), 2u);
}

// Against the shape of the picture that is made, which is known once the run is decided.
TEST_F(ControlOfRequests, WhatWouldBeCutUnaskedIsRefused) {
  const auto planned = [&](const json& mode, const json& size) {
    json body = request(size);
    body.erase("seed");
    return planner.plan(unit({{"resize_mode", mode}}, body).request);
  };
  EXPECT_NO_THROW(planned("Just Resize", json::object()));
  EXPECT_NO_THROW(planned("Crop and Resize", {{"width", 128}}));
  try {
    planned("Just Resize", {{"width", 128}});
    FAIL();
  } catch (const Refusal& r) {
    EXPECT_EQ(std::tuple(r.status, r.param), std::tuple(422, std::string("alwayson_scripts"))) << r.message;
    EXPECT_NE(r.message.find("\"resize_mode\" is \"Just Resize\""), r.message.npos) << r.message;
    EXPECT_NE(r.message.find("of another shape"), r.message.npos) << r.message;
  }
}

TEST_F(ControlOfRequests, PicturesHaveLimitsAndAreKeptOnce) {
  limits.pixels = int64_t{2} * 64 * 64;
  const json control = {{"name", "canny"}, {"image", hint()}};
  const auto two = plan({{"control_net", json(2, control)}});
  ASSERT_EQ(two->spec.options.hints.size(), 2u);
  EXPECT_EQ(two->spec.options.hints[0], two->spec.options.hints[1]);
  EXPECT_EQ(two->spec.options.hints[0]->pixels, tiny_hint().pixels);
  const Refusal r = refusal({{"control_net", json(3, control)}});
  EXPECT_EQ(std::tuple(r.status, r.code, r.param),
            std::tuple(413, std::string("too_large"), std::string("control_net")))
      << r.message;
  Request request;
  for (const char* name : {"init_image", "mask"}) {
    EXPECT_NO_THROW(check_pictures(request));
    request.pictures[name] = {.width = 1 << 14,
                              .height = 129 << 6,
                              .channels = 1,
                              .pixels = std::vector<uint8_t>(size_t{129} << 20)};
  }
  EXPECT_THROW(check_pictures(request), Refusal);
}

// Of those of a folder, before anybody asks for one.
TEST_F(ControlOfRequests, WhomTheyFitIsKnown) {
  const auto models = read_models({.models = {path("small"), path("large")}});
  using Names = std::vector<std::string>;
  EXPECT_EQ(planner.controls_of(models), (std::vector<Names>{{}, {"canny", "more/depth"}}));
  const fs::path own = folder() / "passing_nets";
  fs::create_directories(own);
  for (const char* name : {"one", "two"}) fs::copy(nets() / "canny", own / name, fs::copy_options::recursive);
  const Catalog of_own{CatalogOptions{
      .models = {path("large")}, .models_dir = {}, .lora_dir = {}, .control_dir = own.string()}};
  const Planner own_planner{of_own, {}, limits, device};
  fs::remove_all(own / "one");
  EXPECT_EQ(own_planner.controls_of(models), (std::vector<Names>{{}, {"two"}}));
}

// What a network's files hold is read again only where one of them has changed.
TEST_F(ControlOfRequests, FilesAreReadOnce) {
  const fs::path own = folder() / "own_nets", weights = own / "net" / "diffusion_pytorch_model.safetensors",
                 shard = own / "shards" / "diffusion_pytorch_model-00001-of-00001.safetensors";
  fs::create_directories(own);
  for (const char* net : {"net", "shards"})
    fs::copy(nets() / "canny", own / net, fs::copy_options::recursive);
  fs::rename(own / "shards" / weights.filename(), shard);
  json index;
  for (const auto& [name, tensor] : tiny_control_tensors("sd"))
    index["weight_map"][name] = shard.filename().string();
  std::ofstream(own / "shards" / "diffusion_pytorch_model.safetensors.index.json") << index;
  const Catalog of_own{CatalogOptions{
      .models = {path("large")}, .models_dir = {}, .lora_dir = {}, .control_dir = own.string()}};
  const Planner own_planner{of_own, {}, limits, device};
  for (const fs::path& file : {weights, shard}) {
    const auto content = [&] {
      const std::string name = file.parent_path().filename().string();
      const json asked = request({{"control_net", {{"name", name}, {"image", hint()}}}});
      return own_planner.plan(read_request(asked, of_own))->models[0].controls.at(0).net->content;
    };
    const std::string before = content();
    const auto written = fs::last_write_time(file);
    {
      std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
      stream.seekp(-4, std::ios::end);
      stream.write("\0\0\0\0", 4);
    }
    fs::last_write_time(file, written);
    EXPECT_EQ(content(), before) << file;
    fs::last_write_time(file, written + std::chrono::seconds(1));
    EXPECT_NE(content(), before) << file;
  }
}

// Before the request or while its job waits.
TEST_F(ControlOfRequests, WhatHasGoneIsNotFound) {
  const fs::path own = folder() / "passing_nets";
  const auto put = [&] { fs::copy(nets() / "canny", own / "net", fs::copy_options::recursive); };
  fs::create_directories(own);
  put();
  const Catalog of_own{CatalogOptions{
      .models = {path("large")}, .models_dir = {}, .lora_dir = {}, .control_dir = own.string()}};
  const Planner own_planner{of_own, {}, limits, device};
  const auto planned = [&] {
    const json asked = request({{"control_net", {{"name", "net"}, {"image", hint()}}}});
    return own_planner.plan(read_request(asked, of_own));
  };
  const auto expect_gone = [&](const Refusal& r) {
    EXPECT_EQ(std::tuple(r.status, r.code, r.param),
              std::tuple(404, std::string("control_net_not_found"), std::string("control_net")))
        << r.message;
    EXPECT_EQ(r.message.find(folder().string()), r.message.npos) << r.message;
  };
  const auto waits = planned();
  fs::remove_all(own / "net");
  try {
    planned();
    ADD_FAILURE() << "not refused";
  } catch (const Refusal& r) {
    expect_gone(r);
  }
  JobBoard board(
      make_backend(device), limits, [](const std::string& line) { ADD_FAILURE() << line; },
      [&](const Error& error, const Plan& of) { return own_planner.refusal(error, of); });
  const auto job = board.submit(waits, {});
  wait_for(job);
  ASSERT_EQ(job->state().status, JobStatus::failed);
  expect_gone(*job->state().error);
  put();
  const auto again = board.submit(planned(), {});
  wait_for(again);
  EXPECT_EQ(again->state().status, JobStatus::done);
}

TEST_F(ControlOfRequests, WhatUnitsSayAndIsNotHonouredIsRefused) {
  for (const auto& [more, message] :
       {std::pair<json, const char*>{{{"control_mode", 1}}, "control_mode"},
        {{{"control_mode", "ControlNet is more important"}}, "control_mode"},
        {{{"module", "openpose"}}, "expected none or canny"},
        {{{"model", "None"}}, "GET /controlnet/model_list"},
        {{{"image", ""}}, "a unit has no \"image\""},
        {{{"image", "x"}}, "not base64"},
        {{{"mask", hint()}}, "\"mask\" is not honoured"},
        {{{"image", {{"image", hint()}, {"mask", hint()}}}}, "\"mask\" is not honoured"},
        {{{"weight", "much"}}, "\"weight\" is \"much\", expected a number"},
        {{{"guidance_start", 0.5}, {"guidance_end", 0.5}}, "guidance_end"},
        {{{"advanced_weighting", {1, 2}}}, "advanced_weighting"},
        {{{"enabled", "perhaps"}}, "\"enabled\" is \"perhaps\", expected true or false"},
        {{{"resize_mode", 7}}, "resize_mode"}})
    expect_refused(more, message);
  EXPECT_THROW(
      read_a1111_request({{"alwayson_scripts", {{"controlnet", {{"args", {true}}}}}}}, catalog, "", false),
      Refusal);
}

}  // namespace
}  // namespace tstitch::serve
