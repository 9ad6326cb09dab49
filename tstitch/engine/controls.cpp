#include "tstitch/engine/controls.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/condition/control_conditions.h"
#include "tstitch/engine/init_image.h"
#include "tstitch/engine/naming_option.h"
#include "tstitch/zoo/model_content.h"

namespace tstitch {
namespace {

// Which of the run's ControlNets are for that model, by their numbers.
std::vector<size_t> wanted_by(const SampleOptions& options, size_t model) {
  std::vector<size_t> numbers;
  const auto* own = own_of(options.stages, model, &StageOptions::controls);
  if (!own) {
    for (size_t i = 0; i < options.controls.size(); ++i) numbers.push_back(i);
    return numbers;
  }
  const std::string option = concat("--stage ", model + 1, ": control=");
  if (*own == std::vector<std::string>{"none"}) {
    check(!options.controls.empty(), ErrorKind::usage, option,
          "none has no effect here: there is no --control-net that it could leave out");
    return numbers;
  }
  for (const std::string& path : *own) {
    check(path != "none", ErrorKind::usage, option, "none stands alone");
    const auto is_it = [&](const ControlOption& control) { return control.path == path; };
    check(std::ranges::any_of(options.controls, is_it), ErrorKind::usage, option, " is \"", printable(path),
          "\", expected none or one that --control-net names",
          options.controls.empty()
              ? std::string()
              : ": " + printable(join(options.controls, ", ", &ControlOption::path), 400));
    check(std::ranges::count(*own, path) == 1, ErrorKind::usage, option, printable(path), " is there twice");
  }
  for (size_t i = 0; i < options.controls.size(); ++i)
    if (std::ranges::count(*own, options.controls[i].path)) numbers.push_back(i);
  return numbers;
}

// known: what its files held for an earlier run. content: as of take_controls.
std::shared_ptr<const ControlNetInfo> read_control_net(const std::string& path,
                                                       const std::vector<FileContent>& known,
                                                       const ContentReader& content) {
  ControlNetInfo net = naming_option("--control-net", [&] {
    ControlNetInfo read = read_control_net_info(path);
    read.content = content ? content(read.files) : content_of(read.files, WeightChoice::automatic, [] {});
    return read;
  });
  check_unchanged(known, held_by(net));
  return std::make_shared<const ControlNetInfo>(std::move(net));
}

// Pixels of a picture of that size.
Image to_image(const Tensor& picture) {
  const int64_t C = picture.extent(0), H = picture.extent(1), W = picture.extent(2);
  Image image{.width = static_cast<int>(W),
              .height = static_cast<int>(H),
              .channels = static_cast<int>(C),
              .pixels = {}};
  for (int64_t i = 0; i < H * W; ++i)
    for (int64_t c = 0; c < C; ++c)
      image.pixels.push_back(
          static_cast<uint8_t>(std::lround(std::clamp(picture.data<float>()[c * H * W + i], 0.f, 255.f))));
  return image;
}

Tensor to_picture(const Image& image) {
  const int64_t C = image.channels, H = image.height, W = image.width;
  Tensor picture({C, H, W}, DType::f32);
  for (int64_t i = 0; i < H * W; ++i)
    for (int64_t c = 0; c < C; ++c)
      picture.data<float>()[c * H * W + i] = image.pixels[static_cast<size_t>(i * C + c)];
  return picture;
}

}  // namespace

void take_controls(const SampleOptions& options, std::vector<ModelInfo>& models,
                   const ContentReader& content) {
  check(options.controls.size() <= kMostControls, ErrorKind::usage, "--control-net is there ",
        options.controls.size(), " times, expected at most ", kMostControls);
  std::map<std::string, std::shared_ptr<const ControlNetInfo>> files;
  std::vector<bool> taken(options.controls.size());
  for (size_t i = 0; i < models.size(); ++i)
    for (const size_t number : wanted_by(options, i)) {
      const std::string& path = options.controls[number].path;
      auto& net = files[path];
      if (!net) net = read_control_net(path, options.contents, content);
      const std::string obstacle = control_obstacle(*net, models[i]);
      check(obstacle.empty(), ErrorKind::input, "--control-net \"", printable(path), "\" cannot steer ",
            models[i].name, ": ", obstacle,
            std::ranges::any_of(models, [&](const ModelInfo& m) { return control_obstacle(*net, m).empty(); })
                ? ". Name the stages that it is for: --stage control=PATH, and control=none for others"
                : "");
      models[i].controls.push_back({number, net});
      taken[number] = true;
    }
  for (size_t number = 0; number < taken.size(); ++number)
    check(taken[number], ErrorKind::usage, "--control-net \"", printable(options.controls[number].path),
          "\" has no effect here: every --stage names others with control=");
}

Tensor make_hint(const Image& given, const ControlOption& control, int64_t width, int64_t height) {
  Tensor picture = resized(given, width, height);
  if (control.canny) picture = to_picture(canny_edges(to_image(picture), *control.canny));
  Tensor hint({3, height, width}, DType::f32);
  const int64_t plane = height * width;
  for (int64_t i = 0; i < hint.elements(); ++i) {
    const float value = picture.data<float>()[picture.extent(0) == 1 ? i % plane : i];
    hint.data<float>()[i] = static_cast<float>(std::clamp(value / 255.0, 0.0, 1.0));
  }
  return hint;
}

std::vector<NeededControl> needed_controls(std::span<const ModelInfo> models, const std::vector<bool>& used) {
  std::vector<NeededControl> needed;
  for (size_t i = 0; i < models.size(); ++i)
    for (const auto& [number, net] : models[i].controls) {
      auto one = std::ranges::find(needed, net, &NeededControl::net);
      if (one == needed.end()) one = needed.insert(one, NeededControl{.net = net});
      one->base = &models[i];
      if (used[i]) one->numbers.insert(number);
    }
  std::erase_if(needed, [](const NeededControl& one) { return one.numbers.empty(); });
  return needed;
}

std::vector<std::shared_ptr<const Control>> load_controls(Backend& backend, std::span<const ModelInfo> models,
                                                          const RunSpec& spec, const std::vector<bool>& used,
                                                          const ControlLoader& load) {
  std::vector<std::shared_ptr<const Control>> controls(spec.options.controls.size());
  const int64_t unit = models.back().pixels_per_latent;
  for (const auto& [net, base, numbers] : needed_controls(models, used)) {
    const auto network = load ? load(*net, *base) : load_control_net(*net, *base, backend);
    for (const size_t number : numbers) {
      const ControlOption& control = spec.options.controls[number];
      const Tensor hint =
          make_hint(*spec.options.hints.at(number), control, spec.width * unit, spec.height * unit);
      controls[number] = network->follow(hint, control.strength);
    }
  }
  return controls;
}

void steer(std::vector<std::shared_ptr<const ConditionMaker>>& conditions, std::span<const ModelInfo> models,
           std::span<const std::shared_ptr<const Control>> controls) {
  for (size_t i = 0; i < models.size(); ++i) {
    if (!conditions[i] || models[i].controls.empty()) continue;
    std::vector<std::shared_ptr<const Control>> own;
    for (const ModelControl& control : models[i].controls) own.push_back(controls[control.number]);
    conditions[i] = std::make_shared<ControlConditions>(conditions[i], own);
  }
}

}  // namespace tstitch
