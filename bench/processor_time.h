// Of benchmarks on machines that others use, too: processor time, which they disturb less.
#pragma once

#include <ctime>

namespace tstitch {

inline double seconds_on(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Seconds of processor time that all threads have taken.
inline double processor_seconds() { return seconds_on(CLOCK_PROCESS_CPUTIME_ID); }

// Those that f() takes on this thread.
template <class F>
double seconds_of(const F& f) {
  const double begin = seconds_on(CLOCK_THREAD_CPUTIME_ID);
  f();
  return seconds_on(CLOCK_THREAD_CPUTIME_ID) - begin;
}

}  // namespace tstitch
