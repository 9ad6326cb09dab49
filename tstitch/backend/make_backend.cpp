#include <sched.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "tstitch/backend/cpu/cpu_backend.h"
#include "tstitch/backend/reference/reference_backend.h"
#include "tstitch/base/error.h"
#ifdef TSTITCH_WITH_CUDA
#include "tstitch/backend/cuda/cuda_backend.h"
#include "tstitch/backend/cuda/cuda_device.h"
#endif

namespace tstitch {
namespace {

// Processors this process may run on: a container's or taskset's share, not the machine's.
int available_processors() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

// Of "cuda" and "cuda:N".
std::optional<int> cuda_number(std::string_view device) {
  if (device == "cuda") return 0;
  constexpr std::string_view kPrefix = "cuda:";
  if (!device.starts_with(kPrefix)) return std::nullopt;
  int number = 0;
  const char* const end = device.data() + device.size();
  const auto [last, error] = std::from_chars(device.data() + kPrefix.size(), end, number);
  return error == std::errc() && last == end && number >= 0 ? std::optional(number) : std::nullopt;
}

#ifdef TSTITCH_WITH_CUDA
std::unique_ptr<Backend> make_cuda_backend(int number, DType dtype) {
  return std::make_unique<CudaBackend>(cuda::make_cuda_device(number), dtype);
}
#else
std::unique_ptr<Backend> make_cuda_backend(int number, DType) {
  fail(ErrorKind::device, "no device cuda:", number,
       ": this program is built without CUDA; expected one of a build with a CUDA toolkit (docs/cuda.md)");
}
#endif

}  // namespace

DType compute_dtype(const BackendOptions& options) {
  check(options.dtype == "auto" || options.dtype == "f32" || options.dtype == "bf16" || wants_int8(options),
        ErrorKind::usage, "unknown type \"", printable(options.dtype),
        "\"; known are auto, f32, bf16 and int8");
  check(options.threads >= 0 && options.threads <= kMostThreads, ErrorKind::usage, options.threads,
        " threads; expected 0 (all processors) to ", kMostThreads);
  check(options.device == "cpu" || options.device == "reference" || cuda_number(options.device),
        ErrorKind::usage, "unknown device \"", printable(options.device),
        "\"; known are cpu, cuda, cuda:1 and so on, and reference");
  check(!wants_int8(options) || !cuda_number(options.device), ErrorKind::usage, "the device ",
        printable(options.device), " does not compute in int8 yet; expected f32, bf16 or auto, or the cpu");
  const bool by_itself =
      (options.dtype == "auto" || wants_int8(options)) &&
      (cuda_number(options.device) || (options.device == "cpu" && cpu::chosen_isa().native_bf16));
  return options.dtype == "bf16" || by_itself ? DType::bf16 : DType::f32;
}

std::string decided_dtype(const BackendOptions& options) {
  const DType dtype = compute_dtype(options);
  return wants_int8(options) ? "int8" : std::string(name_of(dtype));
}

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  const DType dtype = compute_dtype(options);
  if (const auto number = cuda_number(options.device)) return make_cuda_backend(*number, dtype);
  if (options.device == "reference") return std::make_unique<ReferenceBackend>(dtype, wants_int8(options));
  return std::make_unique<CpuBackend>(dtype, options.threads ? options.threads : available_processors(),
                                      cpu::chosen_isa(), wants_int8(options));
}

}  // namespace tstitch
