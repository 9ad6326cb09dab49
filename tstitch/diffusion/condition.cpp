#include "tstitch/diffusion/condition.h"

namespace tstitch {
namespace {

bool is_same_tensor(const Tensor& a, const Tensor& b) {
  if (!a || !b) return !a && !b;
  return a.bytes() == b.bytes() && a.shape() == b.shape() && a.row_stride() == b.row_stride();
}

}  // namespace

bool is_same(const Condition& a, const Condition& b) {
  return a.class_number == b.class_number && is_same_tensor(a.context, b.context) &&
         is_same_tensor(a.added, b.added) && is_same_tensor(a.beside, b.beside) && a.controls == b.controls;
}

}  // namespace tstitch
