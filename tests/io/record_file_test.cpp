#include "tstitch/io/record_file.h"

#include <sys/resource.h>

#include <csignal>

#include "tests/io/io_support.h"

namespace tstitch {
namespace {

constexpr RecordedRun kRun = {.fingerprint = 0x1234, .items = 100, .item_bytes = 3};
constexpr IndexRange kAll = {0, 100};

class RecordFile : public FolderTest {
 protected:
  // Items 10-11 and 40-42.
  std::string two_records() const {
    RecordWriter writer(path("shard"), kRun);
    writer.append({10, 2}, bytes_of("aaabbb"));
    writer.append({40, 3}, bytes_of("cccdddeee"));
    return path("shard");
  }
};

std::vector<IndexRange> items_of(const std::vector<Record>& records) {
  std::vector<IndexRange> items;
  for (const Record& record : records) items.push_back(record.items);
  return items;
}

using Ranges = std::vector<IndexRange>;

TEST_F(RecordFile, GivesBackItsRecords) {
  const std::string file = two_records();
  const auto records = read_records(file, kRun, kAll);
  ASSERT_EQ(items_of(records), (Ranges{{10, 2}, {40, 3}}));
  std::string payload(9, ' ');
  EXPECT_TRUE(RecordReader(file).read(records[1].offset, std::as_writable_bytes(std::span(payload))));
  EXPECT_EQ(payload, "cccdddeee");
  EXPECT_FALSE(RecordReader(file).read(records[1].offset + 1, std::as_writable_bytes(std::span(payload))));
  EXPECT_THROW(RecordWriter(file, kRun), Error);  // never a second time
}

TEST_F(RecordFile, EveryTornEndLeavesTheRecordsBefore) {
  const std::string whole = read_whole(two_records());
  const size_t first = 40 + 6;
  ASSERT_EQ(whole.size(), first + 40 + 9);
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto items = items_of(read_records(write("torn", whole.substr(0, size)), kRun, kAll));
    EXPECT_EQ(items, size < first ? Ranges{} : (Ranges{{10, 2}})) << size;
    EXPECT_EQ(items_of(read_records(path("torn"), kRun, {0, 0})), items) << "not verified, " << size;
  }
  // What a crash leaves of a file whose size was known and its content not yet.
  for (const char fill : {'\0', '\xff'}) {
    const std::string filled = whole.substr(0, first) + std::string(200, fill);
    EXPECT_EQ(items_of(read_records(write("filled", filled), kRun, kAll)), (Ranges{{10, 2}}));
  }
}

TEST_F(RecordFile, EveryChangedByteIsFound) {
  const std::string whole = read_whole(two_records());
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    const auto items = items_of(read_records(write("changed", changed), kRun, kAll));
    const bool in_first = at < 46, in_header = at % 46 < 40;
    // A damaged payload loses its record, a damaged header what follows too.
    EXPECT_EQ(items, in_first && in_header ? Ranges{}
                     : in_first            ? (Ranges{{40, 3}})
                                           : (Ranges{{10, 2}}))
        << at;
  }
}

TEST_F(RecordFile, ChecksumsAreReadWhereAsked) {
  std::string changed = read_whole(two_records());
  changed[41] = '?';
  write("changed", changed);
  EXPECT_EQ(items_of(read_records(path("changed"), kRun, {12, 50})), (Ranges{{10, 2}, {40, 3}}));
  EXPECT_EQ(items_of(read_records(path("changed"), kRun, {11, 1})), (Ranges{{40, 3}}));
}

TEST_F(RecordFile, OfAnotherRunIsRefused) {
  const std::string file = two_records();
  expect_refused([&] { read_records(file, {0x4321, 100, 3}, kAll); }, "SHARD_RUN", "another run");
  EXPECT_TRUE(read_records(file, {0x1234, 41, 3}, kAll).size() == 1);  // item 42 of 41
}

// A limit on the size of files stands for a full disk.
TEST_F(RecordFile, FullDiskKeepsTheRecordsBefore) {
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit;
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small = {100, limit.rlim_max};
  RecordWriter writer(path("shard"), kRun);
  writer.append({10, 2}, bytes_of("aaabbb"));
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string large(60, 'x');
  expect_refused(
      [&] {
        writer.append({40, 20}, bytes_of(large));
      },
      "IO_NO_SPACE", "shard", ErrorKind::device);
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(read_whole(path("shard")).size(), 46u);
  writer.append({40, 20}, bytes_of(large));  // and when there is space again
  EXPECT_EQ(items_of(read_records(path("shard"), kRun, kAll)), (Ranges{{10, 2}, {40, 20}}));
}

}  // namespace
}  // namespace tstitch
