// Plans of stages from a measured divergence: what `analyze divergence` writes, what `plan` makes of it, and
// what is refused.
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/apps/tiny_pair.h"

namespace tstitch {
namespace {

using nlohmann::json;

Arguments with(Arguments arguments, const Arguments& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

const Arguments kFamily = {"-m", "fashion-s", "-m", "fashion-b", "-m", "fashion-l"};
const Arguments kFew = {"--steps", "6", "--class", "1,2", "--cfg-scale", "1", "-b", "1"};

class Divergences : public Cli {
 protected:
  Outcome measure(const Arguments& more) const {
    return run(with(with(with({"analyze", "divergence"}, kFamily), kFew), more));
  }
  Outcome plan(const Arguments& more) const {
    return run(with(with(with({"plan", "--divergence", "d.json"}, kFamily), kFew), more));
  }
  void refused(int code, const std::vector<std::string>& parts, const Arguments& more) const {
    expect_refused(code, parts, with(with(with({"plan"}, kFamily), kFew), more));
  }
  // As a shell does, with these words behind it.
  json report_of(const std::string& command, const std::string& more) const {
    const std::string program = "tstitch ";
    EXPECT_TRUE(command.starts_with(program)) << command;
    const Outcome outcome = wait(start_any(
        {"sh", "-c", TSTITCH_PROGRAM " " + command.substr(program.size()) + " " + more + " --json"}));
    EXPECT_EQ(outcome.code, 0) << command << outcome.err;
    return json::parse(outcome.out);
  }
};

TEST_F(Divergences, AreMeasuredAndPlannedWith) {
  const Outcome outcome = measure({"--form", "int8", "-o", "d.png"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const char* part : {"fashion-l: ", "fashion-l [dtype=int8]: ", "s an evaluation; alone ", "d / |eps|",
                           "wrote d.png, .svg, .csv and .json"})
    EXPECT_NE(outcome.out.find(part), std::string::npos) << outcome.out;
  EXPECT_TRUE(read(path("d.csv")).starts_with("form,evaluation,step,t,alpha,sigma,weight,age,distance,"));
  EXPECT_TRUE(fs::exists(path("d.svg")));
  const json measured = json::parse(read(path("d.json")));
  const json& divergence = measured["divergence"];
  EXPECT_EQ(divergence["models"], json({"fashion-s", "fashion-b", "fashion-l [dtype=int8]", "fashion-l"}));
  EXPECT_EQ(divergence["forms"].size(), 4u);
  EXPECT_EQ(divergence["forms"][0]["distance"].size(), 6u);
  EXPECT_EQ(divergence["times"].size(), 4u);
  EXPECT_EQ(measured["outputs"].size(), 4u);

  const Outcome shown = plan({"--form", "int8", "--speedup", "1.2"});
  ASSERT_EQ(shown.code, 0) << shown.err;
  for (const char* part :
       {"quality: divergence ", "what else there is:", "speed-up", "run it with `tstitch "})
    EXPECT_NE(shown.out.find(part), std::string::npos) << shown.out;

  // The command that it says and the plan that it writes are one run.
  const Outcome made = plan({"--form", "int8", "--max-divergence", "50%", "-o", "p.json", "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  const json chosen = json::parse(made.out);
  EXPECT_EQ(read(path("p.json")), made.out);
  EXPECT_LE(chosen["divergence"]["sum"], chosen["divergence"]["first_model_alone"]);
  ASSERT_GE(chosen["alternatives"].size(), 2u);
  EXPECT_EQ(chosen["alternatives"].back()["divergence"], 0);
  double before = 0;
  for (const json& one : chosen["alternatives"]) {
    EXPECT_GT(one["seconds"], before);
    before = one["seconds"];
  }
  const json by_command = report_of(chosen["command"], "-o c.png");
  const json by_plan = report_of(
      "tstitch sample --plan p.json -m fashion-s -m fashion-b -m fashion-l -m fashion-l --class 1,2 "
      "--cfg-scale 1",
      "-o b.png");
  EXPECT_EQ(by_command["latents_hash"], by_plan["latents_hash"]) << chosen["command"];
  const std::string list = "expected one for each, -m fashion-s -m fashion-b -m fashion-l -m fashion-l";
  expect_refused(2, {"the stages are the plan's, 4 of them, and there are 3 models", list},
                 with({"sample", "--plan", "p.json"}, kFamily));
  // Models of the demo families go without saying.
  EXPECT_EQ(report_of("tstitch sample --plan p.json --class 1,2", "-o m.png")["latents_hash"],
            by_plan["latents_hash"]);
}

// As docs/metrics.md has it: the steps go without saying, and what were forms are stages.
TEST_F(Divergences, ChooseOfTheUsualStepsAndOfStages) {
  const Arguments images = {"--class", "1", "--cfg-scale", "1", "-b", "1"};
  const Arguments forms = with(kFamily, {"--form", "int8"});
  ASSERT_EQ(run(with(with({"analyze", "divergence", "-o", "d.png", "-q"}, forms), images)).code, 0);
  const Outcome made =
      run(with(with({"plan", "--divergence", "d.json", "--speedup", "1.1", "-o", "p.json"}, forms), images));
  ASSERT_EQ(made.code, 0) << made.err;
  const Outcome sampled = run(
      with(with(with({"sample", "--budget", "1h", "--divergence", "d.json", "-o", "a.png"}, kFamily),
                {"-m", "fashion-l", "--stage", "", "--stage", "", "--stage", "dtype=int8", "--stage", ""}),
           images));
  EXPECT_EQ(sampled.code, 0) << sampled.err;
}

// Whoever comes last, the run is the last model's.
TEST_F(Divergences, AnyOrderIsPlanned) {
  ASSERT_EQ(measure({"-o", "d.png", "-q"}).code, 0);
  // As if the small model were as good as the large one but at the start.
  json file = json::parse(read(path("d.json")));
  for (size_t n = 0; n < 6; ++n) {
    file["divergence"]["forms"][0]["distance"][n][0] = n < 2 ? 1 : 1e-6;
    file["divergence"]["forms"][1]["distance"][n][0] = 1;
  }
  std::ofstream(path("d.json")) << file;
  const Outcome made = plan({"--max-divergence", "1%", "-o", "p.json", "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  const json chosen = json::parse(made.out);
  EXPECT_EQ(chosen["assignment"], "2*2 0*4");
  EXPECT_NE(chosen["command"].get<std::string>().find("--stage model=fashion-l,until=2 --stage "
                                                      "model=fashion-s,until=6 --stage model=fashion-l"),
            std::string::npos)
      << chosen["command"];
  EXPECT_EQ(report_of(chosen["command"], "-o c.png")["latents_hash"],
            report_of("tstitch sample --plan p.json -m fashion-s -m fashion-b -m fashion-l --class 1,2 "
                      "--cfg-scale 1",
                      "-o b.png")["latents_hash"]);
  const Outcome sampled = run(with(
      with({"sample", "--budget", "1h", "--divergence", "d.json", "--json", "-o", "s.png"}, kFamily), kFew));
  ASSERT_EQ(sampled.code, 0) << sampled.err;
  EXPECT_EQ(json::parse(sampled.out)["models"][2]["evaluations"], 6);  // nothing else to spend it on
}

TEST_F(Divergences, OfOtherRunsAreRefused) {
  ASSERT_EQ(measure({"-o", "d.png", "-q"}).code, 0);
  const Arguments goal = {"--divergence", "d.json", "--speedup", "1.2"};
  const auto refuses = [&](const std::string& part, const Arguments& run) {
    expect_refused(2, {"d.json", part}, with(with({"plan"}, goal), run));
  };
  refuses("other steps", with(kFamily, {"--steps", "7", "--class", "1", "--cfg-scale", "1"}));
  refuses("other steps",
          with(kFamily, {"--steps", "6", "--class", "1", "--cfg-scale", "1", "--spacing", "trailing"}));
  refuses("measured of other models",
          {"-m", "fashion-s", "-m", "fashion-l", "--steps", "6", "--class", "1", "--cfg-scale", "1"});
  refuses("--cfg-scale 1, but this run has 2",
          with(kFamily, {"--steps", "6", "--class", "1", "--cfg-scale", "2"}));
  refuses("--sampler ddim, but this run has ddpm",
          with(kFamily, {"--steps", "6", "--class", "1", "--cfg-scale", "1", "--sampler", "ddpm"}));

  const json good = json::parse(read(path("d.json")));
  const std::string text = good.dump();
  std::ofstream(path("cut.json")) << text.substr(0, text.size() / 2);
  refused(3, {"cut.json", "JSON"}, {"--divergence", "cut.json", "--speedup", "2"});
  json curve = good;
  curve.erase("divergence");
  std::ofstream(path("other.json")) << curve;
  refused(3, {"other.json", "not a divergence"}, {"--divergence", "other.json", "--speedup", "2"});
  json negative = good;
  negative["divergence"]["forms"][1]["distance"][3][0] = -1;
  std::ofstream(path("negative.json")) << negative;
  refused(3, {"negative.json", "form 2", "evaluation 4"},
          {"--divergence", "negative.json", "--speedup", "2"});
  json untimed = good;
  untimed["divergence"]["times"] = json::array();
  std::ofstream(path("untimed.json")) << untimed;
  refused(3, {"untimed.json", "\"times\" is empty"}, {"--divergence", "untimed.json", "--speedup", "2"});
  json other_file = good;
  other_file["divergence"]["contents"][0] = "crc32 0";
  std::ofstream(path("file.json")) << other_file;
  refused(2, {"file.json", "another file than that of fashion-s"},
          {"--divergence", "file.json", "--speedup", "2"});
  refused(3, {"nowhere.json"}, {"--divergence", "nowhere.json", "--speedup", "2"});
}

TEST_F(Divergences, OptionsThatWouldDoNothingAreRefused) {
  ASSERT_EQ(measure({"-o", "d.png", "-q"}).code, 0);
  const auto refuses = [&](const std::vector<std::string>& parts, const Arguments& more) {
    refused(2, parts, with({"--divergence", "d.json"}, more));
  };
  refuses({"--probes", "has been measured"}, {"--speedup", "2", "--probes", "3"});
  refuses({"--any-order", "any order"}, {"--speedup", "2", "--any-order"});
  refuses({"--curve and --divergence"}, {"--speedup", "2", "--curve", "c.json"});
  refuses({"--switch-price is -1"}, {"--speedup", "2", "--switch-price=-1"});
  refuses({"--max-divergence is -1"}, {"--max-divergence=-1"});
  refuses({"one goal"}, {"--max-divergence", "1", "--speedup", "2"});
  refuses({"d.json", "an input"}, {"--speedup", "2", "-o", "d.json"});
  refuses({"plan says who serves which step"},
          {"--speedup", "2", "--stage", "share=0.2", "--stage", "share=0.2", "--stage", ""});
  refused(2, {"--switch-price is for"}, {"--speedup", "2", "--switch-price", "2%"});
  expect_refused(2, {"--divergence is for --budget"}, {"sample", "--divergence", "d.json"});

  const auto analysis = [&](const std::vector<std::string>& parts, const Arguments& more) {
    expect_refused(2, parts, with({"analyze", "divergence", "--class", "1"}, more));
  };
  analysis({"there is 1"}, {"-m", "fashion-l"});
  analysis({"--form is cache=3", "cache=3 does not go with"}, {"-m", "fashion-l", "--form", "cache=3"});
  analysis({"--form is int8", "which the last model itself is"},
           {"-m", "fashion-l", "--form", "int8", "--dtype", "int8"});
  analysis({"--form is \"cfg=3\"", "expected int8"}, {"-m", "fashion-l", "--form", "cfg=3"});
  analysis({"--form is skip=1", "does not go with a ControlNet"},
           {"-m", "fashion-l", "--form", "skip=1", "--control-net", "canny/,image=a.png"});
  analysis({"--form is int8", "on the device cuda"},
           {"-m", "fashion-l", "--form", "int8", "--dtype", "bf16", "--device", "cuda"});
  analysis({"--form adds stages", "share="}, {"--stage", "share=0.3", "--stage", "", "--form", "int8"});
  analysis({"--sigma-data is 0"}, {"--sigma-data", "0"});
  analysis({"lets the last model take all steps"}, {"--stage", "share=0.3", "--stage", ""});
  analysis({"ends in .png"}, {"-o", "d.json"});
}

// A form changes what it says of the last stage; the run's own type goes without saying.
TEST_F(Divergences, FormsAreOfTheLastStage) {
  const auto models = [&](const Arguments& more) {
    const Arguments all = {"analyze", "divergence", "-m", "fashion-l", "--steps", "2", "--class",
                           "1",       "-b",         "1",  "-o",        "d.png",   "-q"};
    const Outcome outcome = run(with(all, more));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return json::parse(read(path("d.json")))["divergence"]["models"];
  };
  EXPECT_EQ(models({"--form", "int8", "--stage", "skip=1"}),
            json({"fashion-l [dtype=int8,skip=1]", "fashion-l [skip=1]"}));
  EXPECT_EQ(models({"--form", "int8,skip=1", "--dtype", "int8"}), json({"fashion-l [skip=1]", "fashion-l"}));
}

// Steps of a stage with cached blocks cost what their age says.
class CachedPlans : public OnTinyPair {
 protected:
  static Arguments of_large(const std::string& command, const Arguments& more) {
    return with({command, "-m", (TinyFolders::folder() / "large").string(), "-p", "a fox", "-W", "64", "-H",
                 "64", "--steps", "4", "--form", "cache=4"},
                more);
  }
};

TEST_F(CachedPlans, AreMadeWithAndWithoutAMeasuredDivergence) {
  Arguments analysis = of_large("analyze", {"-o", "d.png", "-q"});
  analysis.insert(analysis.begin() + 1, "divergence");
  done(analysis);
  const json divergence = json::parse(read(path("d.json")))["divergence"];
  EXPECT_EQ(divergence["forms"][0]["ages"], 4);
  const size_t evaluations = divergence["forms"][0]["distance"].size();
  for (size_t n = 0; n < evaluations; ++n) {
    const auto distances = divergence["forms"][0]["distance"][n].get<std::vector<double>>();
    EXPECT_EQ(distances.size(), std::min<size_t>(n + 1, 4));
    EXPECT_EQ(distances[0], 0);
  }
  EXPECT_EQ(divergence["times"].size(), 3u);  // whole and not, and the model itself

  for (const Arguments& how : {Arguments{"--divergence", "d.json"}, Arguments{}}) {
    const json chosen = json::parse(
        done(of_large("plan", with(how, {"--max-divergence", "100%", "-o", "p.json", "--json"}))).out);
    EXPECT_EQ(chosen["options"]["stage"], json({"cache=4", ""}));
    // Of five evaluations two are whole, and one of these is as good as the model's own.
    EXPECT_TRUE((std::set<std::string>{"0*5", "0*4 1*1", "1*1 0*4"}).contains(chosen["assignment"]))
        << chosen;
    EXPECT_GT(chosen["speedup"], 1);
    EXPECT_NE(chosen["command"].get<std::string>().find("cache=4"), std::string::npos) << chosen["command"];
  }
  const std::string large = (TinyFolders::folder() / "large").string();
  done({"sample", "--plan", "p.json", "-m", large, "-m", large, "-p", "a fox", "-W", "64", "-H", "64", "-o",
        "a.png"});
  done({"sample", "--budget", "1h", "-m", large, "--twin", "cache=2", "-p", "a fox", "-W", "64", "-H", "64",
        "--steps", "4", "-o", "b.png"});
}

// Names are cut, what is compared is not.
TEST_F(CachedPlans, StagesAreComparedToTheLastLetter) {
  const std::string stage = "negative=" + std::string(70, 'x');
  done(with({"analyze", "divergence"}, [&] {
    Arguments more = of_large("", {"--stage", stage + "1", "-o", "d.png", "-q"});
    more.erase(more.begin());
    return more;
  }()));
  const auto plan = [&](const std::string& last, const Arguments& more) {
    return of_large("plan",
                    with({"--divergence", "d.json", "--speedup", "0.1", "--stage", stage + last}, more));
  };
  done(plan("1", {"-q"}));
  expect_refused(2, {"d.json", "measured of stage 1 with ...negative=xxx", "x1", "but this run has", "x2"},
                 plan("2", {}));
  expect_refused(2, {"d.json", "--clip-skip 0, but this run has 2"}, plan("1", {"--clip-skip", "2"}));
  expect_refused(2, {"measured of stage 1 with prediction eps", "prediction v"},
                 plan("1", {"--prediction", "v"}));
  // Of another autoencoder the times are others; the divergence is not.
  json file = json::parse(read(path("d.json")));
  EXPECT_NE(file["divergence"]["autoencoder"], "");
  file["divergence"]["autoencoder"] = "1 tensors, crc32 00000000";
  file["divergence"]["decoding_seconds"] = 1000;
  std::ofstream(path("d.json")) << file;
  EXPECT_LT(json::parse(done(plan("1", {"--json"})).out)["seconds"], 1000);
}

class PlansOfTexts : public CachedPlans {
 protected:
  // What the plan says how to use it, as a shell does it.
  Outcome as_printed(const Outcome& planned, const std::string& more) const {
    const std::string before = "use it with `tstitch ";
    const size_t at = planned.out.find(before), end = planned.out.rfind('`');
    if (at == planned.out.npos) return planned;
    const size_t begin = at + before.size();
    return wait(
        start_any({"sh", "-c", TSTITCH_PROGRAM " " + planned.out.substr(begin, end - begin) + " " + more}));
  }
};

TEST_F(PlansOfTexts, AreUsedAsTheySay) {
  const Outcome planned = done(of_pair("plan", {"--speedup", "0.1", "--probes", "2", "-n", "a dog", "-b", "1",
                                                "--clip-skip", "2", "-o", "p.json"}));
  for (const char* part : {" -p 'a fox' ", " -n 'a dog' ", " --clip-skip 2 ", " -W 64 -H 64`"})
    EXPECT_NE(planned.out.find(part), std::string::npos) << planned.out;
  const Outcome used = as_printed(planned, "-o a.png");
  EXPECT_EQ(used.code, 0) << planned.out << used.err;
  done(of_pair("sample", {"-n", "a dog", "--clip-skip", "2", "--ratio", "0", "-o", "b.png"}));
  EXPECT_EQ(pixels("a.png"), pixels("b.png"));  // of the large network alone
  expect_refused(2, {"the plan is for small, large, and \"small\" is no demo model", "--model"},
                 {"sample", "--plan", "p.json", "-p", "a fox"});
}

TEST_F(PlansOfTexts, AreForWhatTheyWereMadeWith) {
  done(of_pair("plan", {"--speedup", "0.1", "--probes", "2", "--dtype", "f32", "-q", "-o", "p.json"}));
  const auto sample = [&](const Arguments& more) {
    return of_pair("sample", with({"--plan", "p.json", "--dtype", "f32"}, more));
  };
  const auto refuses = [&](const std::string& message, const Arguments& more) {
    expect_refused(2, {"the plan is for " + message}, sample(more));
  };
  refuses("--clip-skip 0, not 2", {"--clip-skip", "2"});
  refuses("--prompt-style webui, not plain", {"--prompt-style", "plain"});
  refuses("--prediction eps, eps, not v, v", {"--prediction", "v"});
  refuses("--vae its default, not ", {"--vae", (TinyFolders::folder() / "large/vae").string()});
  Arguments other = sample({});
  *std::ranges::find(other, "f32") = "bf16";
  expect_refused(2, {"the plan is for --dtype f32, not bf16"}, other);
  other = sample({});
  *std::ranges::find(other, "64") = "128";
  expect_refused(2, {"the plan is for --width 64, not 128"}, other);
  // What is painted is the run's own.
  done(sample({"-n", "a dog", "--seed", "7", "-b", "2", "-o", "a.png"}));

  // Versions before did not say it.
  const json plan = json::parse(read(path("p.json")));
  json old = plan;
  old.erase("made_with");
  std::ofstream(path("p.json")) << old;
  done(sample({"--clip-skip", "2", "-o", "b.png"}));

  for (const auto& [pointer, value] :
       {std::pair<const char*, json>{"/made_with", 3},
        {"/made_with/loras", json::array()},
        {"/made_with/control_nets", json::array({json::array({1}), json::array()})},
        {"/made_with/embeddings", {{"", "crc32 0"}}},
        {"/made_with/settings", {{"clip_skip", 0}}}}) {
    json broken = plan;
    broken[json::json_pointer(pointer)] = value;
    std::ofstream(path("p.json")) << broken;
    expect_refused(3, {"p.json"}, sample({}));
  }
}

TEST_F(PlansOfTexts, AreForTheEmbeddingsThatTextsName) {
  fs::copy_file(golden_path("embedding/fox_kohya.safetensors"), path("fox.safetensors"));
  const std::string large = (TinyFolders::folder() / "large").string();
  const auto of_text = [&](const Arguments& command, const std::string& text, const Arguments& more) {
    return with(with(command, {"-m", large, "-p", text, "-W", "64", "-H", "64", "--steps", "4"}), more);
  };
  const Outcome planned = done(of_text({"plan", "--form", "cache=4", "--speedup", "0.1", "--probes", "2"},
                                       "a <fox>", {"--embedding", "fox.safetensors:<fox>", "-o", "p.json"}));
  const Outcome used = as_printed(planned, "-o a.png");
  EXPECT_EQ(used.code, 0) << planned.out << used.err;
  const Arguments sample = {"sample", "--plan", "p.json", "-m", large};
  expect_refused(2, {"the plan is for --embedding <fox> (crc32 ", "which a prompt names, not none"},
                 of_text(sample, "a <FOX> at night", {}));
  done(of_text(sample, "a dog", {"-o", "b.png"}));
}

TEST_F(CachedPlans, NetworksOfSingleBlocksLeaveNoneOut) {
  expect_refused(2, {"none of its", "each is the only one of its transformer"},
                 {"analyze", "blocks", "-m", (TinyFolders::folder() / "large").string(), "-p", "a fox"});
}

TEST_F(CachedPlans, WhatMeasuresNothingIsRefusedFirst) {
  const auto refused = [&](const std::string& analysis, const std::vector<std::string>& parts,
                           const Arguments& more) {
    expect_refused(2, parts, with({"analyze", analysis}, more));
  };
  Arguments forms = of_large("", {});
  forms.erase(forms.begin());
  refused("divergence", {"--measure-weights", "no form differs"}, with(forms, {"--measure-weights"}));
  refused("divergence", {"cache=17", "expected 16 at most"}, with(forms, {"--form", "cache=17"}));

  const std::string large = (TinyFolders::folder() / "large").string();
  const auto similarity = [&](const std::string& stage, const std::string& sampler) {
    return Arguments{"-m", large,     "-m", large, "-p",      "a fox",     "-W",   "64",
                     "-H", "64",      "-b", "1",   "-q",      "--stage",   stage,  "--stage",
                     "",   "--steps", "4",  "-o",  "sim.png", "--sampler", sampler};
  };
  refused("similarity", {"cache=2", "heun asks more than once a step"}, similarity("cache=2", "heun"));
  refused("similarity", {"--stage 1: cache=2:center=4", "it has 4"}, similarity("cache=2:center=4", "ddim"));
  // Its shares are not those of any run: alone the stage has four evaluations.
  done(with({"analyze", "similarity"}, similarity("cache=2:center=3", "ddim")));
}

}  // namespace
}  // namespace tstitch
