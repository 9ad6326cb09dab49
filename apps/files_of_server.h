#pragma once

#include <string>

#include "tstitch/engine/fields.h"

namespace tstitch {

// A server's pictures have its names for files, by no folder. The LoRAs of `like`, what such a picture says,
// become files below --lora-dir, where the user says no others. said: what the user says, without a
// --lora-dir that has served for that. Throws Error naming the option that says a file that is not found.
void find_files_of_server(const std::string& picture, const Said& user, Said& like, Said& said);

}  // namespace tstitch
