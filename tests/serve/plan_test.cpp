// Requests become runs: by the table of fields, within limits, and never by paths.
#include "tstitch/serve/plan.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tstitch/engine/report.h"
#include "tstitch/io/png.h"
#include "tstitch/serve/base64.h"
#include "tstitch/serve/refusal.h"
#include "tstitch/zoo/assets.h"

namespace tstitch::serve {
namespace {

using nlohmann::json;

class Plans : public testing::Test {
 protected:
  std::shared_ptr<const Plan> plan(const json& request) const {
    return planner.plan(read_request(request, catalog));
  }

  // Also what the engine refuses is said as a refusal.
  Refusal refusal(const json& request) const try {
    plan(request);
    ADD_FAILURE() << "not refused: " << request;
    return {0, "", ""};
  } catch (const Refusal& r) {
    return r;
  } catch (const Error& error) {
    return refusal_of(error);
  }
  void expect_refused(const json& request, int status, const std::string& param,
                      const std::string& message) const {
    const Refusal r = refusal(request);
    EXPECT_EQ(r.status, status) << request << r.message;
    EXPECT_EQ(r.param, param) << request << r.message;
    EXPECT_NE(r.message.find(message), std::string::npos) << request << "\n" << r.message;
  }

  const Catalog catalog{CatalogOptions{}};
  Limits limits;
  const Planner planner{catalog, {}, limits, {.dtype = "f32"}};
};

std::string png_of(int width, int height) {
  const Image image{.width = width,
                    .height = height,
                    .channels = 1,
                    .pixels = std::vector<uint8_t>(static_cast<size_t>(width * height), 90)};
  return base64(encode_png(image, {}));
}

TEST_F(Plans, AreWhatTheCommandLineMakesOfTheSame) {
  const auto made = plan(
      {{"class", "Sandal"}, {"steps", 7}, {"ratio", 0.5}, {"seed", 3}, {"cfg_scale", 2}, {"batch_count", 2}});
  Said said{{"class", {"Sandal"}}, {"steps", {"7"}},       {"ratio", {"0.5"}}, {"seed", {"3"}},
            {"cfg_scale", {"2"}},  {"batch_count", {"2"}}, {"dtype", {"f32"}}};
  const auto models = read_models(parse_models(said));
  const RunSpec spec = make_run_spec(models, parse_options(said, models));
  EXPECT_EQ(to_json(made->spec.options), to_json(spec.options));
  EXPECT_EQ(made->spec.trajectory, spec.trajectory);
  EXPECT_EQ(png_text(made->spec, made->models, 1), png_text(spec, models, 1));
  EXPECT_EQ(made->names, (std::vector<std::string>{"fashion-s", "fashion-l"}));
}

TEST_F(Plans, TakeLists) {
  const auto made = plan({{"class", {1, "Sandal", 9}},
                          {"model", {"fashion-s", "fashion-b", "fashion-l"}},
                          {"fractions", {0.5, 0.25, 0.25}},
                          {"steps", "8"}});
  EXPECT_EQ(made->spec.subjects, (std::vector<int64_t>{1, 5, 9}));
  EXPECT_EQ(made->spec.trajectory.assignment(), (std::vector<int>{0, 0, 0, 0, 1, 1, 2, 2}));
}

TEST_F(Plans, StagesAreObjectsOrTexts) {
  const auto objects =
      plan({{"class", 1},
            {"steps", 8},
            {"stages",
             {{{"model", "fashion-s"}, {"until", 3}, {"cfg", 3}, {"cfg-interval", "0.1:0.9"}},
              {{"model", "fashion-b"}, {"cfg", 1}}}}});
  const auto texts =
      plan({{"class", 1},
            {"steps", 8},
            {"stage", {"model=fashion-s,until=3,cfg=3,cfg-interval=0.1:0.9", "model=fashion-b,cfg=1"}}});
  EXPECT_EQ(to_json(objects->spec.options), to_json(texts->spec.options));
  EXPECT_EQ(objects->names, (std::vector<std::string>{"fashion-s", "fashion-b"}));
  EXPECT_EQ(objects->spec.trajectory.steps_of(0), 3);
  // Beside a ratio where they do not say it themselves, as pictures have it.
  EXPECT_EQ(plan({{"class", 1}, {"steps", 8}, {"ratio", 0.25}, {"stages", {{{"cfg", 3}}, {{"cfg", 1}}}}})
                ->spec.trajectory.steps_of(0),
            2);
  expect_refused({{"class", 1}, {"ratio", 0.25}, {"stages", {{{"share", 0.5}}, json::object()}}}, 422,
                 "stage", "exclude each other");
  // Of the usual models, where none names one.
  EXPECT_EQ(plan({{"class", 1}, {"stages", {{{"share", 0.3}}, json::object()}}})->names,
            (std::vector<std::string>{"fashion-s", "fashion-l"}));
}

TEST_F(Plans, APairIsOneName) {
  EXPECT_EQ(plan({{"class", 1}, {"model", "fashion-b+fashion-l"}})->names,
            (std::vector<std::string>{"fashion-b", "fashion-l"}));
  EXPECT_EQ(plan({{"class", 1}, {"model", "fashion-l"}})->names, std::vector<std::string>{"fashion-l"});
}

// What a picture says of itself is a request.
TEST_F(Plans, MetadataMakeThePictureAgain) {
  const auto made = plan({{"class", "Bag"},
                          {"steps", 9},
                          {"stages", {{{"share", 0.3}, {"cfg", 2}}, {{"cfg", 1.5}}}},
                          {"seed", -1},
                          {"batch_count", 3}});
  json said;
  for (const auto& [keyword, text] : png_text(made->spec, made->models, 2))
    if (keyword == kOptionsKeyword) said = json::parse(text);
  json of_a_client = json::object();
  for (const auto& [name, value] : said.items())
    if (saying_of(name) != Saying::refused) of_a_client[name] = value;
  const auto again = plan(of_a_client);
  EXPECT_EQ(again->spec.options.seed, made->spec.seed_of(2));
  EXPECT_EQ(again->spec.trajectory, made->spec.trajectory);
  EXPECT_EQ(again->spec.stages, made->spec.stages);
}

// A cheaper form is a client's to say, by its own keys.
TEST_F(Plans, StagesLeaveOutBlocks) {
  const json request = {{"class", 1}, {"model", "fashion-l"}, {"steps", 8}};
  json stages = request, twin = request;
  stages["model"] = "fashion-l+fashion-l";
  stages["ratio"] = 0.5;
  stages["stages"] = {{{"skip", {2, 3}}}, json::object()};
  twin["ratio"] = 0.5;
  twin["twin"] = "skip=2+3";
  for (const json& one : {stages, twin}) {
    const auto made = plan(one);
    EXPECT_EQ(made->models[0].form.skip, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(stage_name(*made, 0), "fashion-l [skip=2+3]");
    EXPECT_EQ(stage_name(*made, 1), "fashion-l");
  }
  twin["twin"] = "skip=99";
  expect_refused(twin, 422, "twin", "twin: skip=99 does not go with");
}

TEST_F(Plans, ATwinHasTheServersType) {
  expect_refused({{"class", 1}, {"model", "fashion-l"}, {"twin", "int8,cache=3"}}, 422, "twin",
                 "all models of a server have one type");
}

TEST_F(Plans, PicturesComeInBase64) {
  const auto made = plan(
      {{"class", 1},
       {"init_image", png_of(28, 28)},
       {"mask",
        "data:image/png;base64," +
            base64(encode_png(
                {.width = 28, .height = 28, .channels = 1, .pixels = std::vector<uint8_t>(784, 255)}, {}))},
       {"strength", 0.5}});
  EXPECT_EQ(made->spec.options.init_image.shape(), (Shape{1, 28, 28}));
  EXPECT_TRUE(static_cast<bool>(made->spec.mask));
  for (const auto& [text, status, message] : {std::tuple{"/etc/passwd", 422, "not base64"},
                                              {"!", 422, "not base64"},
                                              {"", 422, ""},
                                              {"Zm9v", 422, ""},
                                              {"http://example.org/x.png", 422, "is an address"},
                                              {"data:image/png,x", 422, "no data URL"}})
    EXPECT_EQ(refusal({{"class", 1}, {"init_image", text}}).status, status) << text << message;
}

TEST_F(Plans, WhatIsNotKnownIsRefusedByName) {
  expect_refused({{"widht", 1}}, 422, "widht", "unknown field \"widht\": did you mean \"width\"?");
  expect_refused({{"output", "x"}}, 422, "output", "unknown field \"output\"");
  expect_refused({{"stages", {{{"shar", 1}}}}}, 422, "stage", "shar");
  expect_refused({{"stage", {""}}, {"stages", {json::object()}}}, 422, "stages", "exclude each other");
  EXPECT_EQ(refusal(json::array()).status, 400);
}

// Every field that is not a client's to say, among them all that name a file.
TEST_F(Plans, FilesAndTheServersOwnAreRefused) {
  for (const char* name :
       {"vae", "lora_dir", "contents", "embedding", "embedding_dir", "uncond", "init_latent", "noise",
        "device", "dtype", "threads", "no_memory_check", "weights", "prediction", "batch_size"}) {
    ASSERT_TRUE(find_field(name)) << name;
    expect_refused({{name, "x"}}, 422, name, concat("\"", name, "\" is not a request's to say"));
  }
  expect_refused({{"class", 1}, {"stages", {{{"dtype", "f32"}}, json::object()}}}, 422, "stages",
                 "has a key that is not a request's to say");
  for (const Field& field : fields())
    if (saying_of(field.name) == Saying::refused) {
      EXPECT_EQ(refusal({{field.name, "x"}}).code, "not_allowed") << field.name;
    }
  for (const char* path : {"/etc/passwd", "../fashion-s", "fashion-s.safetensors", "./fashion-s"}) {
    EXPECT_EQ(refusal({{"model", path}}).status, 404) << path;
    EXPECT_EQ(refusal({{"small", path}, {"large", "fashion-l"}}).status, 404) << path;
    EXPECT_EQ(refusal({{"lora", path}}).status, 404) << path;
    EXPECT_EQ(refusal({{"stages", {{{"model", path}}}}}).status, 404) << path;
    EXPECT_EQ(refusal({{"stages", {{{"lora", path}}, json::object()}}}).status, 404) << path;
    EXPECT_EQ(refusal({{"prompt", concat("a <lora:", path, ":1>")}}).status, 404) << path;
    EXPECT_EQ(refusal({{"control_net", {{"name", path}, {"image", png_of(4, 4)}}}}).status, 404) << path;
    EXPECT_EQ(refusal({{"stages", {{{"control", path}}, json::object()}}}).status, 404) << path;
  }
}

TEST_F(Plans, WrongValuesNameTheirField) {
  expect_refused({{"class", 1}, {"cfg_scale", 0.5}}, 422, "cfg_scale",
                 "cfg_scale is 0.5, expected more than 1");
  expect_refused({{"class", 1}, {"sampler", "best"}}, 422, "sampler",
                 "sampler \"best\" is not known, expected one of: ddim");
  expect_refused({{"class", 77}}, 422, "class", "expected 0 ... 9");
  expect_refused({{"class", 1}, {"ratio", 1.5}}, 422, "ratio", "ratio is 1.5, expected 0 ... 1");
  expect_refused({{"class", 1}, {"width", 29}}, 422, "width", "expected a multiple of");
  expect_refused({{"class", 1}, {"steps", true}}, 422, "steps",
                 "\"steps\" is true, expected a text or a number");
  expect_refused({{"class", 1}, {"solver_reset", 1}}, 422, "solver_reset", "expected true or false");
  expect_refused({{"class", 1}, {"width", json::object()}}, 422, "width", "\"width\" is {}");
  expect_refused({{"class", 1}, {"lora", "fox:1e9"}}, 422, "lora", "has a weight of");
  expect_refused({{"prompt", "a fox"}, {"model", "fashion-l"}}, 422, "class", "understands no text");
  expect_refused({{"class", 1}, {"eta", 0.5}, {"sampler", "euler"}}, 422, "eta", "eta has no effect here");
  expect_refused({{"class", 1}, {"ratio", 0.5}, {"fractions", {0.5, 0.5}}}, 422, "fractions",
                 "exclude each other");
}

// The demo family has no part that a ControlNet could steer; what is wrong with one is known before.
TEST_F(Plans, ControlNetsNameTheirKeys) {
  const std::string image = png_of(4, 4);
  for (const auto& [control, message] :
       {std::pair<json, const char*>{{{"image", image}}, "has no \"name\""},
        {{{"name", "canny"}}, "has no \"image\""},
        {{{"name", "canny"}, {"image", "x"}}, "is not base64"},
        {{{"name", "canny"}, {"image", image}, {"strengt", 1}}, "has no key \"strengt\""},
        {{{"name", "canny"}, {"image", image}, {"strength", -1}}, "strength= is -1"},
        {{{"name", "canny"}, {"image", image}, {"strength", true}},
         "\"strength\" of \"control_net\" is true"},
        {{{"name", "canny"}, {"image", image}, {"interval", {0.5, 0.2}}}, "which is no step at all"},
        {{{"name", "canny"}, {"image", image}, {"canny", {1, 2, 3}}}, "expected LOW:HIGH or [LOW, HIGH]"},
        {"canny", "expected PATH,image=PNG"},
        {3, "expected an object with name and image"}})
    expect_refused({{"class", 1}, {"control_net", control}}, 422, "control_net", message);
  const Request request = read_request(
      {{"control_net",
        {{{"name", "a,b"}, {"image", image}, {"strength", 0.5}, {"interval", {0, 0.6}}, {"canny", "50:100"}},
         {{"name", "depth"}, {"image", png_of(5, 5)}}}}},
      catalog);
  ASSERT_EQ(request.said.at("control_net").size(), 2u);
  const ControlOption first = parse_control("control_net", request.said.at("control_net")[0]);
  EXPECT_EQ(first.path, "a,b");
  EXPECT_EQ(first.strength, 0.5);
  EXPECT_EQ(first.interval, (ControlInterval{0, 0.6}));
  EXPECT_EQ(first.canny, (CannyThresholds{50, 100}));
  EXPECT_EQ(request.pictures.at(first.image).width, 4);
  EXPECT_EQ(request.pictures.size(), 2u);
  expect_refused({{"control_net", json(17, json{{"name", "canny"}, {"image", image}})}}, 413, "control_net",
                 "at most 16 ControlNets");
}

TEST_F(Plans, WhatWouldBeTimedIsRefusedWithTheReason) {
  for (const char* name : {"budget", "speedup", "max_metric_loss"})
    expect_refused({{"class", 1}, {name, "3s"}}, 422, name, "share the device with other requests");
  expect_refused({{"plan", "x.json"}}, 422, "plan", "send the assignment that it holds");
}

TEST_F(Plans, LimitsHoldBeforeAnythingIsAllocated) {
  expect_refused({{"class", 1}, {"batch_count", 17}}, 422, "batch_count", "expected at most 16");
  expect_refused({{"class", 1}, {"batch_count", 1000000000}}, 422, "batch_count", "expected at most 16");
  expect_refused({{"class", "random"}, {"batch_count", "999999999999999999999"}}, 422, "batch_count",
                 "expected at most 16");
  expect_refused({{"class", {1, 2, 3}}, {"batch_count", 6}}, 422, "batch_count", "18 images");
  expect_refused({{"class", 1}, {"steps", 1001}}, 422, "steps", "expected at most 1000");
  expect_refused({{"class", 1}, {"steps", "600,600"}}, 422, "steps", "expected at most 1000");
  expect_refused({{"class", 1}, {"width", 1000000000}}, 422, "width", "expected at most 4096");
  expect_refused({{"class", 1}, {"image_size", 4096}}, 413, "width", "");
  expect_refused({{"class", 1}, {"image_size", 200}}, 413, "width",
                 "200 x 200 pixels are more than 16 times");
  expect_refused({{"prompt", std::string(20000, 'x')}}, 413, "prompt", "at most 16384");
}

TEST_F(Plans, DialectsMayLeaveTheSubjectToTheModel) {
  const auto of = [&](const std::string& subject) {
    Request request{.said = {{"steps", {"4"}}, {"width", {"512"}}, {"eta", {"0.5"}}, {"sampler", {"euler"}}},
                    .pictures = {},
                    .subject = subject,
                    .nearest_size = true,
                    .unasked = {"eta"}};
    return planner.plan(request);
  };
  EXPECT_EQ(of("Trouser")->spec.subjects, std::vector<int64_t>{1});
  EXPECT_EQ(of("")->spec.images(), 1);
  EXPECT_EQ(of("Bag")->spec.options.eta, 0);  // also in what its pictures say
  EXPECT_EQ(of("Bag")->notes, (std::vector<std::string>{
                                  "width 512 is not one of fashion-l: 28 was taken",
                                  "eta has no effect: it is for ddim and tcd, and the sampler is euler"}));
}

TEST_F(Plans, SayWhatTheServerSaysFirst) {
  const Planner with{catalog, {{"steps", {"6"}}, {"cfg_scale", {"2"}}}, limits, {.dtype = "f32"}};
  const auto made = with.plan(read_request({{"class", 1}, {"cfg_scale", 3}}, catalog));
  EXPECT_EQ(made->spec.trajectory.size(), 6);
  EXPECT_EQ(made->spec.options.cfg_scale, 3);
}

TEST_F(Plans, TheServersOwnOptionsAreCheckedAtOnce) {
  const auto own = [&](const char* field, const char* value) {
    return Planner(catalog, {{field, {value}}}, limits, {.dtype = "f32"}).check_own();
  };
  EXPECT_EQ(own("steps", "6")->spec.trajectory.size(), 6);
  EXPECT_NO_THROW(own("cfg_scale", "1"));
  for (const auto& [field, value] : {std::pair{"steps", "foo"}, {"steps", "2000"}, {"sampler", "best"}})
    EXPECT_THROW(own(field, value), Error) << field << value;
  try {
    own("lora", "/nowhere/fox.safetensors");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
  }
}

TEST_F(Plans, NoMessageSaysWhereAFileIs) {
  const Planner with{catalog, {{"embedding", {"/secret/cat.pt:cat"}}, {"vae", {"/secret/v.pt"}}}, limits, {}};
  EXPECT_EQ(with.in_names("/secret/cat.pt: [X] no /secret/v.pt"), "cat.pt: [X] no v.pt");
  EXPECT_EQ(with.in_names(resolve_model("fashion-s") + ": [X]"), "fashion-s: [X]");
  EXPECT_EQ(with.embeddings(), (std::map<std::string, std::optional<int64_t>>{{"cat", std::nullopt}}));
}

}  // namespace
}  // namespace tstitch::serve
