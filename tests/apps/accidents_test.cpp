// Accidents that cost nobody's work: outputs that would land on inputs, signals, closed descriptors, full
// disks, things that are no files, file systems that refuse.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "tests/apps/cli.h"

namespace tstitch {
namespace {

using Arguments = std::vector<std::string>;

Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const Arguments kOne = {"sample", "--class", "1", "--steps", "1", "-q"};
const Arguments kSweep = {"sweep", "--steps", "2", "--class", "1,2", "--ratios", "0,1"};

class Accidents : public Cli {
 protected:
  std::string shell(const std::string& command) { return std::string(TSTITCH_PROGRAM) + " " + command; }
  Outcome in_shell(const std::string& command) { return wait(start_any({"bash", "-c", command})); }

  void fifo(const std::string& name) { ASSERT_EQ(mkfifo(path(name).c_str(), 0600), 0); }

  // Whether it appears within a minute.
  bool appears(const std::function<bool()>& condition) {
    for (int i = 0; i < 60'000; ++i, usleep(1000))
      if (condition()) return true;
    return false;
  }

  bool has_file_with(const std::string& part) {
    return std::ranges::any_of(files(),
                               [&](const std::string& name) { return name.find(part) != name.npos; });
  }
};

TEST_F(Accidents, NoOutputLandsOnAnInput) {
  ASSERT_EQ(run(kOne + Arguments{"-o", "one.png", "--save-latent", "x.npy"}).code, 0);
  ASSERT_EQ(run({"convert", "fashion-s", "s.safetensors", "-q"}).code, 0);
  ASSERT_EQ(run(kSweep + Arguments{"-q", "--metrics", "is", "-o", "sw.png"}).code, 0);
  fs::create_directory(path("pics"));
  fs::copy_file(path("one.png"), path("pics/0.png"));
  fs::create_symlink("s.safetensors", path("link.safetensors"));
  ASSERT_EQ(run({"sample", "--class", "1,2", "--steps", "1", "-q", "-o", "ref.npz"}).code, 0);
  fs::create_directory(path("sub"));

  std::map<std::string, std::string> before;
  for (const std::string& name : files())
    if (fs::is_regular_file(name)) before[name] = read(name);
  // Other endings than an output has are refused already.
  expect_refused(2, {"--save-latent", ".npy"}, kOne + Arguments{"--save-latent", "s.safetensors"});
  expect_refused(2, {"--output", ".json"}, {"plan", "--speedup", "1.2", "-o", "s.safetensors"});
  expect_refused(2, {"--save-stats", ".npz"}, {"eval", "pics", "--save-stats", "pics/0.png"});
  // The same file under other names.
  expect_refused(2, {"an input (--init-image)"},
                 Arguments{"sample", "--class", "1", "-i", "one.png", "-o", "./sub/../one.png"});
  expect_refused(2, {"an input (--init-latent)"},
                 kOne + Arguments{"--init-latent", "x.npy", "--save-latent", "./x.npy"});
  expect_refused(2, {"an input (input)"}, {"convert", "s.safetensors", "link.safetensors"});
  expect_refused(2, {"an input (input)"}, {"convert", "link.safetensors", "s.safetensors"});
  expect_refused(2, {"an input (--reference)"},
                 {"eval", "pics", "--reference", "ref.npz", "--save-stats", "ref.npz"});
  expect_refused(2, {"an input (curves)"}, {"chart", "sw-is.svg", "-o", "sw-is.svg"});
  expect_refused(2, {"an input (--reference)"},
                 kSweep + Arguments{"--metrics", "fid", "--reference", "sw.json", "-o", "sw.png"});
  expect_refused(2, {"an input (--curve)"},
                 {"plan", "--curve", "sw.json", "--speedup", "2", "-o", "sw.json"});
  for (const auto& [name, content] : before) EXPECT_EQ(read(name), content) << name;

  // Two outputs are two files.
  fs::create_symlink("y.png", path("y.npy"));
  expect_refused(2, {"--save-latent and --output are both"},
                 kOne + Arguments{"-o", "./y.png", "--save-latent", "y.npy"});
}

TEST_F(Accidents, ClosedDescriptorsBecomeNoFiles) {
  ASSERT_EQ(in_shell(shell("sample --class random -b 26 --steps 2 -o a.npz -q")).code, 0);
  const std::string whole = read(path("a.npz"));
  for (const char* closed : {"2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"}) {
    EXPECT_EQ(in_shell(shell("sample --class random -b 26 --steps 2 -o c.npz ") + closed).code, 0) << closed;
    EXPECT_TRUE(read(path("c.npz")) == whole) << closed;
  }
}

TEST_F(Accidents, AFileThatShrinksIsAnErrorAndLeavesNothing) {
  // A large tensor of zeros; the file has holes for it.
  constexpr size_t kBytes = size_t{1} << 28;
  const std::string header = R"({"x":{"dtype":"F32","shape":[)" + std::to_string(kBytes / 4) +
                             R"(],"data_offsets":[0,)" + std::to_string(kBytes) + "]}}";
  const uint64_t length = header.size();
  std::ofstream(path("big.safetensors"), std::ios::binary)
      << std::string(reinterpret_cast<const char*>(&length), 8) << header;
  fs::resize_file(path("big.safetensors"), 8 + header.size() + kBytes);

  const pid_t child = start({"convert", "big.safetensors", "o.safetensors", "--dtype", "bf16"});
  ASSERT_TRUE(appears([&] { return has_file_with(".tstitch-"); }));
  fs::resize_file(path("big.safetensors"), 1000);
  const Outcome outcome = wait(child);
  EXPECT_EQ(outcome.code, 3) << outcome.err;
  EXPECT_NE(outcome.err.find("[IO_CHANGED]"), std::string::npos) << outcome.err;
  EXPECT_EQ(files(), (std::set<std::string>{path("big.safetensors")}));
}

// A second sweep of the same name leaves the finished curve until it is whole itself, and a third one waits
// for neither.
TEST_F(Accidents, ASweepReplacesAFinishedOneAtItsEnd) {
  ASSERT_EQ(run(kSweep + Arguments{"-q", "-o", "s.png"}).code, 0);
  const std::string json = read(path("s.json")), csv = read(path("s.csv")), picture = read(path("s.png"));
  const Arguments longer = {"sweep", "--steps", "30", "--class", "1,2", "-b",
                            "2",     "--grid",  "6",  "-q",      "-o",  "s.png"};
  const pid_t child = start(longer);
  ASSERT_TRUE(appears([&] { return fs::exists(path("s.parts/curve.json")); }));
  const Outcome second = wait(start(longer, "second"), "second");
  EXPECT_EQ(second.code, 2);
  EXPECT_NE(second.err.find("another process is at work there (process"), std::string::npos) << second.err;
  kill(child, SIGINT);
  const Outcome outcome = wait(child);
  EXPECT_EQ(outcome.code, 130);
  EXPECT_NE(outcome.err.find("--resume"), std::string::npos) << outcome.err;
  EXPECT_EQ(read(path("s.json")), json);
  EXPECT_EQ(read(path("s.csv")), csv);
  EXPECT_EQ(read(path("s.png")), picture);
  expect_refused(2, {"s.parts", "unfinished sweep"}, longer);
  EXPECT_EQ(run(longer + Arguments{"--resume"}).code, 0);
  EXPECT_EQ(nlohmann::json::parse(read(path("s.json")))["points"].size(), 7u);
  EXPECT_FALSE(fs::exists(path("s.parts")));
}

TEST_F(Accidents, WhatIsTheWorkOfOneProcessIsNotDoneTwice) {
  const auto as_rank = [] {
    setenv("OMPI_COMM_WORLD_RANK", "1", 1);
    setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  };
  for (const Arguments& command : {kSweep, Arguments{"plan", "--speedup", "1.2"}, {"analyze", "spectrum"}}) {
    const Outcome outcome = wait(start(command, "", as_rank));
    EXPECT_EQ(outcome.code, 2) << command[0];
    EXPECT_NE(outcome.err.find("the work of one process, but 2 were started"), std::string::npos)
        << outcome.err;
    EXPECT_TRUE(files().empty());
  }
  // The one process of a Slurm batch script has the numbers of the whole job.
  const auto in_batch_script = [] {
    setenv("SLURM_PROCID", "0", 1);
    setenv("SLURM_NTASKS", "8", 1);
  };
  EXPECT_EQ(wait(start(kSweep + Arguments{"-q", "-o", "s.png"}, "", in_batch_script)).code, 0);
  const Outcome step = wait(start(kSweep, "", [&] {
    in_batch_script();
    setenv("SLURM_STEP_NUM_TASKS", "8", 1);
  }));
  EXPECT_EQ(step.code, 2) << step.err;
}

// The demo family's own files are inputs where nothing else is named, and what lies where a sweep works
// stays.
TEST_F(Accidents, WhatIsReadByDefaultIsAnInputToo) {
  fs::copy(TSTITCH_ASSETS, path("assets"));
  const auto own_assets = [&] { setenv("TSTITCH_ASSETS", "assets", 1); };
  ASSERT_EQ(wait(start({"sample", "--class", "random", "-b", "8", "--steps", "1", "-q", "-o", "p.npz"}, "",
                       own_assets))
                .code,
            0);
  const std::string reference = read(path("assets/fashion-reference.npz"));
  const Outcome outcome = wait(start(
      {"eval", "p.npz", "--metrics", "fid", "--save-stats", "assets/fashion-reference.npz"}, "", own_assets));
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_NE(outcome.err.find("an input (--reference)"), std::string::npos) << outcome.err;
  EXPECT_TRUE(read(path("assets/fashion-reference.npz")) == reference);

  fs::create_directory(path("r.parts"));
  std::ofstream(path("r.parts/0123456789abcdef.png")) << "somebody's";
  expect_refused(2, {"r.parts", "where an input lies (--reference)"},
                 kSweep + Arguments{"--metrics", "fid", "--reference", "r.parts", "--resume", "-o", "r.png"});
}

TEST_F(Accidents, OfSeveralPacksOneSucceedsAndTheOthersLeaveNothing) {
  const Arguments half = {"sample", "--class", "random", "-b",           "200", "--steps", "1",
                          "-q",     "-o",      "r.npz",  "--world-size", "2",   "--rank"};
  for (const char* rank : {"0", "1"}) ASSERT_EQ(run(half + Arguments{rank}).code, 0);
  std::vector<pid_t> packs;
  for (int i = 0; i < 3; ++i) packs.push_back(start({"pack", "r.npz.parts", "-q"}, std::to_string(i)));
  int succeeded = 0;
  for (int i = 0; i < 3; ++i) {
    const Outcome outcome = wait(packs[static_cast<size_t>(i)], std::to_string(i));
    succeeded += outcome.code == 0;
    EXPECT_TRUE(outcome.code == 0 ||
                (outcome.code == 3 && outcome.err.find("no unfinished run") != std::string::npos))
        << outcome.code << outcome.err;
  }
  EXPECT_EQ(succeeded, 1);
  EXPECT_EQ(files(), (std::set<std::string>{path("r.npz")}));
}

// A session that ends sends SIGTERM and SIGHUP at once.
TEST_F(Accidents, AHangUpIsNoSecondWish) {
  const pid_t child = start({"sample", "--steps", "1000", "-b", "100", "-o", "a.npz"});
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  kill(child, SIGTERM);
  kill(child, SIGHUP);
  const Outcome outcome = wait(child);
  EXPECT_EQ(outcome.code, 130);
  EXPECT_NE(outcome.err.find("interrupted"), std::string::npos) << outcome.err;
  EXPECT_TRUE(files().empty());
}

// None of these is waited for: opening a FIFO that nobody writes to would take for ever.
TEST_F(Accidents, FifosAreRefusedAtOnce) {
  for (const char* name : {"a.png", "a.npz", "s.json", "d/000001.png", "q.npz.parts/manifest.json",
                           "l.npz.parts/lock", "d2/.tstitch-run/manifest.json", "w.parts/curve.json"}) {
    fs::create_directories(path(name).parent_path());
    fifo(name);
  }
  for (const char* folder : {"q.npz.parts", "d2/.tstitch-run", "w.parts"})
    std::ofstream(path(folder) / "lock");
  const auto refused = [&](int code, const Arguments& parts, const Arguments& command) {
    const auto begin = std::chrono::steady_clock::now();
    expect_refused(code, parts, command);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  };
  const Arguments two = {"sample", "--class", "1,2", "--steps", "1", "-q"};
  refused(4, {"a.png", "IO_KIND"}, kOne + Arguments{"-o", "a.png"});
  refused(4, {"a.npz", "IO_KIND"}, kOne + Arguments{"-o", "a.npz"});
  refused(4, {"s.json", "IO_KIND"}, kSweep + Arguments{"-o", "s.png"});
  refused(2, {"d/000001.png", "not of this run"}, two + Arguments{"-o", "d/"});
  refused(2, {"d/000001.png", "not of this run"}, two + Arguments{"--resume", "-o", "d/"});
  refused(3, {"manifest.json", "IO_KIND"}, kOne + Arguments{"-o", "q.npz"});
  refused(3, {"manifest.json", "IO_KIND"}, kOne + Arguments{"--resume", "-o", "d2/"});
  refused(3, {"manifest.json", "IO_KIND"}, {"pack", "q.npz.parts"});
  refused(4, {"lock", "IO_KIND"}, kOne + Arguments{"-o", "l.npz"});
  refused(3, {"curve.json", "IO_KIND"}, kSweep + Arguments{"--resume", "-o", "w.png"});
  refused(3, {"a.png", "IO_KIND"}, kOne + Arguments{"-i", "a.png"});
}

TEST_F(Accidents, AHangUpEndsCleanly) {
  const Arguments command = {"sample", "--steps", "1000", "-b", "100"};
  const pid_t picture = start(command + Arguments{"-o", "a.png"});
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  kill(picture, SIGHUP);
  EXPECT_EQ(wait(picture).code, 130);
  EXPECT_TRUE(files().empty());

  // Under nohup it goes on.
  const pid_t kept = start({"sample", "--class", "1", "--steps", "60", "-b", "4", "-o", "b.png"}, "",
                           [] { signal(SIGHUP, SIG_IGN); });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  kill(kept, SIGHUP);
  EXPECT_EQ(wait(kept).code, 0);
  EXPECT_TRUE(fs::exists(path("b.png")));
}

TEST_F(Accidents, PicturesOfAnotherRunAreNeitherReplacedNorLeftAmongTheNew) {
  const Arguments base = {"sample", "--class", "random", "--steps", "1", "-q", "-o", "d/"};
  ASSERT_EQ(run(base + Arguments{"-b", "10"}).code, 0);
  expect_refused(2, {"d/000000.png", "9 more", "another folder"}, base + Arguments{"-b", "5"});
  EXPECT_EQ(run(base + Arguments{"-b", "10"}).code, 0);  // the same run
  fs::create_directory(path("have"));
  std::ofstream(path("have/000007.png")) << "somebody's";
  std::ofstream(path("have/holiday.png")) << "somebody's";
  expect_refused(2, {"have/000007.png", "not of this run"}, kOne + Arguments{"-o", "have/"});
  fs::remove(path("have/000007.png"));
  EXPECT_EQ(run(kOne + Arguments{"-o", "have/"}).code, 0);
  EXPECT_EQ(read(path("have/holiday.png")), "somebody's");
}

TEST_F(Accidents, ALinkToWhatIsNotThereYetIsFollowed) {
  fs::create_symlink("target.png", path("link.png"));
  EXPECT_EQ(run(kOne + Arguments{"-o", "link.png"}).code, 0);
  EXPECT_TRUE(fs::is_symlink(path("link.png")));
  EXPECT_TRUE(fs::is_regular_file(path("target.png")));
}

// A limit on the size of files stands for a full disk: not even the manifest can be written.
TEST_F(Accidents, AFullDiskLeavesNoFoldersBehind) {
  for (const char* output : {"a.npz", "d/"}) {
    const Outcome outcome = wait(start(kOne + Arguments{"-o", output}, "", [] {
      const rlimit limit = {100, 100};
      setrlimit(RLIMIT_FSIZE, &limit);
    }));
    EXPECT_EQ(outcome.code, 4) << outcome.err;
    EXPECT_TRUE(files().empty()) << output;
  }
}

TEST_F(Accidents, AnAnalysisReplacesNobodysFiles) {
  const Arguments analysis = {"analyze", "spectrum", "--steps", "2", "--class", "1", "-q"};
  for (const char* ending : {".json", ".csv", ".svg"}) {
    const std::string mine = std::string("mine") + ending;
    std::ofstream(path(mine)) << "mine";
    expect_refused(2, {mine, "not of an analysis"}, analysis + Arguments{"-o", "mine.png"});
    EXPECT_EQ(read(path(mine)), "mine");
    fs::remove(path(mine));
  }
  ASSERT_EQ(run(kSweep + Arguments{"-q", "-o", "s.png"}).code, 0);
  expect_refused(2, {"s.json", "not of an analysis"}, analysis + Arguments{"-o", "s.png"});
  for (const char* kind : {"spectrum", "similarity", "spectrum"})
    EXPECT_EQ(run({"analyze", kind, "--steps", "2", "--class", "1", "-q", "-o", "a.png"}).code, 0);
}

TEST_F(Accidents, AFullDiskLeavesTheOldAnalysisWhole) {
  const Arguments analysis = {"analyze", "spectrum", "--steps", "2",     "--class",
                              "1",       "-q",       "-o",      "a.png", "-s"};
  ASSERT_EQ(run(analysis + Arguments{"1"}).code, 0);
  std::map<std::string, std::string> before;
  for (const std::string& name : files()) before[name] = read(name);
  ASSERT_EQ(before.size(), 4u);
  // Room for the numbers, not for the curves.
  const rlim_t room = fs::file_size(path("a.json"));
  ASSERT_LT(room, fs::file_size(path("a.png")));
  const Outcome outcome = wait(start(analysis + Arguments{"2"}, "", [&] {
    const rlimit limit = {room + 1000, room + 1000};
    setrlimit(RLIMIT_FSIZE, &limit);
  }));
  EXPECT_EQ(outcome.code, 4) << outcome.err;
  EXPECT_EQ(files().size(), 4u);
  for (const auto& [name, content] : before) EXPECT_TRUE(read(name) == content) << name;
}

TEST_F(Accidents, TheFileSystemSaysNo) {
  const std::string long_name(300, 'x');
  fs::create_symlink("loop", path("loop"));
  expect_refused(3, {"loop", "symbolic links"}, {"sample", "-m", "loop"});
  expect_refused(3, {"loop", "symbolic links"}, {"eval", "loop"});
  expect_refused(4, {"loop", "symbolic links"}, {"sample", "-o", "loop/"});
  expect_refused(3, {"too long"}, {"sample", "-m", long_name});
  expect_refused(4, {"too long"}, {"sample", "-o", long_name + ".png"});
  expect_refused(4, {"too long"}, {"sample", "-o", long_name + "/"});
  // Also of names that only come about at the end.
  expect_refused(4, {"too long"},
                 kSweep + Arguments{"--metrics", "precision", "-o", std::string(245, 'x') + ".png"});
  for (const char* output : {"a.png", "a/", "a.npz"}) {
    const Outcome outcome = in_shell("mkdir gone; cd gone; rmdir ../gone; " +
                                     shell("sample --class 1 --steps 1 -q -o ") + output);
    EXPECT_EQ(outcome.code, 4) << output;
    EXPECT_NE(outcome.err.find("there is no such folder"), std::string::npos) << outcome.err;
  }
  const Outcome few = in_shell("ulimit -n 5; " + shell("sample --class 1 --steps 1 -q -o a.npz"));
  EXPECT_EQ(few.code, 4) << few.err;
  EXPECT_NE(few.err.find("Too many open files"), std::string::npos) << few.err;
  EXPECT_EQ(files(), (std::set<std::string>{path("loop")}));
  const Outcome threads = in_shell("ulimit -v 3000000; " + shell("sample --class 1 --steps 1 -t 1024 -q"));
  EXPECT_EQ(threads.code, 4) << threads.err;
}

TEST_F(Accidents, AReaderThatHasSeenEnoughIsNoFailureAFullDiskIs) {
  const auto codes = [&](const std::string& command) {
    return in_shell(shell(command) + " | head -1 > /dev/null; exit ${PIPESTATUS[0]}").code;
  };
  EXPECT_EQ(codes("--help"), 0);
  EXPECT_EQ(codes("sample --class 1 --steps 1 -o a.png -v"), 0);
  EXPECT_TRUE(fs::exists(path("a.png")));
  for (const char* command : {"--help", "sample --help", "--version"})
    EXPECT_EQ(in_shell(shell(command) + " > /dev/full").code, 4) << command;
}

TEST_F(Accidents, WhatCannotWorkIsRefusedBeforeAnythingIsSampled) {
  expect_refused(2, {"no fid", "1 sample"}, {"sweep", "--metrics", "fid", "--class", "1", "--steps", "1000"});
  expect_refused(2, {"--budget", "--ratio"}, {"sample", "--budget", "3s", "--ratio", "0.3"});
  expect_refused(2, {"--budget", "--switch auto"}, {"sample", "--budget", "3s", "--switch", "auto"});
}

// TSTITCH_KILLS: how many. Whatever was there before stays whole until what comes next is whole.
TEST_F(Accidents, KillingLosesNothing) {
  const char* const asked = std::getenv("TSTITCH_KILLS");
  const int kills = asked ? std::atoi(asked) : 3;
  std::mt19937 random(11);  // NOLINT: the same moments every time
  ASSERT_EQ(run({"sample", "--class", "random", "-b", "64", "--steps", "2", "-q", "-o", "p.npz"}).code, 0);

  struct Job {
    Arguments command;
    std::string output;  // a file whose bytes follow from the command
  };
  for (const Job& job :
       {Job{{"convert", "fashion-l", "c.safetensors", "--dtype", "f32", "-q"}, "c.safetensors"},
        Job{{"eval", "p.npz", "--save-stats", "s.npz", "-q"}, "s.npz"}}) {
    std::ofstream(path(job.output)) << "before";
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_EQ(run(job.command).code, 0);
    const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - begin;
    const std::string result = read(path(job.output));
    std::ofstream(path(job.output)) << "before";
    std::uniform_real_distribution<double> moment(0, whole.count());
    for (int i = 0; i < kills; ++i) {
      const pid_t child = start(job.command);
      std::this_thread::sleep_for(std::chrono::duration<double>(moment(random)));
      kill(child, SIGKILL);
      wait(child);
      const std::string now = read(path(job.output));
      EXPECT_TRUE(now == "before" || now == result) << job.output << " after kill " << i;
    }
    EXPECT_EQ(run(job.command).code, 0);
    EXPECT_TRUE(read(path(job.output)) == result);
  }

  // A sweep that is killed again and again comes to what one that was not comes to; until then the curve that
  // was there before stays.
  const Arguments sweep = {"sweep",  "--steps", "3",         "-b", "2",  "--cfg-scale", "1",
                           "--grid", "4",       "--metrics", "is", "-q", "-o"};
  ASSERT_EQ(run(sweep + Arguments{"whole.png"}).code, 0);
  ASSERT_EQ(run(kSweep + Arguments{"-q", "-o", "k.png"}).code, 0);
  const std::string before = read(path("k.json"));
  std::uniform_real_distribution<double> moment(0.2, 1.2);
  const Arguments first = sweep + Arguments{"k.png"};
  for (int i = 0; i < kills; ++i) {
    const bool resume = fs::exists(path("k.parts/curve.json"));
    const pid_t child = start(resume ? first + Arguments{"--resume"} : first);
    std::this_thread::sleep_for(std::chrono::duration<double>(moment(random)));
    kill(child, SIGKILL);
    if (wait(child).code == 0) std::ofstream(path("k.json")) << before;  // it was done: once more
    const std::string now = read(path("k.json"));
    EXPECT_TRUE(now == before || nlohmann::json::parse(now)["points"].size() == 5u) << "after kill " << i;
  }
  const bool resume = fs::exists(path("k.parts/curve.json"));
  EXPECT_EQ(run(resume ? first + Arguments{"--resume"} : first).code, 0);
  const auto whole = nlohmann::json::parse(read(path("whole.json"))),
             killed = nlohmann::json::parse(read(path("k.json")));
  ASSERT_EQ(killed["points"].size(), 5u);
  for (size_t i = 0; i < 5; ++i)
    EXPECT_EQ(killed["points"][i]["metrics"], whole["points"][i]["metrics"]) << i;
  EXPECT_FALSE(fs::exists(path("k.parts")));
}

}  // namespace
}  // namespace tstitch
