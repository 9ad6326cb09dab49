#include "current.h"

namespace tstitch::fake {
namespace {

Fault planned;

}  // namespace

void set_fault(const Fault& fault) { planned = fault; }

int fault(std::string_view call) { return call == planned.call && --planned.n == 0 ? planned.status : 0; }

int& current_device() {
  thread_local int device = -1;
  return device;
}

}  // namespace tstitch::fake
