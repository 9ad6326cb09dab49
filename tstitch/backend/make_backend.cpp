#include <sched.h>

#include "tstitch/backend/backend.h"
#include "tstitch/backend/cpu/cpu_backend.h"
#include "tstitch/backend/cpu/dispatch.h"
#include "tstitch/backend/reference/reference_backend.h"
#include "tstitch/base/error.h"

namespace tstitch {
namespace {

DType compute_dtype(const std::string& name, bool has_bf16) {
  if (name == "auto") return has_bf16 ? DType::bf16 : DType::f32;
  const auto dtype = parse_dtype(name);
  check(dtype == DType::f32 || dtype == DType::bf16, ErrorKind::usage, "--dtype is \"", printable(name),
        "\", expected f32, bf16 or auto");
  return *dtype;
}

// The processors this process may run on, which is fewer than the machine has inside containers and under taskset.
int processors() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

}  // namespace

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  check(options.threads >= 0, ErrorKind::usage, "--threads is ", options.threads, ", expected 0 or more");
  if (options.device == "reference") return std::make_unique<ReferenceBackend>(compute_dtype(options.dtype, false));
  check(options.device == "cpu", ErrorKind::usage, "--device is \"", printable(options.device),
        "\", expected cpu or reference");
  return std::make_unique<cpu::CpuBackend>(cpu::best_kernels(), compute_dtype(options.dtype, cpu::has_bf16_products()),
                                           options.threads > 0 ? options.threads : processors());
}

}  // namespace tstitch
