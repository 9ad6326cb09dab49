#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tstitch/base/error.h"

namespace tstitch::testing {

// Expects that f() throws Error{kind} with `part` in its message.
template <class F>
void expect_error(ErrorKind kind, const std::string& part, const F& f) {
  try {
    f();
    ADD_FAILURE() << "no error, expected one with '" << part << "'";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

}  // namespace tstitch::testing
