#include "tstitch/io/json.h"

#include <nlohmann/json.hpp>

#include "tests/io/io_support.h"

namespace tstitch {
namespace {

using nlohmann::json;

void expect_bad(const std::string& text, const std::string& code, const std::string& part = "") {
  expect_refused([&] { parse_json(text, "config.json"); }, code, part);
}

TEST(Json, ReadsWhatTheParserReads) {
  for (const char* text :
       {"{}", "[]", "0", "-1", "1.5e3", "\"a\\u00e4\\n\"", "null", "true", " [1, [2, {}], {\"a\": [3]}] \n",
        R"({"b": {"c": [], "d": {"e": -0.5}}, "a": [null, false], "": ""})", "9223372036854775808", "1E+2"})
    EXPECT_EQ(parse_json(text, "x"), json::parse(text)) << text;
}

TEST(Json, JS1_NotJson) {
  for (const char* text : {"",        " ",     "{",       "}",           "{\"a\":1,}",   "[1,]",
                           "{'a':1}", "{a:1}", "{} x",    "{}{}",        "// c\n{}",     "{/* c */}",
                           "[1 2]",   "\"a",   "\"\\x\"", "\"\\ud800\"", "\"\\udc00x\"", "tru",
                           "+1",      ".5",    "1.",      "0x10",        "01",           "-"})
    expect_bad(text, "JSON_SYNTAX", "config.json: [JSON_SYNTAX] byte ");
  expect_bad("\xef\xbb\xbf{}", "JSON_SYNTAX", "byte order mark");
  expect_bad("\xff\xfe{}", "JSON_SYNTAX", "UTF-8");
  expect_bad("\"\xc0\xaf\"", "JSON_SYNTAX", "byte 1: not valid UTF-8");
  expect_bad(std::string("{}\0", 3), "JSON_SYNTAX", "byte 2: the control character \\x00");
  expect_bad(std::string("{}\0{\"hidden\":1}", 14), "JSON_SYNTAX", "\\x00");
  expect_bad("\"a\tb\"", "JSON_SYNTAX");
  expect_bad("{\"a\": \x1b[31m}", "JSON_SYNTAX", "\\x1b");
}

TEST(Json, JS2_NumbersThatAreNone) {
  for (const char* text : {"NaN", "Infinity", "-Infinity", "[NaN]", "1e400", "-1e400"})
    expect_bad(text, "JSON_SYNTAX");
  EXPECT_EQ(parse_json("1e-400", "x").get<double>(), 0);
}

TEST(Json, JS3_DepthAndSize) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_NO_THROW(parse_json(nested(64), "x"));
  expect_bad(nested(65), "JSON_DEPTH", "byte 65");
  expect_bad(std::string(100'000, '['), "JSON_DEPTH");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  expect_bad(objects, "JSON_DEPTH");
  expect_bad(std::string((8 << 20) + 1, ' '), "RES_LIMIT");
}

TEST(Json, JS4_DuplicateKeys) {
  expect_bad(R"({"a":1,"b":2,"a":3})", "JSON_DUPLICATE_KEY", "\"a\"");
  expect_bad(R"({"a":1,"\u0061":3})", "JSON_DUPLICATE_KEY");
  expect_bad(R"([{"x":{"a":{},"a":{}}}])", "JSON_DUPLICATE_KEY");
  EXPECT_NO_THROW(parse_json(R"([{"a":{"a":1}},{"a":2}])", "x"));
}

TEST(Json, EveryPrefixAndBitFlipIsHandled) {
  const std::string whole = R"({"a": [1, -2.5e1, "x\u00e4\n"], "b": {"c": null, "d": true}})";
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_THROW(parse_json(whole.substr(0, n), "x"), Error) << n;
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    try {
      parse_json(flipped, "x");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
    }
  }
}

TEST(Json, OfPythonNamesWhatIsNoNumber) {
  EXPECT_EQ(
      parse_python_json(R"({"a": -Infinity, "b": [Infinity,NaN], "c": "NaN \" -Infinity", "d": -1})", "x"),
      json::parse(R"({"a": "-Infinity", "b": ["Infinity", "NaN"], "c": "NaN \" -Infinity", "d": -1})"));
  for (const char* text : {"{\"a\": +Infinity}", "{\"a\": --Infinity}", "{\"a\": NaN1}", "\"NaN", "\"\\"})
    expect_refused([&] { parse_python_json(text, "x"); }, "JSON_SYNTAX");
  expect_bad("{\"a\": -Infinity}", "JSON_SYNTAX");
}

class JsonFile : public FolderTest {};

TEST_F(JsonFile, ReadsFiles) {
  EXPECT_EQ(parse_json_file(write("config.json", "{\"a\": 1}\n"))["a"], 1);
  expect_refused([&] { parse_json_file(write("bad.json", "{")); }, "JSON_SYNTAX", "bad.json");
  expect_refused([&] { parse_json_file(path("none.json")); }, "IO_NOT_FOUND");
}

}  // namespace
}  // namespace tstitch
