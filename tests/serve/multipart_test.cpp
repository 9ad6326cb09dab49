#include "tstitch/serve/multipart.h"

#include <gtest/gtest.h>

#include "tstitch/serve/refusal.h"

namespace tstitch::serve {
namespace {

constexpr const char* kType = "multipart/form-data; charset=utf-8; boundary=\"b b\"";

TEST(Multipart, HasFieldsAndFiles) {
  const std::string body =
      "--b b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na fox\r\n"
      "--b b\r\ncontent-type: image/png\r\nContent-Disposition: form-data; filename=\"a \\\"b\\\".png\"; "
      "name=image\r\n\r\n\x89PNG\r\n--b x\r\n"
      "--b b--\r\n";
  const auto parts = parse_multipart(kType, body);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].name, "prompt");
  EXPECT_EQ(parts[0].content, "a fox");
  EXPECT_EQ(parts[1].name, "image");
  EXPECT_EQ(parts[1].file_name, "a \"b\".png");
  EXPECT_EQ(parts[1].content, "\x89PNG\r\n--b x");
  EXPECT_TRUE(parse_multipart(kType, "--b b--").empty());
}

TEST(Multipart, AnythingElseIsRefused) {
  const std::string part = "--b b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n";
  std::string many;
  for (int i = 0; i < 65; ++i) many += part;
  for (const std::string& body :
       {std::string(""), std::string("--c"), part, part + "--b b", part + "--b bx",
        std::string("--b b\r\n\r\n--b b--"),
        std::string("--b b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b b--"), many + "--b b--"})
    EXPECT_THROW(parse_multipart(kType, body), Refusal) << body.substr(0, 200);
  for (const char* type :
       {"multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary"})
    EXPECT_THROW(parse_multipart(type, part + "--b b--"), Refusal) << type;
}

}  // namespace
}  // namespace tstitch::serve
