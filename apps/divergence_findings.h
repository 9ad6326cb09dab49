#pragma once

#include <string_view>

#include "apps/findings.h"
#include "tstitch/tune/measured_divergence.h"

namespace tstitch {

// The first line of the .csv.
inline constexpr std::string_view kDivergenceColumns =
    "form,evaluation,step,t,alpha,sigma,weight,age,distance,relative,cosine,weighted\n";

Findings describe_divergence(const RunSpec& spec, const MeasuredDivergence& measured);

}  // namespace tstitch
