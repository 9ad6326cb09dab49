#include "tstitch/output/rank.h"

#include <charconv>
#include <cstring>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

constexpr int64_t kMostRanks = 1'000'000;

struct Launcher {
  const char *index, *count;
  bool outermost = false;  // its tasks may start another launcher
};
constexpr Launcher kLaunchers[] = {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                   {"PMI_RANK", "PMI_SIZE"},
                                   {"RANK", "WORLD_SIZE"},
                                   {"SLURM_PROCID", "SLURM_NTASKS", true}};

int64_t number(const char* name, const char* text) {
  int64_t value = -1;
  const char* last = text + std::strlen(text);
  const auto [end, error] = std::from_chars(text, last, value);
  check(error == std::errc() && end == last && value >= 0, ErrorKind::usage, name, " is \"", printable(text),
        "\", expected a number");
  return value;
}

Rank checked(const char* index_name, int64_t index, const char* count_name, int64_t count) {
  check(1 <= count && count <= kMostRanks, ErrorKind::usage, count_name, " is ", count, ", expected 1 ... ",
        kMostRanks);
  check(0 <= index && index < count, ErrorKind::usage, index_name, " is ", index, ", expected 0 ... ",
        count - 1, " as ", count_name, " is ", count);
  return {index, count, concat(index_name, ", ", count_name)};
}

std::optional<Rank> rank_of(const Launcher& launcher,
                            const std::function<const char*(const char*)>& environment) {
  const char* const index = environment(launcher.index);
  const char* const count = environment(launcher.count);
  if (!index && (!count || launcher.outermost)) return std::nullopt;
  check(index && count, ErrorKind::usage, "the environment has ", index ? launcher.index : launcher.count,
        " but no ", index ? launcher.count : launcher.index,
        ": set both or none, or say --rank and --world-size");
  return checked(launcher.index, number(launcher.index, index), launcher.count,
                 number(launcher.count, count));
}

}  // namespace

Rank find_rank(std::optional<int64_t> index, std::optional<int64_t> count,
               const std::function<const char*(const char*)>& environment) {
  if (index || count) {
    check(index && count, ErrorKind::usage, "--rank and --world-size go together, but only ",
          index ? "--rank" : "--world-size", " is there");
    return checked("--rank", *index, "--world-size", *count);
  }
  std::optional<Rank> found;
  for (const Launcher& launcher : kLaunchers) {
    if (found && launcher.outermost) continue;
    const std::optional<Rank> rank = rank_of(launcher, environment);
    if (!rank) continue;
    check(!found || (found->index == rank->index && found->count == rank->count), ErrorKind::usage,
          "the environment contradicts itself: ", found ? found->source : "", " say rank ",
          found ? found->index : 0, " of ", found ? found->count : 0, ", ", rank->source, " say ",
          rank->index, " of ", rank->count, "; say --rank and --world-size");
    if (!found) found = rank;
  }
  return found.value_or(Rank{});
}

IndexRange block_of(const Rank& rank, int64_t images) {
  const int64_t first = images * rank.index / rank.count;
  return {first, images * (rank.index + 1) / rank.count - first};
}

}  // namespace tstitch
