#include "tstitch/engine/memory_check.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/engine/tiny_dits.h"
#include "tests/support/expect_error.h"
#include "tstitch/zoo/families/unet.h"

namespace tstitch {
namespace {

constexpr int64_t kGiB = int64_t{1} << 30;

TEST(MemoryCheck, ReadsWhatTheKernelSays) {
  EXPECT_EQ(bytes_available(
                "MemTotal:       16000 kB\nMemFree:  10 kB\nMemAvailable:    3000 kB\nSwapFree: 7 kB\n"),
            3007 * 1024);
  EXPECT_EQ(bytes_available("MemAvailable: 3 kB"), 3 * 1024);
  EXPECT_EQ(bytes_available("MemTotal: 16000 kB\n"), std::nullopt);
  EXPECT_EQ(bytes_available(""), std::nullopt);
  EXPECT_EQ(bytes_left("1000\n", "900\n", "anon 1\ninactive_file 20\nactive_file 3\n"), 123);
  EXPECT_EQ(bytes_left("1000\n", "1100\n", ""), 0);
  EXPECT_EQ(bytes_left("max\n", "900\n", ""), std::nullopt);
  EXPECT_EQ(bytes_left("", "", ""), std::nullopt);
}

// Groups of both versions, from the process's own up to the top; swapping is limited too.
TEST(MemoryCheck, ReadsControlGroupsOfBothVersions) {
  namespace fs = std::filesystem;
  const fs::path root = fs::temp_directory_path() / concat("tstitch_groups_", getpid());
  const auto write = [&](const fs::path& file, const std::string& text) {
    fs::create_directories((root / file).parent_path());
    std::ofstream(root / file) << text << "\n";
  };
  const auto free = [&] { return bytes_free(root.string()); };
  EXPECT_EQ(free(), std::nullopt);
  write("proc/meminfo", "MemAvailable: 3000 kB\nSwapFree: 100 kB");
  EXPECT_EQ(free(), 3100 * 1024);
  write("proc/self/cgroup", "1:cpu:/no\n0::/user/a.scope");
  EXPECT_EQ(free(), 3100 * 1024);
  const fs::path second = "sys/fs/cgroup", first = second / "memory";
  write(second / "user/memory.max", "2000000");
  write(second / "user/memory.current", "500000");
  write(second / "user/memory.swap.max", "1000");
  EXPECT_EQ(free(), 1'501'000);
  write(second / "user/a.scope/memory.max", "max");
  EXPECT_EQ(free(), 1'501'000);
  write("proc/self/cgroup", "4:cpu,memory:/docker/b\n2:pids:/c");
  EXPECT_EQ(free(), 3100 * 1024);
  write(first / "memory.limit_in_bytes", "1000000");  // a container's top
  write(first / "memory.usage_in_bytes", "300000");
  write(first / "memory.stat", "active_file 1\ntotal_active_file 7\ntotal_inactive_file 20");
  EXPECT_EQ(free(), 700'027 + 100 * 1024);
  write(first / "memory.memsw.limit_in_bytes", "1000000");
  write(first / "memory.memsw.usage_in_bytes", "400000");
  EXPECT_EQ(free(), 600'027);
  fs::remove_all(root);
}

TEST(MemoryCheck, AmountsThatDifferAreNotTheSameText) {
  using Texts = std::pair<std::string, std::string>;
  EXPECT_EQ(amounts_apart(35 * kGiB / 2, 14 * kGiB), (Texts{"17.5 GiB", "14.0 GiB"}));
  EXPECT_EQ(amounts_apart(12'000'000, 10'000'000), (Texts{"11.4 MiB", "9.5 MiB"}));
  EXPECT_EQ(amounts_apart(2 * kGiB, kGiB / 2), (Texts{"2048.0 MiB", "512.0 MiB"}));
  EXPECT_EQ(amounts_apart(10'010'000, 10'000'000), (Texts{"9.55 MiB", "9.54 MiB"}));
  const auto [more, less] = amounts_apart(64 * kGiB + 1, 64 * kGiB);
  EXPECT_NE(more, less);
}

TEST(MemoryCheck, SaysWhatIsNeededAndWhatCanBeDone) {
  SampleOptions options;
  options.backend.dtype = "f32";
  EXPECT_NO_THROW(check_memory(options, 14 * kGiB, 14 * kGiB));
  const auto refused = [&](const std::string& part) {
    testing::expect_error(ErrorKind::device, part, [&] { check_memory(options, 35 * kGiB / 2, 14 * kGiB); });
  };
  refused(
      "needs 17.5 GiB of memory, 14.0 GiB are free: expected smaller models or pictures, --dtype bf16 or "
      "int8, a"
      " smaller --batch-size; --no-memory-check");
  options.backend.dtype = "bf16";
  refused("smaller models or pictures, --dtype int8, a smaller --batch-size;");
  options.batch_size = 1;
  refused("smaller models or pictures, --dtype int8; --no-memory-check");
  options.backend.dtype = "int8";
  refused("smaller models or pictures; --no-memory-check");
}

// Weights once for each file, in the compute type, a batch of latents, and an evaluation of it.
TEST(MemoryCheck, CountsEachFileOnce) {
  std::vector<ModelInfo> models = {dit_info(kTiny, "one"), dit_info(larger(), "two")};
  for (ModelInfo& model : models) model.files.path = model.path;
  SampleOptions options{.classes = {1, 4}, .batch_size = 1};
  options.backend.dtype = "f32";
  const auto needed = [&] {
    return memory_needed(models, std::vector(models.size(), true), make_run_spec(models, options), "")
        .total();
  };
  const int64_t parameters = models[0].architecture->parameters() + models[1].architecture->parameters();
  // Guided; of the larger DiT's 49 tokens of 96 numbers.
  constexpr int64_t kLatents = 2 * 28 * 28 * 4, kF32 = 2 * 49 * 96 * (4 + 4 * 5),
                    kBf16 = 2 * 49 * 96 * (4 + 2 * 5);
  EXPECT_EQ(needed(), 4 * parameters + kLatents + kF32);
  models.push_back(models[1]);
  EXPECT_EQ(needed(), 4 * parameters + kLatents + kF32);
  options.backend.dtype = "bf16";
  EXPECT_EQ(needed(), 2 * parameters + kLatents + kBf16);
  options.batch_size = 2;
  EXPECT_EQ(needed(), 2 * parameters + 2 * (kLatents + kBf16));
}

// What an evaluation leaves to the next, of each row.
TEST(MemoryCheck, CountsWhatIsKept) {
  ModelInfo model{.path = "sd", .name = "sd"};
  model.files.path = "sd";
  model.architecture =
      std::make_shared<UNetArchitecture>(unet_preset("sd1"), "", 77, WeightChoice::automatic);
  model.side = 64;
  model.any_size = true;
  model.condition = {.kind = ConditionKind::text, .width = 768};
  SampleOptions options{.sampler = "ddim", .cfg_scale = 7.5, .prompts = {"a", "b", "c"}, .batch_size = 2};
  options.backend.dtype = "bf16";
  const auto work = [&] {
    return memory_needed({&model, 1}, {true}, make_run_spec({model}, options), "").work;
  };
  const int64_t whole = work();
  model.form.cache.every = 2;
  EXPECT_EQ(work() - whole, 4 * 64 * 64 * 320 * 2);  // two pictures, guided
  options.cfg_scale = 1;
  options.backend.dtype = "f32";
  const int64_t plain = work();
  model.form.cache = {};
  EXPECT_EQ(plain - work(), 2 * 64 * 64 * 320 * 4);
}

TEST(MemoryCheck, SomethingIsFreeHere) { EXPECT_GT(bytes_free().value_or(kGiB), 1 << 20); }

}  // namespace
}  // namespace tstitch
