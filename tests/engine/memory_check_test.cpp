#include "tstitch/engine/memory_check.h"

#include <gtest/gtest.h>

#include "tests/engine/tiny_dits.h"
#include "tests/support/expect_error.h"

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

TEST(MemoryCheck, SaysWhatIsNeededAndWhatIsFree) {
  EXPECT_NO_THROW(check_memory(14 * kGiB, 14 * kGiB));
  testing::expect_error(ErrorKind::device, "needs 17.5 GiB of memory, 14.0 GiB are free",
                        [] { check_memory(35 * kGiB / 2, 14 * kGiB); });
}

// Weights once for each file, in the compute type, and a batch of latents.
TEST(MemoryCheck, CountsEachFileOnce) {
  std::vector<ModelInfo> models = {dit_info(kTiny, "one"), dit_info(larger(), "two")};
  for (ModelInfo& model : models) model.files.path = model.path;
  SampleOptions options{.classes = {1, 4}, .batch_size = 1};
  options.backend.dtype = "f32";
  const auto needed = [&] { return bytes_needed(models, make_run_spec(models, options), ""); };
  const int64_t parameters = models[0].architecture->parameters() + models[1].architecture->parameters();
  constexpr int64_t kLatents = 2 * 28 * 28 * 4;  // guided
  EXPECT_EQ(needed(), 4 * parameters + kLatents);
  models.push_back(models[1]);
  EXPECT_EQ(needed(), 4 * parameters + kLatents);
  options.backend.dtype = "bf16";
  EXPECT_EQ(needed(), 2 * parameters + kLatents);
}

TEST(MemoryCheck, SomethingIsFreeHere) { EXPECT_GT(bytes_free().value_or(kGiB), 1 << 20); }

}  // namespace
}  // namespace tstitch
