#include "tstitch/serve/access.h"

#include <gtest/gtest.h>

#include "tstitch/serve/base64.h"

namespace tstitch::serve {
namespace {

HttpRequest request(HttpHeaders headers, const std::string& method = "GET") {
  return {.method = method,
          .path = "/",
          .query = {},
          .headers = std::move(headers),
          .body = {},
          .peer = "127.0.0.1"};
}

std::optional<std::string> caller(const Access& access, const std::string& authorization) {
  return access.caller(request({{"authorization", authorization}}));
}

TEST(Access, WithoutKeysEverybodyIsLetIn) {
  EXPECT_EQ(Access({}).caller(request({})), "");
  EXPECT_EQ(caller(Access({}), "Bearer what"), "");
}

TEST(Access, AKeyIsABearersOrABasicPassword) {
  const Access access({.keys = {"first", "user:second"}});
  EXPECT_EQ(caller(access, "Bearer first"), "1");
  EXPECT_EQ(caller(access, "bearer  first"), "1");
  EXPECT_EQ(caller(access, "Basic " + base64(std::string_view("anybody:first"))), "1");
  EXPECT_EQ(caller(access, "Basic " + base64(std::string_view("user:second"))), "2");
  EXPECT_EQ(caller(access, "Bearer user:second"), "2");
}

TEST(Access, AnythingElseIsNotLetIn) {
  const Access access({.keys = {"first", "user:second"}});
  EXPECT_EQ(access.caller(request({})), std::nullopt);
  for (const char* said : {"Bearer", "Bearer ", "Bearer firs", "Bearer firstt", "Bearer firstfirst",
                           "Bearer First", "first", "Digest first", "Basic first"})
    EXPECT_EQ(caller(access, said), std::nullopt) << said;
  for (const std::string_view said : {"first:", "other:second", "user:", ":", "", "user:first:"})
    EXPECT_EQ(caller(access, "Basic " + base64(said)), std::nullopt) << said;
}

TEST(Access, ComparesWholeTexts) {
  EXPECT_TRUE(equal_in_constant_time("key", "key"));
  for (const char* given : {"", "k", "ke", "keys", "Key", "kez", "keykey"})
    EXPECT_FALSE(equal_in_constant_time(given, "key")) << given;
}

TEST(Access, OtherHostsAreRebinding) {
  const Access access({.keys = {}, .allowed_hosts = {"box.local"}});
  for (const char* host : {"localhost", "localhost:7860", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:7860",
                           "[::1]", "[::1]:7860", "box.local:7860"})
    EXPECT_EQ(access.foreign(request({{"host", host}})), "") << host;
  for (const char* host : {"", "evil.example", "evil.example:7860", "127.0.0.1.evil.example",
                           "localhost.evil.example", "box.local.evil", "127.0.0.2"})
    EXPECT_NE(access.foreign(request({{"host", host}})), "") << host;
  EXPECT_EQ(Access({.keys = {"k"}, .allowed_hosts = {}, .cors_origins = {}, .any_host = true})
                .foreign(request({{"host", "box:1"}})),
            "");
}

TEST(Access, OtherPagesMayNotAsk) {
  const Access access({.keys = {}, .allowed_hosts = {}, .cors_origins = {"https://good.example"}});
  const auto foreign = [&](HttpHeaders headers, const std::string& method = "POST") {
    headers.emplace_back("host", "localhost:7860");
    return access.foreign(request(headers, method));
  };
  EXPECT_EQ(foreign({}), "");
  EXPECT_EQ(foreign({{"origin", "http://localhost:7860"}}), "");
  EXPECT_EQ(foreign({{"origin", "https://good.example"}, {"sec-fetch-site", "cross-site"}}), "");
  for (const char* origin : {"https://evil.example", "null", "http://localhost:7861", "http://localhost",
                             "https://good.example.evil"})
    EXPECT_NE(foreign({{"origin", origin}}), "") << origin;
  EXPECT_NE(foreign({{"sec-fetch-site", "cross-site"}}), "");
  EXPECT_EQ(foreign({{"sec-fetch-site", "cross-site"}}, "GET"), "");  // a link
}

}  // namespace
}  // namespace tstitch::serve
