#include <sched.h>

#include <algorithm>

#include "tstitch/backend/cpu/cpu_backend.h"
#include "tstitch/backend/reference/reference_backend.h"
#include "tstitch/base/error.h"

namespace tstitch {
namespace {

constexpr int kMostThreads = 1024;

// Processors this process may run on: a container's or taskset's share, not the machine's.
int available_processors() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

}  // namespace

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  check(options.dtype == "auto" || options.dtype == "f32" || options.dtype == "bf16", ErrorKind::usage,
        "unknown type \"", printable(options.dtype), "\"; known are auto, f32 and bf16");
  check(options.threads >= 0 && options.threads <= kMostThreads, ErrorKind::usage, options.threads,
        " threads; expected 0 (all processors) to ", kMostThreads);
  if (options.device == "reference")
    return std::make_unique<ReferenceBackend>(options.dtype == "bf16" ? DType::bf16 : DType::f32);
  check(options.device == "cpu", ErrorKind::usage, "unknown device \"", printable(options.device),
        "\"; known are cpu and reference");

  const cpu::Isa& isa = cpu::chosen_isa();
  const bool bf16 = options.dtype == "bf16" || (options.dtype == "auto" && isa.native_bf16);
  return std::make_unique<CpuBackend>(bf16 ? DType::bf16 : DType::f32,
                                      options.threads ? options.threads : available_processors(), isa);
}

}  // namespace tstitch
