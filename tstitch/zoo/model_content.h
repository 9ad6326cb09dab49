#pragma once

#include <functional>
#include <string>

#include "tstitch/io/checkpoint.h"
#include "tstitch/zoo/model_files.h"

namespace tstitch {

// What a model's files hold, wherever they lie: names, shapes, types and elements of all tensors, and the
// configurations beside them, as "1234 bytes, crc32 0123abcd". between: called now and then; what it throws
// ends the work. Throws Error{input} as open_weights.
std::string content_of(const ModelFiles& files, WeightChoice choice, const std::function<void()>& between);

}  // namespace tstitch
