// LoRAs from the command line: what is said of them, and runs that are continued and repeated.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/apps/tiny_pair.h"

namespace tstitch {
namespace {

class LoraCommand : public OnTinyPair {
 protected:
  void SetUp() override {
    Cli::SetUp();
    write_lora("fox.safetensors", "large", 1);
  }

  // A LoRA of the attention of that network.
  void write_lora(const std::string& name, const std::string& model, uint64_t seed) const {
    constexpr int64_t kRank = 4;
    std::map<std::string, Tensor> tensors;
    const nlohmann::json names = parse_json_file(golden_path("sd/" + model + "_names.json"));
    for (const auto& [key, extents] : names.items()) {
      if (key.find("attn1.to_") == key.npos || !key.ends_with(".weight")) continue;
      const std::string module = "unet." + key.substr(0, key.size() - 7);
      tensors[module + ".lora_A.weight"] = random_uniform(key + "a", {kRank, extents[1]}, 1, seed);
      tensors[module + ".lora_B.weight"] = random_uniform(key + "b", {extents[0], kRank}, 1, seed);
    }
    fs::create_directories(path(name).parent_path());
    write_safetensors(path(name).string(), tensors, {});
  }
};

int64_t lines_with(const std::string& text, const std::string& part) {
  int64_t lines = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++lines;
  return lines;
}

// The small network takes nothing of what was made for the large one.
TEST_F(LoraCommand, WhatAModelDoesNotTakeIsSaidOnce) {
  const std::string line = "tstitch: LoRA fox x 0.5 on small is not applied: ";
  for (const auto& [command, more] : {std::pair{"sample", Arguments{"-o", "a.png"}},
                                      {"sweep", {"--ratios", "0,1", "-o", "s.png"}},
                                      {"plan", {"--speedup", "0.1", "-o", "p.json"}}}) {
    Arguments all = of_pair(command, {"--lora", "fox.safetensors:0.5"});
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = done(all);
    EXPECT_EQ(lines_with(outcome.err, line), 1) << command << outcome.err;
    EXPECT_EQ(lines_with(outcome.err, "on large"), 0) << command << outcome.err;
  }
  Arguments similarity = of_pair("analyze", {"--lora", "fox.safetensors:0.5"});
  similarity.insert(similarity.begin() + 1, "similarity");
  EXPECT_EQ(lines_with(done(similarity).err, line), 1);

  const Outcome json = done(of_pair("sample", {"--lora", "fox.safetensors:0.5", "--json", "-o", "a.png"}));
  EXPECT_EQ(lines_with(json.err, line), 1);
  const auto report = nlohmann::json::parse(json.out);
  EXPECT_EQ(report["models"][0]["refused_loras"][0]["path"], "fox.safetensors");
  EXPECT_NE(report["models"][0]["refused_loras"][0]["reason"], "");
  EXPECT_FALSE(report["models"][0].contains("loras"));
  EXPECT_GT(report["models"][1]["loras"][0]["network"]["changed"], 0);
  EXPECT_EQ(done(of_pair("sample", {"--lora", "fox.safetensors", "-q", "-o", "a.png"})).err, "");
}

// What a plan prints can be run, also where the stage with the LoRA serves nothing.
TEST_F(LoraCommand, TheCommandOfAPlanLeavesOutWhatServesNothing) {
  const Arguments stages = {"--stage", "", "--stage", "lora=fox.safetensors", "--sampler", "ddim"};
  Arguments analysis = of_pair("analyze", stages);
  analysis.insert(analysis.begin() + 1, "divergence");
  analysis.insert(analysis.end(), {"-o", "d.png", "-q"});
  done(analysis);
  // As if the small network were by far the faster one.
  auto file = nlohmann::json::parse(read(path("d.json")));
  for (auto& time : file["divergence"]["times"])
    if (time["form"] == 0) time["seconds"] = 1e-9;
  std::ofstream(path("d.json")) << file;
  Arguments plan = of_pair("plan", stages);
  plan.insert(plan.end(), {"--divergence", "d.json", "--max-divergence", "200%", "--json"});
  const auto chosen = nlohmann::json::parse(done(plan).out);
  EXPECT_EQ(chosen["assignment"].get<std::string>().substr(0, 2), "0*");
  const std::string command = chosen.value("command", ""), program = "tstitch ";
  ASSERT_TRUE(command.starts_with(program)) << chosen;
  EXPECT_EQ(command.find("lora="), command.npos) << command;
  const Outcome outcome =
      wait(start_any({"sh", "-c", TSTITCH_PROGRAM " " + command.substr(program.size()) + " -o c.png"}));
  EXPECT_EQ(outcome.code, 0) << command << outcome.err;
}

// By what its file holds, wherever that lies, and its weight.
TEST_F(LoraCommand, APlanIsForItsLoras) {
  const Arguments goal = {"--speedup", "0.1", "--probes", "2", "-q", "-o", "p.json"};
  const auto plan = [&](const Arguments& more) {
    Arguments all = of_pair("plan", goal);
    all.insert(all.end(), more.begin(), more.end());
    done(all);
  };
  const auto sample = [&](const Arguments& more) {
    Arguments all = of_pair("sample", {"--plan", "p.json"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  plan({"--lora", "fox.safetensors:0.5"});
  const std::string planned = "the plan is for --lora fox.safetensors x 0.5 (crc32 ";
  expect_refused(2, {planned, "), not none, on large"}, sample({}));
  expect_refused(2, {planned, "), not fox.safetensors x 1 (crc32 "}, sample({"--lora", "fox.safetensors"}));
  write_lora("owl.safetensors", "large", 2);
  expect_refused(2, {planned, "), not owl.safetensors x 0.5 (crc32 "},
                 sample({"--lora", "owl.safetensors:0.5"}));
  write_lora("again/owl.safetensors", "large", 1);
  done(sample({"--lora", "again/owl.safetensors:0.5", "-o", "a.png"}));
  done(of_pair("sample", {"--lora", "fox.safetensors:0.5", "--ratio", "0", "-o", "b.png"}));
  EXPECT_EQ(pixels("a.png"), pixels("b.png"));
  // Versions before did not say them.
  auto old = nlohmann::json::parse(read(path("p.json")));
  old.erase("made_with");
  std::ofstream(path("p.json")) << old;
  expect_refused(2, {"the plan is for --lora none, not fox.safetensors x 1 (crc32 "},
                 sample({"--lora", "fox.safetensors"}));
  done(sample({"-o", "c.png"}));

  // Those of a stage are in the plan, while their file is the same.
  plan({"--stage", "", "--stage", "lora=fox.safetensors:0.5"});
  done(sample({"-o", "d.png"}));
  EXPECT_EQ(pixels("d.png"), pixels("b.png"));
  write_lora("fox.safetensors", "large", 2);
  expect_refused(2, {planned, "), not fox.safetensors x 0.5 (crc32 "}, sample({}));
}

TEST_F(LoraCommand, APictureIsMadeAgainWhileTheFileIsTheSame) {
  done(of_pair("sample", {"--lora", "fox.safetensors:0.5", "-o", "a.png"}));
  done(of_pair("sample", {"-o", "without.png"}));
  EXPECT_NE(pixels("without.png"), pixels("a.png"));
  done({"sample", "--like", "a.png", "-o", "b.png"});
  EXPECT_EQ(read(path("b.png")), read(path("a.png")));
  write_lora("fox.safetensors", "large", 2);
  expect_refused(3, {"fox.safetensors", "is not what it was for that picture", "--lora"},
                 {"sample", "--like", "a.png", "-o", "c.png"});
  done({"sample", "--like", "a.png", "--lora", "fox.safetensors:0.5", "-o", "c.png"});
  EXPECT_NE(pixels("c.png"), pixels("a.png"));
  done({"sample", "--like", "c.png", "-o", "d.png"});
  EXPECT_EQ(pixels("d.png"), pixels("c.png"));
}

TEST_F(LoraCommand, AStagesFileThatHasChangedIsNamedAgainByTheStage) {
  const Arguments stages = {"--stage", "share=0.4", "--stage", "lora=fox.safetensors"};
  const auto like = [](const Arguments& more) {
    Arguments all = {"sample", "--like", "a.png", "-o", "c.png"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  Arguments first = of_pair("sample", stages);
  first.insert(first.end(), {"-o", "a.png"});
  done(first);
  write_lora("fox.safetensors", "large", 2);
  for (const Arguments& more : {Arguments(), {"--lora", "fox.safetensors"}})
    expect_refused(3,
                   {"--stage 2: lora= \"fox.safetensors\" is not what it was", "name it again with --stage"},
                   like(more));
  done(like(stages));
}

TEST_F(LoraCommand, AStageMayHaveNoneOfThem) {
  const std::string large = (TinyFolders::folder() / "large").string();
  const auto pair = [&](const Arguments& more) {
    Arguments all = of_pair("sample", more);
    *std::ranges::find(all, (TinyFolders::folder() / "small").string()) = large;
    return all;
  };
  done(pair({"--lora", "fox.safetensors", "--stage", "share=0.4,lora=none", "--stage", "", "-o", "a.png"}));
  done(pair({"--stage", "share=0.4", "--stage", "lora=fox.safetensors", "-o", "b.png"}));
  EXPECT_EQ(pixels("a.png"), pixels("b.png"));
  done({"sample", "--like", "a.png", "-o", "again.png"});
  EXPECT_EQ(read(path("again.png")), read(path("a.png")));
  done(pair({"--lora", "fox.safetensors", "--stage", "share=0.4", "--stage", "", "-o", "both.png"}));
  EXPECT_NE(pixels("both.png"), pixels("a.png"));
  expect_refused(2, {"--stage 1: lora=none has no effect here: there is no --lora"},
                 pair({"--stage", "share=0.4,lora=none", "--stage", ""}));

  const Arguments begun = pair({"--lora", "fox.safetensors", "--stage", "share=0.4,lora=none", "--stage", "",
                                "-b", "2", "--resume", "-o", "run/"});
  done(begun);
  fs::remove(path("run/000001.png"));
  done(begun);
  fs::remove(path("run/000001.png"));
  Arguments other = begun;
  *std::ranges::find(other, "share=0.4,lora=none") = "share=0.4";
  expect_refused(2, {"000000.png", "not of this run"}, other);
}

// The small network takes nothing of it, and the large one has its own.
TEST_F(LoraCommand, OneThatAStageStandsInsteadOfIsRefusedForThat) {
  write_lora("owl.safetensors", "large", 3);
  expect_refused(2, {"--lora \"owl.safetensors\" has no effect here: it fits large", "instead of --lora"},
                 of_pair("sample", {"--lora", "owl.safetensors", "--stage", "share=0.4", "--stage",
                                    "lora=fox.safetensors"}));
}

TEST_F(LoraCommand, FilesThatAreNotThereAreCodeThree) {
  expect_refused(3, {"--lora none.safetensors: [IO_NOT_FOUND]"},
                 of_pair("sample", {"--lora", "none.safetensors"}));
  Arguments tagged = of_pair("sample", {"--lora-dir", "."});
  *std::ranges::find(tagged, "a fox") = "a <lora:owl>";
  expect_refused(3, {"the LoRA \"owl\", and there is no such file"}, tagged);
  tagged.back() = "none";
  expect_refused(3, {"--lora-dir \"none\" cannot be read"}, tagged);
  expect_refused(3, {"fox.safetensors: a LoRA", "name it with --lora"}, {"inspect", "fox.safetensors"});
}

TEST_F(LoraCommand, ARunIsContinuedWhileTheFileIsTheSame) {
  const Arguments begun =
      of_pair("sample", {"--lora", "fox.safetensors", "-b", "2", "--resume", "-o", "run/"});
  done(begun);
  const std::string whole = read(path("run/000001.png"));
  fs::remove(path("run/000001.png"));
  done(begun);
  EXPECT_EQ(read(path("run/000001.png")), whole);
  fs::remove(path("run/000001.png"));
  write_lora("fox.safetensors", "large", 2);
  expect_refused(2, {"000000.png", "not of this run"}, begun);
  // A file of the same bytes elsewhere makes the same pictures, another weight others.
  write_lora("again/fox.safetensors", "large", 1);
  Arguments other = begun;
  *std::ranges::find(other, "fox.safetensors") = "again/fox.safetensors:0.5";
  expect_refused(2, {"000000.png", "not of this run"}, other);
  *std::ranges::find(other, "again/fox.safetensors:0.5") = "again/fox.safetensors";
  done(other);
  EXPECT_EQ(pixels("run/000001.png"), [&] {
    done({"sample", "--like", "run/000001.png", "-o", "alone.png"});
    return pixels("alone.png");
  }());

  // An archive that is interrupted says what has changed.
  const auto archive = [&](const Arguments& more) {
    Arguments all = of_pair("sample", {"-b", "2", "--batch-size", "1", "--resume", "-o", "a.npz"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  Arguments half = archive({"--lora", "again/fox.safetensors"});
  half.insert(half.end(), {"--rank", "0", "--world-size", "2"});
  done(half);
  expect_refused(2, {"--lora is [\"\",\"crc32 ", "but the unfinished run has"},
                 archive({"--lora", "fox.safetensors"}));
  done(archive({"--lora", "again/fox.safetensors"}));
}

// Models of text have no classes whose names could be looked up.
TEST_F(LoraCommand, ModelsOfTextAreAskedForAPrompt) {
  expect_refused(2, {"--class \"otter\"", "draws what a text says and has no classes, expected --prompt"},
                 {"sample", "-m", (TinyFolders::folder() / "large").string(), "--class", "otter"});
}

TEST_F(LoraCommand, ThreadsChangeNoByte) {
  for (const char* threads : {"1", "2"})
    done(of_pair("sample", {"--lora", "fox.safetensors", "-t", threads, "-o", concat(threads, ".png")}));
  EXPECT_EQ(read(path("1.png")), read(path("2.png")));
}

TEST_F(LoraCommand, PromptsNameThemUnlessTheyAreTakenAsTheyStand) {
  write_lora("loras/owl.safetensors", "large", 3);
  Arguments tagged = of_pair("sample", {"--lora-dir", "loras", "-o", "tag.png"});
  *std::ranges::find(tagged, "a fox") = "a fox<lora:owl:0.5>";
  done(tagged);
  done(of_pair("sample", {"--lora", "loras/owl.safetensors:0.5", "-o", "option.png"}));
  EXPECT_EQ(read(path("tag.png")), read(path("option.png")));
  tagged.insert(tagged.end(), {"--prompt-style", "plain"});
  expect_refused(2, {"--lora-dir has no effect here", "--prompt-style plain"}, tagged);
}

}  // namespace
}  // namespace tstitch
