// The list of what can be said about a run: each field is printed as it is read, replaces what answers the
// same question, and is refused where it has no effect.
#include "tstitch/engine/fields.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/expect_error.h"
#include "tstitch/zoo/families/dit.h"

namespace tstitch {
namespace {

ModelInfo model(const std::string& name) { return dit_info({.patch_size = 2}, name); }

const std::vector<ModelInfo> kPair = {model("small"), model("large")};

template <class F>
void expect_refused(const std::string& part, const F& f) {
  testing::expect_error(ErrorKind::usage, part, f);
}

RunSpec spec_of(const Said& said, const std::vector<ModelInfo>& models = kPair) {
  return make_run_spec(models, parse_options(said, models));
}

TEST(Fields, NamesAreGivenOnce) {
  std::set<std::string_view> names;
  for (const Field& field : fields()) {
    EXPECT_TRUE(names.insert(field.name).second) << field.name;
    EXPECT_TRUE(field.parse && field.print) << field.name;
  }
}

TEST(Fields, WhatIsPrintedIsReadAgain) {
  const std::vector<Said> runs = {
      {},
      {{"ratio", {"40%"}}, {"sampler", {"euler_a"}}, {"steps", {"7"}}, {"scheduler", {"karras"}}},
      {{"fractions", {"25%,0.75"}}, {"class", {"otter, 7"}}, {"batch_count", {"3"}}, {"cfg_scale", {"1"}}},
      {{"switch_step", {"5"}}, {"spacing", {"trailing"}}, {"seed", {"18446744073709551615"}}},
      {{"switch", {"auto"}}, {"switch_threshold", {"0.25"}}, {"class", {"random"}}, {"rng", {"torch"}}},
      {{"assignment", {"0*3 1*2"}}, {"steps", {"5"}}, {"image_size", {"128"}}, {"eta", {"0.3"}}},
      {{"num_fid_samples", {"5"}}, {"solver_reset", {"true"}}, {"cfg_channels", {"all"}}},
      {{"small", {"a"}}, {"large", {"b"}}, {"cfg_scale", {"0"}}},
      {{"stage", {"model=a,share=0.3,cfg=1", "cfg=2,cfg-interval=0.2:0.9"}}, {"model", {"", "b"}}},
      {{"stage", {"until=7", ""}}}};
  for (const Said& said : runs) {
    const RunSpec spec = spec_of(said);
    const auto printed = to_json(spec.options);
    const Said again = said_of(nlohmann::json::parse(printed.dump()), "test");
    const RunSpec repeated = spec_of(again);
    EXPECT_EQ(to_json(repeated.options), printed);
    EXPECT_EQ(repeated.trajectory, spec.trajectory);
    EXPECT_EQ(repeated.subjects, spec.subjects);
    EXPECT_EQ(repeated.switch_threshold, spec.switch_threshold);
  }
}

TEST(Fields, NumbersAndNamesAreCheckedByTheirOption) {
  for (const auto& [name, text, part] : {std::tuple{"steps", "x", "invalid"},
                                         {"ratio", "1.2", "--ratio is 1.2, expected 0 ... 1"},
                                         {"ratio", "half", "--ratio is \"half\", expected a number"},
                                         {"width", "3.5", "--width is \"3.5\", expected a whole number"},
                                         {"spacing", "odd", "--spacing \"odd\" is not known"},
                                         {"switch", "now", "expected share or auto"},
                                         {"seed", "-2", "or -1 for one that is drawn"},
                                         {"class", "unicorn", "unicorn"},
                                         {"fractions", "0.5,x", "--fractions is \"x\""},
                                         {"sampler", "euler b", "--sampler \"euler b\" is not known"}})
    expect_refused(std::string(part) == "invalid" ? "x" : part, [&] { spec_of({{name, {text}}}); });
}

TEST(Fields, ADrawnSeedIsAnotherEachTimeAndFitsJson) {
  const uint64_t one = spec_of({{"seed", {"-1"}}}).options.seed,
                 other = spec_of({{"seed", {"-1"}}}).options.seed;
  EXPECT_NE(one, other);
  EXPECT_LT(one, uint64_t{1} << 53);
}

TEST(Fields, ASamplersNameMaySayTheScheduler) {
  const SampleOptions options = spec_of({{"sampler", {"DPM++ 2M Karras"}}}).options;
  EXPECT_EQ(options.sampler, "dpm++2m");
  EXPECT_EQ(options.spacing.sigmas, SigmaSpacing::karras);
  EXPECT_EQ(to_json(options)["sampler"], "dpm++2m");
  EXPECT_EQ(to_json(options)["scheduler"], "karras");
  EXPECT_NO_THROW(check_exclusive({{"sampler", {"dpm++ 2m karras"}}, {"scheduler", {"karras"}}}));
  for (const char* other : {"discrete", "exponential"})
    expect_refused("--sampler \"dpm++ 2m karras\" means --scheduler karras, and another is named", [&] {
      check_exclusive({{"sampler", {"dpm++ 2m karras"}}, {"scheduler", {other}}});
    });
  // What a picture says of its scheduler is not another.
  const Said like = {{"sampler", {"euler"}}, {"scheduler", {"exponential"}}};
  EXPECT_EQ(spec_of(merged(like, {{"sampler", {"dpm++ 2m karras"}}})).options.spacing.sigmas,
            SigmaSpacing::karras);
  EXPECT_EQ(spec_of(merged(like, {{"sampler", {"euler a"}}})).options.spacing.sigmas,
            SigmaSpacing::exponential);
}

TEST(Fields, WhatAnswersTheSameQuestionExcludesAndReplaces) {
  expect_refused("--ratio and --switch-step exclude each other", [] {
    check_exclusive({{"ratio", {"0.4"}}, {"switch_step", {"3"}}});
  });
  expect_refused("exclude each other", [] {
    check_exclusive({{"class", {"random"}}, {"num_fid_samples", {"3"}}});
  });
  expect_refused("and --model exclude each other", [] {
    check_exclusive({{"model", {"a"}}, {"small", {"b"}}, {"large", {"c"}}});
  });
  expect_refused("go together", [] { parse_models({{"small", {"b"}}}); });
  EXPECT_EQ(spec_of({{"ratio", {"0.5"}}, {"switch", {"share"}}}).trajectory.steps_of(0), 25);

  const Said before = {{"ratio", {"0.4"}}, {"steps", {"9"}}, {"width", {"8"}}};
  EXPECT_EQ(merged(before, {{"switch", {"auto"}}, {"image_size", {"16"}}}),
            (Said{{"switch", {"auto"}}, {"steps", {"9"}}, {"image_size", {"16"}}}));
  EXPECT_EQ(merged(before, {{"ratio", {"0.1"}}}).at("ratio"), Texts{"0.1"});
  // What depends on what was replaced goes with it; how stages are asked stays with other shares.
  const Said adaptive = {{"switch", {"auto"}}, {"switch_threshold", {"0.2"}}};
  EXPECT_EQ(merged(adaptive, {{"ratio", {"0.1"}}}), (Said{{"ratio", {"0.1"}}}));
  const Said stages = {{"model", {"a", "b"}}, {"stage", {"cfg=1", "cfg=4"}}, {"ratio", {"0.3"}}};
  EXPECT_EQ(merged(stages, {{"ratio", {"0.1"}}}).at("stage"), stages.at("stage"));
  EXPECT_EQ(merged(stages, {{"stage", {"cfg=2", ""}}}).at("ratio"), Texts{"0.3"});
  EXPECT_FALSE(merged(stages, {{"stage", {"share=0.2", ""}}}).contains("ratio"));
  EXPECT_EQ(merged(stages, {{"model", {"c", "d"}}}).at("ratio"), Texts{"0.3"});
  EXPECT_EQ(merged(stages, {{"model", {"c"}}}), (Said{{"model", {"c"}}}));
  EXPECT_EQ(merged({{"init_image", {"a"}}}, {{"init_latent", {"b"}}}), (Said{{"init_latent", {"b"}}}));
}

TEST(Fields, AnOptionWithoutEffectIsRefused) {
  const std::vector<ModelInfo> one = {kPair[1]};
  struct Case {
    Said said;
    std::string part;
    std::vector<ModelInfo> models = kPair;
  };
  for (const auto& [said, part, models] : std::vector<Case>{
           {{{"eta", {"0.5"}}, {"sampler", {"euler"}}}, "--eta has no effect here: it is for ddim and tcd"},
           {{{"solver_reset", {"true"}}}, "--solver-reset has no effect here: it is for multistep samplers"},
           {{{"solver_reset", {"true"}}, {"sampler", {"unipc"}}}, "there is one", one},
           {{{"switch_rule", {"dit"}}}, "--switch-rule has no effect here", one},
           {{{"switch_rule", {"dit"}}, {"switch_step", {"3"}}}, "the steps are named"},
           {{{"switch_rule", {"dit"}}, {"switch", {"auto"}}}, "decides by itself"},
           {{{"cfg_channels", {"all"}}, {"cfg_scale", {"1"}}}, "--cfg-scale is 1"},
           {{{"clip_skip", {"2"}}}, "--clip-skip has no effect here: it is for models of text"},
           {{{"strength", {"0.5"}}}, "--strength has no effect here"},
           {{{"uncond", {"zeros"}}}, "--uncond"},
           {{{"threads", {"2"}}, {"device", {"cuda:1"}}},
            "--threads has no effect here: it is for cpu, and the device is cuda:1"},
       }) {
    expect_refused(part, [&] { check_effective(said, spec_of(said, models), models); });
  }
  for (const Said& said : std::vector<Said>{{{"eta", {"0.5"}}},
                                            {{"eta", {"0.5"}}, {"sampler", {"tcd"}}, {"steps", {"4"}}},
                                            {{"solver_reset", {"true"}}, {"sampler", {"dpm++2s"}}},
                                            {{"solver_reset", {"true"}}, {"sampler", {"pndm"}}},
                                            {{"switch_rule", {"step"}}, {"ratio", {"0.5"}}},
                                            {{"seed", {"3"}}, {"rng", {"torch"}}}})
    EXPECT_NO_THROW(check_effective(said, spec_of(said), kPair));
}

TEST(Fields, NoiseThatNobodyAsksForIsRefused) {
  SampleOptions options = parse_options({{"class", {"1"}}}, kPair);
  options.given.steps = Tensor({50, 1, 4, 32, 32}, DType::f32);
  expect_refused("--noise has no effect here: it is the noise of the steps, and ddim with --eta 0 adds none",
                 [&] {
                   check_effective({{"noise", {"n.npy"}}}, make_run_spec(kPair, options), kPair);
                 });
  options.sampler = "tcd";
  expect_refused("tcd with --eta 0 adds none", [&] {
    check_effective({{"noise", {"n.npy"}}}, make_run_spec(kPair, options), kPair);
  });
  options.given.initial = Tensor({1, 4, 32, 32}, DType::f32);
  expect_refused("--seed has no effect here: all noise is given", [&] {
    check_effective({{"seed", {"1"}}}, make_run_spec(kPair, options), kPair);
  });
  options.eta = 1;
  EXPECT_NO_THROW(check_effective({{"noise", {"n.npy"}}}, make_run_spec(kPair, options), kPair));
}

// What files held is known no longer of those that are named again.
TEST(Fields, WhatFilesHeldIsOfTheFilesThatWereNamed) {
  const FileContent file = {.field = "lora", .path = "C:/a:b.pt", .content = "crc32 0123abcd"};
  EXPECT_EQ(to_string(file), "lora:C:/a:b.pt:crc32 0123abcd");
  EXPECT_EQ(parse_file_content("contents", to_string(file)), file);
  for (const char* text : {"", "lora", "lora:crc32 0123abcd"})
    expect_refused("contents is \"" + std::string(text) + "\", expected FIELD:PATH:CONTENT",
                   [&] { parse_file_content("contents", text); });

  const Said before = {{"contents", {"lora:a.pt:1", "embedding:b.pt:2", "mask:c.png:3"}}};
  const auto left = [&](const Said& said) { return merged(before, said).at("contents"); };
  EXPECT_EQ(left({{"steps", {"3"}}, {"stage", {"cfg=2"}}}), before.at("contents"));
  EXPECT_EQ(left({{"lora", {"x.pt"}}}), (Texts{"embedding:b.pt:2", "mask:c.png:3"}));
  EXPECT_EQ(left({{"stage", {"lora=x.pt"}}}), before.at("contents"));  // a.pt may still be the run's
  EXPECT_EQ(left({{"stage", {"lora=a.pt:0.5"}}}), (Texts{"embedding:b.pt:2", "mask:c.png:3"}));
  EXPECT_EQ(left({{"mask", {"c.png"}}, {"embedding", {"b.pt"}}}), (Texts{"lora:a.pt:1"}));

  const std::vector<FileContent> known = {file};
  EXPECT_NO_THROW(check_unchanged(known, file));
  FileContent other = file;
  other.content = "crc32 00000000";
  testing::expect_error(ErrorKind::input,
                        "--lora \"C:/a:b.pt\" is not what it was for that picture: it holds crc32 "
                        "00000000, expected crc32 "
                        "0123abcd; name it again to take it as it is now",
                        [&] { check_unchanged(known, other); });
  other.path = "elsewhere.pt";
  EXPECT_NO_THROW(check_unchanged(known, other));
}

// A twin is a second model, of which a run with one knew no share.
TEST(Fields, ATwinFollowsARunOfOneModelOrOfAnotherTwin) {
  const Said of_one = {{"model", {"a.pt"}}, {"fractions", {"1"}}, {"steps", {"9"}}},
             of_twins = {{"model", {"a.pt", "a.pt"}}, {"stage", {"merge=0.5", ""}}, {"ratio", {"0.3"}}};
  const Said twin = {{"twin", {"cache=3"}}};
  EXPECT_EQ(merged(of_one, twin), (Said{{"model", {"a.pt"}}, {"steps", {"9"}}, {"twin", {"cache=3"}}}));
  EXPECT_EQ(merged(of_twins, twin), (Said{{"model", {"a.pt"}}, {"ratio", {"0.3"}}, {"twin", {"cache=3"}}}));
}

TEST(Fields, JsonOfOtherNamesAndTypesIsRefused) {
  for (const char* text :
       {R"({"stepz": 3})", "[1, 2]", R"({"steps": []})", R"({"steps": null})", R"({"steps": ""})",
        R"({"class": ["a", 1]})", R"({"fractions": []})", R"({"fractions": ["a"]})", R"({"prompt": "a"})",
        R"({"prompt": []})", R"({"prompt": [[1]]})", R"({"solver_reset": "yes"})", R"({"solver_reset": 1})",
        R"({"seed": true})", R"({"seed": {"a": 1}})", R"({"assignment": ""})", R"({"stage": [null]})"})
    try {
      said_of(nlohmann::json::parse(text), "x.png");
      ADD_FAILURE() << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::input);
      EXPECT_NE(std::string(e.what()).find("x.png: [RUN_OPTIONS]"), std::string::npos) << e.what();
    }
  EXPECT_EQ(said_of({{"fractions", {0.5, 0.5}}, {"negative_prompt", ""}}, "x"),
            (Said{{"fractions", {"0.5", "0.5"}}, {"negative_prompt", {""}}}));
}

}  // namespace
}  // namespace tstitch
