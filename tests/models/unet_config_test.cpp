#include "tstitch/models/unet_config.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

TEST(UNetConfig, PublishedParameterCounts) {
  for (const auto& [name, parameters] :
       std::initializer_list<std::pair<const char*, int64_t>>{{"sd1", 859'520'964},
                                                              {"bk_base", 579'384'964},
                                                              {"bk_small", 482'346'884},
                                                              {"bk_tiny", 323'384'964},
                                                              {"ldm_s", 25'386'692},
                                                              {"ldm", 394'984'196},
                                                              {"sdxl", 2'567'463'684},
                                                              {"ssd1b", 1'331'334'404},
                                                              {"vega", 745'225'604},
                                                              {"koala_1b", 1'161'184'324},
                                                              {"koala_700m", 782'822'724},
                                                              {"sdxl_refiner", 2'259'526'660},
                                                              {"sd2", 865'910'724}})
    EXPECT_EQ(unet_parameters(unet_preset(name)), parameters) << name;
  try {
    unet_preset("sd3");
    ADD_FAILURE() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage) << e.what();
    EXPECT_NE(std::string(e.what()).find("ssd1b"), std::string::npos) << e.what();
  }
}

// 803.3 and 6761 GFLOP by a count of all products, of which 0.37 and 0.78 % are the keys and values of the
// text.
TEST(UNetConfig, Flops) {
  EXPECT_NEAR(unet_flops(unet_preset("sd1"), 64, 64, 77), 800.3e9, 0.4e9);
  EXPECT_NEAR(unet_flops(unet_preset("sdxl"), 128, 128, 77), 6708.3e9, 1e9);
}

// The shares of a whole evaluation that those of DeepCache's two forms have, and what token merging saves, by
// counts of all products.
TEST(UNetConfig, FlopsOfCheaperForms) {
  const UNetConfig sd1 = unet_preset("sd1");
  for (const auto& [side, skip, share] :
       {std::tuple{64, 1, 0.224}, {32, 1, 0.186}, {64, 0, 0.079}, {32, 0, 0.065}})
    EXPECT_NEAR(unet_shallow_flops(sd1, side, side, 77, 0, skip) / unet_flops(sd1, side, side, 77), share,
                0.003);
  for (const auto& [side, saved] : {std::pair{64, 0.1}, {32, 0.04}})
    EXPECT_NEAR(1 - unet_flops(sd1, side, side, 77, 0.5) / unet_flops(sd1, side, side, 77), saved, 0.01);
  // SDXL's blocks of the coarsest level, ten in each transformer.
  const UNetConfig sdxl = unet_preset("sdxl");
  UNetConfig shallower = sdxl;
  shallower.middle_depth = 7;
  const std::vector<int64_t> of_the_middle = {25, 27, 31};
  EXPECT_EQ(unet_blocks(sdxl), 70);
  EXPECT_DOUBLE_EQ(unet_flops(sdxl, 128, 128, 77, 0, of_the_middle), unet_flops(shallower, 128, 128, 77));
  EXPECT_DOUBLE_EQ(unet_shallow_flops(sdxl, 128, 128, 77, 0, 1, of_the_middle),
                   unet_shallow_flops(sdxl, 128, 128, 77, 0, 1));
  // What a row keeps: 64 x 64 pixels of 320 channels, in either form.
  for (const int64_t skip : {0, 1})
    EXPECT_EQ(unet_kept_bytes(sd1, 64, 64, skip, DType::bf16), 64 * 64 * 320 * 2);
  EXPECT_TRUE(unet_merges_tokens(sd1));
  EXPECT_TRUE(unet_merges_tokens(unet_preset("ldm")));
  EXPECT_FALSE(unet_merges_tokens(unet_preset("sdxl")));
}

}  // namespace
}  // namespace tstitch
