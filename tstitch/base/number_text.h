#pragma once

#include <charconv>
#include <string>

namespace tstitch {

// The shortest text that reads back as the same number: "0.1", "2", "1e-07".
inline std::string number_text(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

}  // namespace tstitch
