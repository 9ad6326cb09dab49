#include "tstitch/serve/a1111_control.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "tstitch/base/ascii.h"
#include "tstitch/engine/control_options.h"
#include "tstitch/serve/json_values.h"

namespace tstitch::serve {
namespace {

using nlohmann::json;

// As in a1111_request.cpp.
const NeutralValues kNeutral = {
    {"is_ui", "*"},
    {"input_mode", {nullptr, "", "simple"}},
    {"batch_images", {nullptr, ""}},
    {"output_dir", "*"},
    {"loopback", {nullptr, false}},
    {"low_vram", "*"},
    {"lowvram", "*"},
    {"hr_option", "*"},  // there is no second pass
    {"save_detected_map", "*"},
    {"inpaint_crop_input_image", "*"},  // the whole picture is painted
    {"advanced_weighting", {nullptr, json::array()}},
    {"effective_region_mask", {nullptr, ""}},
    {"mask", {nullptr, ""}},
    {"mask_image", {nullptr, ""}},
    {"control_mode", {nullptr, 0, "Balanced"}},
    {"guess_mode", {nullptr, false}},
    {"guessmode", {nullptr, false}},
    {"ipadapter_input", {nullptr}},
    {"pulid_mode", "*"},          // of networks that are not here
    {"union_control_type", "*"},  // the same
};

// Names of older clients, which count where those of today say nothing.
const std::pair<std::string, std::string> kOldNames[] = {{"input_image", "image"},
                                                         {"guidance", "guidance_end"}};

class Unit {
 public:
  Unit(const json& unit, std::vector<std::string>& ignored) {
    if (!unit.is_object()) refuse_value("args", unit, "an object for each unit");
    values_ = unit;
    for (const auto& [old, name] : kOldNames) {
      const json value = unit.value(old, json());
      values_.erase(old);
      if (!value.is_null() && unit.value(name, json()).is_null()) values_[name] = value;
    }
    const json enabled = values_.value("enabled", json());
    enabled_ = enabled.is_null() || truth_in(enabled, "enabled");
    if (!does_something()) return;
    for (const auto& [name, value] : values_.items())
      if (!is_neutral(kNeutral, name, value) && !is_read(name))
        ignored.push_back("alwayson_scripts.ControlNet." + name);
  }

  bool does_something() const { return enabled_ && number("weight", 1) != 0; }

  ControlOption option(const Catalog& catalog, std::vector<std::string>& notes) const {
    ControlOption option{.path = model(catalog),
                         .image = {},
                         .strength = number("weight", 1),
                         .interval = {std::clamp(number("guidance_start", 0), 0.0, 1.0),
                                      std::clamp(number("guidance_end", 1), 0.0, 1.0)}};
    if (option.interval.low >= option.interval.high)
      refuse_value("guidance_end", option.interval.high, "more than \"guidance_start\"");
    const std::string module = ascii_lowered(text("module", "none"));
    if (module == "canny") {
      option.canny = thresholds();
      if (values_.value("pixel_perfect", json(false)) != true)
        notes.emplace_back("canny looks for edges at the size of the picture, as with pixel_perfect");
    } else if (module != "none" && !module.empty()) {
      refuse_value("module", module, "none or canny: send the picture to follow as it is");
    }
    return option;
  }

  // In base64. otherwise: the one of a unit that has none.
  std::string image(const std::string& otherwise) const {
    const json given = values_.value("image", json());
    const std::string own = image_in(given);
    if (own.empty() && otherwise.empty()) refuse_field("image", "a unit has no \"image\" to follow");
    return own.empty() ? otherwise : own;
  }

  // What is to be said where its picture has another shape than the one that is made, and would be cut;
  // nothing where that is asked for.
  std::optional<Refusal> uncut() const {
    const json mode = values_.value("resize_mode", json());
    for (const json& crops : {json(), json(1), json("Crop and Resize"), json("Inner Fit (Scale to Fit)"),
                              json("Scale to Fit (Inner Fit)")})
      if (mode == crops) return std::nullopt;
    bool known = false;
    for (const json& other : {json(0), json(2), json("Just Resize"), json("Resize and Fill"),
                              json("Outer Fit (Shrink to Fit)"), json("Envelope (Outer Fit)")})
      known |= mode == other;
    if (!known) refuse_value("resize_mode", mode, "\"Crop and Resize\"");
    return Refusal(422, "invalid_value",
                   concat("alwayson_scripts.ControlNet: \"resize_mode\" is ", shown(mode),
                          ", expected \"Crop and Resize\" for a picture of another shape than the one that "
                          "is made"),
                   "alwayson_scripts");
  }

 private:
  static bool is_read(const std::string& name) {
    return std::ranges::count(
               std::initializer_list<std::string_view>{
                   "enabled", "module", "model", "weight", "image", "resize_mode", "processor_res",
                   "threshold_a", "threshold_b", "guidance_start", "guidance_end", "pixel_perfect"},
               name) > 0;
  }

  double number(const char* name, double otherwise) const {
    const json value = values_.value(name, json());
    return value.is_null() ? otherwise : number_in(value, name);
  }
  std::string text(const char* name, const char* otherwise) const {
    const json value = values_.value(name, json());
    return value.is_null() ? otherwise : text_in(value, name);
  }

  // Clients that choose from a list of the web UI's say "name [hash]".
  std::string model(const Catalog& catalog) const {
    std::string name = text("model", "None");
    if (name.empty() || name == "None")
      refuse_field("model", "a unit has no \"model\", expected one of GET /controlnet/model_list");
    const std::vector<std::string> known = catalog.controls();
    const size_t hash = name.rfind(" [");
    if (std::ranges::count(known, name) == 0 && hash != name.npos && name.ends_with(']')) name.resize(hash);
    return name;
  }

  // What lies outside of the extension's sliders is its default; cv::Canny takes the smaller for the low one.
  CannyThresholds thresholds() const {
    const auto slider = [&](const char* name, int otherwise) {
      const double value = number(name, otherwise);
      return 1 <= value && value <= 255 ? static_cast<int>(std::lround(value)) : otherwise;
    };
    const CannyThresholds usual;
    const int a = slider("threshold_a", usual.low), b = slider("threshold_b", usual.high);
    return {std::min(a, b), std::max(a, b)};
  }

  // A text; {"image", "mask"}; [image, mask]; or a list with one of these objects.
  static std::string image_in(const json& given) {
    if (given.is_null()) return "";
    if (given.is_string()) return given;
    if (given.is_object()) {
      is_neutral(kNeutral, "mask", given.value("mask", json()));
      return image_in(given.value("image", json()));
    }
    if (given.is_array() && given.size() == 2 && given[0].is_string()) {
      is_neutral(kNeutral, "mask", given[1]);
      return given[0];
    }
    if (given.is_array() && given.size() == 1 && !given[0].is_array()) return image_in(given[0]);
    refuse_value("image", given, "one picture in base64");
  }

  json values_;  // by the names of today
  bool enabled_ = true;
};

}  // namespace

const std::vector<std::string>& control_modules() {
  static const std::vector<std::string> names = {"none", "canny"};
  return names;
}

void take_control_units(const json& units, const json& body, const Catalog& catalog, Request& request,
                        std::vector<std::string>& ignored) {
  const json start = body.value("init_images", json());
  const std::string of_body = start.is_array() && start.size() == 1 && start[0].is_string() ? start[0] : "";
  for (const json& one : units) try {
      if (one.is_null()) continue;
      const Unit unit(one, ignored);
      if (!unit.does_something()) continue;
      const std::string image = unit.image(of_body);
      const std::optional<Refusal> uncut = unit.uncut();
      const std::string name = add_control(request, unit.option(catalog, request.notes), "image", image);
      if (uncut) request.uncut.insert_or_assign(name, *uncut);
    } catch (Refusal& refusal) {
      refusal.message = "alwayson_scripts.ControlNet: " + refusal.message;
      refusal.param = "alwayson_scripts";
      throw;
    }
}

}  // namespace tstitch::serve
