// `tstitch eval` as a user sees it.
#include <array>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <tuple>

#include "tests/apps/cli.h"
#include "tests/support/golden.h"
#include "tstitch/io/json.h"
#include "tstitch/io/npz_writer.h"
#include "tstitch/io/png.h"

namespace tstitch {
namespace {

class EvalCli : public Cli {
 protected:
  nlohmann::json metrics(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "eval");
    arguments.push_back("--json");
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return parse_json(outcome.out, "stdout").at("metrics");
  }

  void write(const std::string& name, const std::string& array, const Tensor& values) const {
    const NpzEntry entry = npz_entry(array, values);
    write_npz(path(name).string(), {&entry, 1});
  }

  const std::string pictures_ = golden_path("eval/pictures.npz");
};

// Against PyTorch, SciPy and a brute force over all pairs (tools/goldens/make_feature_goldens.py).
TEST_F(EvalCli, MetricsAreThoseOfPyTorchAndScipy) {
  const nlohmann::json expected = parse_json_file(golden_path("eval/features.json"));
  const nlohmann::json found = metrics({pictures_});
  for (const char* name : {"fid", "sfid", "is"})
    EXPECT_NEAR(found.at(name).get<double>(), expected.at(name).get<double>(),
                1e-5 * expected.at(name).get<double>())
        << name;
  for (const char* name : {"precision", "recall"})
    EXPECT_DOUBLE_EQ(found.at(name).get<double>(), expected.at(name).get<double>()) << name;
}

// Against PyTorch and transformers (tools/goldens/make_tower_goldens.py).
TEST_F(EvalCli, AgreementIsOfThePicturesAndTheirPrompts) {
  const nlohmann::json answers = parse_json_file(golden_path("eval/towers.json"));
  const std::vector<std::string> prompts = answers.at("prompts");
  std::ofstream lines(path("prompts.txt")), pairs(path("two.txt")), three(path("three.txt"));
  for (const size_t prompt : answers.at("of_picture")) lines << prompts.at(prompt) << "\n";
  pairs << prompts[0] << "\n" << prompts[1];
  three << "a\nb\nc\n";
  for (std::ofstream* file : {&lines, &pairs, &three}) file->close();
  const std::string towers = golden_path("eval/towers.npz");
  const std::vector<std::string> of_towers = {towers, "--reference", towers, "--features",
                                              golden_path("eval/towers.safetensors")};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), of_towers.begin(), of_towers.end());
    return more;
  };
  const nlohmann::json found = metrics(with({"--prompts", "prompts.txt"}));
  EXPECT_NEAR(found.at("agreement").get<double>(), answers.at("agreement").get<double>(), 1e-3);
  EXPECT_TRUE(found.contains("fid"));
  EXPECT_FALSE(found.contains("is"));  // it has no classes
  EXPECT_FALSE(metrics(with({})).contains("agreement"));
  // As many pictures of each prompt.
  EXPECT_EQ(metrics(with({"--prompts", "two.txt", "--metrics", "agreement"})).size(), 1u);

  const auto refused = [&](const std::vector<std::string>& parts, std::vector<std::string> more) {
    more = with(more);
    more.insert(more.begin(), "eval");
    expect_refused(2, parts, more);
  };
  refused({"3 lines", "each of the 4 pictures"}, {"--prompts", "three.txt"});
  refused({"agreement, which was not asked for"}, {"--prompts", "prompts.txt", "--metrics", "fid"});
  refused({"no agreement", "prompts of the samples"}, {"--metrics", "agreement"});
  expect_refused(3, {"--prompts \"none.txt\" cannot be read"}, {"eval", pictures_, "--prompts", "none.txt"});
  // It takes no reference; and is not forgotten over the statistics.
  const std::vector<std::string> alone = {towers, "--features", golden_path("eval/towers.safetensors"),
                                          "--prompts", "prompts.txt"};
  const auto with_more = [&](std::vector<std::string> more) {
    more.insert(more.begin(), alone.begin(), alone.end());
    return more;
  };
  EXPECT_EQ(metrics(with_more({"--metrics", "agreement"})),
            nlohmann::json({{"agreement", found.at("agreement")}}));
  EXPECT_EQ(metrics(with_more({"--save-stats", "s.npz"})),
            nlohmann::json({{"agreement", found.at("agreement")}}));
  expect_refused(2, {"two.txt", "the samples are statistics, without pictures"},
                 {"eval", "s.npz", "--prompts", "two.txt", "--reference", "s.npz"});
  const Outcome without = run({"eval", pictures_, "--prompts", "two.txt"});
  EXPECT_NE(without.out.find("agreement  unavailable: it takes"), std::string::npos) << without.out;
}

TEST_F(EvalCli, SavedStatisticsStandForThePictures) {
  ASSERT_EQ(run({"eval", pictures_, "--save-stats", "stats.npz", "-q"}).code, 0);
  const nlohmann::json direct = metrics({pictures_});
  nlohmann::json stored = metrics({"stats.npz", "--reference", "stats.npz"});
  EXPECT_NEAR(stored.at("fid").get<double>(), 0, 1e-6);
  EXPECT_EQ(stored.at("precision"), 1);
  EXPECT_EQ(stored.at("recall"), 1);
  EXPECT_FALSE(stored.contains("is"));  // no logits are kept
  const nlohmann::json turned = metrics({"stats.npz", "--reference", pictures_, "--metrics", "fid,sfid"});
  EXPECT_NEAR(turned.at("fid").get<double>(), 0, 1e-6);
  stored = metrics({"--metrics=recall,fid", pictures_, "--reference=stats.npz"});
  EXPECT_EQ(stored.size(), 2u);
  EXPECT_EQ(stored.at("recall"), 1);
}

TEST_F(EvalCli, AFolderOfPngsIsTheArchive) {
  ASSERT_EQ(run({"sample", "-m", "fashion-s", "--steps", "2", "-b", "2", "-q", "-o", "s.npz"}).code, 0);
  ASSERT_EQ(run({"sample", "-m", "fashion-s", "--steps", "2", "-b", "2", "-q", "-o", "s/"}).code, 0);
  EXPECT_EQ(metrics({"s.npz", "--metrics=fid,is"}), metrics({"s", "--metrics=fid,is"}));
}

TEST_F(EvalCli, TheTableSaysWhatIsNotThere) {
  const Tensor features = make_tensor<float>({4, 2}, std::vector<float>{0, 1, 2, 3, 1, 1, 4, 0});
  write("f.npz", "features", features);
  const Outcome outcome = run({"eval", "f.npz", "--reference", "f.npz"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("fid        "), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("is         unavailable: the samples come without logits"), std::string::npos)
      << outcome.out;
}

TEST_F(EvalCli, WhatCannotBeComparedIsRefused) {
  const Tensor features = make_tensor<float>({4, 2}, std::vector<float>{0, 1, 2, 3, 1, 1, 4, 0});
  write("features.npz", "features", features);
  write("wide.npz", "features", features.reshape({2, 4}));
  write("other.npz", "weights", features);
  write("one.npz", "features", features.reshape({1, 8}));
  write("flat.npz", "arr_0", features);
  fs::create_directory(path("empty"));
  write_png(path("rgb.png").string(), {32, 32, 3, std::vector<uint8_t>(32 * 32 * 3)}, {});
  fs::create_directory(path("rgb"));
  fs::rename(path("rgb.png"), path("rgb/a.png"));
  fs::create_directory(path("mixed"));
  write_png(path("mixed/a.png").string(), {28, 28, 1, std::vector<uint8_t>(28 * 28)}, {});
  write_png(path("mixed/b.png").string(), {28, 27, 1, std::vector<uint8_t>(28 * 27)}, {});

  expect_refused(2, {"\"fd\" is not a metric", "fid, sfid"}, {"eval", pictures_, "--metrics", "fd"});
  expect_refused(2, {"--reference"}, {"eval", "features.npz"});
  expect_refused(2, {"--features", "32"}, {"eval", "rgb", "--reference", "features.npz"});
  expect_refused(2, {"2 features", "the reference 4", "different networks"},
                 {"eval", "features.npz", "--reference", "wide.npz"});
  expect_refused(3, {"other.npz", "arr_0", "weights"}, {"eval", "other.npz"});
  expect_refused(3, {"one.npz", "(1, 8)"}, {"eval", "one.npz"});
  expect_refused(3, {"flat.npz", "(N, H, W, 1 or 3)"}, {"eval", "flat.npz"});
  expect_refused(3, {"empty", "no .png"}, {"eval", "empty"});
  expect_refused(3, {"b.png", "27 x 28 x 1"}, {"eval", "mixed"});
  expect_refused(3, {"none.npz"}, {"eval", "none.npz"});
  expect_refused(3, {"not a feature network"},
                 {"eval", pictures_, "--features", std::string(TSTITCH_ASSETS) + "/fashion-s.safetensors"});
  expect_refused(2, {"features.npz", "an input ("},
                 {"eval", "features.npz", "--save-stats", "./features.npz"});
}

TEST_F(EvalCli, FewPicturesHaveWhatTheyAllow) {
  ASSERT_EQ(run({"sample", "-m", "fashion-s", "--steps", "2", "--class", "1,2", "-q", "-o", "two.npz"}).code,
            0);
  const Outcome outcome = run({"eval", "two.npz"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("precision  unavailable: the samples are 2 pictures"), std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("fid  "), std::string::npos) << outcome.out;
  // A metric that is asked for is not forgotten over the statistics; what is not UTF-8 is no obstacle.
  const Outcome both = run({"eval", "two.npz", "--metrics", "fid", "--save-stats", "\xff.npz", "--json"});
  EXPECT_EQ(both.code, 0) << both.err;
  EXPECT_TRUE(parse_json(both.out, "stdout").at("metrics").contains("fid")) << both.out;
}

// Before anything is sampled.
TEST_F(EvalCli, SweepsRefuseAReferenceThatDoesNotDo) {
  const std::vector<double> mu(3), sigma = {1, 0, 0, 0, 1, 0, 0, 0, 1};
  write_npz(path("s.npz").string(), std::array{npz_entry("mu", mu, {3}), npz_entry("sigma", sigma, {3, 3})});
  const auto sweep = [](const char* metric) {
    return std::vector<std::string>{"sweep", "--ratios", "0",         "--steps", "2",           "-b",   "1",
                                    "-o",    "a.png",    "--metrics", metric,    "--reference", "s.npz"};
  };
  expect_refused(2, {"no fid", "the reference 3"}, sweep("fid"));
  expect_refused(2, {"no recall", "the reference comes without"}, sweep("recall"));
  EXPECT_FALSE(fs::exists(path("a.json")));
}

// Distances to these would be NaN or below 0.
TEST_F(EvalCli, StatisticsOfNoDistributionAreRefused) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [said, mu, sigma] : {std::tuple<std::string, std::vector<double>, std::vector<double>>{
                                            "not finite", {nan, 0}, {1, 0, 0, 1}},
                                        {"holds nan", {0, 0}, {1, nan, nan, 1}},
                                        {"variance -1", {0, 0}, {1, 0, 0, -1}},
                                        {"not a covariance", {0, 0}, {1, 0.5, -0.5, 1}},
                                        {"not a covariance", {0, 0}, {1, 2, 2, 1}}}) {
    write_npz(path("s.npz").string(),
              std::array{npz_entry("mu", mu, {2}), npz_entry("sigma", sigma, {2, 2})});
    expect_refused(3, {"s.npz", said}, {"eval", "s.npz", "--reference", "s.npz"});
  }
}

}  // namespace
}  // namespace tstitch
