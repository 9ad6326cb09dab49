#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "fuzz/expect_input_error.h"
#include "tstitch/base/crc32.h"
#include "tstitch/io/record_file.h"

// The bytes as a record file of 100 items, three bytes each. The first header's magic, run and checksum are
// put right: behind them begins what a fuzzer can find.
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  constexpr tstitch::RecordedRun kRun = {.fingerprint = 7, .items = 100, .item_bytes = 3};
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (size >= 40 && data[0] % 2) {
    bytes.replace(0, 8, "TSTSHAR1");
    bytes.replace(8, 8, std::string("\7\0\0\0\0\0\0\0", 8));
    const uint32_t crc = tstitch::crc32(std::as_bytes(std::span(bytes)).first(36));
    std::memcpy(bytes.data() + 36, &crc, sizeof crc);
  }
  const int descriptor = memfd_create("shard", 0);
  if (descriptor < 0 || write(descriptor, bytes.data(), bytes.size()) != std::ssize(bytes)) std::abort();
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  tstitch::expect_input_error([&] {
    for (const tstitch::Record& record : tstitch::read_records(path, kRun, {0, 50}))
      if (record.items.first < 0 || record.items.count < 1 || record.items.end() > kRun.items ||
          record.offset + record.items.count * kRun.item_bytes > std::ssize(bytes))
        std::abort();
  });
  close(descriptor);
  return 0;
}
