// The file of a feature network.
#pragma once

#include <memory>
#include <string>

#include "tstitch/backend/backend.h"
#include "tstitch/models/feature_extractor.h"

namespace tstitch {

// InceptionV3 under pytorch-fid's names (pt_inception-2015-12-05.pth), or with its configuration in the
// metadata a DemoClassifier, as tools/train/train_demo_classifier.py writes it, or TwoTowers, as
// tools/demo_family/train_towers.py does. The backend computes in f32. Throws Error{input} for any other
// file.
std::unique_ptr<FeatureExtractor> load_feature_extractor(Backend& backend, const std::string& path);

}  // namespace tstitch
