#include "tstitch/zoo/family.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "tests/zoo/toy_family.h"
#include "tstitch/base/error.h"
#include "tstitch/engine/engine.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/zoo/assets.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

constexpr std::array kOnlyToy = {kToy};

class ToyFamily : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("tstitch_family_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::array<float, 4>& slopes) const {
    Tensor table({4, 2}, DType::f32);
    for (size_t i = 0; i < 4; ++i) {
      table.data<float>()[2 * i] = slopes[i];
      table.data<float>()[2 * i + 1] = 0;
    }
    const std::string path = (folder_ / (name + ".safetensors")).string();
    write_safetensors(path, {{"toy", table}}, {});
    return path;
  }

  fs::path folder_;
};

TEST_F(ToyFamily, IsSampledLikeTheOthers) {
  const std::array<float, 4> small = {0.3f, 0.5f, 0.7f, 0.2f}, large = {0.4f, 0.6f, 0.8f, 0.1f};
  std::vector<ModelInfo> infos;
  for (const std::string& path : {write("small", small), write("large", large)})
    infos.push_back(read_model_info(path, WeightChoice::automatic, {}, kOnlyToy));
  EXPECT_EQ(infos[0].name, "small");
  Tensor start({2, 1, 4, 4}, DType::f32);
  std::fill_n(start.data<float>(), start.elements(), 0.5f);
  const RunSpec spec = make_run_spec(infos, {.fractions = {0.5, 0.5},
                                             .sampler = "ddim",
                                             .steps = "10",
                                             .cfg_scale = 2,
                                             .classes = {0, 2},
                                             .given = {.initial = start, .steps = {}}});
  Engine engine(infos, {.dtype = "f32", .threads = 1});
  engine.load(spec);
  RunObserver silent;
  KeepLatents keep(spec);
  const IndexRange all = {0, 2};
  engine.sample(spec, {&all, 1}, silent, nullptr, &keep);

  for (const auto& [image, subject] : {std::pair<int64_t, size_t>{0, 0}, {1, 2}}) {
    double x = 0.5;
    for (const Step& step : spec.trajectory) {
      const std::array<float, 4>& slopes = step.denoiser == 0 ? small : large;
      const double eps = (slopes[3] + 2.0 * (slopes[subject] - slopes[3])) * x;
      x = step.next.alpha * (x - step.level.sigma * eps) / step.level.alpha + step.next.sigma * eps;
    }
    EXPECT_NEAR(keep.latents().data<float>()[16 * image], x, 1e-4 * std::abs(x));
  }
}

TEST_F(ToyFamily, IsRefusedWhereItIsNotInTheTable) {
  try {
    read_model_info(write("toy", {}));
    ADD_FAILURE() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    EXPECT_NE(std::string(e.what()).find("known: DiT, U-Net"), std::string::npos) << e.what();
  }
}

TEST(Families, TheFirstThatRecognisesAModelDescribesIt) {
  const auto name = [](std::span<const Family> families) {
    return read_model_info(resolve_model("fashion-s"), WeightChoice::automatic, {}, families)
        .architecture->name();
  };
  Family greedy = kToy;
  greedy.recognise = [](const ModelSource&) { return true; };
  const Family dit = builtin_families()[1];
  EXPECT_EQ(name(std::array{kToy, dit}), name(builtin_families()));
  EXPECT_EQ(name(std::array{dit, greedy}), name(builtin_families()));
  EXPECT_EQ(name(std::array{greedy, dit}), "toy");
}

}  // namespace
}  // namespace tstitch
