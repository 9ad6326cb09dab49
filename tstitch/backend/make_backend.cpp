#include <sched.h>

#include <algorithm>

#include "tstitch/backend/cpu/cpu_backend.h"
#include "tstitch/backend/reference/reference_backend.h"
#include "tstitch/base/error.h"

namespace tstitch {
namespace {

// Processors this process may run on: a container's or taskset's share, not the machine's.
int available_processors() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

}  // namespace

DType compute_dtype(const BackendOptions& options) {
  check(options.dtype == "auto" || options.dtype == "f32" || options.dtype == "bf16", ErrorKind::usage,
        "unknown type \"", printable(options.dtype), "\"; known are auto, f32 and bf16");
  check(options.threads >= 0 && options.threads <= kMostThreads, ErrorKind::usage, options.threads,
        " threads; expected 0 (all processors) to ", kMostThreads);
  check(options.device == "cpu" || options.device == "reference", ErrorKind::usage, "unknown device \"",
        printable(options.device), "\"; known are cpu and reference");
  const bool by_itself = options.dtype == "auto" && options.device == "cpu" && cpu::chosen_isa().native_bf16;
  return options.dtype == "bf16" || by_itself ? DType::bf16 : DType::f32;
}

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  const DType dtype = compute_dtype(options);
  if (options.device == "reference") return std::make_unique<ReferenceBackend>(dtype);
  return std::make_unique<CpuBackend>(dtype, options.threads ? options.threads : available_processors(),
                                      cpu::chosen_isa());
}

}  // namespace tstitch
