#include "tstitch/models/inception_v3.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "tstitch/base/error.h"
#include "tstitch/nn/conv2d.h"
#include "tstitch/nn/linear.h"

namespace tstitch {
namespace {

constexpr int64_t kChannels = 3, kFeatures = 2048, kClasses = 1008;
constexpr int64_t kSpatialSide = 17, kSpatialChannels = 7;
constexpr char kSpatialBlock[] = "Mixed_6d";
constexpr double kBatchNormEps = 1e-3;
constexpr int64_t kBatch = 4;  // pictures at a time: more are not faster

// relu(batch norm(convolution)), behind "NAME.conv" and "NAME.bn".
struct ConvSpec {
  const char* name;
  int64_t outputs;
  Extent2d kernel = 1;
  int64_t stride = 1;
  bool padded = true;  // with as many zeros as keep the size

  Conv2dPath path() const {
    const Extent2d pad = padded ? Extent2d{kernel.height / 2, kernel.width / 2} : Extent2d{0};
    return {.stride = stride, .pad_before = pad, .pad_after = pad};
  }
};

// The pool, then the trunk one after the other; the heads each read what that gave. Without heads, that is
// it.
struct BranchSpec {
  std::optional<PoolPath> pool = {};
  std::vector<ConvSpec> trunk = {}, heads = {};

  int64_t outputs(int64_t inputs) const {
    int64_t sum = 0;
    for (const ConvSpec& head : heads) sum += head.outputs;
    return heads.empty() ? inputs : sum;
  }
};

// Branches of the same input, their outputs side by side.
struct BlockSpec {
  std::string name;  // in front of those of its convolutions, or nothing
  std::vector<BranchSpec> branches;

  int64_t outputs(int64_t inputs) const {
    int64_t sum = 0;
    for (const BranchSpec& branch : branches) sum += branch.outputs(inputs);
    return sum;
  }
  // All branches change the size alike.
  Extent2d size(Extent2d size) const {
    const BranchSpec& branch = branches.front();
    if (branch.pool) size = {branch.pool->output(size.height), branch.pool->output(size.width)};
    for (const ConvSpec& conv : branch.trunk) size = conv.path().output(size, conv.kernel);
    return branch.heads.empty() ? size
                                : branch.heads.front().path().output(size, branch.heads.front().kernel);
  }
};

constexpr PoolPath kHalf = {.of = PoolPath::Of::max, .window = 3, .stride = 2},
                   kMean = {.of = PoolPath::Of::mean, .window = 3, .pad = 1},
                   kMax = {.of = PoolPath::Of::max, .window = 3, .pad = 1};

// The blocks of 35 x 35, 17 x 17 and 8 x 8 pixels (figures 5 to 7 of the paper).
BlockSpec block_35(const char* name, int64_t pooled) {
  return {
      name,
      {{.heads = {{"branch1x1", 64}}},
       {.trunk = {{"branch5x5_1", 48}}, .heads = {{"branch5x5_2", 64, 5}}},
       {.trunk = {{"branch3x3dbl_1", 64}, {"branch3x3dbl_2", 96, 3}}, .heads = {{"branch3x3dbl_3", 96, 3}}},
       {.pool = kMean, .heads = {{"branch_pool", pooled}}}}};
}

BlockSpec block_17(const char* name, int64_t width) {
  const Extent2d row = {1, 7}, column = {7, 1};
  return {name,
          {{.heads = {{"branch1x1", 192}}},
           {.trunk = {{"branch7x7_1", width}, {"branch7x7_2", width, row}},
            .heads = {{"branch7x7_3", 192, column}}},
           {.trunk = {{"branch7x7dbl_1", width},
                      {"branch7x7dbl_2", width, column},
                      {"branch7x7dbl_3", width, row},
                      {"branch7x7dbl_4", width, column}},
            .heads = {{"branch7x7dbl_5", 192, row}}},
           {.pool = kMean, .heads = {{"branch_pool", 192}}}}};
}

BlockSpec block_8(const char* name, const PoolPath& pool) {
  const Extent2d row = {1, 3}, column = {3, 1};
  return {name,
          {{.heads = {{"branch1x1", 320}}},
           {.trunk = {{"branch3x3_1", 384}},
            .heads = {{"branch3x3_2a", 384, row}, {"branch3x3_2b", 384, column}}},
           {.trunk = {{"branch3x3dbl_1", 448}, {"branch3x3dbl_2", 384, 3}},
            .heads = {{"branch3x3dbl_3a", 384, row}, {"branch3x3dbl_3b", 384, column}}},
           {.pool = pool, .heads = {{"branch_pool", 192}}}}};
}

std::vector<BlockSpec> block_specs() {
  return {
      {"",
       {{.trunk = {{"Conv2d_1a_3x3", 32, 3, 2, false}, {"Conv2d_2a_3x3", 32, 3, 1, false}},
         .heads = {{"Conv2d_2b_3x3", 64, 3}}}}},
      {"",
       {{.pool = kHalf, .trunk = {{"Conv2d_3b_1x1", 80}}, .heads = {{"Conv2d_4a_3x3", 192, 3, 1, false}}}}},
      {"", {{.pool = kHalf}}},
      block_35("Mixed_5b", 32),
      block_35("Mixed_5c", 64),
      block_35("Mixed_5d", 64),
      {"Mixed_6a",
       {{.heads = {{"branch3x3", 384, 3, 2, false}}},
        {.trunk = {{"branch3x3dbl_1", 64}, {"branch3x3dbl_2", 96, 3}},
         .heads = {{"branch3x3dbl_3", 96, 3, 2, false}}},
        {.pool = kHalf}}},
      block_17("Mixed_6b", 128),
      block_17("Mixed_6c", 160),
      block_17(kSpatialBlock, 160),
      block_17("Mixed_6e", 192),
      {"Mixed_7a",
       {{.trunk = {{"branch3x3_1", 192}}, .heads = {{"branch3x3_2", 320, 3, 2, false}}},
        {.trunk = {{"branch7x7x3_1", 192}, {"branch7x7x3_2", 192, {1, 7}}, {"branch7x7x3_3", 192, {7, 1}}},
         .heads = {{"branch7x7x3_4", 192, 3, 2, false}}},
        {.pool = kHalf}}},
      block_8("Mixed_7b", kMean),
      block_8("Mixed_7c", kMax),
  };
}

// The convolution that does what it and the batch norm behind it (Ioffe & Szegedy 2015, arXiv 1502.03167) do.
Conv2d folded(const Weights& weights, int64_t inputs, const ConvSpec& spec) {
  const int64_t M = spec.outputs;
  const Weights bn = weights / "bn";
  Tensor w = (weights / "conv").load("weight", {M, inputs, spec.kernel.height, spec.kernel.width});
  Tensor b = bn.load("bias", {M});
  const Tensor gamma = bn.load("weight", {M}), mean = bn.load("running_mean", {M}),
               variance = bn.load("running_var", {M});
  const int64_t taps = w.elements() / M;
  for (int64_t m = 0; m < M; ++m) {
    const double v = variance.data<float>()[m];
    check(v >= 0, ErrorKind::input, "tensor \"", bn.name("running_var"), "\" holds the variance ", v,
          ", expected none below 0");
    const double scale = gamma.data<float>()[m] / std::sqrt(v + kBatchNormEps);
    b.data<float>()[m] = static_cast<float>(b.data<float>()[m] - mean.data<float>()[m] * scale);
    for (int64_t i = m * taps; i < (m + 1) * taps; ++i)
      w.data<float>()[i] = static_cast<float>(w.data<float>()[i] * scale);
  }
  return Conv2d(weights.backend(), w, b);
}

struct InceptionConv {
  Conv2d conv;
  Conv2dPath path;

  Tensor operator()(const Tensor& x) const { return conv(x, path, Activation::relu); }
};

struct InceptionBranch {
  InceptionBranch(const Weights& weights, const BranchSpec& spec, int64_t inputs) : pool(spec.pool) {
    const auto add = [&](std::vector<InceptionConv>& convs, const ConvSpec& conv) {
      convs.push_back({folded(weights / conv.name, inputs, conv), conv.path()});
    };
    for (const ConvSpec& conv : spec.trunk) {
      add(trunk, conv);
      inputs = conv.outputs;
    }
    for (const ConvSpec& conv : spec.heads) add(heads, conv);
  }

  std::optional<PoolPath> pool;
  std::vector<InceptionConv> trunk, heads;
};

class InceptionBlock {
 public:
  InceptionBlock(const Weights& weights, const BlockSpec& spec, int64_t inputs)
      : backend_(&weights.backend()), spec_(spec) {
    for (const BranchSpec& branch : spec.branches)
      branches_.emplace_back(spec.name.empty() ? weights : weights / spec.name, branch, inputs);
  }

  const std::string& name() const { return spec_.name; }

  // x: (N, H, W, inputs). Every branch leaves its outputs where they belong.
  Tensor operator()(const Tensor& x) const {
    const auto [H, W] = spec_.size({x.extent(1), x.extent(2)});
    Tensor out({x.extent(0), H, W, spec_.outputs(x.columns())}, x.dtype(), backend_->memory());
    int64_t column = 0;
    const auto next = [&](int64_t columns) {
      column += columns;
      return out.slice_columns(column - columns, column);
    };
    for (const InceptionBranch& branch : branches_) {
      Tensor h = x;
      if (branch.heads.empty()) {
        Tensor pooled = next(x.columns());
        pool_into(*backend_, pooled, x, *branch.pool);
      } else if (branch.pool) {
        h = pool(*backend_, x, *branch.pool);
      }
      for (const InceptionConv& conv : branch.trunk) h = conv(h);
      for (const InceptionConv& head : branch.heads) {
        Tensor columns = next(head.conv.outputs());
        head.conv.into(columns, h, head.path, Activation::relu);
      }
    }
    return out;
  }

 private:
  Backend* backend_;
  BlockSpec spec_;
  std::vector<InceptionBranch> branches_;
};

class InceptionV3 final : public FeatureExtractor {
 public:
  InceptionV3(const Weights& weights, InceptionResize resize)
      : backend_(&weights.backend()),
        resize_(resize),
        fc_(*backend_, (weights / "fc").load("weight", {kClasses, kFeatures}, backend_->compute_dtype()),
            Tensor()) {
    int64_t channels = kChannels;
    for (const BlockSpec& spec : block_specs()) {
      blocks_.emplace_back(weights, spec, channels);
      channels = spec.outputs(channels);
    }
    host_memory().trim();  // of what the weights were before they were packed
  }

  PictureFeatures operator()(const Tensor& pictures) const override {
    check(pictures.dtype() == DType::u8 && pictures.shape().rank() == 4 && pictures.extent(3) == kChannels &&
              pictures.extent(1) > 0 && pictures.extent(2) > 0,
          ErrorKind::usage, "pictures ", pictures.shape(), " of ", name_of(pictures.dtype()),
          " cannot be measured by InceptionV3: expected (N, H, W, 3) of u8");
    const int64_t N = pictures.extent(0);
    PictureFeatures all = {Tensor({N, kFeatures}, DType::f32), Tensor({N, spatial_features()}, DType::f32),
                           Tensor({N, kClasses}, DType::f32)};
    for (int64_t begin = 0; begin < N; begin += kBatch) {
      const PictureFeatures some = measure(pictures.slice(begin, std::min(N, begin + kBatch)));
      const auto put = [&](Tensor& to, const Tensor& from) {
        std::memcpy(to.data<float>() + begin * to.columns(), from.bytes(),
                    static_cast<size_t>(from.elements() * size_of(DType::f32)));
      };
      put(all.pooled, some.pooled);
      put(all.spatial, some.spatial);
      put(all.logits, some.logits);
    }
    return all;
  }

  int64_t channels() const override { return kChannels; }
  int64_t side() const override { return 0; }
  int64_t features() const override { return kFeatures; }
  int64_t spatial_features() const override { return kSpatialSide * kSpatialSide * kSpatialChannels; }
  int64_t classes() const override { return kClasses; }

 private:
  PictureFeatures measure(const Tensor& pictures) const {
    const int64_t N = pictures.extent(0);
    Tensor x = backend_->upload(inception_input(pictures, resize_)), spatial;
    for (const InceptionBlock& block : blocks_) {
      x = block(x.dtype() == backend_->compute_dtype() ? x : cast(*backend_, x, backend_->compute_dtype()));
      if (block.name() == kSpatialBlock)
        spatial = cast(*backend_, x.slice_columns(0, kSpatialChannels), DType::f32);
    }
    const Tensor means =
        pool(*backend_, cast(*backend_, x, DType::f32), {.of = PoolPath::Of::mean, .window = x.extent(1)});
    const Tensor pooled = means.reshape({N, kFeatures});
    const Tensor logits = fc_(pooled, Activation::none, DType::f32);
    return {backend_->download(pooled), backend_->download(spatial), backend_->download(logits)};
  }

  Backend* backend_;
  InceptionResize resize_;
  std::vector<InceptionBlock> blocks_;
  Linear fc_;
};

}  // namespace

bool is_inception_v3(const WeightSource& weights) {
  return weights.shape("Conv2d_1a_3x3.conv.weight") && weights.shape("Mixed_7c.branch_pool.conv.weight") &&
         weights.shape("fc.weight");
}

std::unique_ptr<FeatureExtractor> load_inception_v3(Backend& backend, const WeightSource& weights,
                                                    InceptionResize resize) {
  const Shape expected = {kClasses, kFeatures};
  const Shape found = weights.shape("fc.weight").value_or(expected);
  check(found == expected, ErrorKind::input, "tensor \"fc.weight\": shape ", found, ", expected ", expected,
        ": not the network of the Fréchet Inception Distance (torchvision's has its names ",
        "too); pytorch-fid's weights, pt_inception-2015-12-05, are");
  return std::make_unique<InceptionV3>(Weights(backend, weights), resize);
}

double inception_v3_flops() {
  double flops = 0;
  Extent2d size = kInceptionSide;
  int64_t channels = kChannels;
  for (const BlockSpec& block : block_specs()) {
    for (const BranchSpec& branch : block.branches) {
      Extent2d at = size;
      int64_t inputs = channels;
      const auto count = [&](const ConvSpec& conv) {
        const Extent2d out = conv.path().output(at, conv.kernel);
        flops += 2. * static_cast<double>(out.height * out.width * inputs * conv.outputs *
                                          conv.kernel.height * conv.kernel.width);
        return out;
      };
      if (branch.pool) at = {branch.pool->output(at.height), branch.pool->output(at.width)};
      for (const ConvSpec& conv : branch.trunk) {
        at = count(conv);
        inputs = conv.outputs;
      }
      for (const ConvSpec& conv : branch.heads) count(conv);
    }
    size = block.size(size);
    channels = block.outputs(channels);
  }
  return flops;
}

}  // namespace tstitch
