#pragma once

#include <map>
#include <string>
#include <vector>

#include "tstitch/io/file_identity.h"
#include "tstitch/zoo/model_files.h"

namespace tstitch {

// All files that a command reads and writes, named before it does anything: no output lands on an input or on
// another output, whatever the paths look like, and every output can be written.
class CommandFiles {
 public:
  // what: the option, for messages. A folder stands for the files in it whose names end so. "" is none.
  // Throws Error{input} for a folder that cannot be read.
  void reads(const std::string& what, const std::string& path,
             const std::vector<std::string>& endings = {""});
  // The files of a model, or of an autoencoder.
  void reads(const std::string& what, const ModelFiles& model);
  // Throws Error{usage} for a folder and for a file named before, Error{device} for what cannot be written.
  void writes(const std::string& what, const std::string& path);
  // A folder that the command makes, fills, and removes when it is done. Throws Error{usage} where an input
  // lies in it.
  void works_in(const std::string& what, const std::string& folder);
  // Where pictures go: a name that ends in .png or .npz, or a folder/ that exists or can be made.
  void writes_pictures(const std::string& what, const std::string& path);

 private:
  std::map<FileIdentity, std::string> inputs_, input_folders_, outputs_;  // by whom
};

bool is_folder(const std::string& path);  // one that is there, or a name that says so

}  // namespace tstitch
