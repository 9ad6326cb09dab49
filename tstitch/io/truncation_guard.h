#pragma once

#include <cstddef>
#include <span>

namespace tstitch {

// Reading a page of a mapped file that another process has cut off raises SIGBUS, which ends a process. After
// this call a GuardedMapping reads zeros there instead, and says so; SIGBUS anywhere else does what it did
// before. For the program to decide, as signal handlers belong to the whole process; any number of times.
void survive_truncation();

// A read-only mapping of a file, while it lives. Of more than a thousand at once only the first are guarded.
class GuardedMapping {
 public:
  explicit GuardedMapping(std::span<const std::byte> mapping);  // whole pages from its first byte
  ~GuardedMapping();
  GuardedMapping(const GuardedMapping&) = delete;
  GuardedMapping& operator=(const GuardedMapping&) = delete;

  bool torn() const;  // whether zeros have stood for what was cut off

 private:
  int slot_;
};

}  // namespace tstitch
