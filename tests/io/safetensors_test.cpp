// One test per row ST1 ... ST27 of the table of bad inputs, then writing.
#include "tstitch/io/safetensors.h"

#include <chrono>
#include <ctime>
#include <random>

#include "tests/io/safetensors_support.h"

namespace tstitch {
namespace {

const std::string kEmpty = "{}";

std::string one(const std::string& dtype, const std::string& shape, const std::string& begin,
                const std::string& end) {
  return "{" + entry("x", dtype, shape, begin, end) + "}";
}

std::string with_fields(const std::string& fields) { return "{\"x\":{" + fields + "}}"; }

TEST(Safetensors, ST1_FewerThanEightBytes) {
  for (size_t n = 1; n < 8; ++n)
    expect_bad(std::string(n, 'a'), "ST_TOO_SMALL", std::to_string(n) + " bytes");
  expect_bad("", "ST_TOO_SMALL");
}

TEST(Safetensors, ST2_HeaderOfZeroOrOneByte) {
  expect_bad(with_length(0, "{}"), "ST_HEADER_LEN");
  expect_bad(with_length(1, "{"), "ST_HEADER_JSON");
  expect_bad(with_length(1, "{}"), "ST_HEADER_JSON");
}

TEST(Safetensors, ST3_HeaderLongerThanTheFile) {
  for (const uint64_t n :
       {uint64_t{193}, uint64_t{1000}, uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{0} - 7, ~uint64_t{0} - 6})
    expect_bad(with_length(n, kEmpty + std::string(190, ' ')), "ST_HEADER_LEN", std::to_string(n));
}

TEST(Safetensors, ST4_HeaderAtTheLimit) {
  const auto padded = [](size_t n) { return with_length(n, kEmpty + std::string(n - kEmpty.size(), ' ')); };
  const std::clock_t start = std::clock();  // of the processor: a busy machine changes nothing
  EXPECT_TRUE(parse(padded(100'000'000)).tensors().empty());
  expect_bad(padded(100'000'001), "ST_HEADER_TOO_LARGE", "100000001");
  EXPECT_LT(static_cast<double>(std::clock() - start), 20.0 * CLOCKS_PER_SEC);
}

TEST(Safetensors, ST5_HeaderIsNotUtf8) {
  expect_bad(container("{\"a\xff\":1}"), "ST_HEADER_UTF8");
  expect_bad(container("{\"\xc0\x80\":1}"), "ST_HEADER_UTF8");          // overlong NUL
  expect_bad(container("{\"\xed\xa0\x80\":1}"), "ST_HEADER_UTF8");      // surrogate
  expect_bad(container("{\"\xf4\x90\x80\x80\":1}"), "ST_HEADER_UTF8");  // above U+10FFFF
  expect_bad(container("{\"\xe2\x82"), "ST_HEADER_UTF8");               // cut
  expect_bad(container("\xef\xbb\xbf{}"), "ST_HEADER_JSON", "byte order mark");
  expect_bad(container("\xff\xfe{\0}\0"), "ST_HEADER_UTF8");                   // UTF-16
  expect_bad(container(std::string("{\0}\0", 4)), "ST_HEADER_JSON", "\\x00");  // UTF-16 without mark
  expect_bad(container(std::string("{}\0\0", 4)), "ST_HEADER_JSON", "\\x00");  // the parser would stop
  expect_bad(container(std::string("{}\0{\"x\":1}", 11)), "ST_HEADER_JSON", "\\x00");
  expect_bad(container("{\"a\nb\":{}}"), "ST_HEADER_JSON");
  expect_bad(container("{\"a\x1b[31m\":{}}"), "ST_HEADER_JSON");
}

TEST(Safetensors, ST6_HeaderIsNotAJsonObject) {
  for (const char* header : {"[]", "null", "1", "true", "\"x\"", "1.5", "-1"})
    expect_bad(container(header), "ST_HEADER_JSON", "expected an object");
  for (const char* header :
       {"x", "{", "}", "{}}", "{}{}", "{} x", "{/**/}", "{}//", "{,}", "{\"__metadata__\":{},}", "{'a':1}",
        "{a:1}", "{\"a\"}", "{\"a\":}", " ", "{\"a\":NaN}", "nul"})
    expect_bad(container(header), "ST_HEADER_JSON");
}

TEST(Safetensors, ST7_WhiteSpaceAroundTheHeader) {
  EXPECT_EQ(parse(container(" \t\r\n{}")).tensors().size(), 0u);
  EXPECT_EQ(parse(container("{" + entry("x", "F32", "[1]", 0, 4) + "}" + std::string(1000, ' ') + "\n", 4))
                .tensors()
                .size(),
            1u);
}

TEST(Safetensors, ST8_DeepNesting) {
  const auto nested = [](size_t depth, const std::string& key) {
    return container("{\"x\":{\"" + key + "\":" + std::string(depth, '[') + std::string(depth, ']') + "}}");
  };
  expect_bad(nested(62, "extra"), "ST_ENTRY", "no dtype");
  expect_bad(nested(63, "extra"), "JSON_DEPTH", "64 levels");
  expect_bad(nested(100'000, "extra"), "JSON_DEPTH");
  expect_bad(nested(100'000, "shape"), "ST_SHAPE");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  expect_bad(container("{\"x\":{\"a\":" + objects), "JSON_DEPTH");
}

TEST(Safetensors, ST9_DuplicateKeys) {
  const std::string x = entry("x", "F32", "[1]", 0, 4);
  expect_bad(container("{" + x + "," + x + "}", 4), "ST_DUPLICATE_KEY", "\"x\"");
  expect_bad(
      container("{" + entry("a", "F32", "[1]", 0, 4) + "," + entry("\\u0061", "F32", "[1]", 4, 8) + "}", 8),
      "ST_DUPLICATE_KEY", "\"a\"");
  expect_bad(container(R"({"__metadata__":{},"__metadata__":{}})"), "ST_DUPLICATE_KEY", "__metadata__");
  expect_bad(container(R"({"__metadata__":null,"__metadata__":{}})"), "ST_DUPLICATE_KEY", "__metadata__");
  expect_bad(container(R"({"__metadata__":{"a":"b","a":"b"}})"), "ST_DUPLICATE_KEY", "\"a\"");
  expect_bad(container(with_fields(R"("dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4])"), 4),
             "ST_DUPLICATE_KEY", "\"dtype\"");
  expect_bad(container(with_fields(R"("dtype":"F32","shape":[],"shape":[],"data_offsets":[0,4])"), 4),
             "ST_DUPLICATE_KEY", "\"shape\"");
  expect_bad(
      container(with_fields(R"("dtype":"F32","shape":[],"data_offsets":[0,4],"data_\u006fffsets":[0,4])"), 4),
      "ST_DUPLICATE_KEY", "\"data_offsets\"");
}

TEST(Safetensors, ST10_OddNames) {
  for (const char* name : {"\\ud800", "\\udc00", "\\ud800\\ud800", "\\u12", "\\x41"})
    expect_bad(container("{" + entry(name, "F32", "[1]", 0, 4) + "}", 4), "ST_HEADER_JSON");
  for (const char* name :
       {"", "\\u0000", "../../etc/x", "\\u001b[31m", "a b", "\\ud83d\\ude00", "\xf0\x9f\x98\x80"})
    EXPECT_EQ(parse(container("{" + entry(name, "F32", "[1]", 0, 4) + "}", 4)).tensors().size(), 1u) << name;
  EXPECT_TRUE(parse(container("{" + entry("a\\u0000b", "F32", "[1]", 0, 4) + "}", 4))
                  .tensors()
                  .contains(std::string("a\0b", 3)));
  expect_bad(container("{" + entry("\\u001b[31m\\n", "F32", "[2]", 0, 4) + "}", 4), "ST_SPAN_MISMATCH",
             "\"\\x1b[31m\\x0a\"");
  EXPECT_EQ(
      parse(container("{" + entry(std::string(4096, 'n'), "F32", "[1]", 0, 4) + "}", 4)).tensors().size(),
      1u);
  expect_bad(container("{" + entry(std::string(4097, 'n'), "F32", "[1]", 0, 4) + "}", 4), "ST_NAME", "4097");
  expect_bad(container("{" + entry(std::string(1 << 20, 'n'), "F32", "[1]", 0, 4) + "}", 4), "ST_NAME");
}

TEST(Safetensors, ST11_Metadata) {
  EXPECT_TRUE(parse(container(R"({"__metadata__":null})")).metadata().empty());
  EXPECT_TRUE(parse(container(R"({"__metadata__":{}})")).metadata().empty());
  EXPECT_EQ(parse(container(R"({"__metadata__":{"a":"\u00e4","":""}})")).metadata(),
            (TensorFile::Metadata{{"a", "\xc3\xa4"}, {"", ""}}));
  for (const char* value :
       {"[]", "\"x\"", "1", "true", "{\"a\":1}", "{\"a\":null}", "{\"a\":{}}", "{\"a\":[\"b\"]}"})
    expect_bad(container("{\"__metadata__\":" + std::string(value) + "}"), "ST_METADATA");
  expect_bad(container("{" + entry("__metadata__", "F32", "[1]", 0, 4) + "}", 4), "ST_METADATA", "\"shape\"");
  expect_bad(container("{\"__metadata__\":{\"a\":\"" + std::string(50'000'000, 'b') + "\"}}"), "ST_METADATA",
             "bytes of metadata");
}

TEST(Safetensors, ST12_IncompleteEntry) {
  for (const char* value : {"[]", "\"x\"", "1", "null", "true"})
    expect_bad(container("{\"x\":" + std::string(value) + "}"), "ST_ENTRY", "expected an object");
  expect_bad(container(with_fields("")), "ST_ENTRY", "no dtype");
  expect_bad(container(with_fields(R"("shape":[],"data_offsets":[0,4])"), 4), "ST_ENTRY", "no dtype");
  expect_bad(container(with_fields(R"("dtype":"F32","data_offsets":[0,4])"), 4), "ST_ENTRY", "no shape");
  expect_bad(container(with_fields(R"("dtype":"F32","shape":[])"), 4), "ST_ENTRY", "no data_offsets");
  expect_bad(container(with_fields(R"("dtype":null,"shape":[],"data_offsets":[0,4])"), 4), "ST_ENTRY",
             "dtype is null");
  expect_bad(container(with_fields(R"("dtype":"F32","shape":null,"data_offsets":[0,4])"), 4), "ST_ENTRY",
             "shape is null");
  expect_bad(container(with_fields(R"("dtype":"F32","shape":[],"data_offsets":null)"), 4), "ST_ENTRY",
             "data_offsets is null");
  const std::string bytes = container(
      with_fields(
          R"("a":1,"dtype":"F32","b":{"shape":[9],"c":[[{}]]},"shape":[],"data_offsets":[0,4],"a":"x")"),
      4);
  const TensorFile extra = parse(bytes);
  EXPECT_EQ(extra.tensors().at("x").shape, std::vector<int64_t>{});
}

TEST(Safetensors, ST13_Dtype) {
  for (const char* name : {"f32", "F31", "", "float32", "F32 ", "F8", "\\u0000"})
    expect_bad(container(one(name, "[1]", "0", "4"), 4), "ST_DTYPE");
  for (const char* value : {"1", "[]", "{}", "true"})
    expect_bad(
        container(with_fields("\"dtype\":" + std::string(value) + R"(,"shape":[1],"data_offsets":[0,4])"), 4),
        "ST_DTYPE", "string");
  // Legal types that we cannot compute with are refused only when somebody wants that tensor.
  for (const char* name : {"C64", "I64", "U64", "BOOL", "I8", "U8", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
                           "I16", "U16", "I32", "U32", "F6_E2M3", "F6_E3M2", "F4"}) {
    const std::string type = name;
    const int bits = type.ends_with("64")     ? 64
                     : type.ends_with("32")   ? 32
                     : type.ends_with("16")   ? 16
                     : type.starts_with("F6") ? 6
                     : type == "F4"           ? 4
                                              : 8;
    const std::string bytes =
        container(one(type, "[8]", "0", std::to_string(bits)), static_cast<size_t>(bits));
    const TensorFile file = parse(bytes);
    EXPECT_EQ(file.tensors().at("x").dtype_name, type);
    expect_refused([&] { file.load("x", {8}, DType::f32); }, "ST_DTYPE_UNSUPPORTED", type);
  }
}

TEST(Safetensors, ST14_Shape) {
  for (const char* shape :
       {"[-1]", "[1.0]", "[1e3]", "[\"2\"]", "[null]", "[true]", "[9223372036854775808]",
        "[18446744073709551615]", "[18446744073709551616]", "[1000000000000000000000000000000]", "[[1]]",
        "[{}]", "1", "\"[1]\"", "{}", "true", "[-0]", "[1,-1]"})
    expect_bad(container(one("F32", shape, "0", "4"), 4), "ST_SHAPE", "\"x\"");
  const auto ones = [](int n) {
    std::string shape = "[1";
    for (int i = 1; i < n; ++i) shape += ",1";
    return shape + "]";
  };
  expect_bad(container(one("F32", ones(1000), "0", "4"), 4), "ST_SHAPE", "64 dimensions");
  const std::string bytes = container(one("F32", ones(64), "0", "4"), 4);
  const TensorFile many = parse(bytes);
  EXPECT_EQ(many.tensors().at("x").shape.size(), 64u);
  expect_refused([&] { many.load("x", {1}, DType::f32); }, "MODEL_SHAPE",
                 "[1, 1, 1, 1, 1, 1, 1, 1, ...], expected [1]");
}

TEST(Safetensors, ST15_ProductsThatWrap) {
  expect_bad(container(one("F32", "[2,18446744073709551614]", "0", "16"), 16), "ST_SHAPE");
  expect_bad(container(one("F32", "[8589934592,8589934592]", "0", "16"), 16), "ST_OVERFLOW");
  expect_bad(container(one("F32", "[4194305,4194305,211106198978564]", "0", "16"), 16), "ST_OVERFLOW");
  expect_bad(container(one("I32", "[2,9223372036854775807]", "0", "16"), 16), "ST_OVERFLOW");
  expect_bad(container(one("I32", "[4611686018427387904]", "0", "0")),
             "ST_OVERFLOW");  // x 4 bytes = 2^64
  expect_bad(container(one("F64", "[4611686018427387904,2]", "0", "0")), "ST_OVERFLOW");
}

TEST(Safetensors, ST16_OverflowDoesNotHideBehindZero) {
  for (const char* shape :
       {"[4611686018427387904,4611686018427387904,0]", "[0,4611686018427387904,4611686018427387904]",
        "[4611686018427387904,0,4611686018427387904]"})
    expect_bad(container(one("F32", shape, "0", "0")), "ST_OVERFLOW");
}

TEST(Safetensors, ST17_DataOffsets) {
  const auto offsets = [](const std::string& value) {
    return container(with_fields(R"("dtype":"F32","shape":[1],"data_offsets":)" + value), 4);
  };
  for (const char* value :
       {"[]", "[0]", "[0,4,4]", "[\"0\",\"4\"]", "[0.0,4.0]", "[-4,0]", "[4,0]", "[0,0]", "[4,4]",
        "[0,18446744073709551616]", "[0,9223372036854775808]", "[null,4]", "[[0],4]", "{}", "4", "\"0,4\""})
    expect_bad(offsets(value), "ST_OFFSETS", "\"x\"");
  expect_bad(offsets("[0,9223372036854775807]"), "ST_SPAN_MISMATCH");
  expect_bad(container(one("F32", "[2]", "0", "8"), 4), "ST_TRUNCATED");
  expect_bad(container(one("U8", "[9223372036854775800]", "0", "9223372036854775800"), 4), "ST_OVERFLOW");
}

TEST(Safetensors, ST18_HolesAndOverlaps) {
  const auto two = [](int64_t a, int64_t b, int64_t c, int64_t d, size_t size) {
    const auto u8 = [](const char* name, int64_t begin, int64_t end) {
      return entry(name, "U8", "[" + std::to_string(end - begin) + "]", begin, end);
    };
    return container("{" + u8("a", a, b) + "," + u8("b", c, d) + "}", size);
  };
  EXPECT_EQ(parse(two(0, 4, 4, 8, 8)).tensors().size(), 2u);
  expect_bad(two(1, 4, 4, 8, 8), "ST_HOLE", "begins at byte 1");
  expect_bad(two(0, 4, 5, 8, 8), "ST_HOLE", "expected 4");
  expect_bad(two(0, 4, 3, 8, 8), "ST_OVERLAP", "\"b\"");
  expect_bad(two(0, 8, 0, 8, 8), "ST_OVERLAP");
  expect_bad(two(0, 8, 2, 4, 8), "ST_OVERLAP");
}

TEST(Safetensors, ST19_TrailingAndTruncated) {
  const std::string header = one("F32", "[4]", "0", "16");
  EXPECT_EQ(parse(container(header, 16)).tensors().size(), 1u);
  expect_bad(container(header, 17), "ST_TRAILING", "1 bytes after");
  expect_bad(container(header, std::string(16, '\0') + "PK\x03\x04"), "ST_TRAILING");
  expect_bad(container(header, 15), "ST_TRUNCATED", "incomplete download");
  expect_bad(container(header, 8), "ST_TRUNCATED");
  expect_bad(container(header, 0), "ST_TRUNCATED");
  expect_bad(container(kEmpty, 1), "ST_TRAILING");
}

TEST(Safetensors, ST20_SpanDoesNotFitTheShape) {
  expect_bad(container(one("F64", "[4]", "0", "16"), 16), "ST_SPAN_MISMATCH",
             "tensor \"x\": shape [4] x F64 needs 32 bytes, data_offsets give 16");
  expect_bad(container(one("F32", "[0]", "0", "4"), 4), "ST_SPAN_MISMATCH");
  expect_bad(container(one("F32", "[]", "0", "8"), 8), "ST_SPAN_MISMATCH");
}

TEST(Safetensors, ST21_SubByteTypesFillBytes) {
  expect_bad(container(one("F4", "[3]", "0", "1"), 1), "ST_MISALIGNED");
  expect_bad(container(one("F6_E2M3", "[3]", "0", "2"), 2), "ST_MISALIGNED");
  EXPECT_EQ(parse(container(one("F4", "[3,2]", "0", "3"), 3)).tensors().size(), 1u);
  EXPECT_EQ(parse(container(one("F6_E3M2", "[4]", "0", "3"), 3)).tensors().size(), 1u);
}

TEST(Safetensors, ST22_EmptyTensorsAndScalars) {
  const std::string bytes =
      container("{" + entry("e", "F32", "[2,0]", 4, 4) + "," + entry("d", "F32", "[0]", 4, 4) + "," +
                    entry("first", "F32", "[0]", 0, 0) + "," + entry("real", "F32", "[]", 0, 4) + "," +
                    entry("next", "F32", "[1]", 4, 8) + "," + entry("last", "F32", "[0,5]", 8, 8) + "}",
                8);
  const TensorFile file = parse(bytes);
  EXPECT_EQ(file.tensors().size(), 6u);
  EXPECT_EQ(file.load("e", {2, 0}, DType::f32).elements(), 0);
  EXPECT_EQ(file.load("real", Shape{}, DType::bf16).elements(), 1);
  EXPECT_EQ(parse(container(one("F32", "[0]", "0", "0"))).tensors().size(), 1u);
  // Inside another tensor it is an overlap, after the end the file is too short.
  expect_bad(container("{" + entry("a", "F32", "[2]", 0, 8) + "," + entry("e", "F32", "[0]", 4, 4) + "}", 8),
             "ST_OVERLAP");
  expect_bad(
      container("{" + entry("a", "F32", "[2]", 0, 8) + "," + entry("e", "F32", "[0]", 12, 12) + "}", 8),
      "ST_HOLE");
}

TEST(Safetensors, ST23_AnyOrderInTheHeader) {
  const std::string bytes =
      container("{" + entry("a", "U8", "[2]", 4, 6) + "," + entry("b", "U8", "[4]", 0, 4) + "," +
                    entry("c", "U8", "[1]", 6, 7) + "}",
                "BBBBAAC");
  const TensorFile file = parse(bytes);
  EXPECT_EQ(file.tensors().at("a").bytes[0], std::byte{'A'});
  EXPECT_EQ(file.tensors().at("b").bytes[3], std::byte{'B'});
  EXPECT_EQ(file.tensors().at("c").bytes[0], std::byte{'C'});
}

TEST(Safetensors, ST24_UnalignedData) {
  for (const size_t padding : {0, 1, 2, 3, 4, 5, 6, 7}) {
    const std::string header = "{" + entry("u", "U8", "[1]", 0, 1) + "," + entry("d", "F64", "[1]", 1, 9) +
                               "," + entry("f", "F32", "[1]", 9, 13) + "," +
                               entry("h", "F16", "[1]", 13, 15) + "," + entry("b", "BF16", "[1]", 15, 17) +
                               "}" + std::string(padding, ' ');
    const std::string bytes =
        container(header, "U" + raw(2.5) + raw(-1.25f) + raw(uint16_t{0x3c00}) + raw(uint16_t{0x3f80}));
    const TensorFile file = parse(bytes);
    EXPECT_EQ(*file.load("d", {1}, DType::f32).data<float>(), 2.5f);
    EXPECT_EQ(*file.load("f", {1}, DType::f32).data<float>(), -1.25f);
    EXPECT_EQ(*file.load("h", {1}, DType::f32).data<float>(), 1.0f);
    EXPECT_EQ(file.load("b", {1}, DType::bf16).data<bfloat16>()->bits, 0x3f80);
  }
}

std::string many_tensors(size_t count, const std::string& prefix) {
  std::string header = "{";
  for (size_t i = 0; i < count; ++i) {
    const auto begin = static_cast<int64_t>(i);
    if (i) header += ",";
    header += entry(prefix + std::to_string(i), "U8", "[1]", begin, begin + 1);
  }
  return container(header + "}", count);
}

TEST(Safetensors, ST25_NoTensorsAndVeryMany) {
  EXPECT_TRUE(parse(container(kEmpty)).tensors().empty());
  expect_refused([&] { parse(container(kEmpty)).load("x", {1}, DType::f32); }, "MODEL_EMPTY");
  EXPECT_EQ(parse(many_tensors(200'000, "")).tensors().size(), 200'000u);
  const std::string too_many = many_tensors(1'000'001, "");
  const auto start = std::chrono::steady_clock::now();
  expect_bad(too_many, "RES_LIMIT", "1000000 tensors");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

TEST(Safetensors, ST26_NamesThatAreHardToTellApart) {
  const std::string bytes = many_tensors(10'000, std::string(4000, 'a'));
  const auto start = std::chrono::steady_clock::now();
  const TensorFile file = parse(bytes);
  expect_refused([&] { file.load(std::string(4000, 'a'), {1}, DType::f32); }, "MODEL_MISSING");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

// Whatever happens to a byte: a refusal in the right form, or a file whose tensors lie within the bytes.
void expect_survives(const std::string& bytes) {
  try {
    const TensorFile file = parse(bytes);
    size_t sum = 0;
    for (const auto& [name, info] : file.tensors()) sum += info.bytes.size();
    EXPECT_LE(sum, bytes.size());
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_TRUE(std::string(error.what()).starts_with("x.safetensors: [")) << error.what();
  }
}

TEST(Safetensors, ST27_EveryPrefixIsRefused) {
  const std::string whole = small_file();
  ASSERT_EQ(parse(whole).tensors().size(), 3u);
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_THROW(parse(whole.substr(0, n)), Error) << n << " bytes";
}

TEST(Safetensors, ST27_EveryBitFlipIsHandled) {
  const std::string whole = small_file();
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    expect_survives(flipped);
  }
}

TEST(Safetensors, ST27_EveryByteValueIsHandled) {
  const std::string whole = small_file();
  for (size_t i = 0; i < whole.size(); ++i)
    for (int value = 0; value < 256; ++value) {
      std::string changed = whole;
      changed[i] = static_cast<char>(value);
      expect_survives(changed);
    }
}

TEST(Safetensors, G5_G6_OtherFilesAreRecognised) {
  expect_bad(std::string(4, '\0'), "FMT_UNKNOWN", "zeros");
  expect_bad(std::string(4096, '\0'), "FMT_UNKNOWN", "zeros");
  expect_bad("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "FMT_UNKNOWN",
             "git lfs pull");
  expect_bad("<!DOCTYPE html><html><body>404</body></html>", "FMT_UNKNOWN", "HTML");
  expect_bad("<html>\n  <head>", "FMT_UNKNOWN", "HTML");
  expect_bad("{\"error\":\"Repository not found\"}", "FMT_UNKNOWN", "JSON");
  expect_bad("<?xml version=\"1.0\"?><Error/>", "FMT_UNKNOWN", "XML");
  expect_bad(std::string("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10), "FMT_UNKNOWN", "gzip");
  expect_bad("7z\xbc\xaf\x27\x1c\x00\x04 and more", "FMT_UNKNOWN", "7z");
  expect_bad("%PDF-1.7\n%and more", "FMT_UNKNOWN", "PDF");
  expect_bad("model.ckpt" + std::string(247, '\0') + "ustar" + std::string(250, '\0'), "FMT_UNKNOWN", "tar");
  // A gzip file whose first bytes pass for a plausible length.
  expect_bad(std::string("\x1f\x8b\x08\0\0\0\0\0", 8) + std::string(0x88b20, '?'), "FMT_UNKNOWN", "gzip");
}

TEST(Safetensors, G7_OtherFormatsOfTensorsAreNamed) {
  expect_bad(std::string("PK\x03\x04\0\0\x08\x08\0\0archive/data.pkl", 26), "FMT_MISMATCH", "zip");
  expect_bad("\x80\x02}q\x01(X\x0a and more", "FMT_MISMATCH", "pickle");
  expect_bad(std::string("GGUF\x03\0\0\0 and more", 17), "FMT_MISMATCH", "GGUF");
  expect_bad("\x89PNG\r\n\x1a\n and more", "FMT_MISMATCH", "PNG");
  expect_bad("\x93NUMPY\x01 and more", "FMT_MISMATCH", "npy");
}

class SafetensorsFile : public FolderTest {};

TEST_F(SafetensorsFile, RoundTripKeepsEveryBit) {
  std::mt19937 random(1);
  Tensor f({3, 5}, DType::f32), b({7}, DType::bf16), scalar(Shape{}, DType::f32), empty({0, 4}, DType::f32);
  for (int i = 0; i < 15; ++i)
    f.data<float>()[i] = std::ldexp(static_cast<float>(random()), static_cast<int>(random() % 200) - 120);
  for (int i = 0; i < 7; ++i) b.data<bfloat16>()[i].bits = static_cast<uint16_t>(random() % 0x7f80);
  *scalar.data<float>() = -0.0f;
  const TensorFile::Metadata metadata = {{"config", "{\"a\": \"\xc3\xa4\\n\"}"}, {"format", "pt"}};
  write_safetensors(path("a.safetensors"), {{"f", f}, {"b", b}, {"scalar", scalar}, {"empty", empty}},
                    metadata);
  write_safetensors(path("b.safetensors"), {{"f", f}, {"b", b}, {"scalar", scalar}, {"empty", empty}},
                    metadata);
  EXPECT_EQ(read_whole(path("a.safetensors")), read_whole(path("b.safetensors")));

  const TensorFile file = read_safetensors(path("a.safetensors"));
  EXPECT_EQ(file.path(), path("a.safetensors"));
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.tensors().at("b").dtype, DType::bf16);
  const Tensor f2 = file.load("f", {3, 5}, DType::f32), b2 = file.load("b", {7}, DType::bf16);
  EXPECT_EQ(std::memcmp(f.bytes(), f2.bytes(), 60), 0);
  EXPECT_EQ(std::memcmp(b.bytes(), b2.bytes(), 14), 0);
  EXPECT_TRUE(std::signbit(*file.load("scalar", Shape{}, DType::f32).data<float>()));
  EXPECT_EQ(files(), 2u);
}

TEST_F(SafetensorsFile, ViewsAreWrittenDense) {
  const std::vector<float> values = {0, 1, 2, 3, 4, 5};
  const Tensor columns = make_tensor<float>({2, 3}, values).slice_columns(1, 3);
  write_safetensors(path("a"), {{"x", columns}}, {});
  const Tensor x = read_safetensors(path("a")).load("x", {2, 2}, DType::f32);
  EXPECT_EQ(std::vector<float>(x.data<float>(), x.data<float>() + 4), (std::vector<float>{1, 2, 4, 5}));
}

TEST_F(SafetensorsFile, EveryTensorIsAligned) {
  const std::vector<uint8_t> byte = {1};
  const std::vector<bfloat16> two = {{0x3f80}};
  const std::vector<float> four = {1};
  write_safetensors(path("a"),
                    {{"a", make_tensor<uint8_t>({1}, byte)},
                     {"b", make_tensor<bfloat16>({1}, two)},
                     {"c", make_tensor<float>({1}, four)},
                     {"odd name \"\\", make_tensor<float>({1}, four)}},
                    {});
  const TensorFile file = read_safetensors(path("a"));
  for (const auto& [name, info] : file.tensors())
    EXPECT_EQ(reinterpret_cast<uintptr_t>(info.bytes.data()) % size_of(*info.dtype), 0u) << name;
}

TEST_F(SafetensorsFile, ReadsTheDemoModels) {
  for (const char* name : {"fashion-s", "fashion-b", "fashion-l"}) {
    const TensorFile file =
        read_safetensors(std::string(TSTITCH_SOURCE_DIR) + "/assets/" + name + ".safetensors");
    EXPECT_TRUE(file.metadata().contains("config"));
    for (const auto& [tensor, info] : file.tensors())
      EXPECT_NO_THROW(file.load(tensor, Shape(info.shape), DType::f32)) << tensor;
  }
}

TEST_F(SafetensorsFile, G8_AFileThatShrinksIsNotTouched) {
  const std::string name = write("a.safetensors", container(one("F32", "[4096]", "0", "16384"), 16384));
  const TensorFile file = read_safetensors(name);
  EXPECT_NO_THROW(file.load("x", {4096}, DType::f32));
  std::filesystem::resize_file(name, 200);  // reading on would be SIGBUS
  expect_refused([&] { file.load("x", {4096}, DType::f32); }, "IO_CHANGED", "16");
}

TEST_F(SafetensorsFile, G8_AFileThatIsReplacedStaysWhole) {
  const std::string name = write("a.safetensors", small_file());
  const TensorFile file = read_safetensors(name);
  std::filesystem::rename(write("b.safetensors", "something else"), name);
  EXPECT_EQ(*file.load("s", Shape{}, DType::f32).data<float>(), 1.5f);
}

TEST_F(SafetensorsFile, G10_HugeSparseFiles) {
  // 5 GiB of zeros as U8, and a terabyte behind a header that knows nothing of it.
  const std::string name = write("huge.safetensors", container(one("U8", "[5368709120]", "0", "5368709120")));
  std::filesystem::resize_file(name, std::filesystem::file_size(name) + 5368709120);
  EXPECT_EQ(read_safetensors(name).tensors().at("x").bytes.size(), 5368709120u);
  std::error_code error;
  std::filesystem::resize_file(name, uintmax_t{1} << 40, error);
  if (!error) expect_refused([&] { read_safetensors(name); }, "ST_TRAILING");
}

TEST_F(SafetensorsFile, G12_OpenedManyTimes) {
  const std::string name = write("a.safetensors", small_file());
  std::vector<TensorFile> files;
  for (int i = 0; i < 64; ++i) files.push_back(read_safetensors(name));
  for (const TensorFile& file : files) EXPECT_EQ(*file.load("s", Shape{}, DType::f32).data<float>(), 1.5f);
}

}  // namespace
}  // namespace tstitch
