#include "tstitch/serve/a1111_request.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "tstitch/base/ascii.h"
#include "tstitch/base/numbers.h"
#include "tstitch/engine/sampler_names.h"
#include "tstitch/serve/a1111_control.h"
#include "tstitch/serve/json_values.h"
#include "tstitch/serve/refusal.h"

namespace tstitch::serve {
namespace {

using nlohmann::json;

// Fields that say nothing where they hold one of these: what clients send whoever they speak to. A "*" is any
// value, of fields that change no picture, or none while others are neutral.
const NeutralValues kNeutral = {
    {"styles", {nullptr, json::array()}},
    {"subseed", "*"},
    {"subseed_strength", {nullptr, 0}},
    {"seed_resize_from_h", {nullptr, -1, 0}},
    {"seed_resize_from_w", {nullptr, -1, 0}},
    {"restore_faces", {nullptr, false}},
    {"tiling", {nullptr, false}},
    {"do_not_save_samples", "*"},
    {"do_not_save_grid", "*"},
    {"save_images", "*"},
    {"send_images", "*"},
    {"s_churn", {nullptr, 0}},
    {"s_tmax", {nullptr, 0}},
    {"s_tmin", {nullptr, 0}},
    {"s_noise", {nullptr, 1}},
    {"s_min_uncond", {nullptr, 0}},
    {"override_settings_restore_afterwards", "*"},
    {"disable_extra_networks", {nullptr, false}},
    {"enable_hr", {nullptr, false}},
    {"hr_scale", "*"},
    {"hr_upscaler", "*"},
    {"hr_second_pass_steps", "*"},
    {"hr_resize_x", "*"},
    {"hr_resize_y", "*"},
    {"hr_checkpoint_name", "*"},
    {"hr_sampler_name", "*"},
    {"hr_scheduler", "*"},
    {"hr_prompt", "*"},
    {"hr_negative_prompt", "*"},
    {"hr_additional_modules", "*"},
    {"firstphase_width", {nullptr, 0}},
    {"firstphase_height", {nullptr, 0}},
    {"firstpass_image", {nullptr}},
    {"comments", "*"},
    {"script_name", {nullptr, ""}},
    {"script_args", {nullptr, json::array()}},
    {"infotext", {nullptr, ""}},
    {"distilled_cfg_scale", "*"},  // of networks that are not here
    {"image_cfg_scale", "*"},      // the same
    {"latent_mask", {nullptr}},
    {"inpainting_fill", {nullptr, 0, 1}},  // 1 is what happens
    {"inpaint_full_res", "*"},             // the whole picture is painted
    {"inpaint_full_res_padding", "*"},
    {"resize_mode", {nullptr, 0, 1}},  // 1 is what happens
    {"initial_noise_multiplier", {nullptr, 1}},
    {"include_init_images", "*"},
};

class Reader {
 public:
  Reader(const json& body, const Catalog& catalog, const std::string& checkpoint, bool from_picture)
      : body_(body), catalog_(catalog), checkpoint_(checkpoint), from_picture_(from_picture) {}

  A1111Request read() {
    request_.subject = "";
    request_.nearest_size = true;
    request_.unasked = {"cfg_scale", "negative_prompt", "eta", "clip_skip", "scheduler"};
    request_.said["seed"] = {"-1"};
    for (const auto& [name, value] : body_.items()) take(name, value);
    take_models();
    request_.said["batch_count"] = {std::to_string(images_)};
    if (from_picture_) take_pictures();
    return {std::move(request_), std::move(task_), std::move(ignored_)};
  }

 private:
  void say(const char* field, std::string text) { request_.said[field] = {std::move(text)}; }

  void take(const std::string& name, const json& value) {
    if (is_neutral(kNeutral, name, value)) return;
    if (value.is_null()) return;
    if (name == "prompt") {
      if (request_.subject) request_.subject = text_in(value, name);
    } else if (name == "negative_prompt") {
      if (text_in(value, name) != "") say("negative_prompt", value);
    } else if (name == "seed" || name == "steps" || name == "width" || name == "height") {
      say(name.c_str(), std::to_string(whole_in(value, name)));
    } else if (name == "cfg_scale" || name == "eta") {
      say(name.c_str(), number_text(number_in(value, name)));
    } else if (name == "sampler_name" || (name == "sampler_index" && !body_.contains("sampler_name"))) {
      take_sampler(text_in(value, name));
    } else if (name == "scheduler") {
      take_scheduler(ascii_lowered(text_in(value, name)));
    } else if (name == "batch_size" || name == "n_iter") {
      const int64_t count = whole_in(value, name);
      if (count < 1 || count > 1'000'000) refuse_value(name, value, "1 or more");
      images_ *= count;
    } else if (name == "clip_skip") {
      take_clip_skip(whole_in(value, name));
    } else if (name == "override_settings") {
      take_settings(value);
    } else if (name == "refiner_checkpoint") {
      refiner_ = text_in(value, name);
    } else if (name == "refiner_switch_at") {
      switch_at_ = number_in(value, name);
    } else if (name == "alwayson_scripts") {
      take_scripts(value);
    } else if (name == "force_task_id") {
      task_ = text_in(value, name);
    } else if (name == "sampler_index" || is_of_picture(name)) {
      return;
    } else if (is_of_runs(name)) {
      take_own(name, value);
    } else {
      ignored_.push_back(name);
    }
  }

  void take(Request own) {
    for (const auto& [field, texts] : own.said) {
      Texts& all = request_.said[field];
      if (field != "control_net") all.clear();  // which units say, too
      all.insert(all.end(), texts.begin(), texts.end());
    }
    for (auto& [field, picture] : own.pictures) request_.pictures[field] = std::move(picture);
    check_pictures(request_);
  }

  // Our own fields ride along, but for what has another name here, or is the server's.
  void take_own(const std::string& name, const json& value) {
    static const std::map<std::string_view, std::string_view> theirs = {
        {"model", "override_settings.sd_model_checkpoint"},
        {"small", "override_settings.sd_model_checkpoint"},
        {"large", "refiner_checkpoint"},
        {"sampler", "sampler_name"},
        {"batch_count", "n_iter"},
        {"init_image", "init_images"},
        {"strength", "denoising_strength"}};
    if (const auto other = theirs.find(name); other != theirs.end())
      refuse_field(name, "\"", name, "\" is said as \"", other->second, "\" here");
    take(read_request({{name, value}}, catalog_));
    if (name == "class") request_.subject.reset();
  }

  // Read by take_pictures, and without effect where there is no picture.
  static bool is_of_picture(const std::string& name) {
    static const std::set<std::string> names = {"init_images",           "mask",        "mask_blur",
                                                "mask_blur_x",           "mask_blur_y", "denoising_strength",
                                                "inpainting_mask_invert"};
    return names.contains(name);
  }

  void take_sampler(const std::string& name) {
    if (name.empty() || name == "Automatic" || name == "automatic") return;
    if (!find_sampler(name))
      throw Refusal(
          404, "Sampler not found",
          concat("there is no sampler \"", printable(name), "\", expected one of GET /sdapi/v1/samplers"),
          "sampler_name");
    say("sampler", name);
  }

  void take_scheduler(const std::string& name) {
    // Timesteps that are evenly spaced, which "normal" and "uniform" ask for there, are no schedule of
    // sigmas.
    if (name == "normal" || name == "uniform")
      request_.notes.push_back(concat("scheduler \"", name, "\": the timesteps are the model's"));
    else if (!name.empty() && name != "automatic")
      say("scheduler", name);
  }

  void take_clip_skip(int64_t layers) {
    if (layers > 1) say("clip_skip", std::to_string(layers));
  }

  void take_settings(const json& settings) {
    if (!settings.is_object()) refuse_value("override_settings", settings, "an object");
    for (const auto& [name, value] : settings.items())
      if (name == "sd_model_checkpoint") {
        says_checkpoint_ = !value.is_null() && value != "";
        if (says_checkpoint_) checkpoint_ = text_in(value, name);
      } else if (name == "CLIP_stop_at_last_layers") {
        take_clip_skip(whole_in(value, name));
      } else if (name == "sd_vae" || name == "forge_additional_modules") {
        if (value != "Automatic" && value != "None" && value != "" && value != json::array() &&
            !value.is_null())
          refuse_field(name, "\"", name, "\" is not honoured by this server, expected \"Automatic\"");
      } else if (name == "samples_format") {
        if (value != "png") refuse_value(name, value, "\"png\"");
      } else {
        ignored_.push_back("override_settings." + name);
      }
  }

  void take_scripts(const json& scripts) {
    if (!scripts.is_object()) refuse_value("alwayson_scripts", scripts, "an object");
    for (const auto& [name, script] : scripts.items()) {
      const json args = script.is_object() ? script.value("args", json::array()) : json();
      if (!args.is_array()) refuse_value("alwayson_scripts", script, "an object with a list \"args\"");
      const std::string key = ascii_lowered(name);
      if (key == "refiner" && args.size() == 3) {
        if (args[0] != true) continue;
        refiner_ = text_in(args[1], "alwayson_scripts");
        switch_at_ = number_in(args[2], "alwayson_scripts");
      } else if (key == "controlnet") {
        take_control_units(args, body_, catalog_, request_, ignored_);
      } else if (!args.empty()) {
        refuse_field("alwayson_scripts", "there is no script \"", printable(name),
                     "\" here, expected Refiner with [on, name, switch at] or ControlNet");
      }
    }
  }

  bool refines() const { return !refiner_.empty() && ascii_lowered(refiner_) != "none"; }

  // The first model, and behind refiner_switch_at of the steps the second: T-Stitch's ratio by its names
  // there. A1111 itself would take the refiner for all steps where it is not told when.
  void take_models() {
    const auto stages = request_.said.find("stage");
    const bool stages_name_them =
        stages != request_.said.end() && std::ranges::any_of(stages->second, [](const std::string& stage) {
          return !parse_stage(stage).model.empty();
        });
    if (stages_name_them && !says_checkpoint_ && !refines()) return;
    Texts models = checkpoint_.empty() ? catalog_.usual() : catalog_.split(checkpoint_);
    if (refines()) {
      const Texts refiners = catalog_.split(refiner_);
      const auto is_said = [&](std::string_view field) { return request_.said.contains(field); };
      if (is_said("stage") || std::ranges::any_of(kShareFields, is_said))
        refuse_field(
            "refiner_checkpoint", "\"refiner_checkpoint\" and \"refiner_switch_at\" say which ",
            "model serves which steps: they exclude \"stages\", \"ratio\" and the like, beside which ",
            "\"sd_model_checkpoint\" says both models, as \"small+large\"");
      // The small model of a pair, where a pair is what is usual.
      if (!checkpoint_.empty() && models.size() > 1)
        refuse_field("refiner_checkpoint", "\"", printable(checkpoint_),
                     "\" is already several models: expected one beside a refiner");
      models.resize(1);
      if (refiners.size() != 1)
        refuse_field("refiner_checkpoint", "\"", printable(refiner_), "\" is several models, expected one");
      if (!switch_at_)
        refuse_field("refiner_switch_at", "there is a \"refiner_checkpoint\" and no \"refiner_switch_at\": ",
                     "expected the share of the steps, 0 ... 1, behind which it takes over");
      if (!(0 <= *switch_at_ && *switch_at_ <= 1))
        refuse_field("refiner_switch_at", "\"refiner_switch_at\" is ", *switch_at_, ", expected 0 ... 1");
      if (*switch_at_ < 1) {
        models.push_back(refiners[0]);
        say("ratio", number_text(*switch_at_));
      } else {
        request_.notes.push_back(concat("refiner_checkpoint \"", printable(refiner_),
                                        "\" serves no step: refiner_switch_at is 1, behind the last"));
      }
    } else if (switch_at_ && *switch_at_ > 0) {
      request_.notes.emplace_back("refiner_switch_at has no effect: there is no refiner_checkpoint");
    }
    request_.said["model"] = models;
  }

  void take_pictures() {
    const json pictures = body_.value("init_images", json());
    if (!pictures.is_array() || pictures.empty())
      throw Refusal(404, "Init image not found", "expected the picture to start from in \"init_images\"",
                    "init_images");
    if (pictures.size() > 1)
      refuse_field("init_images", "there are ", pictures.size(), " pictures to start from, expected one");
    Request own = read_request({{"init_image", text_in(pictures[0], "init_images")}}, catalog_);
    const double strength = body_.contains("denoising_strength") && !body_["denoising_strength"].is_null()
                                ? number_in(body_["denoising_strength"], "denoising_strength")
                                : 0.75;
    own.said["strength"] = {number_text(strength)};
    if (const json mask = body_.value("mask", json()); !mask.is_null()) {
      Request of_mask = read_request({{"mask", text_in(mask, "mask")}}, catalog_);
      if (body_.value("inpainting_mask_invert", json(0)) != 0)
        for (auto& [name, picture] : of_mask.pictures)
          for (uint8_t& pixel : picture.pixels) pixel = static_cast<uint8_t>(255 - pixel);
      own.said.merge(of_mask.said);
      own.pictures.merge(of_mask.pictures);
      double blur = 4;
      for (const char* name : {"mask_blur_x", "mask_blur_y", "mask_blur"})
        if (body_.contains(name) && !body_[name].is_null()) blur = number_in(body_[name], name);
      own.said["mask_blur"] = {number_text(blur)};
    }
    take(std::move(own));
  }

  const json& body_;
  const Catalog& catalog_;
  std::string checkpoint_;  // what all mean, else what this request says
  bool says_checkpoint_ = false;
  const bool from_picture_;
  Request request_;
  int64_t images_ = 1;
  std::string refiner_, task_;
  std::optional<double> switch_at_;
  std::vector<std::string> ignored_;
};

}  // namespace

A1111Request read_a1111_request(const json& body, const Catalog& catalog, const std::string& checkpoint,
                                bool from_picture) {
  return Reader(body, catalog, checkpoint, from_picture).read();
}

}  // namespace tstitch::serve
