#include "backends.h"
#include "tstitch/backend/cpu/cpu_backend.h"

namespace tstitch {

std::vector<std::unique_ptr<Backend>> tested_backends(DType dtype, int threads) {
  std::vector<std::unique_ptr<Backend>> backends;
  for (const cpu::Isa& isa : cpu::known_isas())
    if (isa.available(cpu::this_processor()))
      backends.push_back(std::make_unique<CpuBackend>(dtype, threads, isa));
  return backends;
}

Tolerance rounding_of_sums(DType) { return {0, 0}; }

}  // namespace tstitch
