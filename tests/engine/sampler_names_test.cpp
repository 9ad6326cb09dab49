#include "tstitch/engine/sampler_names.h"

#include <gtest/gtest.h>

#include "tstitch/diffusion/solver.h"
#include "tstitch/engine/field_values.h"

namespace tstitch {
namespace {

using Scheduler = std::optional<SigmaSpacing>;

void expect_choice(const char* name, const std::string& sampler, Scheduler scheduler) {
  const auto choice = find_sampler(name);
  ASSERT_TRUE(choice) << name;
  EXPECT_EQ(choice->sampler, sampler);
  EXPECT_EQ(choice->scheduler, scheduler) << name;
}

TEST(SamplerNames, AreThoseThatPeopleUse) {
  for (const auto& [name, sampler] : {std::pair{"euler a", "euler_a"},
                                      {"Euler-A", "euler_a"},
                                      {"Euler ancestral", "euler_a"},
                                      {"dpm++ 2m", "dpm++2m"},
                                      {"dpmpp_2m", "dpm++2m"},
                                      {"DPM++ 2M SDE", "dpm++2m_sde"},
                                      {"dpmpp-2m-sde", "dpm++2m_sde"},
                                      {"plms", "pndm"},
                                      {"DDIM", "ddim"},
                                      {"LCM", "lcm"},
                                      {"UniPC", "unipc"}})
    expect_choice(name, sampler, std::nullopt);
  for (const std::string& own : split(solver_names())) EXPECT_EQ(find_sampler(own)->sampler, own);
  for (const char* unknown : {"", "karras", "euler b", "dpm", "euler a karras x"})
    EXPECT_FALSE(find_sampler(unknown)) << unknown;
}

TEST(SamplerNames, MaySayTheScheduler) {
  for (const auto& [name, sampler] : {std::pair{"DPM++ 2M Karras", "dpm++2m"},
                                      {"dpm++ 2m sde karras", "dpm++2m_sde"},
                                      {"euler_karras", "euler"}})
    expect_choice(name, sampler, SigmaSpacing::karras);
  EXPECT_EQ(find_sampler("DPM++ 2M SDE Exponential")->scheduler, SigmaSpacing::exponential);
  EXPECT_EQ(find_sampler("Euler Beta")->scheduler, SigmaSpacing::beta);
}

}  // namespace
}  // namespace tstitch
