#include "tstitch/condition/condition_maker.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <vector>

#include "tstitch/base/error.h"
#include "tstitch/base/philox.h"
#include "tstitch/condition/class_conditions.h"
#include "tstitch/condition/text_conditions.h"
#include "tstitch/io/safetensors.h"

namespace tstitch {
namespace {

// 0, 1, 2, ...
Tensor counted(const Shape& shape) {
  Tensor x(shape, DType::f32);
  for (int64_t i = 0; i < x.elements(); ++i) x.data<float>()[i] = static_cast<float>(i);
  return x;
}

std::vector<float> values(const Tensor& x) { return {x.data<float>(), x.data<float>() + x.elements()}; }

TEST(ClassConditions, AreNumbersAndNoneIsTheOneAfterTheLast) {
  const ClassConditions classes(10);
  EXPECT_EQ(classes.condition(7).class_number, 7);
  EXPECT_EQ(classes.null(1).class_number, 10);
  EXPECT_FALSE(classes.condition(7).context);
}

TEST(ClassTokenConditions, AreRowsOfTheTable) {
  const Tensor table = counted({3, 5});
  const ClassTokenConditions classes(table, {});
  const Condition second = classes.condition(1);
  EXPECT_FALSE(second.class_number);
  EXPECT_EQ(second.context.shape(), Shape({1, 5}));
  EXPECT_EQ(second.context.bytes(), table.slice(1, 2).bytes());  // not a copy
}

TEST(ClassTokenConditions, NoClassIsRandomForEveryPictureOfASeed) {
  const ClassTokenConditions classes(counted({3, 5}), {});
  const std::vector<float> token = values(classes.null(7).context);
  ASSERT_EQ(token.size(), 5u);
  EXPECT_TRUE(std::ranges::all_of(token, [](float x) { return 0 <= x && x < 1; }));
  EXPECT_EQ(token[4], static_cast<float>(philox({1, ~1u, 0, 0}, 7)[0] >> 8) * 0x1p-24f);
  EXPECT_EQ(token, values(classes.null(7).context));
  EXPECT_NE(token, values(classes.null(8).context));
}

TEST(ClassTokenConditions, NoClassCanBeGiven) {
  const Tensor table = counted({3, 5});
  Tensor zero({1}, DType::f32);
  *zero.data<float>() = 0;
  const ClassTokenConditions zeros(table, zero), given(table, counted({5}));
  EXPECT_EQ(values(zeros.null(7).context), std::vector<float>(5));
  EXPECT_EQ(values(given.null(7).context), (std::vector<float>{0, 1, 2, 3, 4}));
  EXPECT_EQ(given.null(7).context.bytes(), given.null(8).context.bytes());
}

TEST(TextConditions, AreContextsAndOneOfThemIsTheNegative) {
  const std::vector<Condition> all = {
      {.context = counted({2, 4})}, {.context = counted({6, 4})}, {.context = counted({2, 4})}};
  const TextConditions texts(all, 2);
  EXPECT_EQ(texts.condition(1).context.shape(), Shape({6, 4}));
  EXPECT_TRUE(is_same(texts.condition(1), all[1]));
  EXPECT_TRUE(is_same(texts.null(7), all[2]));
}

// Cosines before sines of every number, behind the pooled text: cos(n), sin(n) where a sinusoid is two wide.
TEST(TextConditions, NetworksThatAreToldMoreGetTheirNumbers) {
  const auto backend = make_backend({.dtype = "f32", .threads = 1});
  const EncodedText text = {.context = counted({2, 4}), .pooled = counted({3})};
  const PictureSizes sizes = {.original = {.width = 6, .height = 5},
                              .crop = {.left = 2, .top = 1},
                              .target = {.width = 4, .height = 3}};
  ConditionInfo info = {.kind = ConditionKind::text, .width = 4};
  const auto added = [&](double score) { return text_condition(*backend, info, text, sizes, score).added; };
  EXPECT_FALSE(added(6));
  info.pooled_width = 3;
  info.number_width = 2;
  const auto expect_numbers = [&](const Tensor& x, const std::vector<double>& numbers) {
    ASSERT_EQ(x.shape(), Shape({3 + 2 * std::ssize(numbers)}));
    for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(x.data<float>()[i], static_cast<float>(i));
    for (size_t i = 0; i < numbers.size(); ++i) {
      EXPECT_NEAR(x.data<float>()[3 + 2 * i], std::cos(numbers[i]), 1e-6) << i;
      EXPECT_NEAR(x.data<float>()[4 + 2 * i], std::sin(numbers[i]), 1e-6) << i;
    }
  };
  expect_numbers(added(6), {5, 6, 1, 2, 3, 4});
  expect_numbers(added(2.5), {5, 6, 1, 2, 3, 4});
  info.scored = true;
  expect_numbers(added(6), {5, 6, 1, 2, 6});
  expect_numbers(added(2.5), {5, 6, 1, 2, 2.5});
}

TEST(ConditionMakers, TheModelSaysWhichItNeeds) {
  const std::string path = std::filesystem::temp_directory_path() /
                           ("tstitch_tokens_" + std::to_string(getpid()) + ".safetensors");
  write_safetensors(path, {{"table", counted({3, 5})}}, {});
  ModelInfo numbers, tokens;
  numbers.condition = {.kind = ConditionKind::classes, .num_classes = 3};
  tokens.files.weights = path;
  tokens.condition = {
      .kind = ConditionKind::class_tokens, .num_classes = 3, .width = 5, .class_table = "table"};
  const auto backend = make_backend({.dtype = "f32", .threads = 1});
  const auto makers = make_condition_makers(*backend, {numbers, tokens}, {});
  EXPECT_EQ(makers.at(0)->condition(2).class_number, 2);
  EXPECT_EQ(values(makers.at(1)->condition(1).context), (std::vector<float>{5, 6, 7, 8, 9}));
  tokens.condition.num_classes = 4;
  EXPECT_THROW(make_condition_makers(*backend, {tokens}, {}), Error);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace tstitch
