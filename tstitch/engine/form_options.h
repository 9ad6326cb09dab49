// What a user says of a cheaper form of a model. what: the key, for messages; all throw Error{usage}.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tstitch/diffusion/cheaper_form.h"

namespace tstitch {

// "0.5" or "50%", more than 0 and at most all tokens that are no targets.
double parse_merge(const std::string& what, const std::string& text);

// "N", and behind it in any order, each behind a colon, "paper" or "helper", "center=EVALUATION" and, with
// that, "power=POWER".
BlockCache parse_cache(const std::string& what, const std::string& text);
std::string to_string(const BlockCache& cache);  // the inverse, without what goes without saying

// "3+7+12" or, of neighbours, "3-5+12", added to those that are there.
void add_blocks(const std::string& what, const std::string& text, std::vector<int64_t>& blocks);

}  // namespace tstitch
