#include "tstitch/condition/class_names.h"

#include <gtest/gtest.h>

#include "tstitch/base/error.h"
#include "tstitch/condition/imagenet_classes.h"

namespace tstitch {
namespace {

ModelInfo imagenet() { return {.path = "x", .name = "DiT-XL-2", .condition = {.num_classes = 1000}}; }

ModelInfo garments() {
  return {.path = "x",
          .name = "fashion",
          .condition = {.num_classes = 4},
          .classes = {"T-shirt/top", "Shirt", "Ankle boot", "Sandal"}};
}

void expect_refused(const std::string& message, const ModelInfo& model, const std::string& name) {
  try {
    const int64_t found = ClassNames(model).find(name);
    ADD_FAILURE() << name << " is class " << found << "; expected: " << message;
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    EXPECT_EQ(e.what(), message);
  }
}

// The eight classes of the DiT scripts and the last one, as the DiT paper's figures show them.
TEST(ImageNetClasses, AreInTheOrderOfTheirNumbers) {
  const ClassNames names(imagenet());
  for (const auto& [c, name] : std::vector<std::pair<int64_t, std::string>>{{0, "tench"},
                                                                            {88, "macaw"},
                                                                            {207, "golden retriever"},
                                                                            {279, "Arctic fox"},
                                                                            {360, "otter"},
                                                                            {387, "lesser panda"},
                                                                            {417, "balloon"},
                                                                            {974, "geyser"},
                                                                            {979, "valley"},
                                                                            {999, "toilet tissue"}})
    EXPECT_EQ(names.usual(c), name);
  EXPECT_EQ(std::ssize(imagenet_classes()), 1000);
}

TEST(ClassNames, FindsByUsualNameThenSynonymThenWords) {
  const ClassNames names(imagenet());
  EXPECT_EQ(names.find("golden retriever"), 207);
  EXPECT_EQ(names.find("Golden Retriever"), 207);
  EXPECT_EQ(names.find("red panda"), 387);  // a synonym
  EXPECT_EQ(names.find("harp"), 594);       // the harp, though a harmonica is called so too
  EXPECT_EQ(names.find("golden"), 207);     // a word of one name
  EXPECT_EQ(names.find("tank suit"), 639);
  const ClassNames own(garments());
  EXPECT_EQ(own.find("shirt"), 1);  // not the T-shirt
  EXPECT_EQ(own.find("t-shirt"), 0);
  EXPECT_EQ(own.find("TOP"), 0);
  EXPECT_EQ(own.find("boot"), 2);
}

// Whoever takes a class by its own name gets it, or learns of the others of that name.
TEST(ClassNames, EveryNameLeadsToItsClass) {
  const ClassNames names(imagenet());
  int shared = 0;
  for (int64_t c = 0; c < 1000; ++c) try {
      EXPECT_EQ(names.find(names.usual(c)), c);
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(names.numbered(c)), std::string::npos) << e.what();
      ++shared;
    }
  EXPECT_EQ(shared, 6);  // two cranes, two cardigans, two maillots
}

TEST(ClassNames, WhatFitsSeveralIsRefusedWithTheirNumbers) {
  expect_refused("--class \"crane\" fits several classes, use a number: 134 crane, 517 crane", imagenet(),
                 "crane");
  expect_refused("--class \"Maillot\" fits several classes, use a number: 638 maillot, 639 maillot",
                 imagenet(), "Maillot");
  expect_refused("--class \"panther\" fits several classes, use a number: 286 cougar, 290 jaguar", imagenet(),
                 "panther");
  expect_refused(
      "--class \"retriever\" fits several classes, use a number: 205 flat-coated retriever, 206 curly-coated "
      "retriever, 207 golden retriever, 208 Labrador retriever, 209 Chesapeake Bay retriever",
      imagenet(), "retriever");
}

TEST(ClassNames, WhatFitsNoneIsRefusedWithNamesWrittenAlike) {
  expect_refused("--class \"golden retreiver\" is no class of DiT-XL-2; written alike: 207 golden retriever",
                 imagenet(), "golden retreiver");
  expect_refused("--class \"tiger kat\" is no class of DiT-XL-2; written alike: 282 tiger cat, 299 meerkat",
                 imagenet(), "tiger kat");
  expect_refused("--class \"sandle\" is no class of fashion; written alike: 3 Sandal", garments(), "sandle");
  expect_refused(
      "--class \"zzz\" is no class of fashion, expected a number 0 ... 3 or a name that \"tstitch inspect\" "
      "lists",
      garments(), "zzz");
  expect_refused("--class \"\" is not a class number, expected one, or a name of 1 ... 100 letters",
                 garments(), "");
}

TEST(ClassNames, ThereAreNoneOfModelsOfText) {
  const ModelInfo model = {.path = "x", .name = "sd", .condition = {.kind = ConditionKind::text}};
  expect_refused("--class \"otter\": sd draws what a text says and has no classes, expected --prompt", model,
                 "otter");
}

TEST(ClassNames, NothingIsKnownOfOtherModels) {
  const ModelInfo model = {.path = "x", .name = "other", .condition = {.num_classes = 7}};
  EXPECT_FALSE(ClassNames(model).known());
  EXPECT_EQ(ClassNames(model).numbered(3), "class 3");
  expect_refused(
      "--class \"otter\": the classes of other have no names, expected numbers 0 ... 6, or \"random\"", model,
      "otter");
}

}  // namespace
}  // namespace tstitch
