// What a request of A1111's dialect asks for.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tstitch/serve/catalog.h"
#include "tstitch/serve/plan.h"

namespace tstitch::serve {

struct A1111Request {
  Request request;
  std::string task;                  // its force_task_id, or ""
  std::vector<std::string> ignored;  // names that nobody here knows
};

// body: an object. checkpoint: the model of requests that name none, or "". Throws Refusal for what would
// change the picture and is not honoured, by its name, and for values of wrong types.
A1111Request read_a1111_request(const nlohmann::json& body, const Catalog& catalog,
                                const std::string& checkpoint, bool from_picture);

}  // namespace tstitch::serve
