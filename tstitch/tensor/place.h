#pragma once

#include <cstdint>

namespace tstitch {

// Where memory lies: on the host, or on one of the machine's devices.
struct Place {
  int device = kHost;  // number of the device

  static constexpr int kHost = -1;
  constexpr bool on_host() const { return device == kHost; }
  constexpr bool operator==(const Place&) const = default;
};

// An address in a device's memory: a value for that device's calls, which the host cannot follow.
enum class DeviceAddress : uintptr_t {};

}  // namespace tstitch
