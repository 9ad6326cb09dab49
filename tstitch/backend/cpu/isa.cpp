#include "tstitch/backend/cpu/isa.h"

#include <cpuid.h>

#include <cstdlib>

#include "tstitch/backend/cpu/amx.h"
#include "tstitch/base/error.h"
#include "tstitch/base/join.h"

namespace tstitch::cpu {
namespace {

// A processor, hypervisor or kernel that gets tiles wrong must not cost an image: vectors serve then.
bool can_use_amx() {
  static const bool works = request_amx() && amx_self_check();
  return works;
}

// Not by __builtin_cpu_supports, whose clang 14 does not know it.
bool has_avx_vnni_leaf() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 4 & 1;
}

Processor probe() {
  Processor p{};
  p.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  p.avx_vnni = p.avx2 && has_avx_vnni_leaf();
  p.avx512 = p.avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  p.avx512_vnni = p.avx512 && __builtin_cpu_supports("avx512vnni");
  p.avx512_bf16 = p.avx512_vnni && __builtin_cpu_supports("avx512bf16");
  p.amx = can_use_amx;
  return p;
}

bool always(const Processor&) { return true; }
bool has_avx2(const Processor& p) { return p.avx2; }
bool has_avx_vnni(const Processor& p) { return p.avx_vnni; }
bool has_avx512(const Processor& p) { return p.avx512; }
bool has_avx512_vnni(const Processor& p) { return p.avx512_vnni; }
bool has_avx512_bf16(const Processor& p) { return p.avx512_bf16; }
bool has_amx(const Processor& p) { return p.avx512_bf16 && p.amx(); }

constexpr Isa kIsas[] = {
    {"amx_emulated", &kBaselineKernels, Multiplier::amx_emulated, false, always},  // tests the logic of amx
    {"baseline", &kBaselineKernels, Multiplier::vectors, false, always},
    {"avx2", &kAvx2Kernels, Multiplier::vectors, false, has_avx2},
    {"avx_vnni", &kAvxVnniKernels, Multiplier::vectors, false, has_avx_vnni},
    {"avx512", &kAvx512Kernels, Multiplier::vectors, false, has_avx512},
    {"avx512_vnni", &kAvx512VnniKernels, Multiplier::vectors, false, has_avx512_vnni},
    {"avx512_bf16", &kAvx512Bf16Kernels, Multiplier::vectors, true, has_avx512_bf16},
    {"amx", &kAvx512Bf16Kernels, Multiplier::amx, true, has_amx},
};

}  // namespace

const Processor& this_processor() {
  static const Processor processor = probe();
  return processor;
}

std::span<const Isa> known_isas() { return kIsas; }

const Isa& find_isa(const std::string& name, const Processor& processor) {
  const Isa* best = nullptr;
  for (const Isa& isa : kIsas) {
    if (name.empty()) {
      if (isa.available(processor)) best = &isa;
    } else if (name == isa.name) {
      check(isa.available(processor), ErrorKind::usage, "TSTITCH_CPU_ISA is ", name,
            ", which this processor lacks");
      best = &isa;
    }
  }
  check(best, ErrorKind::usage, "TSTITCH_CPU_ISA is \"", printable(name), "\"; known are ",
        join(kIsas, ", ", &Isa::name));
  return *best;
}

const Isa& chosen_isa() {
  const char* name = std::getenv("TSTITCH_CPU_ISA");
  return find_isa(name ? name : "");
}

}  // namespace tstitch::cpu
