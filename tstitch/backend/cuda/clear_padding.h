#pragma once

namespace tstitch::cuda {

// Zeros between the members, so that equal values have equal bytes (recorder.h). A compiler that cannot
// leaves what was there: then nothing is recognised, and all is called.
template <class T>
void clear_padding(T& value) {
#if defined(__has_builtin) && __has_builtin(__builtin_clear_padding)
  __builtin_clear_padding(&value);
#else
  static_cast<void>(value);
#endif
}

}  // namespace tstitch::cuda
