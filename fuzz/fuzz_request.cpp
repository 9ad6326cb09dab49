// Requests of all dialects, up to the run that they mean: each is a run within the limits, or a refusal.
#include <nlohmann/json.hpp>

#include "tstitch/base/error.h"
#include "tstitch/io/json.h"
#include "tstitch/serve/a1111_request.h"
#include "tstitch/serve/base64.h"
#include "tstitch/serve/infotext.h"
#include "tstitch/serve/multipart.h"
#include "tstitch/serve/plan.h"
#include "tstitch/serve/refusal.h"

using namespace tstitch;
using namespace tstitch::serve;

namespace {

template <class Read>
void plan_request(const Limits& limits, const Planner& planner, Read read) {
  try {
    const auto plan = planner.plan(read());
    if (plan->spec.images() > limits.images || plan->spec.trajectory.size() > 2 * limits.steps) abort();
  } catch (const Refusal& refusal) {
    if (refusal.status < 400 || refusal.status >= 500) abort();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::internal) abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  static const Catalog catalog({});
  static const Limits limits;
  static const Planner planner(catalog, {}, limits, {.dtype = "f32"});
  const std::string text(reinterpret_cast<const char*>(data), size);
  plan_request(limits, planner, [&] { return read_request(parse_json(text, "fuzz"), catalog); });
  for (const bool from_picture : {false, true})
    plan_request(limits, planner, [&] {
      const nlohmann::json body = parse_json(text, "fuzz");
      if (!body.is_object()) throw Refusal(400, "invalid_json", "the service says it");
      return read_a1111_request(body, catalog, "", from_picture).request;
    });
  try {
    parse_multipart("multipart/form-data; boundary=b", text);
  } catch (const Refusal&) {
  }
  parse_infotext(text);
  if (const auto bytes = from_base64(text); bytes && from_base64(base64(*bytes)) != bytes) abort();
  return 0;
}
