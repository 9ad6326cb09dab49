// The rows NP1 ... NP5 of the table of bad inputs, then round trips.
#include "tstitch/io/npy.h"

#include <cmath>
#include <limits>

#include "tests/io/io_support.h"

namespace tstitch {
namespace {

std::string array(const std::string& dictionary, const std::string& data, char version = 1) {
  const std::string header = dictionary + "\n";
  std::string length = raw(static_cast<uint32_t>(header.size()));
  if (version == 1) length.resize(2);
  return "\x93NUMPY" + std::string{version, '\0'} + length + header + data;
}

std::string dictionary(const std::string& type, const std::string& shape,
                       const std::string& order = "False") {
  return "{'descr': '" + type + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}

std::string floats(const std::vector<float>& values) {
  std::string bytes;
  for (const float x : values) bytes += raw(x);
  return bytes;
}

Tensor parse(const std::string& bytes) { return parse_npy(bytes_of(bytes), "x.npy"); }

void expect_bad(const std::string& bytes, const std::string& code, const std::string& part = "") {
  expect_refused([&] { parse(bytes); }, code, part);
}

TEST(Npy, NP1_Frame) {
  const std::string good = array(dictionary("<f4", "(1,)"), floats({1}));
  EXPECT_EQ(parse(good).elements(), 1);
  expect_bad("", "NPY_HEADER");
  expect_bad("\x93NUMPZ" + good.substr(6), "NPY_HEADER");
  for (const char version : std::initializer_list<char>{0, 4, -1}) {
    std::string bytes = good;
    bytes[6] = version;
    expect_bad(bytes, "NPY_HEADER", "version");
  }
  std::string minor = good;
  minor[7] = 1;
  expect_bad(minor, "NPY_HEADER", "version 1.1");
  expect_bad(array(dictionary("<f4", "(1,)") + std::string(10'000, ' '), floats({1})), "NPY_HEADER",
             "at most 10000");
  expect_bad("\x93NUMPY\x02" + std::string("\0\xff\xff\xff\xff{", 6), "NPY_HEADER", "4294967295");
  expect_bad("\x93NUMPY\x01" + std::string("\0\x76\0{'descr'", 11), "NPY_HEADER", "only");
  std::string open = good;
  open[open.size() - 5] = ' ';  // the final newline
  expect_bad(open, "NPY_HEADER", "end of the line");
}

TEST(Npy, NP1_AllVersions) {
  for (const char version : std::initializer_list<char>{1, 2, 3})
    EXPECT_EQ(parse(array(dictionary("<f4", "(2,)"), floats({1, 2}), version)).elements(), 2);
}

TEST(Npy, NP2_HeaderIsNotTheDictionary) {
  for (const char* text : {"",
                           "{",
                           "}",
                           "[]",
                           "x",
                           "{}",
                           "{'descr': '<f4'}",
                           "{'descr': '<f4', 'fortran_order': False}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)",
                           "{'descr': '<f4' 'fortran_order': False}",
                           "{'descr' '<f4'}",
                           "{descr: '<f4'}",
                           "{'descr': __import__('os')}",
                           "{'descr': '<f4",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
                           "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'shape': (1,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'fortran_order': False, 'shape': (1,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}\n{}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (1)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': [1]}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': 1}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (1 1)}"})
    expect_bad(array(text, floats({1})), "NPY_HEADER");
  expect_bad(array(std::string(9000, '('), ""), "NPY_HEADER");
  expect_bad(array("{'descr': '<f4', 'fortran_order': False, 'shape': " + std::string(9000, '('), ""),
             "NPY_SHAPE");
  // Any order, double quotes, no trailing comma and no spaces are legal.
  EXPECT_EQ(
      parse(array("{\"shape\":(2,1),\"fortran_order\":False,\"descr\":\"<f4\"}", floats({1, 2}))).shape(),
      (Shape{2, 1}));
}

TEST(Npy, NP3_ElementTypes) {
  expect_bad(array(dictionary("|O", "(1,)"), floats({1})), "NPY_OBJECT");
  for (const char* type :
       {">f4", "<i4", "<c8", "|S4", "<U1", "<M8[s]", "|V4", "<f16", "", "f4", "|b1", "<f4 "})
    expect_bad(array(dictionary(type, "(1,)"), floats({1})), "NPY_DTYPE",
               "expected '<f4', '<f8', '<f2' or '|u1'");
  expect_bad(array("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", floats({1})),
             "NPY_DTYPE", "structured");
  EXPECT_EQ(*parse(array(dictionary("<f8", "(1,)"), raw(0.1))).data<float>(), 0.1f);
  EXPECT_EQ(*parse(array(dictionary("<f2", "(1,)"), raw(uint16_t{0xc000}))).data<float>(), -2.0f);
}

TEST(Npy, NP4_Shapes) {
  for (const char* shape :
       {"(-1,)", "(1.0,)", "(18446744073709551616,)", "(9223372036854775808,)", "(4294967296, 4294967296)",
        "(4611686018427387904, 4611686018427387904, 0)", "(1, 1, 1, 1, 1, 1, 1)", "('1',)", "(None,)",
        "(1L,)", "(,)", "(True,)", "(1e3,)", "(2305843009213693952,)"})
    expect_bad(array(dictionary("<f4", shape), floats({1})), "NPY_SHAPE");
  expect_bad(array(dictionary("<f8", "(65536, 65536)"), ""), "NPY_TRUNCATED", "34359738368");
  expect_bad(array(dictionary("<f4", "(1,)", "True"), floats({1})), "NPY_FORTRAN", "ascontiguousarray");
  for (const char* order : {"1", "'x'", "0", "None", "Falsy"})
    expect_bad(array(dictionary("<f4", "(1,)", order), floats({1})), "NPY_HEADER");
  EXPECT_EQ(parse(array(dictionary("<f4", "()"), floats({3}))).shape(), Shape{});
  EXPECT_EQ(parse(array(dictionary("<f4", "(0, 3)"), "")).elements(), 0);
  EXPECT_EQ(parse(array(dictionary("<f4", "(1, 1, 1, 1, 1, 1)"), floats({1}))).shape().rank(), 6);
}

TEST(Npy, NP5_Size) {
  expect_bad(array(dictionary("<f4", "(2,)"), floats({1})), "NPY_TRUNCATED", "needs 8 bytes, the file has 4");
  expect_bad(array(dictionary("<f4", "(1,)"), floats({1, 2})), "NPY_TRAILING");
  expect_bad(array(dictionary("<f4", "(1,)"), floats({1}) + "x"), "NPY_TRAILING");
}

TEST(Npy, NonFiniteElementsAreRefused) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  expect_bad(array(dictionary("<f4", "(3,)"), floats({1, kNan, INFINITY})), "NPY_NONFINITE", "2 of 3");
  expect_bad(array(dictionary("<f8", "(1,)"), raw(1e300)), "NPY_NONFINITE");
}

TEST(Npy, OtherFilesAreRecognised) {
  expect_bad("PK\x03\x04 and more", "FMT_MISMATCH", "npz");
  expect_bad("<!DOCTYPE html>", "FMT_UNKNOWN", "HTML");
}

TEST(Npy, EveryPrefixAndBitFlipIsHandled) {
  const std::string whole = array(dictionary("<f4", "(1, 2)"), floats({1, 2}));
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_THROW(parse(whole.substr(0, n)), Error) << n;
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    try {
      EXPECT_LE(parse(flipped).elements(), 4);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
    }
  }
}

class NpyFile : public FolderTest {};

TEST_F(NpyFile, RoundTrip) {
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3}, Shape{0, 2}, Shape{1, 2, 1, 2, 1, 2}}) {
    Tensor tensor(shape, DType::f32);
    for (int64_t i = 0; i < tensor.elements(); ++i)
      tensor.data<float>()[i] = 0.1f * static_cast<float>(i) - 0.2f;
    write_npy(path("a.npy"), tensor);
    EXPECT_EQ((std::filesystem::file_size(path("a.npy")) - tensor.elements() * 4) % 64, 0u);
    const Tensor again = read_npy(path("a.npy"));
    EXPECT_EQ(again.shape(), shape);
    EXPECT_EQ(std::memcmp(again.bytes(), tensor.bytes(), static_cast<size_t>(tensor.elements()) * 4), 0);
  }
  EXPECT_EQ(files(), 1u);
}

TEST_F(NpyFile, WritesWhatNumpyWrites) {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const auto header_of = [&](const Tensor& tensor) {
    write_npy(path("a.npy"), tensor);
    const std::string bytes = read_whole(path("a.npy"));
    return bytes.substr(10, bytes.find('}') - 9);
  };
  const Tensor x = make_tensor<float>({2, 3}, values);
  EXPECT_EQ(header_of(x), "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }");
  EXPECT_EQ(header_of(x.reshape({6})), "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }");
  EXPECT_EQ(header_of(x.slice_columns(1, 3)), "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }");
  EXPECT_EQ(read_npy(path("a.npy")).data<float>()[2], 5);
}

TEST_F(NpyFile, ReadsWhatNumpyWrote) {
  const Tensor golden = read_npy(std::string(TSTITCH_SOURCE_DIR) + "/tests/golden/dit/step_ddim.npy");
  EXPECT_EQ(golden.shape(), (Shape{10, 2, 1, 4, 4}));
  EXPECT_FLOAT_EQ(golden.data<float>()[0], 0.5944937f);
}

}  // namespace
}  // namespace tstitch
