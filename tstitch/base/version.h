#pragma once

namespace tstitch {

inline constexpr char kVersion[] = TSTITCH_VERSION;

}  // namespace tstitch
