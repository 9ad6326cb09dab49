// The pickle of a PyTorch checkpoint, in an archive with two small storages.
#include "fuzz/torch_tensors.h"
#include "tests/support/zip_archive.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tstitch;
  ZipArchive archive;
  archive.add("x/data.pkl", {reinterpret_cast<const char*>(data), size});
  archive.add("x/data/0", std::string(24, '\1'));
  archive.add("x/data/1", std::string(8, '\2'));
  const std::string bytes = archive.finish();
  read_everything(std::as_bytes(std::span(bytes)));
  return 0;
}
