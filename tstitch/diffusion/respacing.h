// Which of the T timesteps of training a shorter trajectory visits (Nichol & Dhariwal 2021, arXiv 2102.09672,
// section 4). The same lists as the DiT code gives, which T-Stitch samples with.
#pragma once

#include <string_view>
#include <vector>

namespace tstitch {

// The timesteps that `spec` keeps of 0 .. train_timesteps - 1, ascending (a sampler walks them backwards):
//   "N"      N timesteps evenly spaced over the whole range, both ends included; "1" keeps 0
//   "A,B,C"  the range cut into equal sections (the first ones longer by one where it does not divide),
//            and so many timesteps evenly spaced in each
//   "ddimN"  every k-th timestep from 0 on, with the smallest k that keeps exactly N (Song et al. 2021)
// Throws Error{usage} for anything else, for counts below 1 or above what their section holds, and when no
// stride keeps N.
std::vector<int> respaced_timesteps(std::string_view spec, int train_timesteps);

}  // namespace tstitch
