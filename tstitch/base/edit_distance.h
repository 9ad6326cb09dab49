#pragma once

#include <cstddef>
#include <string_view>

namespace tstitch {

// How many slips turn a into b: a byte inserted, left out or replaced, or two neighbours swapped (optimal
// string alignment: nothing between the two swapped). Takes |a| |b| steps.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace tstitch
