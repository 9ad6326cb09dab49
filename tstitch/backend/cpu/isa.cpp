#include "tstitch/backend/cpu/isa.h"

#include <cstdlib>

#include "tstitch/backend/cpu/amx.h"
#include "tstitch/base/error.h"

namespace tstitch::cpu {
namespace {

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avx512_bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }

bool has_amx() { return has_avx512_bf16() && request_amx(); }
// A processor, hypervisor or kernel that gets tiles wrong must not cost an image: oneDNN serves then.
bool can_use_amx() {
  static const bool works = has_amx() && amx_self_check();
  return works;
}

bool always() { return true; }
bool never() { return false; }

constexpr Isa kIsas[] = {
    {"baseline", &kBaselineKernels, Multiplier::vectors, false, always, always},
    {"amx_emulated", &kBaselineKernels, Multiplier::amx_emulated, false, always,
     never},  // to test the logic of amx
    {"avx2", &kAvx2Kernels, Multiplier::vectors, false, has_avx2, always},
    {"avx512", &kAvx512Kernels, Multiplier::vectors, false, has_avx512, always},
    {"avx512_bf16", &kAvx512Bf16Kernels, Multiplier::vectors, true, has_avx512_bf16, always},
    // With AMX comes a bf16 dot product slower than widening.
    {"onednn", &kAvx512Kernels, Multiplier::onednn, true, has_avx512, has_amx},
    {"amx", &kAvx512Bf16Kernels, Multiplier::amx, true, can_use_amx, always},
};

}  // namespace

std::span<const Isa> known_isas() { return kIsas; }

const Isa& find_isa(const std::string& name) {
  const Isa* best = nullptr;
  std::string names;
  for (const Isa& isa : kIsas) {
    names += concat(names.empty() ? "" : ", ", isa.name);
    if (name.empty()) {
      if (isa.available() && isa.preferred()) best = &isa;
    } else if (name == isa.name) {
      check(isa.available(), ErrorKind::usage, "TSTITCH_CPU_ISA is ", name, ", which this processor lacks");
      best = &isa;
    }
  }
  check(best, ErrorKind::usage, "TSTITCH_CPU_ISA is \"", printable(name), "\"; known are ", names);
  return *best;
}

const Isa& chosen_isa() {
  const char* name = std::getenv("TSTITCH_CPU_ISA");
  return find_isa(name ? name : "");
}

}  // namespace tstitch::cpu
