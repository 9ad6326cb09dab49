#pragma once

#include <cstdio>
#include <exception>

namespace tstitch {

// The exit code of a benchmark that says what went wrong instead of ending in a core dump.
inline int run_bench(int (*measure)(int, char**), int argc, char** argv) {
  try {
    return measure(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}

}  // namespace tstitch
