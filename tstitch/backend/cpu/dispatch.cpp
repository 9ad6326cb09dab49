#include "tstitch/backend/cpu/dispatch.h"

#include <array>
#include <cstdlib>
#include <string>

#include "tstitch/base/error.h"

namespace tstitch::cpu {
namespace {

struct Isa {
  const char* name;
  bool (*available)();
  const Kernels& (*kernels)();
};

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

// Best first.
const std::array<Isa, 4> kIsas = {{
    {"avx512_bf16", [] { return has_avx512() && __builtin_cpu_supports("avx512bf16") > 0; }, avx512_bf16_kernels},
    {"avx512", has_avx512, avx512_kernels},
    {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, avx2_kernels},
    {"baseline", [] { return true; }, baseline_kernels},
}};

}  // namespace

const Kernels& best_kernels() {
  const char* forced = std::getenv("TSTITCH_CPU_ISA");
  std::string known;
  for (const Isa& isa : kIsas) {
    if (!isa.available()) continue;
    if (!forced || std::string(forced) == isa.name) return isa.kernels();
    known += (known.empty() ? "" : ", ") + std::string(isa.name);
  }
  fail(ErrorKind::usage, "TSTITCH_CPU_ISA is \"", printable(forced), "\", this machine has: ", known);
}

bool has_bf16_products() { return kIsas[0].available(); }

}  // namespace tstitch::cpu
