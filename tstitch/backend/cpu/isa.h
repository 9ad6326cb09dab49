// Which kernels run: the best this processor has, or the ones the environment variable TSTITCH_CPU_ISA names.
#pragma once

#include <span>
#include <string>

#include "tstitch/backend/cpu/kernels.h"

namespace tstitch::cpu {

// Who multiplies by weights.
enum class Multiplier : uint8_t { vectors, amx, amx_emulated };

// What a processor answers when it is asked for its instructions. One set includes those before it, but for
// AVX-VNNI, which is AVX2's.
struct Processor {
  bool avx2, avx_vnni, avx512, avx512_vnni, avx512_bf16;
  bool (*amx)();  // are there tiles, and do they multiply right? Asked only where it matters
};

const Processor& this_processor();

// One way to compute.
struct Isa {
  const char* name;
  const Kernels* kernels;
  Multiplier multiplier;
  bool native_bf16;  // bf16 is faster than f32
  bool (*available)(const Processor&);
};

// From the slowest to the fastest.
std::span<const Isa> known_isas();

// The named one; for an empty name the fastest available. Throws Error{usage} for an unknown name or one the
// processor lacks.
const Isa& find_isa(const std::string& name, const Processor& processor = this_processor());

// find_isa of the environment variable.
const Isa& chosen_isa();

}  // namespace tstitch::cpu
