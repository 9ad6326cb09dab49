#include "tstitch/base/torch_random.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tstitch/base/hash.h"

namespace tstitch {
namespace {

using nlohmann::json;

json golden(const std::string& name) {
  return json::parse(std::ifstream(std::string(TSTITCH_SOURCE_DIR) + "/tests/golden/rng/" + name));
}

std::vector<float> first_of(const std::vector<float>& x, size_t n) { return {x.begin(), x.begin() + n}; }
std::vector<float> last_of(const std::vector<float>& x, size_t n) { return {x.end() - n, x.end()}; }

std::string hash_of(const std::vector<float>& x) {
  char text[32];
  std::snprintf(text, sizeof text, "%016llx",
                static_cast<unsigned long long>(fnv1a(x.data(), x.size() * sizeof(float))));
  return text;
}

TEST(TorchCpuGenerator, EqualsTorchBitForBit) {
  int calls = 0;
  for (const json& sequence : golden("torch_cpu.json")) {
    TorchCpuGenerator generator(sequence["seed"].get<uint64_t>());
    for (const json& call : sequence["calls"]) {
      std::vector<float> x(call["n"].get<size_t>());
      generator.randn(x);
      const std::string where = "seed " + sequence["seed"].dump() + ", n " + call["n"].dump();
      const auto first = call["first"].get<std::vector<float>>(),
                 last = call["last"].get<std::vector<float>>();
      EXPECT_EQ(first_of(x, first.size()), first) << where;
      EXPECT_EQ(last_of(x, last.size()), last) << where;
      EXPECT_EQ(hash_of(x), call["fnv1a64"].get<std::string>()) << where;
      ++calls;
    }
  }
  EXPECT_EQ(calls, 28);
}

// What the golden's sequences mix: the second number of a pair waits for the next short call.
TEST(TorchCpuGenerator, ALongCallKeepsTheNumberThatWaits) {
  TorchCpuGenerator with(0), without(0);
  std::vector<float> one(1), two(2), sixteen(16);
  without.randn(two);
  with.randn(one);
  EXPECT_EQ(one[0], two[0]);
  with.randn(sixteen);
  with.randn(one);
  EXPECT_EQ(one[0], two[1]);
}

TEST(TorchCudaRandn, AgreesWithWhatADevicePrinted) {
  const json printed = golden("torch_cuda.json")["printed"];
  uint32_t call = 0;
  for (const json& numbers : printed["calls"]) {
    std::vector<float> x(numbers["n"].get<size_t>());
    torch_cuda_randn(printed["seed"].get<uint64_t>(), call, x);
    for (size_t i = 0; i < numbers["first"].size(); ++i)
      EXPECT_NEAR(x[i], numbers["first"][i].get<float>(), 0.51e-4) << "call " << call << ", number " << i;
    ++call;
  }
  EXPECT_EQ(call, 3u);
}

// Both sides round the uniforms to f32, where a sum may fall to either side: one unit of an angle up to 2 pi
// is 4.8e-7, times a radius up to 6.7.
TEST(TorchCudaRandn, AgreesWithTheIndependentImplementation) {
  const json cases = golden("torch_cuda.json");
  for (const json& c : cases["computed"]) {
    std::vector<float> x(c["n"].get<size_t>());
    torch_cuda_randn(c["seed"].get<uint64_t>(), c["call"].get<uint32_t>(), x);
    const auto first = c["first"].get<std::vector<float>>(), last = c["last"].get<std::vector<float>>();
    ASSERT_EQ(first.size(), 32u);
    for (size_t i = 0; i < first.size(); ++i) {
      EXPECT_NEAR(x[i], first[i], 3.3e-6) << i;
      EXPECT_NEAR(x[x.size() - last.size() + i], last[i], 3.3e-6) << i;
    }
  }
}

}  // namespace
}  // namespace tstitch
