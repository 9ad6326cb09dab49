#include "tstitch/io/npz.h"

#include <numeric>
#include <vector>

#include "tests/io/io_support.h"
#include "tstitch/base/crc32.h"
#include "tstitch/io/file.h"
#include "tstitch/io/zip.h"

namespace tstitch {
namespace {

class Npz : public FolderTest {
 protected:
  // What tests/golden/npz/samples.npz holds, written in pieces.
  std::string write_samples(uint64_t zip64_from) const {
    std::vector<uint8_t> pixels(3 * 4 * 5 * 3);
    for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * 7);
    const std::vector<int64_t> labels = {5, 0, 999}, shape = {3, 4, 5, 3}, count = {3};
    AtomicFile file(path("samples.npz"));
    NpzWriter npz(file, zip64_from);
    npz.begin("arr_0", "|u1", 1, shape);
    npz.write(std::as_bytes(std::span(pixels)).first(77));
    npz.write(std::as_bytes(std::span(pixels)).subspan(77));
    npz.begin("arr_1", "<i8", 8, count);
    npz.write(std::as_bytes(std::span(labels)));
    npz.finish();
    file.commit();
    return path("samples.npz");
  }
};

TEST_F(Npz, HoldsWhatNumpyWouldWrite) {
  const MappedFile golden(std::string(TSTITCH_SOURCE_DIR) + "/tests/golden/npz/samples.npz");
  const auto expected = read_zip(golden.bytes(), golden.path());
  ASSERT_EQ(expected.size(), 2u);
  // Whatever of it needs ZIP64: nothing, the second offset, the larger entry, everything.
  std::vector<size_t> sizes;
  for (const uint64_t zip64_from : std::initializer_list<uint64_t>{0xffffffff, 450, 300, 1}) {
    const MappedFile file(write_samples(zip64_from));
    sizes.push_back(file.bytes().size());
    const auto entries = read_zip(file.bytes(), file.path());
    ASSERT_EQ(entries.size(), 2u);
    for (size_t i = 0; i < entries.size(); ++i) {
      EXPECT_EQ(entries[i].name, expected[i].name);
      EXPECT_TRUE(std::ranges::equal(entries[i].bytes, expected[i].bytes)) << entries[i].name;
      EXPECT_EQ(entries[i].crc32, expected[i].crc32);
      EXPECT_EQ(crc32(entries[i].bytes), entries[i].crc32);
    }
  }
  for (size_t i = 1; i < sizes.size(); ++i) EXPECT_GT(sizes[i], sizes[i - 1]);
}

TEST_F(Npz, TheSameArraysAreTheSameBytes) {
  const std::string first = read_whole(write_samples(0xffffffff));
  EXPECT_EQ(read_whole(write_samples(0xffffffff)), first);
}

TEST_F(Npz, AnEntryMustBeAsLongAsItSaid) {
  AtomicFile file(path("a.npz"));
  ZipWriter zip(file);
  zip.begin("a", 3);
  EXPECT_THROW(zip.write(bytes_of("four")), Error);
  zip.write(bytes_of("ab"));
  EXPECT_THROW(zip.finish(), Error);
}

TEST_F(Npz, TemporaryFilesLieWhereTheCallerWants) {
  std::filesystem::create_directory(path("work"));
  AtomicFile file(path("a"), path("work"));
  file.write(bytes_of("xyz"));
  EXPECT_FALSE(std::filesystem::is_empty(path("work")));
  file.write_at(1, bytes_of("Y"));
  file.commit();
  EXPECT_TRUE(std::filesystem::is_empty(path("work")));
  EXPECT_EQ(read_whole(path("a")), "xYz");
}

}  // namespace
}  // namespace tstitch
