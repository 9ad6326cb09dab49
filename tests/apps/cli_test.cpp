// The program as a user meets it: what it prints, its exit codes (0 done, 2 usage, 3 input refused, 4 device,
// 130 interrupted), and that nothing is left behind when it refuses.
#include "tests/apps/cli.h"

#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>

#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

#include "tests/support/golden.h"
#include "tstitch/io/npy.h"
#include "tstitch/io/png.h"
#include "tstitch/io/safetensors.h"

namespace tstitch {
namespace {

const std::vector<std::string> kQuick = {"sample", "--steps", "4", "--class", "0,5"};

std::vector<std::string> quick(std::vector<std::string> more) {
  more.insert(more.begin(), kQuick.begin(), kQuick.end());
  return more;
}

TEST_F(Cli, SamplesWithNothingNamed) {
  const Outcome outcome = run(quick({"-o", "a.png"}));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("fashion-s: steps 1-2, fashion-l: 3-4"), std::string::npos) << outcome.out;
  const Image image = read_png(path("a.png").string());
  EXPECT_EQ(image.width, 2 * (3 * 28 + 2) + 2);  // small pictures are shown three times as large
  EXPECT_NE(read(path("a.png")).find("Switch after step: 2"), std::string::npos);
}

TEST_F(Cli, TheJsonReportSaysWhatRan) {
  const Outcome outcome =
      run(quick({"--json", "--ratio=0.5", "--save_latent", "x.npy", "-o", "a.png", "-s", "3"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(report["trajectory"]["steps"], 4);
  EXPECT_EQ(report["trajectory"]["assignment"], "0*2 1*2");
  EXPECT_EQ(report["trajectory"]["timesteps"], (std::vector<double>{999, 666, 333, 0}));
  EXPECT_EQ(report["models"][0]["evaluations"], 2);
  EXPECT_EQ(report["models"][1]["evaluations"], 2);
  EXPECT_GT(report["models"][1]["ms_per_evaluation"], 0);
  EXPECT_GT(report["load_ms"], 0);
  EXPECT_GT(report["total_ms"], report["sample_ms"]);
  EXPECT_GT(report["peak_memory_bytes"], 1 << 20);
  EXPECT_EQ(report["seed"], 3);
  EXPECT_EQ(report["outputs"], (std::vector<std::string>{"x.npy", "a.png"}));
  EXPECT_EQ(read_npy(path("x.npy").string()).shape(), (Shape{2, 1, 28, 28}));
  // The same again has the same hash, another seed another one.
  const auto hash = [&](const std::string& seed) -> std::string {
    return nlohmann::json::parse(run(quick({"--json", "--ratio", "0.5", "-s", seed})).out)["latents_hash"];
  };
  EXPECT_EQ(hash("3"), report["latents_hash"]);
  EXPECT_NE(hash("4"), report["latents_hash"]);
}

TEST_F(Cli, APictureIsAStart) {
  ASSERT_EQ(run({"sample", "--steps", "10", "--class", "1", "-o", "a.png", "-q"}).code, 0);
  const auto size_of_result = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"sample", "-i", "a.png", "--steps", "10", "--class", "8", "-o", "b.png"};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = run(all);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const Image image = read_png(path("b.png").string());
    return std::pair(image.width, image.height);
  };
  EXPECT_EQ(size_of_result({}), std::pair(28, 28));
  EXPECT_EQ(size_of_result({"--strength", "0.3", "-W", "56", "-H", "32"}), std::pair(56, 32));
  const std::string by_share = read(path("b.png"));
  EXPECT_EQ(size_of_result({"--strength", "30%", "-W", "56", "-H", "32"}), std::pair(56, 32));
  EXPECT_EQ(read(path("b.png")), by_share);
  EXPECT_EQ(run({"sample", "-i", "a.png", "--strength", "0"}).code, 2);
  EXPECT_EQ(run({"sample", "--strength", "0.5"}).code, 2);
  EXPECT_EQ(run({"sample", "-i", "missing.png"}).code, 3);
  EXPECT_EQ(run({"sample", "-i", "a.png", "-W", "3"}).code, 2);
}

TEST_F(Cli, ImagesSwitchByThemselves) {
  const std::vector<std::string> adaptive = {"sample",   "--steps", "10", "-b",   "2",
                                             "--switch", "auto",    "-o", "a.png"};
  Outcome outcome = run(adaptive);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("fashion-s until details are 0.0375 of the noise, then fashion-l, 10 steps"),
            std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("of 10 steps on average"), std::string::npos) << outcome.out;
  EXPECT_NE(read(path("a.png")).find("Switch threshold: 0.0375"), std::string::npos);

  std::vector<std::string> json = adaptive;
  json.push_back("--json");
  const auto report = nlohmann::json::parse(run(json).out);
  EXPECT_EQ(report["trajectory"]["switch_threshold"], 0.0375);
  EXPECT_FALSE(report["trajectory"].contains("assignment"));
  const auto images = report["small_steps"]["images"].get<std::vector<int>>();
  ASSERT_EQ(images.size(), 11u);
  EXPECT_EQ(std::accumulate(images.begin(), images.end(), 0), 20);
  EXPECT_GT(report["small_steps"]["mean"], 2);
  EXPECT_LT(report["small_steps"]["mean"], 7);

  // A run into an archive is the same however it is cut, and is not continued with another threshold.
  const auto archive = [&](const char* name, std::vector<std::string> more) {
    more.insert(more.begin(), {"sample", "--steps", "10", "--class", "random", "-b", "20", "--switch", "auto",
                               "-q", "-o", name});
    return run(more);
  };
  ASSERT_EQ(archive("a.npz", {"--batch-size", "20"}).code, 0);
  ASSERT_EQ(archive("b.npz", {"--batch-size", "3"}).code, 0);
  EXPECT_EQ(read(path("a.npz")), read(path("b.npz")));
  ASSERT_EQ(archive("c.npz", {"--rank", "0", "--world-size", "2"}).code, 0);
  outcome = archive("c.npz", {"--rank", "1", "--world-size", "2", "--switch-threshold", "0.1"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("the trajectory (--ratio, --switch)"), std::string::npos) << outcome.err;
}

TEST_F(Cli, AModelThatNoStepUsesIsSaidSo) {
  const Outcome outcome = run(quick({"--ratio", "1", "-o", "a.png"}));
  EXPECT_NE(outcome.out.find("fashion-l: no step"), std::string::npos) << outcome.out;
}

TEST_F(Cli, DryRunSamplesNothing) {
  const Outcome outcome = run({"sample", "--dry-run"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("fashion-s: steps 1-20, fashion-l: 21-50"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("estimated time"), std::string::npos);
  EXPECT_TRUE(files().empty());
}

// The names that people use are read. Reports say ours, the parameters of a picture those of the web UIs.
TEST_F(Cli, SamplersGoByTheNamesOfTheWebUIs) {
  const Outcome outcome = run(quick({"--json", "--sampler", "DPM++ 2M Karras", "-o", "a.png"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(report["sampler"], "dpm++2m");
  EXPECT_EQ(report["scheduler"], "karras");
  EXPECT_NE(read(path("a.png")).find("Sampler: DPM++ 2M, Schedule type: Karras"), std::string::npos);
  const Outcome same = run(quick({"--json", "--sampler", "dpmpp_2m", "--scheduler", "karras"}));
  EXPECT_EQ(nlohmann::json::parse(same.out)["latents_hash"], report["latents_hash"]);
}

// The drawn seed is said wherever it is needed to make the picture again.
TEST_F(Cli, ADrawnSeedIsSaid) {
  const Outcome outcome = run(quick({"--seed", "-1", "-o", "a.png"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const size_t at = outcome.out.find("seed ") + 5;
  const std::string seed = outcome.out.substr(at, outcome.out.find_first_not_of("0123456789", at) - at);
  EXPECT_NE(seed, "0");
  EXPECT_NE(read(path("a.png")).find("Seed: " + seed), std::string::npos);
  EXPECT_EQ(run(quick({"--seed", seed, "-o", "b.png"})).code, 0);
  EXPECT_EQ(read_png(path("a.png").string()).pixels, read_png(path("b.png").string()).pixels);
}

// A line that is longer than the terminal is wide would wrap, and every step leave one.
TEST_F(Cli, ProgressFitsTheTerminal) {
  int terminal = -1;
  winsize size{.ws_row = 24, .ws_col = 40, .ws_xpixel = 0, .ws_ypixel = 0};
  const pid_t child = forkpty(&terminal, nullptr, nullptr, &size);
  if (child == 0) {
    execl(TSTITCH_PROGRAM, TSTITCH_PROGRAM, "sample", "--class", "5", "-o", path("a.png").c_str(), nullptr);
    _exit(99);
  }
  ASSERT_GT(child, 0);
  std::string shown;
  char buffer[4096];
  for (ssize_t n; (n = ::read(terminal, buffer, sizeof buffer)) > 0;)
    shown.append(buffer, static_cast<size_t>(n));
  int status = 0;
  waitpid(child, &status, 0);
  close(terminal);
  EXPECT_EQ(status, 0) << shown;
  int lines = 0;
  bool says_left = false;
  const std::string begin = "\r\033[K|";
  for (size_t at = shown.find(begin); at != shown.npos; at = shown.find(begin, at + 1), ++lines) {
    const size_t first = at + begin.size() - 1;
    const std::string line = shown.substr(first, shown.find_first_of("\r\n", first) - first);
    EXPECT_LT(line.size(), 40u) << line;
    says_left |= line.find(" left") != line.npos;
  }
  EXPECT_EQ(lines, 50);
  EXPECT_TRUE(says_left) << shown;
}

TEST_F(Cli, GivenLatentsAndNoiseReplaceTheSeed) {
  ASSERT_EQ(run(quick({"--ratio", "0.5", "--save-latent", "a.npy"})).code, 0);
  Tensor start({2, 1, 28, 28}, DType::f32), noise({4, 2, 1, 28, 28}, DType::f32);
  std::fill_n(start.data<float>(), start.elements(), 0.1f);
  std::fill_n(noise.data<float>(), noise.elements(), 0.2f);
  write_npy(path("start.npy").string(), start);
  write_npy(path("noise.npy").string(), noise);
  const std::vector<std::string> given = quick({"--sampler", "ddpm", "--init-latent", "start.npy", "--noise",
                                                "noise.npy", "--save-latent", "given.npy"});
  ASSERT_EQ(run(given).code, 0);
  EXPECT_NE(read(path("given.npy")), read(path("a.npy")));
  std::vector<std::string> seeded = given;
  seeded.insert(seeded.end(), {"-s", "1"});
  expect_refused(2, {"--seed has no effect here: all noise is given"}, seeded);
}

// tests/golden/rng/demo.npy: what torch.randn gave for the seeds 5 and 6, (call, image, 1, 28, 28).
TEST_F(Cli, TorchNoiseEqualsTheSameNoiseFromFiles) {
  const Tensor drawn = golden("rng/demo.npy");
  write_npy(path("start.npy").string(), drawn.slice(0, 1).reshape({2, 1, 28, 28}));
  Tensor noise({3, 2, 1, 28, 28}, DType::f32);  // the last step adds none
  std::fill_n(noise.data<float>(), noise.elements(), 0.0f);
  const Tensor steps = drawn.slice(1, 3);
  std::copy_n(steps.data<float>(), steps.elements(), noise.data<float>());
  write_npy(path("noise.npy").string(), noise);

  const auto latents = [&](std::vector<std::string> more) {
    more.insert(more.begin(),
                {"sample", "--steps", "3", "--sampler", "ddpm", "--class", "0,5", "--save-latent", "x.npy"});
    EXPECT_EQ(run(more).code, 0);
    return read(path("x.npy"));
  };
  const std::string given = latents({"--init-latent", "start.npy", "--noise", "noise.npy"});
  EXPECT_EQ(latents({"--rng", "torch", "-s", "5"}), given);
  EXPECT_EQ(latents({"--rng", "torch", "-s", "5", "--batch-size", "1"}), given);
  EXPECT_NE(latents({"--rng", "torch-cuda", "-s", "5"}), given);
  EXPECT_NE(latents({"-s", "5"}), given);

  const Outcome outcome = run(quick({"--rng", "torch", "--json", "-o", "a.png"}));
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["rng"], "torch");
  EXPECT_NE(read(path("a.png")).find("RNG: torch"), std::string::npos);
}

TEST_F(Cli, AFolderOfDiffusersBecomesPictures) {
  const std::string folder = std::string(TSTITCH_SOURCE_DIR) + "/tests/golden/dit_pipeline";
  const Outcome outcome =
      run({"sample", "-m", folder, "--class", "crane,0", "--steps", "4", "--json", "-o", "a.png"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_GT(report["decode_ms"], 0);
  EXPECT_EQ(report["class_names"], (std::vector<std::string>{"crane", "tench"}));
  EXPECT_TRUE(fs::exists(path("a.png")));
  expect_refused(2, {"--vae"}, {"sample", "-m", folder + "/transformer", "-o", "b.png"});
  expect_refused(2, {"takes no --vae"}, {"sample", "--vae", folder + "/vae"});
  expect_refused(2, {"--weights", "auto, ema or model"}, {"sample", "--weights", "best"});
}

TEST_F(Cli, ClassesGoByNumberOrName) {
  const Outcome outcome =
      run({"sample", "--steps", "1", "--class", "ankle boot, 8,T-shirt/top", "--json", "-o", "a.png"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(report["classes"], (std::vector<int>{9, 8, 0}));
  EXPECT_EQ(report["class_names"], (std::vector<std::string>{"Ankle boot", "Bag", "T-shirt/top"}));
  EXPECT_NE(read(path("a.png")).find("9 Ankle boot, 8 Bag, 0 T-shirt/top"), std::string::npos);
}

TEST_F(Cli, EverySamplerSamples) {
  std::set<std::string> hashes;
  for (const char* sampler : {"ddim", "ddpm", "pndm", "euler", "euler_a", "heun", "dpm2", "dpm2_a", "lms",
                              "deis", "dpm++2s", "dpm++2m", "dpm++2m_sde", "unipc", "lcm", "tcd"}) {
    const Outcome outcome = run({"sample", "--json", "--class", "1", "--steps", "6", "--ratio", "0.5",
                                 "--switch-rule", "round", "--sampler", sampler});
    ASSERT_EQ(outcome.code, 0) << sampler << outcome.err;
    const auto report = nlohmann::json::parse(outcome.out);
    const std::string name = sampler;
    const bool pndm = name == "pndm", heun = name == "heun" || name.starts_with("dpm2");  // two evaluations
    EXPECT_EQ(report["trajectory"]["steps"], pndm ? 7 : 6);
    EXPECT_EQ(report["models"][0]["evaluations"], pndm ? 4 : heun ? 6 : 3) << sampler;
    EXPECT_EQ(report["models"][1]["evaluations"], heun ? 5 : 3) << sampler;
    hashes.insert(report["latents_hash"]);
  }
  EXPECT_EQ(hashes.size(), 16u);
}

TEST_F(Cli, SpacingSchedulerAndResetChangeTheImage) {
  const auto report = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"sample",  "--json", "--class",   "1",
                                          "--steps", "6",      "--sampler", "dpm++2m"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return nlohmann::json::parse(run(arguments).out);
  };
  const auto usual = report({});
  EXPECT_EQ(usual["solver_reset"], false);
  EXPECT_EQ(usual["trajectory"]["timesteps"], (std::vector<double>{999, 832, 666, 500, 333, 166}));
  const auto trailing = report({"--spacing", "trailing"});
  EXPECT_EQ(trailing["trajectory"]["timesteps"], (std::vector<double>{999, 832, 666, 499, 332, 166}));
  const auto karras = report({"--scheduler", "karras"}), reset = report({"--solver-reset"});
  EXPECT_EQ(reset["solver_reset"], true);
  EXPECT_EQ(reset["trajectory"], usual["trajectory"]);
  const std::set<std::string> hashes = {usual["latents_hash"], trailing["latents_hash"],
                                        karras["latents_hash"], reset["latents_hash"]};
  EXPECT_EQ(hashes.size(), 4u);
}

TEST_F(Cli, AFolderHoldsOneFilePerImage) {
  ASSERT_EQ(run(quick({"-o", "pictures/"})).code, 0);
  EXPECT_EQ(read_png(path("pictures/000001.png").string()).width, 28);
  EXPECT_FALSE(fs::exists(path("pictures/000002.png")));
}

TEST_F(Cli, ReferenceAndCpuAgree) {
  for (const char* device : {"reference", "cpu"})
    ASSERT_EQ(run({"sample", "--steps", "2", "--class", "8", "--device", device, "--dtype", "f32",
                   "--save-latent", std::string(device) + ".npy"})
                  .code,
              0);
  // Rounding grows by 1 / alpha = 158 in the first step from t = 999, and by the guidance.
  EXPECT_LE(relative_error(read_npy(path("cpu.npy").string()), read_npy(path("reference.npy").string())),
            1e-4);
}

TEST_F(Cli, SweepDrawsEveryRatio) {
  const Outcome outcome =
      run({"sweep", "--steps", "4", "--class", "1", "--ratios", "0,0.5,1", "-o", "s.png"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_GT(read_png(path("s.png").string()).width, 3 * 84);
  EXPECT_TRUE(fs::exists(path("s.json")));
  EXPECT_TRUE(read(path("s.csv")).starts_with("label,kind"));
  EXPECT_FALSE(fs::exists(path("s.parts")));
  expect_refused(2, {"--ratios", "1.5"}, {"sweep", "--ratios", "0,1.5"});
  expect_refused(2, {"two models"}, {"sweep", "-m", "fashion-s"});
  expect_refused(2, {"--grid"},
                 {"sweep", "-m", "fashion-s", "-m", "fashion-b", "-m", "fashion-l", "--ratios", "0"});
  expect_refused(2, {"\"fd\""}, {"sweep", "--metrics", "fd"});
  expect_refused(2, {"--repeats"}, {"sweep", "--repeats", "0"});
  expect_refused(2, {"--grid is 0"}, {"sweep", "--grid", "0"});
}

// Killed in the middle, a sweep goes on where it was, and its pictures and metrics are those of one that ran
// through.
TEST_F(Cli, SweepsAreResumed) {
  const auto sweep = [](const std::string& output, const char* rows = "3") {
    return std::vector<std::string>{
        "sweep",     "--steps", "4",        "-b",     "2",  "--cfg-scale", "1", "--grid", "2",   "--orders",
        "--metrics", "fid",     "--resume", "--rows", rows, "--repeats",   "2", "-o",     output};
  };
  ASSERT_EQ(run(sweep("whole.png")).code, 0);
  const pid_t child = start(sweep("cut.png", "6"));  // its pictures are too many for the next
  for (int ms = 0; ms < 60'000 && !fs::exists(path("cut.parts/curve.json")); ++ms) usleep(1000);
  kill(child, SIGKILL);
  wait(child);
  const auto cut = nlohmann::json::parse(read(path("cut.parts/curve.json")));
  EXPECT_FALSE(fs::exists(path("cut.json")));
  ASSERT_FALSE(cut["points"].empty());
  ASSERT_TRUE(fs::exists(path("cut.parts")));
  std::ofstream(path("cut.parts/mine.png")) << "somebody's";
  std::vector<std::string> anew = sweep("cut.png");
  std::erase(anew, "--resume");
  const Outcome refused = run(anew);
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("unfinished sweep: add --resume"), std::string::npos) << refused.err;
  const Outcome resumed = run(sweep("cut.png"));
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  const auto whole = nlohmann::json::parse(read(path("whole.json"))),
             again = nlohmann::json::parse(read(path("cut.json")));
  ASSERT_EQ(whole["points"].size(), 7u);
  for (size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(whole["points"][i]["metrics"], again["points"][i]["metrics"]) << i;
    EXPECT_EQ(whole["points"][i]["label"], again["points"][i]["label"]) << i;
  }
  // The finished run was not sampled again.
  EXPECT_EQ(cut["points"][0]["runs"][0], again["points"][0]["runs"][0]);
  EXPECT_TRUE(fs::exists(path("cut-fid.svg")));
  EXPECT_EQ(read(path("cut.parts/mine.png")), "somebody's");
  EXPECT_EQ(std::distance(fs::directory_iterator(path("cut.parts")), {}), 1);
  EXPECT_EQ(read_png(path("cut.png").string()).height, read_png(path("whole.png").string()).height);

  // Nor are those of a sweep that has ended: nothing changes.
  const std::string json = read(path("cut.json")), csv = read(path("cut.csv"));
  const Image picture = read_png(path("cut.png").string());
  ASSERT_EQ(run(sweep("cut.png")).code, 0);
  EXPECT_EQ(read(path("cut.json")), json);
  EXPECT_EQ(read(path("cut.csv")), csv);
  EXPECT_EQ(read_png(path("cut.png").string()).pixels, picture.pixels);

  // What another sweep would forget is not given up.
  std::vector<std::string> other = sweep("cut.png");
  other.insert(other.end(), {"--seed", "2"});
  expect_refused(2, {"\"0\", seed 0", "another --output"}, other);
  other = sweep("cut.png");
  std::ranges::replace(other, "fid", "recall");
  expect_refused(2, {"has the metric fid", "--metrics"}, other);
  expect_refused(2, {"this sweep with nothing"}, {"sweep", "--steps", "4", "--resume", "-o", "cut.png"});
  EXPECT_EQ(read(path("cut.json")), json);

  EXPECT_EQ(run({"chart", "cut.json", "whole.json", "--metric", "fid", "-o", "both.svg"}).code, 0);
  EXPECT_NE(read(path("both.svg")).find("<svg"), std::string::npos);
  expect_refused(2, {"--output", ".svg"}, {"chart", "cut.json", "-o", "both.pdf"});
  expect_refused(2, {"cut.json", "an input (--curve)"},
                 {"plan", "--curve", "cut.json", "--speedup", "2", "-o", "cut.json"});
  expect_refused(2, {"one metric"}, {"chart", "cut.json", "--metric", "fid,is"});
  expect_refused(2, {"no point", "recall"}, {"chart", "cut.json", "--metric", "recall"});
  expect_refused(3, {"cut.csv"}, {"chart", "cut.csv"});
  expect_refused(2, {"curves"}, {"chart"});
}

// Columns are in the order of their names, whatever the user's; a resumed sweep may measure more.
TEST_F(Cli, SweepsNameTheirMetrics) {
  const Outcome outcome = run({"sweep", "--steps", "2", "-b", "1", "--cfg-scale", "1", "--ratios", "0,1",
                               "--metrics", "recall,fid", "-o", "m.png"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_LT(outcome.out.find("fid"), outcome.out.find("recall"));
  EXPECT_TRUE(read(path("m.csv")).find("seconds_per_image,fid,recall,pareto\n") != std::string::npos);
  ASSERT_EQ(run({"sweep", "--steps", "2", "-b", "1", "--cfg-scale", "1", "--ratios", "0,1", "--metrics",
                 "is,fid,recall", "-o", "m.png", "--resume", "-q"})
                .code,
            0);
  EXPECT_TRUE(read(path("m.csv")).find("fid,is,recall,pareto\n") != std::string::npos);
}

// Files of one name are told apart by their folders, also where times go by names.
TEST_F(Cli, ModelsOfOneNameAreToldApart) {
  for (const char* folder : {"small", "large"}) {
    fs::create_directory(path(folder));
    fs::copy_file(std::string(TSTITCH_ASSETS) + "/fashion-s.safetensors", path(folder) / "m.safetensors");
  }
  const Outcome outcome =
      run({"sample", "-m", "small/m.safetensors", "-m", "large/m.safetensors", "--dry-run"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("small/fashion-s: steps 1-20, large/fashion-s: 21-50"), std::string::npos)
      << outcome.out;
}

TEST_F(Cli, PlansAreMadeAndUsed) {
  const std::vector<std::string> few = {"--steps", "6", "-b", "1", "--class", "1,2", "--cfg-scale", "1"};
  const auto with = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), few.begin(), few.end());
    return arguments;
  };
  const Outcome outcome = run(with({"plan", "--speedup", "1.2", "-o", "p.json"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("fashion-s: steps 1-"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("wrote p.json: use it with `tstitch sample --plan p.json --class 1,2 -b 1`"),
            std::string::npos)
      << outcome.out;
  fs::copy_file(std::string(TSTITCH_ASSETS) + "/fashion-s.safetensors", path("a small.safetensors"));
  const Outcome of_pair = run(with({"plan", "--speedup", "1.2", "--small", "a small.safetensors", "--large",
                                    "fashion-b", "--weights", "auto", "-o", "n.json"}));
  EXPECT_NE(of_pair.out.find("`tstitch sample --plan n.json -m 'a small.safetensors' -m fashion-b --weights "
                             "auto --class 1,2 -b 1`"),
            std::string::npos)
      << of_pair.out << of_pair.err;
  const auto plan = nlohmann::json::parse(read(path("p.json")));
  EXPECT_GE(plan["speedup"], 1.2);
  const auto report = nlohmann::json::parse(
      run({"sample", "--plan", "p.json", "--class", "1,2", "--cfg-scale", "1", "-o", "p.png", "--json"}).out);
  EXPECT_EQ(report["models"][0]["evaluations"].get<int>() + report["models"][1]["evaluations"].get<int>(), 6);
  // A budget that leaves nothing to wish for is spent on the large model alone.
  const auto rich =
      nlohmann::json::parse(run(with({"sample", "--budget", "1h", "-o", "r.png", "--json"})).out);
  EXPECT_EQ(rich["models"][0]["evaluations"], 0) << rich;

  expect_refused(2, {"the plan is for other models: fashion-s, fashion-l, not fashion-b, fashion-l"},
                 {"sample", "-m", "fashion-b", "-m", "fashion-l", "--plan", "p.json"});
  expect_refused(2, {"excludes --ratio"}, {"sample", "--ratio", "0.5", "--plan", "p.json"});
  expect_refused(2, {"--sampler ddim"}, {"sample", "--sampler", "ddpm", "--plan", "p.json"});
  expect_refused(2, {"--steps 6", "not 7"}, {"sample", "--steps", "7", "--plan", "p.json"});
  expect_refused(2, {"--scheduler"},
                 {"sample", "--scheduler", "karras", "--sampler", "ddim", "--plan", "p.json"});
  expect_refused(2, {"--cfg-scale 1, not 3"}, {"sample", "--cfg-scale", "3", "--plan", "p.json"});
  expect_refused(2, {"--eta 0, not 1"}, {"sample", "--eta", "1", "--cfg-scale", "1", "--plan", "p.json"});
  expect_refused(2, {"--probes", "--budget"}, {"sample", "--probes", "3"});
  for (const auto& [key, value] : {std::pair<const char*, nlohmann::json>{"sampler", "foo"},
                                   {"steps", -1},
                                   {"assignment", "7*6"},
                                   {"steps", 7}}) {
    auto broken = plan;
    broken[key] = value;
    std::ofstream(path("broken.json")) << broken;
    expect_refused(3, {"broken.json"}, {"sample", "--plan", "broken.json", "--cfg-scale", "1"});
  }
  expect_refused(3, {"p.png"}, {"sample", "--plan", "p.png"});
  expect_refused(2, {"one goal"}, {"plan"});
  expect_refused(2, {"one goal"}, {"plan", "--budget", "1s", "--speedup", "2"});
  expect_refused(2, {"3s, 500ms or 2m"}, {"plan", "--budget", "fast"});
  expect_refused(2, {"is that fast", "fashion-s: steps 1-6"}, with({"plan", "--budget", "0.001ms"}));
  expect_refused(2, {"--curve"}, with({"plan", "--max-metric-loss", "2%"}));
  expect_refused(2, {"one model"}, {"plan", "-m", "fashion-s", "--speedup", "2"});

  ASSERT_EQ(run({"sweep", "--steps", "4", "-b", "2", "--cfg-scale", "1", "--grid", "2", "--metrics", "fid",
                 "-o", "c.png", "-q"})
                .code,
            0);
  const Outcome by_curve =
      run({"plan", "--curve", "c.json", "--max-metric-loss", "1000%", "--cfg-scale", "1", "--json"});
  ASSERT_EQ(by_curve.code, 0) << by_curve.err;
  // When any loss will do, the fastest is the small model alone.
  EXPECT_EQ(nlohmann::json::parse(by_curve.out)["assignment"], "0*4");
  expect_refused(2, {"--cfg-scale"}, {"plan", "--curve", "c.json", "--budget", "1s", "--cfg-scale", "2"});
  expect_refused(2, {"no point", "recall"},
                 {"plan", "--curve", "c.json", "--budget", "1s", "--cfg-scale", "1", "--metric", "recall"});
}

size_t lines(const std::string& text) { return static_cast<size_t>(std::ranges::count(text, '\n')); }

TEST_F(Cli, AnalyzeSpectrumWritesNumbersAndCurves) {
  const Outcome outcome =
      run({"analyze", "spectrum", "--steps", "4", "--class", "1", "--ratio", "0.5", "-o", "a.png", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(outcome.out, read(path("a.json")));
  EXPECT_EQ(report["outputs"], (std::vector<std::string>{"a.json", "a.csv", "a.svg", "a.png"}));
  EXPECT_EQ(report["trajectory"]["assignment"], "0*2 1*2");
  ASSERT_EQ(report["spectrum"].size(), 5u);
  EXPECT_EQ(report["frequencies"].size(), 15u);
  for (const auto& step : report["spectrum"]) {
    EXPECT_EQ(step["log_amplitude"].size(), 15u);
    EXPECT_EQ(step["diagonal"].size(), 14u);
  }
  // A picture is darker at the finest frequencies than noise.
  EXPECT_LT(report["spectrum"][4]["log_amplitude"][14], report["spectrum"][0]["log_amplitude"][14]);
  EXPECT_EQ(lines(read(path("a.csv"))), 1 + 5 * 15u);
  EXPECT_TRUE(read(path("a.svg")).starts_with("<?xml"));
  EXPECT_EQ(read_png(path("a.png").string()).width, 1280);
}

TEST_F(Cli, AnalyzeSimilarityComparesEveryPair) {
  const Outcome outcome = run({"analyze", "similarity", "--steps", "4", "--class", "1,2", "-m", "fashion-l",
                               "-m", "fashion-s", "-m", "fashion-l", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto report = nlohmann::json::parse(read(path("similarity.json")));
  EXPECT_EQ(report["trajectory"]["assignment"], "2*4");
  ASSERT_EQ(report["similarity"].size(), 6u);
  for (size_t i = 0; i < 6; ++i) {
    const auto& pair = report["similarity"][i];
    const bool latents = i >= 3, same = i % 3 == 1;
    EXPECT_EQ(pair["of"], latents ? "latents" : "predictions");
    ASSERT_EQ(pair["steps"].size(), latents ? 5u : 4u);
    for (const auto& step : pair["steps"]) {
      if (same) {
        EXPECT_NEAR(step["cosine_mean"], 1, 1e-12);
        EXPECT_EQ(step["relative_mse"], 0);
      } else {
        EXPECT_GT(step["cosine_mean"], 0.5);
      }
    }
    if (!same) {
      EXPECT_LT(pair["steps"].back()["cosine_mean"], 0.999);
    }
  }
  EXPECT_EQ(lines(read(path("similarity.csv"))), 1 + 3 * 4 + 3 * 5u);
}

// The last latents are those that `sample` saves.
TEST_F(Cli, AnalyzeSimilaritySeesTheLatentsOfSample) {
  const std::vector<std::string> settings = {"--steps", "4", "--class", "1"};
  const auto with = [&](std::vector<std::string> command) {
    command.insert(command.end(), settings.begin(), settings.end());
    ASSERT_EQ(run(command).code, 0);
  };
  with({"sample", "-m", "fashion-s", "--save-latent", "s.npy"});
  with({"sample", "-m", "fashion-l", "--save-latent", "l.npy"});
  with({"analyze", "similarity"});
  const double error = relative_error(read_npy(path("s.npy").string()), read_npy(path("l.npy").string()));
  const auto report = nlohmann::json::parse(read(path("similarity.json")));
  EXPECT_NEAR(report["similarity"][1]["steps"][4]["relative_mse"], error * error, 1e-9);
}

TEST_F(Cli, AnalyzeBlocksIsOfTheLastUsualModel) {
  const Outcome outcome = run({"analyze", "blocks", "--steps", "2", "--class", "1", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto models = nlohmann::json::parse(outcome.out)["models"];
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0]["name"], "fashion-l");
}

// What it names for leaving out is a twin.
TEST_F(Cli, AnalyzeBlocksNamesThoseThatChangeLeast) {
  const Outcome outcome = run({"analyze", "blocks", "-m", "fashion-l", "--steps", "5", "--class", "1,2",
                               "--count", "2", "--over", "0:0.4", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto report = nlohmann::json::parse(read(path("blocks.json")));
  ASSERT_EQ(report["blocks"].size(), 5u);
  const size_t blocks = report["blocks"][0]["changes"].size();
  EXPECT_EQ(lines(read(path("blocks.csv"))), 1 + 5 * blocks);
  const auto skip = report["skip"];
  EXPECT_EQ(skip["steps"], (std::vector<int>{1, 2}));
  const auto mean = [&](size_t block) {
    return report["blocks"][0]["changes"][block].get<double>() +
           report["blocks"][1]["changes"][block].get<double>();
  };
  const auto chosen = skip["blocks"].get<std::vector<size_t>>();
  ASSERT_EQ(chosen.size(), 2u);
  for (size_t block = 0; block < blocks; ++block) {
    if (std::ranges::count(chosen, block)) continue;
    for (const size_t one : chosen) EXPECT_LE(mean(one), mean(block));
  }
  EXPECT_LT(skip["share_of_operations"].get<double>(), 1);
  const Outcome twin = run({"sample", "-m", "fashion-l", "--twin", skip["form"], "--steps", "5", "--class",
                            "1", "--dry-run", "--json"});
  ASSERT_EQ(twin.code, 0) << twin.err;
  const auto models = nlohmann::json::parse(twin.out)["models"];
  EXPECT_NEAR(
      models[0]["gflop_per_evaluation"].get<double>() / models[1]["gflop_per_evaluation"].get<double>(),
      skip["share_of_operations"].get<double>(), 1e-9);
}

TEST_F(Cli, AnalyzeRefusesBeforeItLoads) {
  expect_refused(2, {"about one model, and there are 2"},
                 {"analyze", "blocks", "-m", "fashion-s", "-m", "fashion-l"});
  expect_refused(2, {"--count is 99", "more may not be left out together"},
                 {"analyze", "blocks", "-m", "fashion-l", "--count", "99"});
  expect_refused(2, {"--over 0.01:0.02 holds none"},
                 {"analyze", "blocks", "-m", "fashion-l", "--steps", "5", "--over", "0.01:0.02"});
  expect_refused(2, {"--twin"}, {"analyze", "blocks", "-m", "fashion-l", "--twin", "skip=1"});
  expect_refused(2, {"subcommand"}, {"analyze"});
  expect_refused(2, {"two models"}, {"analyze", "similarity", "-m", "fashion-s"});
  expect_refused(2, {".png"}, {"analyze", "spectrum", "-o", "a.svg"});
  expect_refused(2, {"--ratio"}, {"analyze", "similarity", "--ratio", "0.5"});
  expect_refused(2, {"steps '0'"}, {"analyze", "spectrum", "--steps", "0"});
  expect_refused(4, {"nowhere"}, {"analyze", "spectrum", "-o", "nowhere/a.png"});
}

TEST_F(Cli, AnInterruptedAnalysisWritesNothing) {
  for (const std::vector<std::string>& analysis :
       {std::vector<std::string>{"spectrum"}, {"similarity"}, {"blocks", "-m", "fashion-l"}}) {
    std::vector<std::string> command = {"analyze", "--steps", "1000", "-b", "100"};
    command.insert(command.begin() + 1, analysis.begin(), analysis.end());
    const pid_t child = start(command);
    std::this_thread::sleep_for(std::chrono::milliseconds(1000));
    kill(child, SIGINT);
    const Outcome outcome = wait(child);
    EXPECT_EQ(outcome.code, 130) << outcome.err;
    EXPECT_NE(outcome.err.find("nothing was written"), std::string::npos) << outcome.err;
    EXPECT_TRUE(files().empty());
  }
}

TEST_F(Cli, InspectSaysWhatFits) {
  const Outcome outcome = run({"inspect", "fashion-s", "fashion-b"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("can be stitched"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("9 Ankle boot"), std::string::npos);
  const auto report = nlohmann::json::parse(run({"inspect", "--json"}).out);
  const auto larger =
      nlohmann::json::parse(run({"inspect", "fashion-s", "--json", "-W", "56", "-H", "28"}).out);
  EXPECT_GT(larger["models"][0]["gflop_per_evaluation"], report["models"][0]["gflop_per_evaluation"]);
  EXPECT_EQ(run({"inspect", "fashion-s", "-W", "27"}).code, 2);
  EXPECT_EQ(report["pairs"][0]["stitchable"], true);
  EXPECT_NE(outcome.out.find("sampler ddim, steps 50, eta 0, spacing respaced"), std::string::npos)
      << outcome.out;
  EXPECT_EQ(report["models"][0]["sampling"]["sampler"], "ddim");
  EXPECT_EQ(report["models"][0]["betas"]["zero_terminal_snr"], false);
}

// What a folder's scheduler means, or why it is not followed.
TEST_F(Cli, InspectSaysHowAFolderIsSampled) {
  for (const char* component : {"m/unet", "m/scheduler"}) fs::create_directories(path(component));
  std::ofstream(path("m/model_index.json")) << R"({"_class_name": "StableDiffusionPipeline"})";
  fs::copy(golden_path("sd/small_config.json"), path("m/unet/config.json"));
  std::map<std::string, Tensor> tensors;
  const auto shapes = nlohmann::json::parse(read(golden_path("sd/small_names.json")));
  for (const auto& [name, shape] : shapes.items())
    tensors[name] = Tensor(Shape(shape.get<std::vector<int64_t>>()), DType::f32);
  write_safetensors(path("m/unet/diffusion_pytorch_model.safetensors").string(), tensors, {});
  const auto inspected = [&](const std::string& scheduler) {
    std::ofstream(path("m/scheduler/scheduler_config.json")) << scheduler;
    const Outcome outcome = run({"inspect", "m"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return std::pair(outcome.out, nlohmann::json::parse(run({"inspect", "m", "--json"}).out)["models"][0]);
  };
  const auto [karras, of_karras] = inspected(
      R"({"_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": true, "solver_order": 1})");
  EXPECT_NE(karras.find("sampler dpm++2m, steps 50, solver solver_order 1, scheduler karras"),
            std::string::npos)
      << karras;
  EXPECT_EQ(of_karras["sampling"]["solver"], "solver_order 1");
  EXPECT_EQ(of_karras["betas"]["zero_terminal_snr"], false);
  const auto [unknown, of_unknown] = inspected(R"({"_class_name": "DPMSolverSDEScheduler"})");
  EXPECT_NE(unknown.find("sampling        refused m/scheduler/scheduler_config.json: \"_class_name\""),
            std::string::npos)
      << unknown;
  EXPECT_TRUE(of_unknown["sampling"].contains("refused"));
  const auto [zero, of_zero] = inspected(
      R"({"_class_name": "DDIMScheduler", "rescale_betas_zero_snr": true, "prediction_type": "v_prediction"})");
  EXPECT_NE(zero.find("1000 timesteps, zero terminal SNR; predicts v"), std::string::npos) << zero;
  EXPECT_EQ(of_zero["betas"]["zero_terminal_snr"], true);
}

// A ControlNet by its header: whom it can steer, and why not others.
TEST_F(Cli, InspectSaysWhomAControlNetSteers) {
  const auto tensor = [](const Shape& shape) { return Tensor(shape, DType::f32); };
  write_safetensors(path("net.safetensors").string(),
                    {{"conv_in.weight", tensor({32, 4, 3, 3})},
                     {"down_blocks.0.resnets.0.conv1.weight", tensor({32, 32, 3, 3})},
                     {"mid_block.resnets.0.conv1.weight", tensor({32, 32, 3, 3})},
                     {"controlnet_cond_embedding.conv_in.weight", tensor({4, 3, 3, 3})}},
                    {});
  write_safetensors(path("adapter.safetensors").string(), {{"body.0.in_conv.weight", tensor({1})}}, {});
  const Outcome outcome = run({"inspect", "net.safetensors", "fashion-s"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("architecture    ControlNet\n"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("steers          none of the published networks"), std::string::npos);
  EXPECT_NE(outcome.out.find("net cannot steer fashion-s: it is a DiT"), std::string::npos) << outcome.out;
  const auto report = nlohmann::json::parse(run({"inspect", "net.safetensors", "--json"}).out);
  EXPECT_TRUE(report["models"].empty());
  EXPECT_EQ(report["control_nets"][0]["architecture"], "ControlNet");
  EXPECT_TRUE(report["control_nets"][0]["for"].empty());

  const Outcome adapter = run({"inspect", "adapter.safetensors"});
  EXPECT_EQ(adapter.code, 3);
  EXPECT_NE(adapter.err.find("this is a T2I-Adapter, which is not known here"), std::string::npos)
      << adapter.err;
  const Outcome steered = run(quick({"--control-net", "net.safetensors,image=hint.png", "-o", "a.png"}));
  EXPECT_EQ(steered.code, 3);
  EXPECT_NE(steered.err.find("--control-net \"net.safetensors\" cannot steer fashion-s: it is a DiT"),
            std::string::npos)
      << steered.err;
  const Outcome model = run(quick({"-m", "net.safetensors", "-o", "a.png"}));
  EXPECT_EQ(model.code, 3);
  EXPECT_NE(model.err.find("name it with --control-net"), std::string::npos) << model.err;
}

TEST_F(Cli, ConvertsCheckpoints) {
  const std::string source = std::string(TSTITCH_SOURCE_DIR) + "/assets/fashion-s.safetensors";
  const Outcome outcome = run({"convert", "fashion-s", "wide.safetensors", "--dtype", "f32"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("F32"), std::string::npos) << outcome.out;
  ASSERT_EQ(run({"convert", "-q", "wide.safetensors", "back.safetensors", "--dtype=bf16"}).code, 0);
  const TensorFile original = read_safetensors(source),
                   wide = read_safetensors(path("wide.safetensors").string()),
                   back = read_safetensors(path("back.safetensors").string());
  EXPECT_EQ(back.metadata(), original.metadata());
  ASSERT_EQ(back.tensors().size(), original.tensors().size());
  for (const auto& [name, info] : original.tensors()) {
    EXPECT_EQ(wide.tensors().at(name).dtype_name, "F32");
    EXPECT_TRUE(std::ranges::equal(back.tensors().at(name).bytes, info.bytes)) << name;
  }
  // The same images from f32 as from bf16, which f32 holds exactly.
  const auto sampled = [&](const std::string& model) {
    EXPECT_EQ(run({"sample", "-m", model, "--steps", "2", "--class", "1", "--save-latent", "x.npy"}).code, 0);
    return read(path("x.npy"));
  };
  EXPECT_EQ(sampled("wide.safetensors"), sampled("fashion-s"));
}

TEST_F(Cli, ConvertsToFewerBitsAndBack) {
  const Outcome outcome = run({"convert", "fashion-s", "s.gguf", "--dtype", "q4_0"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find(" tensors, BF16, F32, Q4_0, "), std::string::npos) << outcome.out;
  EXPECT_NE(run({"inspect", "s.gguf"}).out.find("stored          BF16, F32, Q4_0, "), std::string::npos);
  ASSERT_EQ(run({"convert", "-q", "s.gguf", "back.safetensors", "--dtype=f32"}).code, 0);
  const auto sampled = [&](const std::string& model) {
    EXPECT_EQ(run({"sample", "-m", model, "--steps", "2", "--class", "1", "--save-latent", "x.npy"}).code, 0);
    return read(path("x.npy"));
  };
  EXPECT_EQ(sampled("s.gguf"), sampled("back.safetensors"));
  EXPECT_NE(sampled("s.gguf"), sampled("fashion-s"));
  expect_refused(2, {"--dtype is missing, expected f32, bf16, f16, q8_0, q4_0 for a file that ends in .gguf"},
                 {"convert", "fashion-s", "t.gguf"});
  expect_refused(2,
                 {"--dtype is \"keep\", expected f32, bf16, f16, q8_0, q4_0 for a file that ends in .gguf"},
                 {"convert", "fashion-s", "t.gguf", "--dtype", "keep"});
  expect_refused(2, {"\"q4_0\", expected f32, bf16, f16, int8, keep for a file that ends in .safetensors"},
                 {"convert", "fashion-s", "t.safetensors", "--dtype", "q4_0"});
  expect_refused(3, {"type Q4_0, which safetensors files do not have"},
                 {"convert", "s.gguf", "t.safetensors"});
  expect_refused(3, {"GGUF_TRUNCATED"}, [&] {
    std::ofstream(path("cut.gguf"), std::ios::binary) << read(path("s.gguf")).substr(0, 5000);
    return std::vector<std::string>{"inspect", "cut.gguf"};
  }());
}

// Loading quantises to what the file would hold.
TEST_F(Cli, ConvertsToInt8) {
  const Outcome outcome = run({"convert", "fashion-s", "s.safetensors", "--dtype", "int8"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("BF16, F32, I8"), std::string::npos) << outcome.out;
  const TensorFile file = read_safetensors(path("s.safetensors").string());
  EXPECT_EQ(file.tensors().at("blocks.0.attn.qkv.weight").dtype_name, "I8");
  EXPECT_EQ(file.tensors().at("blocks.0.attn.qkv.weight_scale").dtype_name, "F32");
  for (const char* kept : {"blocks.0.adaLN_modulation.1.weight", "x_embedder.proj.weight",
                           "final_layer.linear.weight", "t_embedder.mlp.0.weight"})
    EXPECT_EQ(file.tensors().at(kept).dtype_name, "BF16") << kept;
  const auto sampled = [&](const std::string& model) {
    EXPECT_EQ(run({"sample", "-m", model, "--steps", "2", "--class", "1", "--dtype", "int8", "--save-latent",
                   "x.npy"})
                  .code,
              0);
    return read(path("x.npy"));
  };
  const std::string of_file = sampled("s.safetensors");
  EXPECT_EQ(of_file, sampled("fashion-s"));
  ASSERT_EQ(run({"convert", "-q", "s.safetensors", "again.safetensors", "--dtype", "int8"}).code, 0);
  EXPECT_EQ(read(path("again.safetensors")), read(path("s.safetensors")));
  EXPECT_EQ(run({"sample", "-m", "s.safetensors", "--steps", "2", "--class", "1", "--dtype", "f32",
                 "--save-latent", "x.npy"})
                .code,
            0);

  // From fewer bits: what they stand for is quantised as it is loaded, and not by the converter.
  ASSERT_EQ(run({"convert", "-q", "fashion-s", "s.gguf", "--dtype", "q8_0"}).code, 0);
  ASSERT_EQ(run({"convert", "-q", "s.gguf", "of_gguf.safetensors", "--dtype", "f32"}).code, 0);
  EXPECT_EQ(sampled("s.gguf"), sampled("of_gguf.safetensors"));
  expect_refused(3, {"type Q8_0 does not become int8: convert the file to bf16 first"},
                 {"convert", "s.gguf", "t.safetensors", "--dtype", "int8"});
  // And back: the scales are multiplied in and gone.
  ASSERT_EQ(run({"convert", "-q", "s.safetensors", "back.safetensors", "--dtype", "f32"}).code, 0);
  const TensorFile back = read_safetensors(path("back.safetensors").string());
  EXPECT_EQ(back.tensors().at("blocks.0.attn.qkv.weight").dtype_name, "F32");
  EXPECT_FALSE(back.tensors().contains("blocks.0.attn.qkv.weight_scale"));
}

TEST_F(Cli, ConvertRefusesWhatItCannotDo) {
  ASSERT_EQ(run({"convert", "-q", "fashion-s", "a.safetensors"}).code, 0);
  fs::create_symlink("a.safetensors", path("link.safetensors"));
  const std::string before = read(path("a.safetensors"));
  expect_refused(2, {"a.safetensors", "an input (input)"}, {"convert", "a.safetensors", "./a.safetensors"});
  expect_refused(2, {"link.safetensors", "an input (input)"},
                 {"convert", "a.safetensors", "link.safetensors"});
  EXPECT_EQ(read(path("a.safetensors")), before);
  expect_refused(2, {"/tmp", "a folder"}, {"convert", "/tmp", "b.safetensors"});
  expect_refused(2, {"m.index.json", "one by one"}, {"convert", "m.index.json", "b.safetensors"});
  expect_refused(2, {".safetensors"}, {"convert", "a.safetensors", "b.pt"});
  expect_refused(2, {"--dtype", "f64", "keep"},
                 {"convert", "a.safetensors", "b.safetensors", "--dtype", "f64"});
  expect_refused(2, {"--weights", "best"},
                 {"convert", "a.safetensors", "b.safetensors", "--weights", "best"});
  expect_refused(3, {"average"}, {"convert", "a.safetensors", "b.safetensors", "--weights", "ema"});
  expect_refused(3, {"missing.safetensors"}, {"convert", "missing.safetensors", "b.safetensors"});
  expect_refused(4, {"nowhere"}, {"convert", "a.safetensors", "nowhere/b.safetensors"});
}

TEST_F(Cli, HelpAndVersion) {
  EXPECT_EQ(run({"--version"}).out, "tstitch 0.1.0\n");
  const Outcome help = run({"sample", "--help"}), all = run({"sample", "--help-all"});
  EXPECT_EQ(help.code, 0);
  EXPECT_EQ(all.code, 0);
  const auto in = [](const Outcome& outcome, const std::string& text) {
    return outcome.out.find(text) != std::string::npos;
  };
  for (const char* option : {"--ratio", "--model", "--dry-run", "--seed"})
    EXPECT_TRUE(in(help, option)) << option;
  for (const char* option : {"--three-combo", "--cfg-channels", "--init-latent", "--save-latent", "--rng"}) {
    EXPECT_TRUE(in(all, option)) << option;
    EXPECT_FALSE(in(help, option)) << option;
  }
  EXPECT_TRUE(in(help, "more options: tstitch sample --help-all") && in(help, "Examples:")) << help.out;
  EXPECT_LE(std::ranges::count(help.out, '\n'), 50) << help.out;
  EXPECT_EQ(run({"help", "sample"}).out, help.out);
  EXPECT_EQ(run({"help"}).out, run({"--help"}).out);
}

TEST_F(Cli, UnknownArgumentsAreAnsweredWithWhatWasMeant) {
  expect_refused(2, {"sample has no option --ste: did you mean --steps?"}, {"sample", "--ste", "3"});
  expect_refused(2, {"no option --num_inference_steps: it is --steps here"},
                 {"sample", "--num_inference_steps", "3"});
  expect_refused(2, {"--cfg-scale here"}, {"sample", "--guidance-scale=3"});
  expect_refused(2, {"--ratios: it is one of tstitch sweep"}, {"sample", "--ratios", "0.5"});
  expect_refused(2, {"tstitch analyze spectrum --help"}, {"analyze", "spectrum", "--stops", "3"});
  expect_refused(2, {"\"red\" belongs to no option"}, {"sample", "-p", "a", "red", "car"});
  expect_refused(2, {"--steps was given several times"}, {"sample", "--steps", "2", "--steps", "3"});
  expect_refused(2, {"--model expects a value"}, {"sample", "--model"});
  for (const char* option : {"--plan", "--class", "--output", "--vae", "--budget", "--init-image"})
    expect_refused(2, {option, "is empty"}, {"sample", option, ""});
}

TEST_F(Cli, AValueMayBeginWithDashes) {
  const std::vector<std::string> one = {"sample", "--steps", "1", "--class", "1", "-q", "--batch_size", "1"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), one.begin(), one.end());
    return run(more);
  };
  Outcome outcome = with({"-o", "--a_b.png"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  outcome = with({"--save_latent=--a_b.npy", "--output", "--c_d.png"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(files(), (std::set<std::string>{path("--a_b.png"), path("--a_b.npy"), path("--c_d.png")}));
}

TEST_F(Cli, WrongUsageIsCodeTwo) {
  expect_refused(2, {"subcommand"}, {});
  expect_refused(2, {"frobnicate", "sample"}, {"frobnicate"});
  expect_refused(2, {"--frobnicate"}, {"sample", "--frobnicate"});
  expect_refused(2, {"--no_such"}, {"sample", "--no_such"});
  expect_refused(2, {"--ratio", "1.5", "0 ... 1"}, {"sample", "--ratio", "1.5"});
  expect_refused(2, {"--ratio"}, {"sample", "--ratio", "-0.1"});
  expect_refused(2, {"--ratio"}, {"sample", "--ratio", "nan"});
  expect_refused(2, {"--ratio"}, {"sample", "--ratio", "half"});
  expect_refused(2, {"--ratio"}, {"sample", "--ratio"});
  expect_refused(2, {"add up to 1.1"}, {"sample", "--fractions", "0.5,0.6"});
  expect_refused(2, {"3 fractions", "2 models"}, {"sample", "--three_combo", "0.4,0.2,0.4"});
  expect_refused(2, {"exclude"}, {"sample", "--ratio", "0.5", "--switch-step", "3"});
  expect_refused(2, {"two models"}, {"sample", "--ratio", "0.5", "-m", "fashion-s"});
  expect_refused(2, {"--switch", "\"never\"", "share or auto"}, {"sample", "--switch", "never"});
  expect_refused(2, {"--ratio and --switch exclude"}, {"sample", "--switch", "auto", "--ratio", "0.5"});
  expect_refused(2, {"--switch-threshold", "--switch auto"}, {"sample", "--switch-threshold", "0.1"});
  expect_refused(2, {"--dry-run", "--switch auto"}, {"sample", "--switch", "auto", "--dry-run"});
  expect_refused(2, {"--switch-rule", "foo", "dit, ldm"}, {"sample", "--switch-rule", "foo"});
  expect_refused(2, {"euler b", "ddim, ddpm"}, {"sample", "--solver", "euler b"});
  expect_refused(2, {"means --scheduler karras"},
                 {"sample", "--sampler", "dpm++ 2m karras", "--scheduler", "discrete"});
  expect_refused(2, {"--width is 30, expected a multiple of 4", "the nearest are 28 and 32"},
                 {"sample", "-W", "30"});
  expect_refused(2, {"--ratios is 140%"}, {"sweep", "--ratios", "40%,140%"});
  expect_refused(2, {"flow_euler", "rectified flows"}, {"sample", "--sampler", "flow_euler"});
  expect_refused(2, {"--scheduler", "cosine", "discrete, karras"}, {"sample", "--scheduler", "cosine"});
  expect_refused(2, {"--spacing", "even", "respaced, leading"}, {"sample", "--spacing", "even"});
  expect_refused(2, {"pndm", "karras"}, {"sample", "--sampler", "pndm", "--scheduler", "karras"});
  expect_refused(2, {"10,20", "linspace"}, {"sample", "--sampler", "unipc", "--steps", "10,20"});
  expect_refused(2, {"12.5"}, {"sample", "--steps", "12.5"});
  expect_refused(2, {"--class", "ten"}, {"sample", "--class", "ten"});
  expect_refused(2, {"--lora \"x.safetensors:abc\" has the weight \"abc\", expected a number"},
                 {"sample", "--lora", "x.safetensors:abc"});
  expect_refused(2, {"--stage 1: control=none has no effect here: there is no --control-net"},
                 {"sample", "--stage", "control=none", "--stage", "cfg=2"});
  expect_refused(2, {"--timesteps does not go with the sampler pndm", "expected --sampler ddim, ddpm"},
                 {"sample", "--sampler", "pndm", "--timesteps", "900,500"});
  expect_refused(2, {"sandle", "5 Sandal"}, {"sample", "--class", "0,sandle"});
  expect_refused(2, {"--class 10"}, {"sample", "--class", "10"});
  expect_refused(2, {"gpu", "cpu"}, {"sample", "--device", "gpu"});
  expect_refused(2, {"f8", "bf16"}, {"sample", "--dtype", "f8"});
  expect_refused(2, {"--threads"}, {"sample", "-t", "-3"});
  expect_refused(2, {"--large", "--small"}, {"sample", "--large", "fashion-l"});
  expect_refused(2, {".png"}, {"sample", "-o", "a.jpg"});
  expect_refused(2, {"--seed"}, {"sample", "-s", "-2"});
}

TEST_F(Cli, RefusedInputIsCodeThree) {
  expect_refused(3, {"missing.safetensors"}, {"sample", "-m", "missing.safetensors"});
  expect_refused(3, {"no-such-model"}, {"sample", "-m", "no-such-model"});
  std::ofstream(path("text.safetensors")) << "<!DOCTYPE html><html>404</html>";
  expect_refused(3, {"text.safetensors"}, {"sample", "-m", "text.safetensors"});

  const std::string whole = read(std::string(TSTITCH_SOURCE_DIR) + "/assets/fashion-s.safetensors");
  std::ofstream(path("cut.safetensors"), std::ios::binary) << whole.substr(0, whole.size() / 2);
  expect_refused(3, {"cut.safetensors", "ST_TRUNCATED"}, {"sample", "-m", "cut.safetensors"});
  std::ofstream(path("long.safetensors"), std::ios::binary) << whole << "PK";
  expect_refused(3, {"long.safetensors", "ST_TRAILING"}, {"inspect", "long.safetensors"});

  std::string broken = whole;  // a NaN in the last weight
  broken[broken.size() - 1] = '\x7f';
  broken[broken.size() - 2] = '\xff';
  std::ofstream(path("nan.safetensors"), std::ios::binary) << broken;
  expect_refused(3, {"nan.safetensors", "y_embedder.embedding_table.weight"},
                 {"sample", "-q", "-m", "nan.safetensors"});

  expect_refused(3, {"folder"}, {"sample", "-m", "/tmp/"});
  expect_refused(3, {"x.npy"}, {"sample", "--init-latent", "x.npy"});
}

// Whoever reads the report must not take a full disk for success.
TEST_F(Cli, AReportThatCannotBeWrittenIsCodeFour) {
  const Outcome outcome =
      wait(start_any({"sh", "-c", std::string(TSTITCH_PROGRAM) + " inspect fashion-s --json > /dev/full"}));
  EXPECT_EQ(outcome.code, 4);
  EXPECT_NE(outcome.err.find("stdout"), std::string::npos) << outcome.err;
}

TEST_F(Cli, AnInputIsNotOverwritten) {
  ASSERT_EQ(run({"sample", "-m", "fashion-s", "--steps", "2", "--class", "1", "-o", "one.png", "-q"}).code,
            0);
  const std::string picture = read(path("one.png"));
  expect_refused(2, {"one.png", "an input (--init-image)"},
                 {"sample", "--init-image", "one.png", "--output", "one.png"});
  EXPECT_EQ(read(path("one.png")), picture);

  // Assignments are of the steps that are taken.
  const std::vector<std::string> from = {"--init-image", "one.png", "--class", "1", "--steps", "8",
                                         "--cfg-scale",  "1",       "-q",      "-o"};
  for (std::vector<std::string> command : {std::vector<std::string>{"plan", "--speedup", "1.2"},
                                           {"sweep", "--orders"},
                                           {"sample", "--budget", "1h"}}) {
    const std::string output = command[0] == "plan" ? "p.json" : "o.png";
    command.insert(command.end(), from.begin(), from.end());
    command.push_back(output);
    EXPECT_EQ(run(command).code, 0) << command[0];
  }
}

TEST_F(Cli, LatentsThatDoNotFitAreCodeThree) {
  Tensor wrong({1, 1, 2, 2}, DType::f32);
  std::fill_n(wrong.data<float>(), 4, 0.0f);
  write_npy(path("wrong.npy").string(), wrong);
  expect_refused(3, {"--init-latent", "[1, 1, 2, 2]", "[10, 1, 28, 28]"},
                 {"sample", "--init-latent", "wrong.npy"});
}

TEST_F(Cli, ModelsThatDoNotFitAreCodeThree) {
  const TensorFile file = read_safetensors(std::string(TSTITCH_SOURCE_DIR) + "/assets/fashion-s.safetensors");
  std::map<std::string, Tensor> tensors;
  for (const auto& [name, info] : file.tensors())
    tensors[name] = file.load(name, Shape(info.shape), DType::bf16);
  auto config = nlohmann::json::parse(file.metadata().at("config"));
  config["beta_end"] = 0.012;
  write_safetensors(path("other.safetensors").string(), tensors, {{"config", config.dump()}});
  expect_refused(3, {"cannot be stitched", "noise schedule"},
                 {"sample", "-m", "fashion-s", "-m", "other.safetensors"});
}

TEST_F(Cli, UnwritableOutputIsCodeFour) {
  expect_refused(4, {"nowhere"}, {"sample", "-o", "nowhere/a.png"});
  expect_refused(4, {"nowhere"}, {"sample", "--save-latent", "nowhere/a.npy", "-o", "a.png"});
  expect_refused(4, {"/proc"}, {"sample", "--steps", "1", "--class", "0", "-q", "-o", "/proc/a.png"});
}

TEST_F(Cli, ADeviceThatIsNotThereIsCodeFour) {
  expect_refused(4, {"cuda:99"},
                 {"sample", "--steps", "1", "--class", "0", "--device", "cuda:99", "-o", "a.png"});
}

TEST_F(Cli, AnInterruptEndsCleanly) {
  const pid_t child = start({"sample", "--steps", "1000", "-b", "100", "-o", "a.png"});
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  kill(child, SIGINT);
  const Outcome outcome = wait(child);
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  EXPECT_NE(outcome.err.find("interrupted"), std::string::npos) << outcome.err;
  EXPECT_TRUE(files().empty());
}

}  // namespace
}  // namespace tstitch
