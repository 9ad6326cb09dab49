// A picture says how it was made, and can be made again alone.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/apps/cli.h"
#include "tstitch/io/npy.h"
#include "tstitch/io/png.h"

namespace tstitch {
namespace {

using Arguments = std::vector<std::string>;

class Repeat : public Cli {
 protected:
  void expect_done(const Arguments& arguments) const {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
  }
  std::vector<uint8_t> pixels(const std::string& name) const { return read_png(path(name).string()).pixels; }
  nlohmann::json options(const std::string& name) const {
    return nlohmann::json::parse(read_png_text(path(name).string(), "tstitch").value());
  }
};

TEST_F(Repeat, EveryPictureOfARunIsMadeAgainAlone) {
  expect_done({"sample", "--class", "random", "-b", "4", "--steps", "3", "--sampler", "ddpm", "-o", "run/"});
  for (const char* name : {"run/000000.png", "run/000001.png", "run/000003.png"}) {
    expect_done({"sample", "--like", name, "-o", "again.png"});
    EXPECT_EQ(pixels("again.png"), pixels(name)) << name;
    // The seed alone does it, too.
    expect_done({"sample", "--class", "random", "--steps", "3", "--sampler", "ddpm", "--seed",
                 options(name)["seed"].dump(), "-o", "seed.png"});
    EXPECT_EQ(pixels("seed.png"), pixels(name)) << name;
  }
  EXPECT_EQ(options("run/000000.png")["seed"], 0);
  EXPECT_NE(options("run/000001.png")["seed"], options("run/000003.png")["seed"]);
}

TEST_F(Repeat, AGridIsMadeAgainAsItWas) {
  expect_done({"sample",  "--class",        "1,Bag",       "-b",          "2",      "--steps",
               "5",       "--sampler",      "dpm++2m",     "--scheduler", "karras", "--fractions",
               "0.6,0.4", "--solver-reset", "--cfg-scale", "1.5",         "--seed", "9",
               "--rng",   "torch",          "--dtype",     "f32",         "-o",     "grid.png"});
  expect_done({"sample", "--like", "grid.png", "-o", "again.png"});
  EXPECT_EQ(read(path("again.png")), read(path("grid.png")));  // what they say, too
  // Other options override it, also by another way of saying the same.
  expect_done({"sample", "--like", "grid.png", "--ratio", "0.2", "--image-size", "28", "-o", "other.png"});
  EXPECT_EQ(options("other.png")["ratio"], 0.2);
  EXPECT_EQ(options("other.png")["seed"], 9);
  EXPECT_NE(pixels("other.png"), pixels("grid.png"));
}

TEST_F(Repeat, BytesDoNotDependOnBatchesAndThreads) {
  const Arguments base = {"sample", "--class", "1,2,3", "--steps", "3"};
  for (const auto& [folder, batch, threads] : {std::tuple{"a/", "1", "1"}, {"b/", "3", "2"}}) {
    Arguments all = base;
    for (const char* text : {"--batch-size", batch, "-t", threads, "-o", folder}) all.push_back(text);
    expect_done(all);
  }
  for (const char* name : {"000000.png", "000002.png"})
    EXPECT_EQ(read(path("a") / name), read(path("b") / name));
}

TEST_F(Repeat, WhatIsSaidCountsInsteadOfWhatThePictureSays) {
  const auto made = [&](const std::string& like, Arguments more) {
    more.insert(more.begin(), {"sample", "--like", like, "-o", "x.png", "--json"});
    const Outcome outcome = run(more);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.code == 0 ? outcome.out : "{}");
  };
  expect_done({"sample", "--small", "fashion-s", "--large", "fashion-b", "--steps", "4", "--class", "1", "-o",
               "pair.png"});
  EXPECT_EQ(made("pair.png", {})["models"][1]["name"], "fashion-b");
  EXPECT_EQ(made("pair.png", {"-m", "fashion-l"})["trajectory"]["assignment"], "0*4");
  expect_done({"sample", "--switch", "auto", "--steps", "4", "--class", "1", "-o", "auto.png"});
  EXPECT_EQ(made("auto.png", {"--ratio", "0.5"})["trajectory"]["assignment"], "0*2 1*2");
  EXPECT_EQ(made("auto.png", {"--switch", "share"})["trajectory"]["assignment"], "0*2 1*2");
  expect_done({"sample", "--steps", "4", "--class", "1", "--stage", "share=0.5,cfg=1", "--stage", "cfg=3",
               "-o", "stages.png"});
  EXPECT_EQ(made("stages.png", {})["trajectory"]["assignment"], "0*2 1*2");
  const auto other = made("stages.png", {"--ratio", "0.25", "-m", "fashion-b", "-m", "fashion-l"});
  EXPECT_EQ(other["trajectory"]["assignment"], "0*1 1*3");
  EXPECT_EQ(other["models"][0]["name"], "fashion-b [cfg=1]");
  EXPECT_EQ(made("stages.png", {"--budget", "1h"})["models"][0]["evaluations"], 0);
  // Of several given latents none is one picture's.
  expect_done({"sample", "--class", "1,2", "--steps", "2", "--save-latent", "l.npy"});
  expect_done({"sample", "--class", "1,2", "--steps", "2", "--init-latent", "l.npy", "-o", "given/"});
  expect_refused(3, {"does not say how"}, {"sample", "--like", "given/000001.png"});
}

TEST_F(Repeat, HostileWordsInAPictureAreRefused) {
  expect_done({"sample", "--class", "1", "--steps", "2", "-o", "a.png"});
  const Image image = read_png(path("a.png").string());
  for (const char* text : {"{", "[]", "{\"switch\": []}", "{\"seed\": []}", "{\"steps\": null}",
                           "{\"odd\": 1}", "{\"stage\": \"cfg=1\"}", "{\"solver_reset\": \"yes\"}"}) {
    write_png(path("e.png").string(), image, {{"tstitch", text}});
    expect_refused(3, {"e.png"}, {"sample", "--like", "e.png", "-o", "o.png"});
  }
}

TEST_F(Repeat, InitialPicturesAndStrengthsAreSaid) {
  expect_done({"sample", "--class", "5", "--steps", "3", "-o", "start.png"});
  expect_done(
      {"sample", "-i", "start.png", "--strength", "0.5", "--class", "6", "--steps", "10", "-o", "a.png"});
  EXPECT_NE(read(path("a.png")).find("Steps: 10"), std::string::npos);  // those asked for, not those left
  EXPECT_NE(read(path("a.png")).find("Denoising strength: 0.5"), std::string::npos);
  expect_done({"sample", "--like", "a.png", "-o", "b.png"});
  EXPECT_EQ(pixels("b.png"), pixels("a.png"));
  expect_refused(2, {"--output", "an input"}, {"sample", "--like", "a.png", "-o", "start.png"});
  expect_refused(2, {"--output", "--like"}, {"sample", "--like", "a.png", "-o", "a.png"});
}

// Whatever a picture was made of is to be what it was, or named again.
TEST_F(Repeat, FilesThatHaveChangedAreNoticed) {
  const auto draw = [&](const std::string& name, const char* seed) {
    expect_done({"sample", "--class", "5", "--steps", "2", "--seed", seed, "-o", name});
  };
  const auto latents = [&](const std::string& name, std::vector<int64_t> shape, float value) {
    Tensor x((Shape(shape)), DType::f32);
    std::fill_n(x.data<float>(), x.elements(), value);
    write_npy(path(name).string(), x);
  };
  const auto noise = [&](float value) { latents("noise.npy", {4, 1, 1, 28, 28}, value); };
  const auto start = [&](float value) { latents("start.npy", {1, 1, 28, 28}, value); };
  const auto refused = [&](const std::string& option, const std::string& file, const std::string& picture) {
    expect_refused(3,
                   {option + " \"" + file + "\" is not what it was for that picture: it holds crc32 ",
                    "name it again to take it as it is now"},
                   {"sample", "--like", picture, "-o", "again.png"});
    expect_done({"sample", "--like", picture, option, file, "-o", "taken.png"});
    EXPECT_NE(pixels("taken.png"), pixels(picture));
    expect_done({"sample", "--like", "taken.png", "-o", "taken_again.png"});
  };
  draw("start.png", "1");
  draw("mask.png", "2");
  expect_done(
      {"sample", "-i", "start.png", "--mask", "mask.png", "--class", "1", "--steps", "4", "-o", "a.png"});
  draw("start.png", "3");
  refused("--init-image", "start.png", "a.png");
  draw("start.png", "1");
  draw("mask.png", "4");
  refused("--mask", "mask.png", "a.png");
  draw("mask.png", "2");
  expect_done({"sample", "--like", "a.png", "-o", "b.png"});
  EXPECT_EQ(read(path("b.png")), read(path("a.png")));

  start(0.1f);
  noise(0.1f);
  expect_done({"sample", "--sampler", "ddpm", "--init-latent", "start.npy", "--noise", "noise.npy", "--class",
               "1", "--steps", "4", "-o", "given.png"});
  start(0.2f);
  refused("--init-latent", "start.npy", "given.png");
  start(0.1f);
  noise(0.2f);
  refused("--noise", "noise.npy", "given.png");
  // A name that is named instead is not asked for what another held.
  start(0.2f);
  expect_done({"sample", "--like", "given.png", "--init-latent", "./start.npy", "--noise", "./noise.npy",
               "-o", "c.png"});
  for (const char* text : {"{\"contents\": [1]}", "{\"contents\": [\"x\"]}"}) {
    write_png(path("e.png").string(), read_png(path("a.png").string()), {{"tstitch", text}});
    expect_refused(2, {"contents is \""}, {"sample", "--like", "e.png", "-o", "o.png"});
  }
}

TEST_F(Repeat, MasksAreSaid) {
  expect_done({"sample", "--class", "5", "--steps", "3", "-o", "start.png"});
  Image mask{.width = 28, .height = 28, .channels = 1, .pixels = std::vector<uint8_t>(28 * 28)};
  std::fill_n(mask.pixels.begin(), 14 * 28, uint8_t{255});
  write_png(path("mask.png").string(), mask, {});
  const auto painted = [](Arguments more) {
    more.insert(more.begin(), {"sample", "-i", "start.png", "--mask", "mask.png", "--class", "1,2,3",
                               "--steps", "6", "--sampler", "ddpm"});
    return more;
  };
  expect_done(painted({"--blend", "x0", "--mask-blur", "1.5", "-o", "run/", "--batch-size", "2"}));
  EXPECT_NE(read(path("run/000001.png")).find("Mask blur: 1.5"), std::string::npos);
  EXPECT_NE(read(path("run/000001.png")).find("Blend: x0"), std::string::npos);
  EXPECT_NE(read(path("run/000001.png")).find("Denoising strength: 1"), std::string::npos);
  expect_done({"sample", "--like", "run/000001.png", "-o", "again.png"});
  EXPECT_EQ(pixels("again.png"), pixels("run/000001.png"));
  // Below the soft edge nothing has changed, above it everything may.
  const std::vector<uint8_t> before = pixels("start.png"), after = pixels("again.png");
  EXPECT_TRUE(std::equal(before.begin() + 20 * 28, before.end(), after.begin() + 20 * 28));
  EXPECT_FALSE(std::equal(before.begin(), before.begin() + 12 * 28, after.begin()));

  // Another rule or mask is another run.
  expect_done(painted({"-o", "step/", "--resume"}));
  EXPECT_NE(pixels("step/000001.png"), pixels("run/000001.png"));
  expect_done(painted({"-o", "step/", "--resume"}));
  expect_refused(2, {"not of this run"}, painted({"--blend", "x0", "-o", "step/", "--resume"}));
  expect_refused(2, {"not of this run"}, painted({"--mask-blur", "2", "-o", "step/", "--resume"}));
  // A sweep and images that switch by themselves paint the same part.
  expect_done({"sweep", "-i", "start.png", "--mask", "mask.png", "--class", "1", "--steps", "4", "--ratios",
               "0,1", "-o", "sweep.png"});
  expect_done(painted({"--switch", "auto", "-o", "auto.png"}));

  expect_refused(2, {"--mask says which part"}, {"sample", "--mask", "mask.png"});
  expect_refused(2, {"--mask-blur", "name one with --mask"},
                 {"sample", "-i", "start.png", "--mask-blur", "2"});
  expect_refused(2, {"--blend", "step, x0"}, painted({"--blend", "latent"}));
  expect_refused(2, {"--blend", "name one with --mask"}, {"sample", "-i", "start.png", "--blend", "step"});
  expect_refused(2, {"--output", "an input"}, painted({"-o", "mask.png"}));
  expect_refused(3, {"no.png"}, {"sample", "-i", "start.png", "--mask", "no.png"});
  mask.width = 14;
  mask.height = 56;
  write_png(path("tall.png").string(), mask, {});
  expect_refused(2, {"tall.png", "14 x 56, expected 28 x 28"},
                 {"sample", "-i", "start.png", "--mask", "tall.png"});
}

TEST_F(Repeat, WithoutMetadataAPictureSaysNothing) {
  expect_done({"sample", "--class", "5", "--steps", "3", "--no-metadata", "-o", "a.png"});
  EXPECT_EQ(read(path("a.png")).find("tEXt"), std::string::npos);
  expect_refused(3, {"a.png", "does not say how it was made"}, {"sample", "--like", "a.png"});
  expect_refused(3, {"no.png"}, {"sample", "--like", "no.png"});
}

TEST_F(Repeat, ADrawnSeedIsSaid) {
  const auto report = nlohmann::json::parse(
      run({"sample", "--class", "5", "--steps", "2", "--seed", "-1", "--json", "-o", "a.png"}).out);
  EXPECT_EQ(options("a.png")["seed"], report["seed"]);
  EXPECT_EQ(report["seeds"], nlohmann::json::array({report["seed"]}));
}

TEST_F(Repeat, PlansCarryWhatTheyWereMadeFor) {
  expect_done({"sample", "--class", "5", "--steps", "3", "-o", "start.png"});
  // From an initial picture on the small model would have no step of its share.
  expect_done({"plan",    "--speedup", "1.1",       "-i",      "start.png",   "--strength", "0.4",
               "--steps", "10",        "--sampler", "euler",   "--scheduler", "karras",     "--cfg-scale",
               "1.5",     "-b",        "1",         "--class", "1",           "-o",         "p.json"});
  const auto report = nlohmann::json::parse(
      run({"sample", "--plan", "p.json", "-i", "start.png", "--class", "1", "--json", "-o", "a.png"}).out);
  EXPECT_EQ(report["sampler"], "euler");
  EXPECT_EQ(report["scheduler"], "karras");
  EXPECT_EQ(report["cfg_scale"], 1.5);
  EXPECT_EQ(report["strength"], 0.4);
  EXPECT_EQ(report["trajectory"]["steps"], 4);
  expect_refused(2, {"--strength 0.4, not 0.5"},
                 {"sample", "--plan", "p.json", "-i", "start.png", "--strength", "0.5"});
  expect_refused(2, {"--sampler euler, not ddim"},
                 {"sample", "--plan", "p.json", "-i", "start.png", "--sampler", "ddim"});

  // Words in a plan that are none of a trajectory, or that contradict it.
  auto broken = nlohmann::json::parse(read(path("p.json")));
  broken["options"]["class"] = "1";
  std::ofstream(path("q.json")) << broken;
  expect_refused(3, {"q.json", "\"class\""},
                 {"sample", "--plan", "q.json", "-i", "start.png", "--class", "2"});
  broken["options"].erase("class");
  broken["options"].erase("assignment");
  std::ofstream(path("q.json")) << broken;
  expect_refused(2, {"for other steps"}, {"sample", "--plan", "q.json", "-i", "start.png"});
  // Stages are part of it.
  expect_done({"plan", "--speedup", "1.1", "--steps", "4", "-b", "1", "--class", "1", "--stage", "cfg=1",
               "--stage", "cfg=3", "-o", "s.json"});
  expect_done({"sample", "--plan", "s.json", "--class", "1", "-o", "s.png"});
  expect_refused(2, {"the plan is for --stage cfg=1, cfg=3"},
                 {"sample", "--plan", "s.json", "--stage", "share=0.5", "--stage", "cfg=3"});

  // Plans of the version before said less.
  auto plan = nlohmann::json::parse(read(path("p.json")));
  plan["format"] = "tstitch-plan-1";
  plan.erase("options");
  std::ofstream(path("old.json")) << plan;
  const Arguments old = {"sample", "--plan", "old.json", "-i", "start.png", "--class", "1", "-o", "b.png"};
  expect_refused(2, {"named for 4 steps"}, old);
  Arguments whole = old;
  for (const char* text : {"--scheduler", "karras", "--strength", "0.4", "--cfg-scale", "1.5"})
    whole.push_back(text);
  expect_done(whole);
  EXPECT_EQ(pixels("b.png"), pixels("a.png"));
}

TEST_F(Repeat, WhatRanksWouldEachDecideIsRefused) {
  const Arguments ranks = {"sample", "-o", "a.npz", "--rank", "0", "--world-size", "2"};
  const auto with = [&](const char* option, const char* value) {
    Arguments all = ranks;
    all.insert(all.end(), {option, value});
    return all;
  };
  expect_refused(2, {"2 ranks", "tstitch plan"}, with("--budget", "3s"));
  expect_refused(2, {"2 ranks", "--seed"}, with("--seed", "-1"));
}

TEST_F(Repeat, OptionsThatWouldDoNothingAreRefused) {
  const auto sample = [&](const std::string& part, Arguments more) {
    more.insert(more.begin(), "sample");
    expect_refused(2, {part}, more);
  };
  sample("--eta has no effect here", {"--eta", "0.5", "--sampler", "euler"});
  sample("--verbose", {"-v", "-q"});
  sample("--dry-run", {"--dry-run", "--resume", "-o", "a.npz"});
  sample("--dry-run", {"--dry-run", "--save-latent", "a.npy"});
  sample("--num-fid-samples", {"-b", "3", "--num-fid-samples", "5"});
  sample("--probes", {"--budget", "1s", "--curve", "c.json", "--probes", "3"});
  sample("--metric", {"--budget", "1s", "--metric", "fid"});
  sample("--threads is 4096", {"-t", "4096"});
  expect_refused(2, {"--orders"}, {"sweep", "--ratio", "0.5"});
  expect_refused(2, {"--features"}, {"sweep", "--features", "x.safetensors"});
  expect_refused(2, {"--any-order"}, {"plan", "--speedup", "2", "--curve", "c.json", "--any-order"});
}

}  // namespace
}  // namespace tstitch
