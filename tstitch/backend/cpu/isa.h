// Which kernels run: the best this processor has, or the ones the environment variable TSTITCH_CPU_ISA names.
#pragma once

#include <span>
#include <string>

#include "tstitch/backend/cpu/kernels.h"

namespace tstitch::cpu {

// Who multiplies by weights.
enum class Multiplier : uint8_t { vectors, onednn, amx, amx_emulated };

// One way to compute.
struct Isa {
  const char* name;
  const Kernels* kernels;
  Multiplier multiplier;
  bool native_bf16;     // bf16 is faster than f32
  bool (*available)();  // can this processor?
  bool (*preferred)();  // and is it better than those before it?
};

std::span<const Isa> known_isas();

// The named one; for an empty name the best available. Throws Error{usage} for an unknown name or one this
// processor lacks.
const Isa& find_isa(const std::string& name);

// find_isa of the environment variable.
const Isa& chosen_isa();

}  // namespace tstitch::cpu
