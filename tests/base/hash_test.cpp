#include "tstitch/base/hash.h"

#include <gtest/gtest.h>

#include <string_view>

namespace tstitch {
namespace {

uint64_t hash_of(std::string_view text) { return fnv1a(text.data(), text.size()); }

// The test vectors of the authors (http://www.isthe.com/chongo/tech/comp/fnv, test_fnv.c).
TEST(Fnv1a, KnownAnswers) {
  EXPECT_EQ(hash_of(""), 0xcbf29ce484222325u);
  EXPECT_EQ(hash_of("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(hash_of("foobar"), 0x85944171f73967e8u);
}

TEST(Fnv1a, ContinuesFromAnEarlierHash) { EXPECT_EQ(fnv1a("bar", 3, hash_of("foo")), hash_of("foobar")); }

}  // namespace
}  // namespace tstitch
