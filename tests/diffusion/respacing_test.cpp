#include "tstitch/diffusion/respacing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/support/expect_error.h"
#include "tstitch/base/hash.h"

namespace tstitch {
namespace {

using testing::expect_error;
using Timesteps = std::vector<int>;

TEST(Respacing, EvenlySpacedCounts) {
  EXPECT_EQ(respaced_timesteps("1", 1000), Timesteps{0});
  EXPECT_EQ(respaced_timesteps("2", 1000), (Timesteps{0, 999}));
  EXPECT_EQ(respaced_timesteps("10", 1000), (Timesteps{0, 111, 222, 333, 444, 555, 666, 777, 888, 999}));
  EXPECT_EQ(respaced_timesteps("20", 1000), (Timesteps{0,   53,  105, 158, 210, 263, 315, 368, 421, 473,
                                                       526, 578, 631, 684, 736, 789, 841, 894, 946, 999}));
  const Timesteps hundred = respaced_timesteps("100", 1000);
  EXPECT_EQ(hundred.size(), 100u);
  EXPECT_EQ(Timesteps(hundred.begin(), hundred.begin() + 8), (Timesteps{0, 10, 20, 30, 40, 50, 61, 71}));
  EXPECT_EQ(Timesteps(hundred.end() - 2, hundred.end()), (Timesteps{989, 999}));
  const Timesteps all = respaced_timesteps("1000", 1000);
  for (int t = 0; t < 1000; ++t) EXPECT_EQ(all[t], t);
}

TEST(Respacing, TiesGoToTheEvenTimestep) {
  // 999 / 6 = 166.5, so that every second timestep is a tie.
  EXPECT_EQ(respaced_timesteps("7", 1000), (Timesteps{0, 166, 333, 500, 666, 832, 999}));
}

TEST(Respacing, SectionsHaveTheirOwnCounts) {
  EXPECT_EQ(respaced_timesteps("2,3", 10), (Timesteps{0, 4, 5, 7, 9}));
  EXPECT_EQ(respaced_timesteps("2,2,2", 11), (Timesteps{0, 3, 4, 7, 8, 10}));  // sections of 4, 4 and 3
  EXPECT_EQ(respaced_timesteps("1,1", 10), (Timesteps{0, 5}));
  EXPECT_EQ(respaced_timesteps(" 2, 3 ", 10), respaced_timesteps("2,3", 10));
}

TEST(Respacing, DdimKeepsAnIntegerStride) {
  EXPECT_EQ(respaced_timesteps("ddim4", 1000), (Timesteps{0, 250, 500, 750}));
  EXPECT_EQ(respaced_timesteps("ddim3", 1000), (Timesteps{0, 334, 668}));
  EXPECT_EQ(respaced_timesteps("ddim50", 1000)[49], 980);
}

// Fingerprints of whole families of lists, from an implementation in Python (whose round and float these
// lists are defined by): FNV-1a over the timesteps as 32-bit little-endian numbers, each list closed by ff ff
// ff ff; where there is no list, nothing stands before the mark. With i * stride in place of the repeated
// addition, 278 of the first 1000 lists differ.
uint64_t fingerprint(const std::vector<std::string>& specs, int train_timesteps) {
  constexpr uint32_t kEnd = 0xffffffff;
  uint64_t hash = fnv1a(nullptr, 0);
  for (const std::string& spec : specs) {
    try {
      for (const int t : respaced_timesteps(spec, train_timesteps)) hash = fnv1a(&t, sizeof t, hash);
    } catch (const Error&) {
    }
    hash = fnv1a(&kEnd, sizeof kEnd, hash);
  }
  return hash;
}

TEST(Respacing, EveryCountAgreesWithPython) {
  std::vector<std::string> counts, strides;
  for (int n = 1; n <= 1000; ++n) {
    counts.push_back(std::to_string(n));
    strides.push_back("ddim" + std::to_string(n));
  }
  EXPECT_EQ(fingerprint(counts, 1000), 0x3a706ed372ea5f81u);
  EXPECT_EQ(fingerprint(strides, 1000), 0xb419865d5ae81473u);
}

TEST(Respacing, SectionsAgreeWithPython) {
  std::vector<std::string> specs;
  for (int a = 1; a <= 300; a += 7)
    for (int b = 1; b <= 300; b += 11)
      for (const int c : {1, 2, 50, 333}) specs.push_back(concat(a, ",", b, ",", c));
  EXPECT_EQ(fingerprint(specs, 1000), 0x5ea345d80e651af5u);
}

TEST(Respacing, OtherTrainingLengthsAgreeWithPython) {
  std::vector<std::string> specs;
  for (int n = 1; n <= 36; ++n) specs.push_back(std::to_string(n));
  specs.insert(specs.end(), {"5,6,7", "3,3,4,5,1"});
  EXPECT_EQ(fingerprint(specs, 37), 0x4c9243fc0297c3d6u);
}

TEST(Respacing, RefusesGarbage) {
  for (const std::string spec : {"",      " ",      "x",     "10x",    "1e2",
                                 "10.5",  "0",      "-5",    "+5",     "10,",
                                 ",10",   "10,,10", "10,0",  "10;20",  "ddim",
                                 "ddim0", "ddim-5", "ddimx", "DDIM50", "99999999999999999999"})
    expect_error(ErrorKind::usage, "steps '" + spec + "'", [&] { respaced_timesteps(spec, 1000); });
  expect_error(ErrorKind::usage, "steps 'a\\x1bb'", [] {
    respaced_timesteps(
        "a\x1b"
        "b",
        1000);
  });
}

TEST(Respacing, RefusesMoreStepsThanThereAre) {
  expect_error(ErrorKind::usage, "1001 steps asked for, but the model was trained with 1000",
               [] { respaced_timesteps("1001", 1000); });
  expect_error(ErrorKind::usage, "334 steps asked for, but section 2 holds 333",
               [] { respaced_timesteps("334,334,10", 1000); });
  expect_error(ErrorKind::usage, "no integer stride keeps exactly 37 of 1000",
               [] { respaced_timesteps("ddim37", 1000); });
  expect_error(ErrorKind::usage, "no integer stride", [] { respaced_timesteps("ddim1", 1000); });
  expect_error(ErrorKind::usage, "no integer stride", [] { respaced_timesteps("ddim1001", 1000); });
}

}  // namespace
}  // namespace tstitch
