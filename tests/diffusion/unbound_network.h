// Networks of formulas: what their rows show is nothing, only the timestep counts.
#pragma once

#include <memory>

#include "tests/diffusion/exact_denoisers.h"
#include "tstitch/diffusion/denoiser.h"

namespace tstitch::testing {

class UnboundNetwork : public Network {
 public:
  std::unique_ptr<const BoundCondition> bind(const Condition&, int64_t, int64_t) const override {
    return std::make_unique<BoundCondition>();
  }
  Tensor evaluate(const Tensor& x, std::span<const Row> rows) const final {
    EXPECT_EQ(std::ssize(rows), x.extent(0));
    for (const Row& row : rows) EXPECT_EQ(row.t, rows[0].t);
    return answer(x, rows);
  }

 private:
  virtual Tensor answer(const Tensor& x, std::span<const Row> rows) const = 0;
};

inline BoundRows unbound_rows(int64_t count) {
  BoundRows rows;
  for (int64_t n = 0; n < count; ++n) rows.push_back(std::make_shared<BoundRow>());
  return rows;
}

inline NetworkDenoiser denoiser_of(const Network& network, int64_t rows,
                                   Parameterization parameterization = Parameterization::eps) {
  static DirectEvaluator evaluator;
  return NetworkDenoiser(backend(), evaluator, network, unbound_rows(rows), parameterization);
}

}  // namespace tstitch::testing
