// How the readers of JSON in this folder walk over untrusted text. Private to io/.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tstitch/io/refuse.h"

namespace tstitch {

// What a reader does at each token. A method that does not like what it gets calls refuse_here.
class JsonVisitor {
 public:
  // `where` and the codes of the errors; `unit` names what positions count: "byte", "header byte".
  struct Report {
    std::string where;
    const char* encoding_code;  // the text is not UTF-8
    const char* syntax_code;
    const char* unit;
  };

  explicit JsonVisitor(Report report) : report_(std::move(report)) {}
  virtual ~JsonVisitor() = default;

  // Throws Error{input} unless `text` is one JSON value, at most 64 levels deep, in valid UTF-8.
  void walk(std::string_view text);

  virtual void begin(bool object) = 0;  // of an object or an array
  virtual void end() = 0;               // of the innermost one
  virtual void key(std::string& name) = 0;
  virtual void scalar(nlohmann::json value) = 0;

 protected:
  template <class... Parts>
  [[noreturn]] void refuse_here(const char* code, const Parts&... parts) const {
    refuse(report_.where, code, report_.unit, " ", position_, ": ", parts...);
  }
  const Report& report() const { return report_; }

 private:
  class Adapter;
  struct Cursor;

  void check_encoding(std::string_view text);

  Report report_;
  size_t position_ = 0;  // bytes read so far
};

}  // namespace tstitch
