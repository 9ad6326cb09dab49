// Bulk sampling as a user meets it: archives and folders whose bytes depend on the run alone, however often
// it was killed and however many processes shared it.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "tests/apps/cli.h"
#include "tstitch/io/file.h"
#include "tstitch/io/png.h"
#include "tstitch/io/zip.h"

namespace tstitch {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;
using Arguments = std::vector<std::string>;

// 48 images of the demo family in 24 batches: about a second.
const Arguments kRun = {"sample", "--class", "random", "--steps", "4", "-s", "3"};
const Arguments kBulk = {"-b", "48", "--batch-size", "2"};

Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class Bulk : public Cli {
 protected:
  static void SetUpTestSuite() {
    // Launchers of the test itself are none of the program's.
    for (const char* name : {"RANK", "WORLD_SIZE", "PMI_RANK", "PMI_SIZE", "SLURM_PROCID", "SLURM_NTASKS",
                             "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"})
      unsetenv(name);
  }

  // What an uninterrupted run writes to `name`.
  std::string sampled(const std::string& name, const Arguments& more = {}) {
    const Outcome outcome = run(kRun + kBulk + more + Arguments{"-q", "-o", name});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return name.ends_with('/') ? "" : read(path(name));
  }

  // Runs until `seconds` are over, then kill -9. Whether it came to that.
  bool killed_after(double seconds, const Arguments& arguments) {
    const pid_t child = start(arguments);
    const auto until = steady_clock::now() + duration<double>(seconds);
    std::this_thread::sleep_until(until);
    kill(child, SIGKILL);
    const Outcome outcome = wait(child);
    EXPECT_TRUE(outcome.code == 0 || outcome.code == -SIGKILL) << outcome.code << outcome.err;
    return outcome.code == -SIGKILL;
  }

  // Ends a run with SIGINT when some images are on disk, and gives the name of its first shard.
  fs::path interrupted_run(const std::string& name, const Arguments& more = {}) {
    const pid_t child = start(kRun + kBulk + more + Arguments{"-q", "-o", name});
    fs::path shard;
    for (int i = 0; i < 2000 && shard.empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      std::error_code ignored;
      for (const auto& entry : fs::directory_iterator(path(name + ".parts"), ignored))
        if (entry.path().extension() == ".shard" && entry.file_size(ignored) > 2000) shard = entry.path();
    }
    kill(child, SIGINT);
    const Outcome outcome = wait(child);
    EXPECT_EQ(outcome.code, 130) << outcome.err;
    EXPECT_NE(outcome.err.find("of 48 images are in"), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("--resume"), std::string::npos) << outcome.err;
    EXPECT_FALSE(shard.empty());
    return shard;
  }

  void expect_resumed(const std::string& name, const std::string& whole, const Arguments& more = {}) {
    const Outcome outcome = run(kRun + kBulk + more + Arguments{"--resume", "-o", name});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_TRUE(read(path(name)) == whole) << name;
    EXPECT_FALSE(fs::exists(path(name + ".parts")));
  }

  void expect_resume_refused(int code, const Arguments& parts, const std::string& name,
                             const Arguments& more = {}) {
    expect_refused(code, parts, kRun + kBulk + more + Arguments{"-q", "--resume", "-o", name});
  }
};

// The raw elements of an array, behind its header of 128 bytes.
std::string array_of(const std::string& npz, const std::string& name, const std::string& shape) {
  const MappedFile file(npz);
  const auto entries = read_zip(file.bytes(), npz);
  const ZipEntry* entry = find_entry(entries, name + ".npy");
  EXPECT_TRUE(entry) << name;
  if (!entry) return "";
  const std::string text(reinterpret_cast<const char*>(entry->bytes.data()), entry->bytes.size());
  EXPECT_NE(text.substr(0, 128).find(shape), std::string::npos) << text.substr(10, 118);
  return text.substr(128);
}

TEST_F(Bulk, AnArchiveHoldsThePicturesAndTheirClasses) {
  sampled("a.npz");
  const Outcome outcome = run(kRun + kBulk + Arguments{"--json", "-o", "pictures/", "--batch-size", "5"});
  EXPECT_EQ(outcome.code, 2) << "two batch sizes";
  const Outcome folder = run(kRun + Arguments{"-b", "48", "--batch-size", "5", "--json", "-o", "pictures/"});
  ASSERT_EQ(folder.code, 0) << folder.err;
  const auto report = nlohmann::json::parse(folder.out);
  EXPECT_EQ(report["outputs"].size(), 48u);
  EXPECT_TRUE(report.contains("latents_hash"));

  const std::string pixels =
      array_of(path("a.npz"), "arr_0", "'|u1', 'fortran_order': False, 'shape': (48, 28, 28, 1)");
  const std::string labels =
      array_of(path("a.npz"), "arr_1", "'<i8', 'fortran_order': False, 'shape': (48,)");
  ASSERT_EQ(pixels.size(), 48u * 28 * 28);
  ASSERT_EQ(labels.size(), 48u * 8);
  for (size_t i = 0; i < 48; ++i) {
    char name[32];
    std::snprintf(name, sizeof name, "pictures/%06zu.png", i);
    const Image image = read_png(path(name));
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(image.pixels)),
                                   std::as_bytes(std::span(pixels)).subspan(i * 28 * 28, 28 * 28)))
        << name;
    int64_t label;
    std::memcpy(&label, labels.data() + 8 * i, 8);
    EXPECT_EQ(label, report["classes"][i]);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(path("pictures")), fs::directory_iterator()), 48);
}

// TSTITCH_KILLS: how many.
TEST_F(Bulk, KilledAtAnyMomentTheResultIsTheSame) {
  const char* const asked = std::getenv("TSTITCH_KILLS");
  const int kills = asked ? std::atoi(asked) : 8;
  const auto begin = steady_clock::now();
  const std::string whole = sampled("whole.npz");
  const double seconds = duration<double>(steady_clock::now() - begin).count();
  const Arguments command = kRun + kBulk + Arguments{"-q", "--resume", "-o", "a.npz"};

  std::mt19937 random(7);  // NOLINT: the same moments every time
  std::uniform_real_distribution<double> moment(0, 0.6 * seconds);
  int killed = 0, finished = 0;
  while (killed < kills) {
    if (killed_after(moment(random), command)) {
      ++killed;
      EXPECT_TRUE(!fs::exists(path("a.npz")) || read(path("a.npz")) == whole) << "after " << killed;
      continue;
    }
    ++finished;
    ASSERT_TRUE(read(path("a.npz")) == whole) << "after " << killed;
    EXPECT_FALSE(fs::exists(path("a.npz.parts")));
    fs::remove(path("a.npz"));
  }
  expect_resumed("a.npz", whole);
  EXPECT_EQ(files(), (std::set<std::string>{path("a.npz"), path("whole.npz")}));  // nothing is left behind
  RecordProperty("killed", killed);
  RecordProperty("finished_between", finished);
}

TEST_F(Bulk, AKilledFolderIsContinued) {
  sampled("whole/");
  const Arguments command = kRun + kBulk + Arguments{"-q", "--resume", "-o", "a/"};
  for (int i = 0; i < 4; ++i)
    if (!killed_after(0.1 + 0.1 * i, command)) break;
  EXPECT_EQ(run(command).code, 0);
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(path("a"))) {
    names.insert(entry.path().filename());
    EXPECT_TRUE(read(entry.path()) == read(path("whole") / entry.path().filename())) << entry.path();
  }
  EXPECT_EQ(names.size(), 48u);

  // Files that are cut are sampled again; the others are not, and those of another run are refused.
  const std::string third = read(path("a/000003.png"));
  fs::resize_file(path("a/000003.png"), third.size() - 1);
  EXPECT_EQ(run(command).code, 0);
  EXPECT_TRUE(read(path("a/000003.png")) == third);
  const Outcome again = run(kRun + kBulk + Arguments{"--resume", "-o", "a/", "--json"});
  EXPECT_EQ(nlohmann::json::parse(again.out)["sampled_images"], 0);
  const Arguments other = {"sample", "-b", "48", "--class", "random", "--steps",
                           "4",      "-s", "4",  "-o",      "a/",     "--json"};
  expect_refused(2, {"000000.png", "not of this run"}, other + Arguments{"--resume"});
  expect_refused(2, {"000000.png", "not of this run"},
                 other + Arguments{"--resume", "--rank", "0", "--world-size", "2"});
  expect_refused(2, {"000000.png", "not of this run", "another folder"}, other);
}

TEST_F(Bulk, ItContinuesWithOtherBatchesAndThreads) {
  const std::string whole = sampled("whole.npz");
  interrupted_run("a.npz");
  const Outcome outcome =
      run(kRun + Arguments{"-b", "48", "--batch-size", "5", "-t", "1", "--resume", "--json", "-o", "a.npz"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);  // nothing else is on stdout
  EXPECT_LT(report["sampled_images"], 48);
  EXPECT_FALSE(report.contains("latents_hash"));
  EXPECT_TRUE(read(path("a.npz")) == whole);
  // A finished one is known, and one of another run is replaced only by a run that does not resume.
  EXPECT_EQ(nlohmann::json::parse(
                run(kRun + kBulk + Arguments{"--resume", "--json", "-o", "a.npz"}).out)["sampled_images"],
            0);
  EXPECT_TRUE(read(path("a.npz")) == whole);
  const Arguments other = {"sample", "-q", "-b", "3", "--steps", "2", "--class", "1", "-o", "a.npz"};
  expect_refused(2, {"a.npz", "not of this run"}, other + Arguments{"--resume"});
  expect_refused(2, {"a.npz", "not of this run"},
                 other + Arguments{"--resume", "--rank", "0", "--world-size", "2"});
  EXPECT_EQ(run(other).code, 0);
  EXPECT_FALSE(read(path("a.npz")) == whole);
}

TEST_F(Bulk, AnUnfinishedRunIsNeitherOverwrittenNorMixed) {
  interrupted_run("a.npz");
  expect_refused(2, {"a.npz.parts", "unfinished run", "--resume"},
                 kRun + kBulk + Arguments{"-o", "a.npz", "-q"});
  const auto refused = [&](const std::string& part, const Arguments& options) {
    expect_refused(2, {"of another run", part},
                   Arguments{"sample", "-q", "--resume", "-o", "a.npz"} + options);
  };
  const Arguments base = {"--class", "random", "-b", "48"};
  refused("--seed is 4, but the unfinished run has 3", base + Arguments{"--steps", "4", "-s", "4"});
  refused("--steps is 5, but the unfinished run has 4", base + Arguments{"--steps", "5", "-s", "3"});
  refused("(--ratio", base + Arguments{"--steps", "4", "-s", "3", "--ratio", "1"});
  refused("--cfg-scale is 3", base + Arguments{"--steps", "4", "-s", "3", "--cfg-scale", "3"});
  refused("--prediction", base + Arguments{"--steps", "4", "-s", "3", "--prediction", "v"});
  refused("--sampler is \"ddpm\"", base + Arguments{"--steps", "4", "-s", "3", "--sampler", "ddpm"});
  refused("--spacing", base + Arguments{"--steps", "4", "-s", "3", "--spacing", "trailing"});
  refused("--rng is \"torch\"", base + Arguments{"--steps", "4", "-s", "3", "--rng", "torch"});
  refused("--model", base + Arguments{"--steps", "4", "-s", "3", "-m", "fashion-s", "-m", "fashion-b"});
  refused("--batch-count", {"--class", "random", "-b", "49", "--steps", "4", "-s", "3"});
  refused("--class", {"--class", "5", "-b", "48", "--steps", "4", "-s", "3"});
  refused("--device, --dtype", base + Arguments{"--steps", "4", "-s", "3", "--device", "reference"});
}

TEST_F(Bulk, DamageIsFoundAndSampledAgain) {
  const std::string whole = sampled("whole.npz");
  fs::path shard = interrupted_run("cut.npz");
  fs::resize_file(shard, fs::file_size(shard) - 700);
  expect_resumed("cut.npz", whole);

  shard = interrupted_run("flipped.npz");
  std::string bytes = read(shard);
  bytes[1000] = static_cast<char>(bytes[1000] ^ 1);
  std::ofstream(shard, std::ios::binary) << bytes;
  expect_resumed("flipped.npz", whole);

  shard = interrupted_run("zeros.npz");
  bytes = std::string(fs::file_size(shard), '\0');
  std::ofstream(shard, std::ios::binary) << bytes;
  expect_resumed("zeros.npz", whole);
}

TEST_F(Bulk, WhatDoesNotBelongIsRefused) {
  const fs::path shard = interrupted_run("a.npz");
  const fs::path other = interrupted_run("b.npz", {"--cfg-scale", "3"});
  fs::copy_file(other, path("a.npz.parts/other.shard"));
  expect_resume_refused(3, {"other.shard", "SHARD_RUN", "another run"}, "a.npz");
  fs::remove(path("a.npz.parts/other.shard"));

  const fs::path manifest = path("a.npz.parts/manifest.json");
  const std::string text = read(manifest);
  const auto with = [&](const std::string& found, const std::string& instead) {
    std::string changed = text;
    const size_t at = changed.find(found);
    EXPECT_NE(at, changed.npos) << found;
    std::ofstream(manifest) << changed.replace(at, found.size(), instead);
  };
  with("\"seed\": 3", "\"seed\": 30");
  expect_resume_refused(2, {"--seed is 3, but the unfinished run has 30"}, "a.npz");
  with("\"negative_prompt\": null", "\"negative_prompt\": \"" + std::string(100'000, 'x') + "\"");
  expect_resume_refused(2, {"--negative-prompt"}, "a.npz");
  with("\"images\": 48", "\"images\": -48");
  expect_resume_refused(3, {"manifest.json", "RUN_MANIFEST", "\"images\" is -48"}, "a.npz");
  with("\"picture\": [", "\"picture\": [1, ");
  expect_resume_refused(3, {"RUN_MANIFEST", "picture"}, "a.npz");
  with("\"format\"", "\"formal\"");
  expect_resume_refused(3, {"RUN_MANIFEST", "no \"format\""}, "a.npz");
  with("\"seed\": 3,", "\"seed\": 3, \"more\": 1,");
  expect_resume_refused(2, {"does not know"}, "a.npz");
  std::ofstream(manifest) << text.substr(0, text.size() / 2);
  expect_resume_refused(3, {"manifest.json", "JSON_SYNTAX"}, "a.npz");
  // The manifest of a run that differs in the seed only, with this run's shards.
  with("\"seed\": 3", "\"seed\": 30");
  expect_refused(3, {"SHARD_RUN"}, {"pack", "a.npz.parts"});
  std::ofstream(manifest) << text;
  expect_resumed("a.npz", sampled("whole.npz"));

  expect_refused(3, {"missing.npz.parts", "no unfinished run"}, {"pack", "missing.npz.parts"});
  expect_refused(2, {".npz.parts", "--output"}, {"pack", "somewhere"});
  expect_refused(4, {"nowhere"}, kRun + Arguments{"-o", "nowhere/a.npz"});
  expect_refused(4, {"nowhere"}, {"pack", "a.npz.parts", "-o", "nowhere/a.npz"});
  expect_refused(2, {"--resume", "one picture"}, kRun + Arguments{"--resume", "-o", "a.png"});
  expect_refused(2, {"--resume", "--save-latent"}, kRun + Arguments{"--resume", "--save-latent", "x.npy"});
  expect_refused(2, {"--num-fid-samples"}, {"sample", "--num-fid-samples", "3", "--class", "2"});
}

TEST_F(Bulk, OtherPeoplesFilesStay) {
  fs::create_directories(path("a.npz.parts/mine"));
  std::ofstream(path("a.npz.parts/notes.txt")) << "keep";
  std::ofstream(path("a.npz.parts/Cargo.lock")) << "keep";
  sampled("a.npz");
  EXPECT_EQ(files(), (std::set<std::string>{path("a.npz"), path("a.npz.parts"), path("a.npz.parts/mine"),
                                            path("a.npz.parts/notes.txt"), path("a.npz.parts/Cargo.lock")}));
}

TEST_F(Bulk, RanksShareARun) {
  const std::string whole = sampled("whole.npz");
  for (const int count : {1, 2, 4}) {
    const std::string name = "of" + std::to_string(count) + ".npz", world = std::to_string(count);
    std::vector<pid_t> children;
    for (int rank = 0; rank < count; ++rank)
      children.push_back(
          start(kRun + kBulk +
                    Arguments{"--rank", std::to_string(rank), "--world-size", world, "-o", name, "-t", "1"},
                std::to_string(rank)));
    for (int rank = 0; rank < count; ++rank) {
      const Outcome outcome = wait(children[static_cast<size_t>(rank)], std::to_string(rank));
      EXPECT_EQ(outcome.code, 0) << outcome.err;
      if (count > 1) {
        EXPECT_NE(outcome.out.find("tstitch pack " + name + ".parts"), std::string::npos) << outcome.out;
      }
    }
    EXPECT_EQ(fs::exists(path(name)), count == 1);
    if (count > 1) {
      const Outcome outcome = run({"pack", name + ".parts/"});
      EXPECT_EQ(outcome.code, 0) << outcome.err;
    }
    EXPECT_TRUE(read(path(name)) == whole) << count;
    EXPECT_FALSE(fs::exists(path(name + ".parts")));
  }
}

TEST_F(Bulk, RanksShareAFolder) {
  sampled("whole/");
  for (const char* rank : {"0", "1", "2"})
    ASSERT_EQ(run(kRun + kBulk + Arguments{"-q", "--rank", rank, "--world-size", "3", "-o", "a/"}).code, 0);
  EXPECT_FALSE(fs::exists(path("a/.tstitch-run")));  // the last one has seen that all are there
  for (const auto& entry : fs::directory_iterator(path("whole")))
    EXPECT_TRUE(read(entry.path()) == read(path("a") / entry.path().filename())) << entry.path();
}

TEST_F(Bulk, APackSaysWhatIsMissing) {
  const std::string whole = sampled("whole.npz");
  const Arguments command = kRun + kBulk + Arguments{"-q", "-o", "a.npz", "--world-size", "4", "--rank"};
  for (const char* rank : {"0", "2"}) ASSERT_EQ(run(command + Arguments{rank}).code, 0);
  expect_refused(3, {"NPZ_MISSING_IMAGES", "24 of 48 images are missing: 12-23, 36-47"},
                 {"pack", "a.npz.parts"});
  // What has been done counts, however many continue it.
  expect_refused(2, {"unfinished run", "--resume"}, command + Arguments{"2"});
  ASSERT_EQ(
      run(kRun + kBulk + Arguments{"-q", "-o", "a.npz", "--resume", "--world-size", "2", "--rank", "1"}).code,
      0);
  expect_refused(3, {"12 of 48 images are missing: 12-23"}, {"pack", "a.npz.parts"});
  expect_resumed("a.npz", whole);
}

TEST_F(Bulk, TheEnvironmentSaysTheRank) {
  const auto outcome_with = [&](const std::vector<std::pair<const char*, const char*>>& variables,
                                const Arguments& arguments) {
    return wait(start(arguments, "", [&] {
      for (const auto& [name, value] : variables) setenv(name, value, 1);
    }));
  };
  const Arguments command = kRun + kBulk + Arguments{"-o", "a.npz"};
  const Outcome slurm = outcome_with({{"SLURM_PROCID", "1"}, {"SLURM_NTASKS", "4"}}, command);
  EXPECT_EQ(slurm.code, 0) << slurm.err;
  EXPECT_NE(slurm.out.find("rank 1 of 4 (SLURM_PROCID, SLURM_NTASKS): images 12-23"), std::string::npos)
      << slurm.out;
  const Outcome half = outcome_with({{"RANK", "1"}}, command);
  EXPECT_EQ(half.code, 2);
  EXPECT_NE(half.err.find("no WORLD_SIZE"), std::string::npos) << half.err;
  const Outcome grid = outcome_with({{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}}, kRun + Arguments{"-o", "a.png"});
  EXPECT_EQ(grid.code, 2);
  EXPECT_NE(grid.err.find("PMI_RANK, PMI_SIZE"), std::string::npos) << grid.err;
}

TEST_F(Bulk, MpirunStartsTheRanks) {
  if (std::system("mpirun --version > /dev/null 2>&1") != 0)
    GTEST_SKIP() << "mpirun is not installed (Debian package openmpi-bin)";
  const std::string whole = sampled("whole.npz");
  for (const char* count : {"1", "2", "4"}) {
    const Outcome outcome = wait(start_any(
        Arguments{"mpirun", "--allow-run-as-root", "--oversubscribe", "-np", count, TSTITCH_PROGRAM} + kRun +
        kBulk + Arguments{"-t", "1", "-o", "a.npz"}));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    if (*count != '1') {
      EXPECT_EQ(run({"pack", "a.npz.parts"}).code, 0);
    }
    EXPECT_TRUE(read(path("a.npz")) == whole) << count;
    fs::remove(path("a.npz"));
  }
}

TEST_F(Bulk, TwoProcessesAreNotTheSameRank) {
  const Arguments long_run = {"sample", "-q",      "--class", "random", "-b",
                              "5000",   "--steps", "50",      "-o",     "a.npz"};
  const pid_t first = start(long_run);
  for (int i = 0; i < 2000 && !fs::exists(path("a.npz.parts/manifest.json")); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  for (const Arguments& more : {Arguments{"--resume"}, Arguments{}}) {
    const Outcome outcome = wait(start(long_run + more, "second"), "second");
    EXPECT_EQ(outcome.code, 2);
    EXPECT_NE(
        outcome.err.find("rank 0 of 1 is already at work there (process " + std::to_string(first) + " on "),
        std::string::npos)
        << outcome.err;
  }
  const Outcome other_world =
      wait(start(long_run + Arguments{"--resume", "--rank", "1", "--world-size", "2"}, "second"), "second");
  EXPECT_EQ(other_world.code, 2);
  EXPECT_NE(other_world.err.find("rank-0-of-1 is at work there"), std::string::npos) << other_world.err;
  const Outcome pack = wait(start({"pack", "a.npz.parts"}, "second"), "second");
  EXPECT_EQ(pack.code, 2) << pack.err;
  kill(first, SIGKILL);
  wait(first);
}

// A limit on the size of files stands for a full disk.
TEST_F(Bulk, AFullDiskKeepsWhatIsDone) {
  const std::string whole = sampled("whole.npz");
  const Outcome full = wait(start(kRun + kBulk + Arguments{"-q", "-o", "a.npz"}, "", [] {
    const rlimit limit = {20'000, 20'000};
    setrlimit(RLIMIT_FSIZE, &limit);
  }));
  EXPECT_EQ(full.code, 4);
  for (const char* part : {"IO_NO_SPACE", "24 of 48 images are in \"a.npz.parts\"", "--resume"})
    EXPECT_NE(full.err.find(part), std::string::npos) << full.err;
  // Enough for the second half, not for the archive.
  const Outcome late = wait(start(kRun + kBulk + Arguments{"-q", "--resume", "-o", "a.npz"}, "", [] {
    const rlimit limit = {25'000, 25'000};
    setrlimit(RLIMIT_FSIZE, &limit);
  }));
  EXPECT_EQ(late.code, 4);
  for (const char* part : {"IO_NO_SPACE", "48 of 48 images", "--resume"})
    EXPECT_NE(late.err.find(part), std::string::npos) << late.err;
  EXPECT_FALSE(fs::exists(path("a.npz")));
  expect_resumed("a.npz", whole);
}

TEST_F(Bulk, ARefusalLeavesNothing) {
  expect_refused(4, {"IO_NO_SPACE", "needs"},
                 {"sample", "-b", "1000000", "--class", "random", "-W", "1024", "-H", "1024", "-o", "a.npz"});
  expect_refused(2, {"--rank is 2"}, kRun + Arguments{"--rank", "2", "--world-size", "2", "-o", "a.npz"});
  const pid_t child = start({"sample", "-q", "--steps", "1000", "-o", "a.npz"});
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  kill(child, SIGINT);
  const Outcome outcome = wait(child);
  EXPECT_EQ(outcome.code, 130);
  EXPECT_NE(outcome.err.find("nothing was written"), std::string::npos) << outcome.err;
  EXPECT_FALSE(fs::exists(path("a.npz.parts")));
}

TEST_F(Bulk, MemoryDoesNotDependOnTheNumberOfImages) {
  const auto peak = [&](const char* images) -> double {
    const Outcome outcome =
        run({"sample", "-m", "fashion-s", "--class", "random", "--steps", "1", "--cfg-scale", "1",
             "--batch-size", "64", "--json", "-b", images, "-o", "a.npz"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out)["peak_memory_bytes"].get<double>() / (1 << 20);
  };
  // Their latents and pictures would take 24 MiB.
  const double few = peak("128"), many = peak("6400");
  EXPECT_LT(many - few, 8) << few << " MiB and " << many << " MiB";
}

TEST_F(Bulk, NamesOfTheDitScripts) {
  const Outcome outcome = run({"sample", "--num-fid-samples", "5", "--per_proc_batch_size=2", "--steps", "2",
                               "--json", "-o", "a.npz"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(report["images"], 5);
  EXPECT_EQ(report["batch_size"], 2);
}

}  // namespace
}  // namespace tstitch
