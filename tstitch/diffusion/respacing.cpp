#include "tstitch/diffusion/respacing.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

constexpr std::string_view kStridePrefix = "ddim";

// A decimal number of at least 1, spaces around it allowed as in "10, 20, 30".
std::optional<int> parse_count(std::string_view text) {
  const size_t begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return std::nullopt;
  text = text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
  int count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count < 1) return std::nullopt;
  return count;
}

std::vector<int> strided(std::string_view spec, int count, int train_timesteps) {
  for (int stride = 1; stride < train_timesteps; ++stride) {
    if ((train_timesteps + stride - 1) / stride != count) continue;
    std::vector<int> kept;
    for (int t = 0; t < train_timesteps; t += stride) kept.push_back(t);
    return kept;
  }
  fail(ErrorKind::usage, "steps '", printable(std::string(spec)), "': no integer stride keeps exactly ",
       count, " of ", train_timesteps, " timesteps");
}

// `count` timesteps evenly spaced over first .. first + size - 1, appended to `kept`.
void keep_evenly(std::vector<int>& kept, int first, int size, int count) {
  const double stride = count > 1 ? static_cast<double>(size - 1) / (count - 1) : 1;
  double position = 0;
  for (int i = 0; i < count; ++i) {
    // To nearest, ties to even, as Python's round; and the position by repeated addition, whose rounding
    // errors decide which side of a tie it falls on: with i * stride some timesteps would differ from the
    // reference by one.
    kept.push_back(first + static_cast<int>(std::nearbyint(position)));
    position += stride;
  }
}

}  // namespace

std::vector<int> respaced_timesteps(std::string_view spec, int train_timesteps) {
  const std::string shown = printable(std::string(spec));
  const auto count_of = [&](std::string_view part) {
    const std::optional<int> count = parse_count(part);
    check(count.has_value(), ErrorKind::usage, "steps '", shown, "': found '", printable(std::string(part)),
          "', expected N, A,B,C or ddimN with whole numbers of at least 1");
    return *count;
  };
  if (spec.starts_with(kStridePrefix))
    return strided(spec, count_of(spec.substr(kStridePrefix.size())), train_timesteps);

  std::vector<int> counts;
  for (size_t begin = 0; begin <= spec.size();) {
    const size_t comma = std::min(spec.find(',', begin), spec.size());
    counts.push_back(count_of(spec.substr(begin, comma - begin)));
    begin = comma + 1;
  }

  const int sections = static_cast<int>(counts.size());
  std::vector<int> kept;
  int first = 0;
  for (int i = 0; i < sections; ++i) {
    const int size = train_timesteps / sections + (i < train_timesteps % sections ? 1 : 0);
    check(counts[i] <= size, ErrorKind::usage, "steps '", shown, "': ", counts[i], " steps asked for, but ",
          sections > 1 ? concat("section ", i + 1, " holds ") : std::string("the model was trained with "),
          size);
    keep_evenly(kept, first, size, counts[i]);
    first += size;
  }
  return kept;
}

}  // namespace tstitch
