// What blocks change, and which are left out: against PyTorch's hooks (tools/goldens/make_twin_goldens.py).
#include "tstitch/tune/block_changes.h"

#include <gtest/gtest.h>

#include <fstream>

#include "analyses.h"
#include "tests/support/expect_error.h"
#include "tests/support/fake_device.h"
#include "tstitch/ops/ops.h"
#include "tstitch/zoo/dit_network.h"
#include "tstitch/zoo/families/unet.h"

namespace tstitch {
namespace {

// One evaluation of S/8, whose rows are those of the golden.
class OfOneStep final : public Evaluator {
 public:
  explicit OfOneStep(Backend& backend) : backend_(backend) {}
  Tensor evaluate(const Network& network, const Tensor& x, std::span<const Row> rows) override {
    return network.evaluate_observed(x, rows, [&](int64_t block, const Tensor& before, const Tensor& after) {
      const Tensor a = backend_.download(before), b = backend_.download(after);
      EXPECT_EQ(block, std::ssize(changes));
      changes.emplace_back();
      for (int64_t n = 0; n < a.extent(0); ++n)
        changes.back().push_back(relative_error(b.slice(n, n + 1), a.slice(n, n + 1)));
    });
  }
  std::vector<std::vector<double>> changes;

 private:
  Backend& backend_;
};

TEST(BlockChanges, OfOneEvaluationArePyTorchs) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  const DiTConfig config{.patch_size = 8};
  const DiTNetwork network(DiT(config, Weights(*backend, RandomWeights("S/8", 7))));
  const Tensor x = to_channels_last(*backend, random_uniform("x_T", {2, 4, 32, 32}, std::sqrt(3.0), 7));
  std::vector<std::unique_ptr<const BoundCondition>> bound;
  std::vector<Row> rows;
  for (const int64_t c : {207, 1000}) {
    bound.push_back(network.bind({.class_number = c}, 32, 32));
    rows.push_back({.t = 501, .condition = bound.back().get()});
  }
  OfOneStep observed(*backend);
  const Tensor y = observed.evaluate(network, x, rows), plain = network.evaluate(x, rows);
  EXPECT_EQ(std::memcmp(y.bytes(), plain.bytes(), static_cast<size_t>(4 * y.elements())), 0);
  std::ifstream file(golden_path("twins/dit_block_changes.json"));
  const auto expected = nlohmann::json::parse(file).get<std::vector<std::vector<double>>>();
  ASSERT_EQ(observed.changes.size(), expected.size());
  for (size_t block = 0; block < expected.size(); ++block)
    for (const size_t n : {0, 1}) EXPECT_NEAR(observed.changes[block][n], expected[block][n], 1e-6) << block;
}

// A run that is looked at is that run, whatever the batches, and the steps are the solver's.
TEST(BlockChanges, AreThoseOfTheRunsOwnEvaluations) {
  Small small({"one"});
  for (const char* sampler : {"ddim", "heun"}) {
    small.spec->options.sampler = sampler;
    RunObserver silent;
    const auto all = block_changes(*small.backend, small.models, *small.spec, silent, small.inputs);
    ASSERT_EQ(all.size(), 6u);
    for (int i = 0; i < 6; ++i) {
      const StepBlockChanges& step = all[static_cast<size_t>(i)];
      EXPECT_EQ(step.step, i);
      EXPECT_EQ(step.level, small.spec->trajectory[i].level);
      ASSERT_EQ(step.changes.size(), 2u);
      for (const double change : step.changes) EXPECT_GT(change, 0);
    }
    RunSpec at_once = *small.spec;
    at_once.options.batch_size = 8;
    const auto again = block_changes(*small.backend, small.models, at_once, silent, small.inputs);
    for (size_t i = 0; i < 6; ++i)
      for (const size_t block : {0, 1}) EXPECT_NEAR(again[i].changes[block], all[i].changes[block], 1e-12);
    const std::vector<double> mean = mean_changes(std::span(all).subspan(1, 2));
    EXPECT_DOUBLE_EQ(mean[1], (all[1].changes[1] + all[2].changes[1]) / 2);
  }
}

TEST(BlockChanges, OnADeviceAreThoseOfTheHost) {
  const Small host({"one"}), device({"one"}, fake_device({.dtype = "f32", .threads = 2}));
  RunObserver silent;
  const auto found = block_changes(*device.backend, device.models, *device.spec, silent, device.inputs),
             expected = block_changes(*host.backend, host.models, *host.spec, silent, host.inputs);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(found[i].changes, expected[i].changes);
}

TEST(BlockChanges, OfACancelledRunAreNothing) {
  const Small small({"one"});
  Impatient impatient;
  EXPECT_TRUE(block_changes(*small.backend, small.models, *small.spec, impatient, small.inputs).empty());
}

TEST(BlocksToSkip, AreThoseThatChangeLeastOfThoseThatMayBeLeftOut) {
  const ModelInfo dit = dit_info({.depth = 5});
  const std::vector<double> changes = {0.5, 0.1, 0.4, 0.1, 0.2};
  EXPECT_EQ(blocks_to_skip(*dit.architecture, changes, 1), std::vector<int64_t>{1});
  EXPECT_EQ(blocks_to_skip(*dit.architecture, changes, 3), (std::vector<int64_t>{1, 3, 4}));
  testing::expect_error(ErrorKind::usage,
                        "of the 5 blocks of a DiT 384x5/2 at most 4 may be left out together",
                        [&] { blocks_to_skip(*dit.architecture, changes, 5); });
  // Of SDXL's transformers of two blocks one stays, and nothing of those of one.
  UNetConfig config = unet_preset("sdxl");
  config.down = {{0, 0}, {2, 2}, {1, 1}};
  config.up = {{0, 0, 0}, {2, 1, 1}, {1, 1, 1}};
  config.middle_depth = 1;
  const UNetArchitecture unet(config, "", 77, WeightChoice::automatic);
  const auto blocks = static_cast<size_t>(unet.blocks());
  ASSERT_EQ(blocks, 14u);
  EXPECT_EQ(blocks_to_skip(unet, std::vector<double>(blocks), 2), (std::vector<int64_t>{0, 2}));
  testing::expect_error(ErrorKind::usage, "at most 3 may be left out together",
                        [&] { blocks_to_skip(unet, std::vector<double>(blocks), 4); });
  EXPECT_EQ(most_blocks_to_skip(*dit.architecture), 4);
  EXPECT_EQ(most_blocks_to_skip(unet), 3);
  EXPECT_EQ(most_blocks_to_skip(UNetArchitecture(unet_preset("sd1"), "", 77, WeightChoice::automatic)), 0);
}

}  // namespace
}  // namespace tstitch
