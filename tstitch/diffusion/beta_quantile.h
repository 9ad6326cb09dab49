#pragma once

namespace tstitch {

// The x below which a share p in 0 ... 1 of the distribution Beta(0.6, 0.6) lies: how the beta schedule of
// Lee et al. 2024 (arXiv 2407.12173, section 4.2) spaces its steps, more of them at both ends. To 1e-14.
double beta_quantile(double p);

}  // namespace tstitch
