#include "tstitch/output/rank.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

using Environment = std::map<std::string, std::string>;

Rank found(const Environment& environment, std::optional<int64_t> index = {},
           std::optional<int64_t> count = {}) {
  return find_rank(index, count, [&](const char* name) {
    const auto at = environment.find(name);
    return at == environment.end() ? nullptr : at->second.c_str();
  });
}

void expect_rank(const Rank& rank, int64_t index, int64_t count, const std::string& source) {
  EXPECT_EQ(rank.index, index) << source;
  EXPECT_EQ(rank.count, count) << source;
  EXPECT_EQ(rank.source, source);
}

void expect_refused(const std::vector<std::string>& parts, const Environment& environment,
                    std::optional<int64_t> index = {}, std::optional<int64_t> count = {}) {
  try {
    found(environment, index, count);
    ADD_FAILURE() << "accepted, expected " << parts[0];
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    for (const std::string& part : parts)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(Rank, ComesFromOptionsOrLaunchers) {
  expect_rank(found({}), 0, 1, "");
  expect_rank(found({{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "4"}}), 2, 4,
              "OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE");
  expect_rank(found({{"PMI_RANK", "0"}, {"PMI_SIZE", "3"}}), 0, 3, "PMI_RANK, PMI_SIZE");
  expect_rank(found({{"RANK", "7"}, {"WORLD_SIZE", "8"}}), 7, 8, "RANK, WORLD_SIZE");
  expect_rank(found({{"SLURM_PROCID", "1"}, {"SLURM_NTASKS", "2"}}), 1, 2, "SLURM_PROCID, SLURM_NTASKS");
  expect_rank(found({{"RANK", "7"}, {"WORLD_SIZE", "8"}}, 1, 2), 1, 2, "--rank, --world-size");
}

TEST(Rank, SlurmGivesWayToWhatItStarted) {
  expect_rank(found({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "2"}, {"RANK", "5"}, {"WORLD_SIZE", "16"}}), 5,
              16, "RANK, WORLD_SIZE");
  expect_rank(found({{"SLURM_NTASKS", "2"}}), 0, 1, "");
}

TEST(Rank, HalvesContradictionsAndNonsenseAreRefused) {
  expect_refused({"--rank", "--world-size"}, {}, 1, {});
  expect_refused({"--rank", "only --world-size"}, {}, {}, 2);
  expect_refused({"--rank is 2", "0 ... 1", "--world-size is 2"}, {}, 2, 2);
  expect_refused({"--rank is -1"}, {}, -1, 2);
  expect_refused({"--world-size is 0"}, {}, 0, 0);
  expect_refused({"RANK", "no WORLD_SIZE"}, {{"RANK", "1"}});
  expect_refused({"PMI_SIZE", "no PMI_RANK"}, {{"PMI_SIZE", "2"}});
  expect_refused({"SLURM_PROCID", "no SLURM_NTASKS"}, {{"SLURM_PROCID", "0"}});
  expect_refused({"WORLD_SIZE is \"two\""}, {{"RANK", "1"}, {"WORLD_SIZE", "two"}});
  expect_refused({"RANK is \"-1\""}, {{"RANK", "-1"}, {"WORLD_SIZE", "2"}});
  expect_refused({"RANK is 2", "WORLD_SIZE is 2"}, {{"RANK", "2"}, {"WORLD_SIZE", "2"}});
  expect_refused({"contradicts", "PMI_RANK, PMI_SIZE say rank 0 of 2", "RANK, WORLD_SIZE say 1 of 2"},
                 {{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}, {"RANK", "1"}, {"WORLD_SIZE", "2"}});
}

TEST(Rank, BlocksTileTheImages) {
  for (const int64_t images : {1, 7, 64, 50'000})
    for (int64_t count = 1; count < 12; ++count) {
      int64_t at = 0;
      for (int64_t index = 0; index < count; ++index) {
        const IndexRange block = block_of({index, count}, images);
        EXPECT_EQ(block.first, at);
        EXPECT_LE(std::abs(block.count * count - images), count);
        at = block.end();
      }
      EXPECT_EQ(at, images);
    }
}

}  // namespace
}  // namespace tstitch
