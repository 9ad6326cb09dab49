// The demo families from the command line: which models a run has that names none. Tiny networks stand where
// the family of words would be.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/apps/tiny_pair.h"

namespace tstitch {
namespace {

class DemoFamilies : public OnTinyPair {
 protected:
  // The assets without the family of words, but for an autoencoder that is there before the rest.
  void SetUp() override {
    Cli::SetUp();
    fs::create_directories(path("assets/words/words-l/vae"));
    for (const auto& file : fs::directory_iterator(TSTITCH_ASSETS))
      if (file.is_regular_file()) fs::copy(file, path("assets"));
    setenv("TSTITCH_ASSETS", path("assets").c_str(), 1);
  }
  void TearDown() override {
    unsetenv("TSTITCH_ASSETS");
    Cli::TearDown();
  }

  void add_words() const {
    fs::remove_all(path("assets/words/words-l"));
    for (const auto& [name, folder] : {std::pair("words-s", "small"), {"words-l", "large"}})
      fs::create_directory_symlink(TinyFolders::folder() / folder, path("assets/words") / name);
  }

  // The names of the models of a run that is only planned.
  std::vector<std::string> models_of(Arguments arguments) const {
    arguments.insert(arguments.end(), {"--dry-run", "--json"});
    std::vector<std::string> names;
    for (const auto& model : nlohmann::json::parse(done(arguments).out)["models"])
      names.push_back(model["name"]);
    return names;
  }
};

using Names = std::vector<std::string>;
const Names kGarments = {"fashion-s", "fashion-l"}, kWords = {"words-s", "words-l"};
const Arguments kOfText = {"sample", "-p", "a fox", "-W", "64", "-H", "64", "--steps", "3"};

Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST_F(DemoFamilies, WithoutTheFamilyOfWordsAPromptIsRefused) {
  EXPECT_EQ(models_of({"sample"}), kGarments);
  expect_refused(2, {"fashion-l", "understands no text"}, kOfText);
  expect_refused(3, {"the demo model words-l is not installed"}, kOfText + Arguments{"-m", "words-l"});
  EXPECT_EQ(done({"sample", "--help"}).out.find("words-s"), std::string::npos);
}

TEST_F(DemoFamilies, APromptIsPaintedByTheFamilyOfWords) {
  add_words();
  EXPECT_EQ(models_of({"sample"}), kGarments);
  EXPECT_EQ(models_of({"sample", "--class", "1"}), kGarments);
  EXPECT_EQ(models_of(kOfText), kWords);
  EXPECT_EQ(models_of(kOfText + Arguments{"--stage", "share=0.4,cfg=1", "--stage", "cfg=3"}).size(), 2u);
  EXPECT_EQ(models_of(kOfText + Arguments{"-m", "words-l"}), Names{"words-l"});
  expect_refused(2, {"words-l draws what a text says"}, {"sample", "-n", "blurry"});
  EXPECT_NE(done({"sample", "--help"}).out.find("fashion-s, fashion-l; with a prompt words-s, words-l"),
            std::string::npos);

  done(kOfText + Arguments{"-o", "usual.png"});
  done(of_pair("sample", {"-o", "named.png"}));
  EXPECT_EQ(pixels("usual.png"), pixels("named.png"));
  done({"sample", "--like", "usual.png", "-o", "again.png"});
  EXPECT_EQ(read(path("again.png")), read(path("usual.png")));
}

TEST_F(DemoFamilies, OtherCommandsMeanTheSame) {
  add_words();
  const Outcome inspected = done({"inspect", "words-s", "words-l"});
  EXPECT_NE(inspected.out.find("words-s and words-l can be stitched"), std::string::npos) << inspected.out;
  done({"sweep", "-p", "a fox", "-p", "an owl", "--ratios", "0,1", "-W", "64", "-H", "64", "--steps", "2",
        "-q", "-o", "s.png"});
  EXPECT_EQ(nlohmann::json::parse(read(path("s.json")))["models"], kWords);
}

TEST_F(DemoFamilies, NamesWrittenAlikeAreSuggested) {
  expect_refused(3, {"\"fashion-x\" is neither a file nor a demo model", "did you mean fashion-"},
                 {"sample", "-m", "fashion-x"});
  expect_refused(3, {"\"word-l\"", "there are fashion-s, fashion-b, fashion-l"}, {"inspect", "word-l"});
  add_words();
  expect_refused(3, {"\"word-l\"", "did you mean words-l?"}, {"inspect", "word-l"});
}

}  // namespace
}  // namespace tstitch
