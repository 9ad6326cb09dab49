// Which kernels serve which processor, without having it.
#include "tstitch/backend/cpu/isa.h"

#include <gtest/gtest.h>

#include "tstitch/base/error.h"

namespace tstitch::cpu {
namespace {

bool works() { return true; }
bool fails() { return false; }
bool not_asked() {
  ADD_FAILURE() << "the tiles were tried";
  return false;
}

constexpr Processor kPlain = {.amx = not_asked}, kAvx2 = {.avx2 = true, .amx = not_asked},
                    kAvxVnni = {.avx2 = true, .avx_vnni = true, .amx = not_asked},
                    kAvx512 = {.avx2 = true, .avx512 = true, .amx = not_asked},
                    kVnni = {.avx2 = true, .avx512 = true, .avx512_vnni = true, .amx = not_asked},
                    kBf16 = {true, true, true, true, true, fails},
                    kAmx = {true, true, true, true, true, works};

TEST(Isa, TheFastestAvailableServes) {
  const auto chosen = [](const Processor& p) { return std::string(find_isa("", p).name); };
  EXPECT_EQ(chosen(kPlain), "baseline");
  EXPECT_EQ(chosen(kAvx2), "avx2");
  EXPECT_EQ(chosen(kAvxVnni), "avx_vnni");
  EXPECT_EQ(chosen(kAvx512), "avx512");
  EXPECT_EQ(chosen(kVnni), "avx512_vnni");
  EXPECT_EQ(chosen(kBf16), "avx512_bf16");
  EXPECT_EQ(chosen(kAmx), "amx");
}

TEST(Isa, WhereTilesMultiplyWrongVectorsServe) {
  Processor broken = kAmx;
  broken.amx = fails;
  const Isa& isa = find_isa("", broken);
  EXPECT_STREQ(isa.name, "avx512_bf16");
  EXPECT_EQ(isa.multiplier, Multiplier::vectors);
  EXPECT_EQ(isa.kernels, &kAvx512Bf16Kernels);
  EXPECT_TRUE(isa.native_bf16);
  EXPECT_THROW(find_isa("amx", broken), Error);
}

TEST(Isa, Bf16IsTheDefaultOnlyWhereItIsFast) {
  for (const Processor& p : {kPlain, kAvx2, kAvxVnni, kAvx512, kVnni})
    EXPECT_FALSE(find_isa("", p).native_bf16);
  for (const Processor& p : {kBf16, kAmx}) EXPECT_TRUE(find_isa("", p).native_bf16);
}

TEST(Isa, ANameIsTakenWithoutTryingTheTiles) {
  Processor p = kAmx;
  p.amx = not_asked;
  for (const char* name :
       {"amx_emulated", "baseline", "avx2", "avx_vnni", "avx512", "avx512_vnni", "avx512_bf16"})
    EXPECT_STREQ(find_isa(name, p).name, name);
}

// The message of the Error{usage} that a name is refused with.
std::string refusal(const std::string& name, const Processor& p) {
  try {
    find_isa(name, p);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    return e.what();
  }
  ADD_FAILURE() << "not refused";
  return "";
}

TEST(Isa, OtherNamesAreRefusedWithThoseThatThereAre) {
  EXPECT_EQ(
      refusal("onednn", kAmx),
      "TSTITCH_CPU_ISA is \"onednn\"; known are amx_emulated, baseline, avx2, avx_vnni, avx512, avx512_vnni, "
      "avx512_bf16, amx");
  EXPECT_EQ(refusal("avx512", kAvx2), "TSTITCH_CPU_ISA is avx512, which this processor lacks");
}

}  // namespace
}  // namespace tstitch::cpu
