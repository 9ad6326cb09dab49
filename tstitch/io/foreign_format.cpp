#include "tstitch/io/foreign_format.h"

#include <algorithm>
#include <string_view>

namespace tstitch {
namespace {

using namespace std::string_view_literals;

struct Signature {
  std::string_view start;
  size_t offset;
  ForeignFormat format;
};

constexpr const char* kWebPage = "an HTML page: the download was answered with a web page";

constexpr Signature kSignatures[] = {
    {"version https://git-lfs"sv,
     0,
     {"FMT_UNKNOWN", "a Git LFS pointer: fetch the content with \"git lfs pull\""}},
    {"<!DOCTYPE"sv, 0, {"FMT_UNKNOWN", kWebPage}},
    {"<!doctype"sv, 0, {"FMT_UNKNOWN", kWebPage}},
    {"<html"sv, 0, {"FMT_UNKNOWN", kWebPage}},
    {"<HTML"sv, 0, {"FMT_UNKNOWN", kWebPage}},
    {"<?xml"sv, 0, {"FMT_UNKNOWN", "an XML document"}},
    {"{\""sv, 0, {"FMT_UNKNOWN", "JSON text: perhaps the error message of a server"}},
    {"\x1f\x8b\x08"sv, 0, {"FMT_UNKNOWN", "gzip: unpack it first"}},
    {"7z\xbc\xaf\x27\x1c"sv, 0, {"FMT_UNKNOWN", "a 7z archive: unpack it first"}},
    {"ustar"sv, 257, {"FMT_UNKNOWN", "a tar archive: unpack it first"}},
    {"%PDF-"sv, 0, {"FMT_UNKNOWN", "a PDF document"}},
    {"\x7f"
     "ELF"sv,
     0,
     {"FMT_UNKNOWN", "an ELF program"}},
    {"PK\x03\x04"sv, 0, {"FMT_MISMATCH", "a zip archive, perhaps a PyTorch checkpoint or .npz"}},
    {"\x80\x02"sv, 0, {"FMT_MISMATCH", "a Python pickle, perhaps an old PyTorch checkpoint"}},
    {"\x80\x03"sv, 0, {"FMT_MISMATCH", "a Python pickle"}},
    {"\x80\x04"sv, 0, {"FMT_MISMATCH", "a Python pickle"}},
    {"\x80\x05"sv, 0, {"FMT_MISMATCH", "a Python pickle"}},
    {"GGUF"sv, 0, {"FMT_MISMATCH", "a GGUF model"}},
    {"\x89HDF\r\n\x1a\n"sv, 0, {"FMT_MISMATCH", "an HDF5 file"}},
    {"\x93NUMPY"sv, 0, {"FMT_MISMATCH", "an .npy array"}},
    {"\x89PNG\r\n\x1a\n"sv, 0, {"FMT_MISMATCH", "a PNG image"}},
    {"\xff\xd8\xff"sv, 0, {"FMT_MISMATCH", "a JPEG image"}},
    {"GIF8"sv, 0, {"FMT_MISMATCH", "a GIF image"}},
    {"<svg"sv, 0, {"FMT_MISMATCH", "an SVG image"}},
    // Last: a safetensors header follows its length, so its brace is no proof but the best guess.
    {"{\""sv, 8, {"FMT_MISMATCH", "a safetensors file"}},
};

constexpr ForeignFormat kZeros = {"FMT_UNKNOWN",
                                  "filled with zeros: an incomplete download, or a full disk?"};

}  // namespace

const ForeignFormat* recognise(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              std::min<size_t>(bytes.size(), 4096));
  for (const Signature& signature : kSignatures)
    if (text.size() > signature.offset && text.substr(signature.offset).starts_with(signature.start))
      return &signature.format;
  if (!text.empty() && std::ranges::all_of(text, [](char c) { return c == 0; })) return &kZeros;
  return nullptr;
}

}  // namespace tstitch
