#include "tstitch/tune/timing.h"

#include <unistd.h>

#include "tstitch/base/error.h"

namespace tstitch {

std::string describe_timing(const Backend& backend, int64_t batch_size) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  return concat(host, ", ", backend.description(), ", batches of ", batch_size);
}

}  // namespace tstitch
