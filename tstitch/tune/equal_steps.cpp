#include "tstitch/tune/equal_steps.h"

#include "tstitch/base/error.h"

namespace tstitch {

void check_equal_steps(const SampleOptions& options, const char* consequence) {
  for (const StageOptions& stage : options.stages)
    check(!stage.cfg_interval, ErrorKind::usage, "a --stage with cfg-interval= has steps of unequal cost, ",
          consequence);
  for (const ControlOption& control : options.controls)
    check(control.interval == ControlInterval(), ErrorKind::usage,
          "a --control-net with interval= has steps of unequal cost, ", consequence);
}

}  // namespace tstitch
