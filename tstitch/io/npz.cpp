#include "tstitch/io/npz.h"

#include "tstitch/base/checked.h"
#include "tstitch/base/error.h"
#include "tstitch/io/extents.h"
#include "tstitch/io/npy.h"

namespace tstitch {

void NpzWriter::begin(const std::string& name, std::string_view descr, int64_t element_bytes,
                      std::span<const int64_t> shape, const std::string& extra) {
  const auto elements = checked_elements(shape);
  const auto bytes = elements ? checked_mul(*elements, element_bytes) : std::nullopt;
  check_internal(bytes.has_value(), "the size of the array ", name, " overflows");
  const std::string header = npy_header(descr, shape);
  zip_.begin(name + ".npy", header.size() + static_cast<uint64_t>(*bytes), extra);
  zip_.write(std::as_bytes(std::span(header)));
}

}  // namespace tstitch
