#include "samples/distribution.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/math.h"
#include "base/random.h"
#include "tensor/raw_allocator.h"

namespace bitwright {

namespace {

constexpr double kTwoPi = 6.283185307179586477;

/// Independent uniform numbers of one element, in (0, 1).
struct Uniforms {
  std::uint64_t seed;
  std::uint64_t element;
  double operator()(std::uint64_t i) const { return random_unit(seed, element * 4 + i) + 0x1p-54; }
};

/// Box and Muller 1958.
double normal(const Uniforms& u) { return std::sqrt(-2.0 * f64::log(u(0))) * f64::cos(kTwoPi * u(1)); }

double laplace(const Uniforms& u) {
  const double side = u(0) - 0.5;
  const double magnitude = -f64::log(1.0 - 2.0 * std::abs(side));
  return side < 0.0 ? -magnitude : magnitude;
}

double uniform(const Uniforms& u) { return 2.0 * u(0) - 1.0; }

double bimodal(const Uniforms& u) { return 0.25 * normal(u) + (u(2) < 0.5 ? -1.0 : 1.0); }

/// z / sqrt(chi^2_4 / 4), where chi^2_4 = -2 log(u u').
double heavy_tail(const Uniforms& u) { return normal(u) / std::sqrt(-0.5 * f64::log(u(2) * u(3))); }

double relu(const Uniforms& u) { return std::max(normal(u), 0.0); }

struct Kind {
  const char* name;
  double (*draw)(const Uniforms&);
};
constexpr Kind kKinds[] = {{"normal", normal},   {"laplace", laplace},       {"uniform", uniform},
                           {"bimodal", bimodal}, {"heavy_tail", heavy_tail}, {"relu", relu}};

[[noreturn]] void refuse(const std::string& finding) { throw_error(ErrorCode::invalid_argument, {"distribution: ", finding}); }

void draw_density(const Distribution& distribution, std::span<float> out) {
  const std::span<const double> density = distribution.density;
  if (density.empty() || density.size() > kMaxDensityBins)
    refuse(concat({"density has ", density.size(), " bins; give 1 to ", kMaxDensityBins}));
  std::vector<double> below;  // the sum of heights up to and with each bin
  double sum = 0.0;
  for (const double height : density) {
    if (!(height >= 0.0 && height <= 1e9)) refuse("heights of density must be finite and at least 0");
    below.push_back(sum += height);
  }
  if (!(sum > 0.0)) refuse("one height of density must be above 0");
  const double width = 2.0 / static_cast<double>(density.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double at = random_unit(distribution.seed, i) * sum;
    const auto found = std::upper_bound(below.begin(), below.end(), at);
    const auto bin = std::min(static_cast<std::size_t>(found - below.begin()), density.size() - 1);
    const double inside = density[bin] > 0.0 ? (at - (below[bin] - density[bin])) / density[bin] : 0.5;
    out[i] = static_cast<float>(-1.0 + width * (static_cast<double>(bin) + inside));
  }
}

}  // namespace

Tensor draw_values(const Distribution& distribution) {
  if (distribution.n < 1 || distribution.n > kMaxDrawn) refuse(concat({"count is ", distribution.n, "; give 1 to ", kMaxDrawn}));
  Tensor values(DType::f32, {distribution.n}, raw_allocator());
  const std::span<float> out = values.data<float>();
  if (distribution.kind == "drawn") {
    draw_density(distribution, out);
    return values;
  }
  for (const Kind& kind : kKinds) {
    if (distribution.kind != kind.name) continue;
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(kind.draw({distribution.seed, i}));
    return values;
  }
  refuse(
      concat({"kind is ", in_quotes(distribution.kind), "; give normal, laplace, uniform, bimodal, heavy_tail, relu or drawn"}));
}

}  // namespace bitwright
