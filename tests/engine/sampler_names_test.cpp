#include "tstitch/engine/sampler_names.h"

#include <gtest/gtest.h>

#include <cctype>

#include "tstitch/base/error.h"
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

// What is written can be read again, also as it was written once.
TEST(SamplerNames, AreThoseOfTheWebUIBothWays) {
  for (const std::string& sampler : split(solver_names())) {
    const std::string written = webui_sampler(sampler);
    EXPECT_EQ(find_sampler(written).value().sampler, sampler) << written;
    std::string once = sampler;
    for (char& c : once) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    EXPECT_EQ(find_sampler(once).value().sampler, sampler) << once;
    for (const std::string& scheduler : split(sigma_spacing_names())) {
      const auto both = find_sampler(concat(written, ' ', webui_scheduler(scheduler)));
      EXPECT_EQ(both.value().sampler, sampler);
      EXPECT_EQ(both->scheduler, parse_sigma_spacing(scheduler)) << scheduler;
    }
  }
  EXPECT_EQ(webui_sampler("euler_a"), "Euler a");
  EXPECT_EQ(webui_sampler("pndm"), "PLMS");
  EXPECT_EQ(webui_sampler("dpm++2m_sde"), "DPM++ 2M SDE");
  EXPECT_EQ(webui_sampler("flow_euler"), "flow_euler");
  EXPECT_EQ(webui_scheduler("karras"), "Karras");
}

TEST(SamplerNames, AreThoseThatPeopleUse) {
  for (const auto& [name, sampler] : {std::pair{"euler a", "euler_a"},
                                      {"Euler-A", "euler_a"},
                                      {"Euler ancestral", "euler_a"},
                                      {"dpm++ 2m", "dpm++2m"},
                                      {"dpmpp_2m", "dpm++2m"},
                                      {"DPM++ 2M SDE", "dpm++2m_sde"},
                                      {"dpmpp-2m-sde", "dpm++2m_sde"},
                                      {"DPM2", "dpm2"},
                                      {"DPM2 a", "dpm2_a"},
                                      {"dpm_2_ancestral", "dpm2_a"},
                                      {"kdpm_2", "dpm2"},
                                      {"k_dpm_2_a", "dpm2_a"},
                                      {"LMS", "lms"},
                                      {"k_lms", "lms"},
                                      {"DEIS", "deis"},
                                      {"dpmpp_2s", "dpm++2s"},
                                      {"TCD", "tcd"},
                                      {"plms", "pndm"},
                                      {"DDIM", "ddim"},
                                      {"LCM", "lcm"},
                                      {"UniPC", "unipc"}})
    expect_choice(name, sampler, std::nullopt);
  for (const std::string& own : split(solver_names())) EXPECT_EQ(find_sampler(own)->sampler, own);
  for (const char* unknown :
       {"", "karras", "euler b", "dpm", "euler a karras x", "DPM++ 2", "DPM++ 2 a", "DPM++ 2S a"})
    EXPECT_FALSE(find_sampler(unknown)) << unknown;
}

TEST(SamplerNames, MaySayTheScheduler) {
  for (const auto& [name, sampler] : {std::pair{"DPM++ 2M Karras", "dpm++2m"},
                                      {"dpm++ 2m sde karras", "dpm++2m_sde"},
                                      {"LMS Karras", "lms"},
                                      {"DPM2 a Karras", "dpm2_a"},
                                      {"euler_karras", "euler"}})
    expect_choice(name, sampler, SigmaSpacing::karras);
  EXPECT_EQ(find_sampler("DPM++ 2M SDE Exponential")->scheduler, SigmaSpacing::exponential);
  EXPECT_EQ(find_sampler("Euler Beta")->scheduler, SigmaSpacing::beta);
}

}  // namespace
}  // namespace tstitch
