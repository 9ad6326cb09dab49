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

}  // namespace
}  // namespace tstitch
