// Which evaluations are whole, against DeepCache's code (tools/goldens/make_twin_goldens.py).
#include "tstitch/diffusion/cheaper_form.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/expect_error.h"
#include "tests/support/golden.h"

namespace tstitch {
namespace {

TEST(WholeEvaluations, LieEvenlyApart) {
  const BlockCache cache{.every = 3};
  EXPECT_EQ(whole_evaluations(cache, 7), (std::vector<int64_t>{0, 3, 6}));
  EXPECT_EQ(whole_evaluations(cache, 6), (std::vector<int64_t>{0, 3}));
  EXPECT_EQ(whole_evaluations(cache, 1), std::vector<int64_t>{0});
  EXPECT_EQ(whole_evaluations(cache, 0), std::vector<int64_t>());
  EXPECT_EQ(whole_evaluations({}, 3), (std::vector<int64_t>{0, 1, 2}));
}

TEST(WholeEvaluations, LieAroundACenterAsTheCodeHasThem) {
  const auto around = [](int64_t every, int64_t center, double power) {
    return BlockCache{.every = every, .focus = BlockCache::Focus{center, power}};
  };
  EXPECT_EQ(whole_evaluations(around(5, 15, 1.4), 50),
            (std::vector<int64_t>{0, 5, 9, 13, 17, 21, 26, 31, 37, 43}));
  std::ifstream file(golden_path("twins/whole_evaluations.json"));
  const nlohmann::json cases = nlohmann::json::parse(file);
  EXPECT_GE(cases.size(), 500u);
  for (const nlohmann::json& one : cases) {
    SCOPED_TRACE(one.dump());
    const BlockCache cache = around(one[1], one[2], one[3]);
    const int64_t evaluations = one[0];
    if (one[4].is_null())
      testing::expect_error(ErrorKind::usage, "lie closest together around that of center=", [&] {
        whole_evaluations(cache, evaluations);
      });
    else
      EXPECT_EQ(whole_evaluations(cache, evaluations), one[4].get<std::vector<int64_t>>());
  }
}

// Whatever is asked: none or all that the costs count, the first among them.
TEST(WholeEvaluations, AreAsManyAsAreCounted) {
  for (int64_t evaluations = 0; evaluations < 70; ++evaluations)
    for (const int64_t every : {2, 3, 7})
      for (const int64_t center : {0, 1, 20, 69, 500}) {
        const BlockCache cache{.every = every, .focus = BlockCache::Focus{center, 2}};
        try {
          const std::vector<int64_t> whole = whole_evaluations(cache, evaluations);
          ASSERT_EQ(std::ssize(whole), (evaluations + every - 1) / every);
          ASSERT_TRUE(std::ranges::is_sorted(whole, std::less_equal()));
          if (evaluations > 0) {
            ASSERT_EQ(whole[0], 0);
            ASSERT_LT(whole.back(), evaluations);
          }
        } catch (const Error& error) {
          ASSERT_EQ(error.kind(), ErrorKind::usage) << error.what();
        }
      }
}

}  // namespace
}  // namespace tstitch
