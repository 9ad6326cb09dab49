// What one client may ask of a server that others use, too.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tstitch::serve {

struct Limits {
  // Of a job.
  int64_t images = 16;
  int64_t steps = 1000;
  int64_t side = 4096;           // pixels
  int64_t pixels = 16'777'216;   // of all its images
  size_t prompt_bytes = 16384;   // of all its prompts
  size_t body_bytes = 16 << 20;  // of a request

  // Of all.
  size_t queued = 64;
  size_t queued_bytes = size_t{1} << 30;  // of the pictures that come with those which wait
  size_t running = 16;
  int64_t memory = 0;                 // bytes of models and what jobs need beside them; 0: no limit is known
  std::chrono::milliseconds wait{0};  // of a job for its turn, which is then handed back; 0: any time

  // Finished jobs stay so long, unless there are more, or larger ones, than these; the last however large.
  std::chrono::seconds keep{600};
  size_t kept = 1000;
  size_t kept_bytes = 256 << 20;
};

}  // namespace tstitch::serve
