#include "tstitch/io/npz_reader.h"

#include <gtest/gtest.h>

#include "tests/io/io_support.h"
#include "tstitch/io/npz.h"

namespace tstitch {
namespace {

std::string golden(const std::string& name) {
  return std::string(TSTITCH_SOURCE_DIR) + "/tests/golden/npz/" + name;
}

std::string refusal(const std::string& path, const std::string& array = "arr_0") {
  try {
    NpzArray rows = NpzFile(path).open(array);
    while (rows.left()) rows.next(1);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    return e.what();
  }
  return "accepted";
}

class NpzReader : public FolderTest {};

void expect_samples(const std::string& path) {
  SCOPED_TRACE(path);
  const NpzFile file(path);
  NpzArray pictures = file.open("arr_0");
  EXPECT_EQ(pictures.dtype(), DType::u8);
  EXPECT_EQ(pictures.shape(), (std::vector<int64_t>{3, 4, 5, 3}));
  for (const auto& [begin, count] : {std::pair{0, 1}, {1, 2}}) {
    const Tensor part = pictures.next(count);
    EXPECT_EQ(part.shape(), (Shape{count, 4, 5, 3}));
    for (int64_t i = 0; i < part.elements(); ++i)
      ASSERT_EQ(part.data<uint8_t>()[i], static_cast<uint8_t>((begin * 60 + i) * 7));
  }
  EXPECT_EQ(pictures.left(), 0);
}

TEST_F(NpzReader, ReadsWhatNumpyWrites) {
  expect_samples(golden("samples.npz"));
  expect_samples(golden("deflated.npz"));
  const NpzFile file(golden("deflated.npz"));
  EXPECT_EQ(file.names(), (std::vector<std::string>{"arr_0", "half", "mu", "ramp"}));
  EXPECT_EQ(file.open("mu").values(), (std::vector<double>{0.1, -1e300, 3}));
  const Tensor half = file.open("half").next(2);
  EXPECT_EQ(half.shape(), (Shape{2, 1}));
  EXPECT_EQ(half.data<float>()[1], -0.5f);
  // Longer than what is read with the header, in pieces of every kind.
  NpzArray ramp = file.open("ramp");
  for (int64_t at = 0, count = 1; at < 20000; at += count, count = std::min(2 * count + 1, 20000 - at)) {
    const Tensor part = ramp.next(count);
    for (int64_t i = 0; i < count; ++i) ASSERT_EQ(part.data<float>()[i], static_cast<float>((at + i) % 1000));
  }
  EXPECT_EQ(ramp.left(), 0);
}

TEST_F(NpzReader, SaysWhatIsMissing) {
  const std::string message = refusal(golden("deflated.npz"), "features");
  EXPECT_NE(message.find("[NPZ_MISSING]"), message.npos) << message;
  EXPECT_NE(message.find("arr_0, half, mu, ramp"), message.npos) << message;
}

TEST_F(NpzReader, RefusesOtherFiles) {
  EXPECT_NE(refusal(write("a", "nothing of the kind")).find("[NPZ_FORMAT]"), std::string::npos);
  EXPECT_NE(refusal(write("b", "<!DOCTYPE html><html>")).find("[FMT_UNKNOWN]"), std::string::npos);
  EXPECT_NE(refusal(write("c", std::string(100, '\0'))).find("[FMT_UNKNOWN]"), std::string::npos);
  EXPECT_NE(refusal(golden("deflated.npz"), "arr_9").find("[NPZ_MISSING]"), std::string::npos);
  const std::vector<int64_t> shape = {2};
  AtomicFile file(path("d.npz"));
  NpzWriter npz(file);
  npz.begin("arr_0", "<i8", 8, shape);
  npz.write(std::vector<std::byte>(16));
  npz.finish();
  file.commit();
  EXPECT_NE(refusal(path("d.npz")).find("[NPY_DTYPE]"), std::string::npos);
}

// All arrays of an archive, or the refusal.
std::string content(const std::string& path) {
  try {
    const NpzFile file(path);
    std::string all;
    for (const std::string& name : file.names()) {
      const std::vector<double> values = file.open(name).values();
      all += name;
      all.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double));
    }
    return all;
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    return "refused";
  }
}

// Files cut short and with a byte changed are refused, or the byte was one without meaning (dates,
// attributes).
TEST_F(NpzReader, DamageIsRefused) {
  for (const char* name : {"samples.npz", "deflated.npz"}) {
    const std::string whole = read_whole(golden(name)), right = content(golden(name));
    const size_t step = 1 + whole.size() / 400;
    size_t tried = 0, refused = 0;
    for (size_t at = 0; at < whole.size(); at += step, ++tried) {
      EXPECT_EQ(content(write("cut.npz", whole.substr(0, at))), "refused") << at;
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
      const std::string answer = content(write("damaged.npz", damaged));
      if (answer == "refused")
        ++refused;
      else
        EXPECT_EQ(answer, right) << at;
    }
    EXPECT_GT(refused, tried / 2);
  }
}

TEST_F(NpzReader, DamagedContentNeverPasses) {
  const std::string whole = read_whole(golden("samples.npz"));
  const size_t content = whole.find("\x93NUMPY");
  ASSERT_NE(content, whole.npos);
  for (size_t at = content + 128; at < content + 128 + 180; ++at) {
    std::string damaged = whole;
    damaged[at] ^= 1;
    EXPECT_NE(refusal(write("damaged.npz", damaged)).find("[ZIP_CRC]"), std::string::npos) << at;
  }
}

}  // namespace
}  // namespace tstitch
