#include "tstitch/base/function_ref.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace tstitch {
namespace {

int apply_twice(FunctionRef<int(int)> f, int x) { return f(f(x)); }

TEST(FunctionRef, CallsALambdaWithItsCaptures) {
  int calls = 0;
  EXPECT_EQ(apply_twice([&](int x) { return ++calls, 3 * x; }, 5), 45);
  EXPECT_EQ(calls, 2);
}

TEST(FunctionRef, ChangesTheStateOfTheCallableItself) {
  auto counter = [n = 0](int) mutable { return ++n; };
  apply_twice(counter, 0);
  EXPECT_EQ(counter(0), 3);
}

TEST(FunctionRef, CallsAConstObject) {
  const auto add = [](int x) { return x + 1; };
  EXPECT_EQ(apply_twice(add, 0), 2);
}

TEST(FunctionRef, CopiesReferToTheSameCallable) {
  int calls = 0;
  auto count = [&] { ++calls; };
  const FunctionRef<void()> first = count;
  const FunctionRef<void()> second = first;
  first();
  second();
  EXPECT_EQ(calls, 2);
}

TEST(FunctionRef, PassesReferencesAndMovesValues) {
  std::string text = "a";
  const auto append = [](std::string& to, std::unique_ptr<std::string> what) -> std::string& {
    return to += *what;
  };
  const FunctionRef<std::string&(std::string&, std::unique_ptr<std::string>)> ref = append;
  EXPECT_EQ(&ref(text, std::make_unique<std::string>("b")), &text);
  EXPECT_EQ(text, "ab");
}

}  // namespace
}  // namespace tstitch
