// A backend behind a border: every operation's tensors go in, and its result comes out.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "tstitch/backend/backend.h"

namespace tstitch {

class Border : public Backend {
 public:
  explicit Border(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}

  std::string arithmetic() const override { return inner_->arithmetic(); }
  DType compute_dtype() const override { return inner_->compute_dtype(); }

  std::unique_ptr<PackedLinear> pack_linear(const Tensor& w, const Tensor& b) override {
    return inner_->pack_linear(w, b);
  }
  Tensor linear(const Tensor& x, const PackedLinear& w, Activation act, DType out) override {
    return leave(inner_->linear(enter(x), w, act, out));
  }
  void add_gated_linear(Tensor& residual, const Tensor& gate, const Tensor& x,
                        const PackedLinear& w) override {
    in_place(residual, [&](Tensor& sum) { inner_->add_gated_linear(sum, enter(gate), enter(x), w); });
  }
  void add_linear(Tensor& sum, const Tensor& x, const PackedLinear& w) override {
    in_place(sum, [&](Tensor& inner) { inner_->add_linear(inner, enter(x), w); });
  }

  std::unique_ptr<PackedConv2d> pack_conv2d(const Tensor& w, const Tensor& b) override {
    return inner_->pack_conv2d(w, b);
  }
  void conv2d(Tensor& out, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
              Activation act) override {
    const InnerPath inside(*this, path);
    in_place(out, [&](Tensor& y) { inner_->conv2d(y, enter(x), w, inside.path, act); });
  }
  void add_conv2d(Tensor& sum, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
                  Activation act) override {
    const InnerPath inside(*this, path);
    in_place(sum, [&](Tensor& y) { inner_->add_conv2d(y, enter(x), w, inside.path, act); });
  }
  void pool(Tensor& out, const Tensor& x, const PoolPath& path) override {
    in_place(out, [&](Tensor& y) { inner_->pool(y, enter(x), path); });
  }

  Tensor group_moments(const Tensor& x, int64_t groups) override {
    return leave(inner_->group_moments(enter(x), groups));
  }
  Tensor group_norm_scale_shift(std::span<const Tensor> moments, const Tensor& gamma, const Tensor& beta,
                                double eps) override {
    return leave(inner_->group_norm_scale_shift(enter(moments), enter(gamma), enter(beta), eps));
  }
  Tensor scale_shift(const Tensor& x, const Tensor& norm, Activation act) override {
    return leave(inner_->scale_shift(enter(x), enter(norm), act));
  }

  Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) override {
    return leave(inner_->attention(enter(q), enter(k), enter(v), heads));
  }
  Tensor cross_attention(const Tensor& q, std::span<const Tensor* const> keys_values,
                         int64_t heads) override {
    std::map<const Tensor*, Tensor> inside;  // those that are one stay one
    std::vector<const Tensor*> pointers;
    for (const Tensor* x : keys_values) {
      Tensor& entered = inside[x];
      if (!entered) entered = enter(*x);
      pointers.push_back(&entered);
    }
    return leave(inner_->cross_attention(enter(q), pointers, heads));
  }
  Tensor causal_attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) override {
    return leave(inner_->causal_attention(enter(q), enter(k), enter(v), heads));
  }

  Tensor modulated_norm(const Tensor& x, const Tensor& shift, const Tensor& scale, double eps) override {
    return leave(inner_->modulated_norm(enter(x), enter(shift), enter(scale), eps));
  }
  Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) override {
    return leave(inner_->layer_norm(enter(x), enter(gamma), enter(beta), eps));
  }
  Tensor geglu(const Tensor& x) override { return leave(inner_->geglu(enter(x))); }
  void add_rows(Tensor& x, const Tensor& y) override {
    in_place(x, [&](Tensor& sum) { inner_->add_rows(sum, enter(y)); });
  }
  Tensor gather(const Tensor& table, std::span<const int64_t> indices) override {
    return leave(inner_->gather(enter(table), indices));
  }
  void scatter(Tensor& table, std::span<const int64_t> indices, const Tensor& rows) override {
    in_place(table, [&](Tensor& inside) { inner_->scatter(inside, indices, enter(rows)); });
  }
  Tensor nearest_rows(const Tensor& x, const Tensor& table) override {
    return leave(inner_->nearest_rows(enter(x), enter(table)));
  }
  Tensor timestep_embedding(std::span<const double> t, int64_t width) override {
    return leave(inner_->timestep_embedding(t, width));
  }

  Tensor silu(const Tensor& x) override { return leave(inner_->silu(enter(x))); }
  Tensor clamp(const Tensor& x, double low, double high) override {
    return leave(inner_->clamp(enter(x), low, high));
  }
  Tensor soft_clamp(const Tensor& x, double limit) override {
    return leave(inner_->soft_clamp(enter(x), limit));
  }
  Tensor cast(const Tensor& x, DType dtype) override { return leave(inner_->cast(enter(x), dtype)); }
  Tensor combine(std::span<const Term> terms, double offset) override {
    std::vector<Tensor> inside;
    for (const Term& term : terms) inside.push_back(enter(*term.x));
    std::vector<Term> inner_terms;
    for (size_t i = 0; i < inside.size(); ++i) inner_terms.push_back({terms[i].factor, &inside[i]});
    return leave(inner_->combine(inner_terms, offset));
  }
  Tensor add_noise(const Tensor& mean, const Tensor& log_variance, const Tensor& noise) override {
    return leave(inner_->add_noise(enter(mean), enter(log_variance), enter(noise)));
  }
  Tensor guide(const Tensor& c, const Tensor& u, double scale, int64_t channels) override {
    return leave(inner_->guide(enter(c), enter(u), scale, channels));
  }

  Tensor patchify(const Tensor& x, int64_t p) override { return leave(inner_->patchify(enter(x), p)); }
  Tensor unpatchify(const Tensor& tokens, int64_t p, int64_t height, int64_t width) override {
    return leave(inner_->unpatchify(enter(tokens), p, height, width));
  }
  Tensor to_channels_last(const Tensor& x) override { return leave(inner_->to_channels_last(enter(x))); }
  Tensor to_channels_first(const Tensor& x) override { return leave(inner_->to_channels_first(enter(x))); }
  Tensor repeat(const Tensor& x, int64_t times) override { return leave(inner_->repeat(enter(x), times)); }
  Tensor stack(std::span<const Tensor> parts) override { return leave(inner_->stack(enter(parts))); }
  Tensor concat_columns(const Tensor& a, const Tensor& b) override {
    return leave(inner_->concat_columns(enter(a), enter(b)));
  }

 protected:
  virtual Tensor enter(const Tensor& x) const = 0;
  virtual Tensor leave(const Tensor& inner) = 0;
  // What was done to `inner`, which x had become, is done to x.
  virtual void bring_back(Tensor& x, const Tensor& inner) = 0;

  Backend& inner() const { return *inner_; }

 private:
  // A path whose tensors are inside.
  struct InnerPath {
    InnerPath(const Border& border, const Conv2dPath& of_outside) : path(of_outside) {
      if (path.norm) path.norm = &(norm = border.enter(*path.norm));
      if (path.image_bias) path.image_bias = &(image_bias = border.enter(*path.image_bias));
    }
    InnerPath(const InnerPath&) = delete;

    Conv2dPath path;
    Tensor norm, image_bias;
  };

  std::vector<Tensor> enter(std::span<const Tensor> all) const {
    std::vector<Tensor> inside;
    for (const Tensor& x : all) inside.push_back(enter(x));
    return inside;
  }
  template <class F>
  void in_place(Tensor& x, const F& f) {
    Tensor inside = enter(x);
    f(inside);
    bring_back(x, inside);
  }

  std::unique_ptr<Backend> inner_;
};

}  // namespace tstitch
