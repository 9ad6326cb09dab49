#pragma once

#include <span>
#include <string>
#include <vector>

namespace tstitch {

struct Family;

// What lies at the path that a user calls a model. Paths; empty where there is no such file.
struct ModelFiles {
  std::string path;       // as the user gave it
  std::string weights;    // the tensors, or the index of their shards (*.index.json)
  std::string config;     // config.json beside them
  std::string scheduler;  // scheduler/scheduler_config.json
  std::string index;      // model_index.json, of a folder of a pipeline
  // The folders of the text encoders, in the order of their tokens, or `weights` when these hold them too.
  std::vector<std::string> text_encoders;
  std::string vae;                   // the folder of the autoencoder, or `weights` when these hold it too
  std::vector<std::string> classes;  // names, from id2label of model_index.json
};

// A file; a folder as diffusers' save_pretrained writes it, of a whole pipeline (with model_index.json) or of
// its network alone (config.json and the weights); or a folder with a single checkpoint. Of several weight
// files safetensors come before pickles. Nothing is read but model_index.json: code that lies there (custom
// pipelines, *.py) never is. Throws Error{input} [DF_LAYOUT] naming what was looked for, [DF_CLASS] for
// pipelines that no family has.
ModelFiles find_model_files(const std::string& path, std::span<const Family> families);
ModelFiles find_model_files(const std::string& path);  // with the built-in ones

// A file's name without its extension, or a folder's.
std::string name_of(const ModelFiles& files);

// The weight file in a component's folder, or ""; a variant (*.fp16.safetensors) for want of others.
std::string find_weights(const std::string& folder);

}  // namespace tstitch
