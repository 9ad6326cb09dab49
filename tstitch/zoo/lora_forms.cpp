#include "tstitch/zoo/lora_forms.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/io/refuse.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

// Of a form's free extents, if the weight has none that is larger: people train ranks beyond what a narrow
// weight can have, but not by far.
constexpr int64_t kMostRank = 2048;

// Extents by their letters: M, I, K as in the header, T = kh kw, and those that a form is free to choose.
using Extents = std::map<char, int64_t>;

// A tensor of a form as a matrix of rows x columns, or of rows x (columns T).
struct Part {
  LoraRole role;
  char rows, columns;
  bool taps = false;
};

// A form's tensors, as matrices.
struct Matrices {
  Backend& backend;
  Extents extents;
  std::map<LoraRole, Tensor> of;

  bool has(LoraRole role) const { return of.contains(role); }
  const Tensor& operator[](LoraRole role) const { return of.at(role); }
};

struct Form {
  std::vector<Part> parts;
  char rank;                            // what alpha is divided by; 0: alpha is not heeded
  Tensor (*change)(const Matrices& m);  // (M, K)
};

// (p, q) to (q, p).
Tensor transposed(const Tensor& x) {
  Tensor y({x.extent(1), x.extent(0)}, DType::f32);
  for (int64_t i = 0; i < x.extent(0); ++i)
    for (int64_t j = 0; j < x.extent(1); ++j)
      y.data<float>()[j * x.extent(0) + i] = x.data<float>()[i * x.extent(1) + j];
  return y;
}

// a b.
Tensor product(const Matrices& m, const Tensor& a, const Tensor& b) {
  const auto packed = m.backend.pack_linear(transposed(b), {});
  return linear(m.backend, a, *packed, Activation::none, DType::f32);
}

// The kernel `mid`, (p, q T), between a (M, p) and b (q, I): (M, I T).
Tensor tucker(const Matrices& m, const Tensor& a, const Tensor& mid, const Tensor& b) {
  const int64_t M = a.extent(0), q = b.extent(0), I = b.extent(1), T = m.extents.at('T');
  // (M, x, y) to (M, y, x)
  const auto swapped = [&](const Tensor& from, int64_t x, int64_t y) {
    Tensor to({M, y, x}, DType::f32);
    for (int64_t i = 0; i < M; ++i)
      for (int64_t j = 0; j < x; ++j)
        for (int64_t k = 0; k < y; ++k)
          to.data<float>()[(i * y + k) * x + j] = from.data<float>()[(i * x + j) * y + k];
    return to;
  };
  const Tensor left = swapped(product(m, a, mid), q, T).reshape({M * T, q});
  return swapped(product(m, left, b), T, I).reshape({M, I * T});
}

Tensor hadamard(Tensor a, const Tensor& b) {
  for (int64_t i = 0; i < a.elements(); ++i) a.data<float>()[i] *= b.data<float>()[i];
  return a;
}

// a: (A, B), of points; c: (C, D T), of kernels. Returns (A C, B D T).
Tensor kronecker(const Tensor& a, const Tensor& c) {
  const int64_t A = a.extent(0), B = a.extent(1), C = c.extent(0), columns = c.extent(1);
  Tensor all({A * C, B * columns}, DType::f32);
  float* to = all.data<float>();
  for (int64_t i = 0; i < A; ++i)
    for (int64_t k = 0; k < C; ++k)
      for (int64_t j = 0; j < B; ++j)
        for (int64_t l = 0; l < columns; ++l)
          *to++ = a.data<float>()[i * B + j] * c.data<float>()[k * columns + l];
  return all;
}

// LoKr: Yeh et al. 2023 (arXiv 2309.14859), the two factors each whole or decomposed.
void add_kronecker(std::vector<Form>& all) {
  struct Factor {
    std::vector<Part> parts;
    char rank;
  };
  const Factor left[] = {{{{"lokr_w1", 'a', 'b'}}, 0},
                         {{{"lokr_w1_a", 'a', 's'}, {"lokr_w1_b", 's', 'b'}}, 's'}};
  const Factor right[] = {
      {{{"lokr_w2", 'c', 'd', true}}, 0},
      {{{"lokr_w2_a", 'c', 'r'}, {"lokr_w2_b", 'r', 'd', true}}, 'r'},
      {{{"lokr_w2_a", 'p', 'c'}, {"lokr_t2", 'p', 'r', true}, {"lokr_w2_b", 'r', 'd'}}, 'r'}};
  for (const Factor& w1 : left)
    for (const Factor& w2 : right) {
      Form form{.parts = w1.parts, .rank = w2.rank ? w2.rank : w1.rank, .change = [](const Matrices& m) {
                  const Tensor a =
                      m.has("lokr_w1") ? m["lokr_w1"] : product(m, m["lokr_w1_a"], m["lokr_w1_b"]);
                  const Tensor c = m.has("lokr_w2") ? m["lokr_w2"]
                                   : m.has("lokr_t2")
                                       ? tucker(m, transposed(m["lokr_w2_a"]), m["lokr_t2"], m["lokr_w2_b"])
                                       : product(m, m["lokr_w2_a"], m["lokr_w2_b"]);
                  return kronecker(a, c);
                }};
      form.parts.insert(form.parts.end(), w2.parts.begin(), w2.parts.end());
      all.push_back(form);
    }
}

const std::vector<Form>& forms() {
  static const std::vector<Form> all = [] {
    std::vector<Form> rows = {
        {{{"up", 'M', 'r'}, {"down", 'r', 'K'}},
         'r',
         [](const Matrices& m) { return product(m, m["up"], m["down"]); }},
        {{{"up", 'M', 'p'}, {"mid", 'p', 'r', true}, {"down", 'r', 'I'}},
         'r',
         [](const Matrices& m) { return tucker(m, m["up"], m["mid"], m["down"]); }},
        {{{"difference", 'M', 'K'}}, 0, [](const Matrices& m) { return m["difference"]; }},
        {{{"bias_difference", 'M', '1'}}, 0, [](const Matrices& m) { return m["bias_difference"]; }},
        // LoHa: Hyeon-Woo et al. 2021 (arXiv 2108.06098)
        {{{"hada_w1_a", 'M', 'r'}, {"hada_w1_b", 'r', 'K'}, {"hada_w2_a", 'M', 'q'}, {"hada_w2_b", 'q', 'K'}},
         'r',
         [](const Matrices& m) {
           return hadamard(product(m, m["hada_w1_a"], m["hada_w1_b"]),
                           product(m, m["hada_w2_a"], m["hada_w2_b"]));
         }},
        {{{"hada_w1_a", 'p', 'M'},
          {"hada_t1", 'p', 'r', true},
          {"hada_w1_b", 'r', 'I'},
          {"hada_w2_a", 'q', 'M'},
          {"hada_t2", 'q', 's', true},
          {"hada_w2_b", 's', 'I'}},
         'r',
         [](const Matrices& m) {
           return hadamard(tucker(m, transposed(m["hada_w1_a"]), m["hada_t1"], m["hada_w1_b"]),
                           tucker(m, transposed(m["hada_w2_a"]), m["hada_t2"], m["hada_w2_b"]));
         }}};
    add_kronecker(rows);
    return rows;
  }();
  return all;
}

// Of those roles that make up the change, without what scales it.
std::set<LoraRole> roles_of(const LoraModule& module, LoraTarget target) {
  static const std::set<LoraRole> kScaling = {"alpha", "scale", "magnitude", "magnitude_of_rows"};
  std::set<LoraRole> roles;
  for (const auto& [role, name] : module.tensors)
    if (!kScaling.contains(role) && (role == "bias_difference") == (target == LoraTarget::bias))
      roles.insert(role);
  return roles;
}

const Form& form_of(const LoraFile& file, const LoraModule& module, LoraTarget target) {
  const std::set<LoraRole> roles = roles_of(module, target);
  for (const Form& form : forms()) {
    std::set<LoraRole> needed;
    for (const Part& part : form.parts) needed.insert(part.role);
    if (needed == roles) return form;
  }
  refuse(file.path(), "LORA_FORM", "\"", printable(module.name), "\" has the tensors ",
         join(module.tensors, ", ", [](const auto& one) { return one.first; }),
         ", which make no change of a weight that is known");
}

Extents extents_of(const Shape& weight) {
  const int64_t M = weight[0], I = weight.rank() > 1 ? weight[1] : 1;
  int64_t T = 1;
  for (int i = 2; i < weight.rank(); ++i) T *= weight[i];
  return {{'M', M}, {'I', I}, {'T', T}, {'K', I * T}, {'1', 1}};
}

// The tensor as a matrix: rows, columns.
std::pair<int64_t, int64_t> matrix_of(const std::vector<int64_t>& shape) {
  int64_t columns = 1;
  for (size_t i = 1; i < shape.size(); ++i)
    columns *= shape[i];  // of a file, which has checked their product
  return {shape.empty() ? 1 : shape[0], columns};
}

// Finds what the form is free to choose, or says why it is not of the weight.
std::string settle(const Form& form, const LoraFile& file, const LoraModule& module, Extents& extents) {
  const int64_t T = extents.at('T'), M = extents.at('M'), I = extents.at('I');
  // Factors of the weight may be as long as it is; ranks, between which products lie, need not exceed its
  // shorter side.
  const auto most_of = [&](char letter) {
    return std::string_view("abcd").find(letter) != std::string_view::npos
               ? std::max({kMostRank, M, I})
               : std::max(kMostRank, std::min(M, I));
  };
  for (const Part& part : form.parts) {
    const std::vector<int64_t> shape = file.shape(module, part.role);
    const auto [rows, columns] = matrix_of(shape);
    const auto agrees = [&](char letter, int64_t found) {
      const auto [extent, is_new] = extents.try_emplace(letter, found);
      return extent->second == found && (!is_new || (0 < found && found <= most_of(letter)));
    };
    const int64_t taps = part.taps ? T : 1;
    if (columns % taps == 0 && agrees(part.rows, rows) && agrees(part.columns, columns / taps)) continue;
    const auto expected = [&](char letter) {
      const auto known = extents.find(letter);
      return known == extents.end() || (known->second > most_of(letter) && letter != 'K')
                 ? concat("1 ... ", most_of(letter))
                 : std::to_string(known->second);
    };
    return concat("tensor \"", printable(module.tensors.at(part.role)), "\" is a matrix of ", rows, " x ",
                  columns, ", expected ", expected(part.rows), " x ", expected(part.columns),
                  taps > 1 ? concat(" x ", taps) : "");
  }
  const auto product_of = [&](char a, char b) { return extents.at(a) * extents.at(b); };
  if (extents.contains('a') &&
      (product_of('a', 'c') != extents.at('M') || product_of('b', 'd') != extents.at('I')))
    return concat("\"", printable(module.name), "\" has factors of ", extents.at('a'), " x ", extents.at('b'),
                  " and ", extents.at('c'), " x ", extents.at('d'), ", expected the product ",
                  extents.at('M'), " x ", extents.at('I'));
  return "";
}

constexpr std::array<LoraRole, 2> kMagnitudes = {"magnitude", "magnitude_of_rows"};

// Which of the module's tensors is a magnitude; "" where none is.
LoraRole magnitude_of(const LoraModule& module) {
  const auto found = std::ranges::find_if(kMagnitudes, [&](LoraRole role) { return module.has(role); });
  return found == kMagnitudes.end() ? LoraRole() : *found;
}

// Whether the magnitude is one number for each row of the weight, or else for each of its inputs.
bool is_of_rows(const LoraFile& file, const LoraModule& module) {
  if (module.has("magnitude_of_rows")) return true;
  const auto shape = file.shape(module, "magnitude");
  return shape.size() < 2 || shape[0] != 1;
}

int64_t elements_of(const std::vector<int64_t>& shape) {
  const auto [rows, columns] = matrix_of(shape);
  return rows * columns;
}

// weight becomes V = weight + change, rescaled so that every row's or every input's norm is its magnitude.
void rescale(Tensor& v, const Tensor& magnitude, bool of_rows, const Extents& extents) {
  const int64_t M = extents.at('M'), I = extents.at('I'), T = extents.at('T');
  std::vector<double> squares(static_cast<size_t>(of_rows ? M : I));
  const auto each = [&](const auto& work) {
    for (int64_t i = 0; i < M; ++i)
      for (int64_t j = 0; j < I; ++j)
        for (int64_t t = 0; t < T; ++t)
          work(v.data<float>()[(i * I + j) * T + t], static_cast<size_t>(of_rows ? i : j));
  };
  each([&](float& x, size_t at) { squares[at] += double{x} * x; });
  each([&](float& x, size_t at) {
    if (squares[at] > 0) x = static_cast<float>(x * magnitude.data<float>()[at] / std::sqrt(squares[at]));
  });
}

}  // namespace

bool changes(const LoraModule& module, LoraTarget target) { return !roles_of(module, target).empty(); }

std::string lora_obstacle(const LoraFile& file, const LoraModule& module, LoraTarget target,
                          const Shape& weight) {
  if (!changes(module, target)) return "";
  Extents extents = extents_of(weight);
  const std::string obstacle = settle(form_of(file, module, target), file, module, extents);
  const LoraRole magnitude = magnitude_of(module);
  if (!obstacle.empty() || magnitude.empty() || target == LoraTarget::bias) return obstacle;
  const int64_t found = elements_of(file.shape(module, magnitude)),
                expected = extents.at(is_of_rows(file, module) ? 'M' : 'I');
  return found == expected ? ""
                           : concat("tensor \"", printable(module.tensors.at(magnitude)), "\" has ", found,
                                    " numbers, expected ", expected);
}

void add_lora(Backend& backend, const LoraFile& file, const LoraModule& module, LoraTarget target,
              double strength, Tensor& weight) {
  const Form& form = form_of(file, module, target);
  Matrices m = {backend, extents_of(weight.shape()), {}};
  const std::string obstacle = settle(form, file, module, m.extents);
  check_internal(obstacle.empty(), obstacle);
  for (const Part& part : form.parts) {
    const auto [rows, columns] = matrix_of(file.shape(module, part.role));
    m.of[part.role] = file.load(module, part.role, {rows, columns});
  }
  const Tensor change = form.change(m).reshape(weight.shape());
  const double scale = form.rank ? file.scale(module, m.extents.at(form.rank)) : 1;
  const LoraRole magnitude = target == LoraTarget::weight ? magnitude_of(module) : "";
  const auto sum = [&](double factor, const Tensor& x) {
    return combine(backend, {{1, &weight}, {factor, &x}});
  };
  if (magnitude.empty()) {
    weight = sum(strength * scale, change);
    return;
  }
  Tensor v = sum(scale, change);
  const int64_t numbers = elements_of(file.shape(module, magnitude));
  rescale(v, file.load(module, magnitude, {numbers}), is_of_rows(file, module), m.extents);
  weight = sum(strength, combine(backend, {{1, &v}, {-1, &weight}}));
}

}  // namespace tstitch
