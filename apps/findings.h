// What the analyses have found, as text, table and curves.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tstitch/draw/chart.h"
#include "tstitch/engine/run_spec.h"

namespace tstitch {

struct Findings {
  nlohmann::ordered_json json;  // what goes into the report
  std::string csv, table;
  Chart chart;
};

template <class... Values>
std::string format(const char* form, const Values&... values) {
  char text[256];
  std::snprintf(text, sizeof text, form, values...);
  return text;
}

inline constexpr size_t kShown = 11;  // steps in a table or as curves of a chart

// At most `most` of 0 ... count - 1, evenly apart, with both ends.
std::vector<size_t> spread(size_t count, size_t most);

// "ddim, 50 steps, cfg 4, seed 0"
std::string settings(const RunSpec& spec);

}  // namespace tstitch
