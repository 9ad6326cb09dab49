#include "tstitch/serve/refusal.h"

#include <gtest/gtest.h>

namespace tstitch::serve {
namespace {

TEST(Refusals, SayFieldsInsteadOfOptions) {
  std::string first;
  EXPECT_EQ(in_fields("--cfg-scale is 0.5, expected more than 1 (--steps, -p, --unknown)", first),
            "cfg_scale is 0.5, expected more than 1 (steps, -p, --unknown)");
  EXPECT_EQ(first, "cfg_scale");
}

TEST(Refusals, StatusesFollowFromWhoHasToAct) {
  for (const auto& [kind, status] : {std::pair{ErrorKind::usage, 422},
                                     {ErrorKind::input, 422},
                                     {ErrorKind::device, 503},
                                     {ErrorKind::internal, 500}})
    EXPECT_EQ(refusal_of(Error(kind, "what")).status, status);
  EXPECT_EQ(refusal_of(Error(ErrorKind::internal, "/home/me/secret")).message,
            "an internal error: the server's log says more");
}

}  // namespace
}  // namespace tstitch::serve
