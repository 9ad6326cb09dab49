#include "tstitch/io/json_walk.h"

#include <iterator>

#include "tstitch/base/utf8.h"

namespace tstitch {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;

}  // namespace

// Hands bytes to the parser and tells the visitor how many it took.
struct JsonVisitor::Cursor {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* at;
  size_t* position;

  reference operator*() const { return *at; }
  Cursor& operator++() {
    ++at;
    ++*position;
    return *this;
  }
  bool operator==(const Cursor& other) const { return at == other.at; }
};

// From the parser's events to ours. The parser keeps its own stack on the heap: depth costs no recursion.
class JsonVisitor::Adapter final : public nlohmann::json_sax<json> {
 public:
  explicit Adapter(JsonVisitor& visitor) : visitor_(visitor) {}

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(int64_t value) override { return scalar(value); }
  bool number_unsigned(uint64_t value) override { return scalar(value); }
  bool number_float(double value, const std::string&) override { return scalar(value); }
  bool string(std::string& value) override { return scalar(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // not in text
  bool start_object(size_t) override { return begin(true); }
  bool start_array(size_t) override { return begin(false); }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }

  bool key(std::string& name) override {
    visitor_.key(name);
    return true;
  }

  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    // "[json.exception...] parse error at line 1, column 9: syntax error while ..."
    const std::string text = error.what();
    const size_t colon = text.find(": ");
    visitor_.refuse_here(visitor_.report_.syntax_code,
                         printable(colon == std::string::npos ? text : text.substr(colon + 2), 160));
  }

 private:
  bool scalar(json value) {
    visitor_.scalar(std::move(value));
    return true;
  }

  bool begin(bool object) {
    if (++depth_ > kMaxDepth) visitor_.refuse_here("JSON_DEPTH", "nested deeper than ", kMaxDepth, " levels");
    visitor_.begin(object);
    return true;
  }

  bool end() {
    --depth_;
    visitor_.end();
    return true;
  }

  JsonVisitor& visitor_;
  int depth_ = 0;
};

void JsonVisitor::walk(std::string_view text) {
  check_encoding(text);
  position_ = 0;
  Adapter adapter(*this);
  json::sax_parse(Cursor{text.data(), &position_}, Cursor{text.data() + text.size(), &position_}, &adapter);
}

// The parser takes a NUL for the end of the text and skips a byte order mark; both hide something.
void JsonVisitor::check_encoding(std::string_view text) {
  position_ = valid_utf8_prefix(text);
  if (position_ < text.size()) refuse_here(report_.encoding_code, "not valid UTF-8");
  if (text.starts_with("\xef\xbb\xbf")) {
    position_ = 0;
    refuse_here(report_.syntax_code, "a byte order mark, expected JSON");
  }
  for (position_ = 0; position_ < text.size(); ++position_) {
    const auto c = static_cast<unsigned char>(text[position_]);
    if (c < 0x20 && c != '\t' && c != '\n' && c != '\r')
      refuse_here(report_.syntax_code, "the control character ", printable({static_cast<char>(c)}));
  }
}

}  // namespace tstitch
