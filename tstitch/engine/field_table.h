#pragma once

#include <vector>

#include "tstitch/engine/fields.h"

namespace tstitch {

// All fields, in the order of the help.
std::vector<Field> make_fields();

}  // namespace tstitch
