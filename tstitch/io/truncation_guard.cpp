#include "tstitch/io/truncation_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>

namespace tstitch {
namespace {

// A fixed table of atomics, because a signal handler may neither allocate nor lock.
struct Slot {
  std::atomic<bool> taken = false, torn = false;
  std::atomic<uintptr_t> begin = 0, end = 0;  // end: 0 while there is no mapping
};
constexpr int kSlots = 1024, kNone = -1;
Slot slots[kSlots];
uintptr_t page_size = 4096;
struct sigaction before = {};

void on_bus_error(int, siginfo_t* info, void*) {
  if (info->si_code <= 0) {  // somebody's kill(): no access would be repeated
    sigaction(SIGBUS, &before, nullptr);
    raise(SIGBUS);
    return;
  }
  const int error = errno;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (Slot& slot : slots) {
    const uintptr_t end = slot.end.load();
    if (address < slot.begin.load() || address >= end) continue;
    slot.torn = true;
    const uintptr_t page = address / page_size * page_size;
    if (mmap(reinterpret_cast<void*>(page), end - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
             -1, 0) == MAP_FAILED)
      break;
    errno = error;
    return;
  }
  sigaction(SIGBUS, &before, nullptr);  // the access is repeated and meets who was there before
}

}  // namespace

void survive_truncation() {
  static std::once_flag once;
  std::call_once(once, [] {
    page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    struct sigaction action = {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGBUS, &action, &before);
  });
}

GuardedMapping::GuardedMapping(std::span<const std::byte> mapping) : slot_(kNone) {
  for (int i = 0; i < kSlots && slot_ == kNone; ++i)
    if (!slots[i].taken.exchange(true)) slot_ = i;
  if (slot_ == kNone) return;
  Slot& slot = slots[slot_];
  slot.torn = false;
  slot.begin = reinterpret_cast<uintptr_t>(mapping.data());
  slot.end = slot.begin + mapping.size();
}

GuardedMapping::~GuardedMapping() {
  if (slot_ == kNone) return;
  slots[slot_].end = 0;
  slots[slot_].taken = false;
}

bool GuardedMapping::torn() const { return slot_ != kNone && slots[slot_].torn; }

}  // namespace tstitch
