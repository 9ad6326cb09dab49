#include "tstitch/serve/http.h"

#include <gtest/gtest.h>

namespace tstitch::serve {
namespace {

TEST(Http, UrlsAreDecoded) {
  EXPECT_EQ(url_decoded("a%20b+c", false), "a b+c");
  EXPECT_EQ(url_decoded("a%20b+c", true), "a b c");
  EXPECT_EQ(url_decoded("%c3%A4", false), "\xc3\xa4");
  for (const char* text : {"%", "%1", "%g0", "%0g", "100%"})
    EXPECT_EQ(url_decoded(text, false), std::nullopt) << text;
}

TEST(Http, QueriesHaveParameters) {
  const HttpRequest request{.method = "GET",
                            .path = "/",
                            .query = "a=1&b%20c=x+y&empty&d==",
                            .headers = {},
                            .body = {},
                            .peer = {}};
  EXPECT_EQ(request.parameter("a"), "1");
  EXPECT_EQ(request.parameter("b c"), "x y");
  EXPECT_EQ(request.parameter("empty"), "");
  EXPECT_EQ(request.parameter("d"), "=");
  EXPECT_EQ(request.parameter("e"), std::nullopt);
}

}  // namespace
}  // namespace tstitch::serve
