#include "base/math.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

namespace bitwright::tests {
namespace {

/// |got - exact| in units in the last place of the exact value rounded to float.
double ulps_apart(float got, double exact) {
  const auto rounded = static_cast<float>(exact);
  if (std::isnan(exact)) return std::isnan(got) ? 0.0 : 1e9;
  if (std::isinf(rounded)) return got == rounded ? 0.0 : 1e9;
  const float next = std::nextafterf(std::fabs(rounded), std::numeric_limits<float>::infinity());
  const double unit = std::isinf(next) ? 0x1p104 : static_cast<double>(next) - static_cast<double>(std::fabs(rounded));
  return std::fabs(static_cast<double>(got) - exact) / unit;
}

template <typename F, typename G>
double worst_ulps(F ours, G exact, float low, float high, int n) {
  double worst = 0.0;
  for (int i = 0; i <= n; ++i) {
    const float x = low + (high - low) * (static_cast<float>(i) / static_cast<float>(n));
    worst = std::max(worst, ulps_apart(ours(x), exact(static_cast<double>(x))));
  }
  return worst;
}

/// Every magnitude from 2^-30 to 2^30, both signs.
template <typename F, typename G>
double worst_ulps_over_magnitudes(F ours, G exact, bool has_negative) {
  double worst = 0.0;
  for (int e = -30; e < 30; ++e)
    for (int i = 0; i < 500; ++i) {
      const float x = std::ldexp(1.0f + static_cast<float>(i) / 500.0f, e);
      worst = std::max(worst, ulps_apart(ours(x), exact(static_cast<double>(x))));
      if (has_negative) worst = std::max(worst, ulps_apart(ours(-x), exact(-static_cast<double>(x))));
    }
  return worst;
}

constexpr int kSamples = 200000;

double exact_sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }
double exact_softplus(double x) { return std::log1p(std::exp(x)); }

}  // namespace

TEST_CASE("math: exp, log, tanh, sigmoid, erf and softplus keep the errors they state") {
  const auto our_exp = [](float x) { return exp(x); };
  const auto our_log = [](float x) { return log(x); };
  const auto our_tanh = [](float x) { return tanh(x); };
  const auto our_sigmoid = [](float x) { return sigmoid(x); };
  const auto our_erf = [](float x) { return erf(x); };
  const auto our_softplus = [](float x) { return softplus(x); };
  const auto exact_exp = [](double x) { return std::exp(x); };
  const auto exact_log = [](double x) { return std::log(x); };
  const auto exact_tanh = [](double x) { return std::tanh(x); };
  const auto exact_erf = [](double x) { return std::erf(x); };
  CHECK(worst_ulps(our_exp, exact_exp, -104.0f, 88.8f, kSamples) <= 1.5);
  CHECK(worst_ulps(our_exp, exact_exp, -1.0f, 1.0f, kSamples) <= 1.5);
  CHECK(worst_ulps(our_log, exact_log, 0.0f, 4.0f, kSamples) <= 1.5);
  CHECK(worst_ulps_over_magnitudes(our_log, exact_log, false) <= 1.5);
  CHECK(worst_ulps(our_tanh, exact_tanh, -10.0f, 10.0f, kSamples) <= 2.0);
  CHECK(worst_ulps_over_magnitudes(our_tanh, exact_tanh, true) <= 2.0);
  CHECK(worst_ulps(our_sigmoid, exact_sigmoid, -80.0f, 30.0f, kSamples) <= 2.5);
  CHECK(worst_ulps(our_erf, exact_erf, -5.0f, 5.0f, kSamples) <= 2.0);
  CHECK(worst_ulps_over_magnitudes(our_erf, exact_erf, true) <= 2.0);
  CHECK(worst_ulps(our_softplus, exact_softplus, -80.0f, 80.0f, kSamples) <= 2.5);
}

TEST_CASE("math: sin, cos and pow are within 0.6 units of the last place") {
  CHECK(worst_ulps([](float x) { return sin(x); }, [](double x) { return std::sin(x); }, -1000.0f, 1000.0f, kSamples) <= 0.6);
  CHECK(worst_ulps([](float x) { return cos(x); }, [](double x) { return std::cos(x); }, -1e6f, 1e6f, kSamples) <= 0.6);
  CHECK(worst_ulps([](float x) { return pow(x, 2.7f); }, [](double x) { return std::pow(x, static_cast<double>(2.7f)); }, 0.0f,
                   1e6f, kSamples) <= 0.6);
  CHECK(worst_ulps([](float x) { return pow(2.5f, x); }, [](double x) { return std::pow(2.5, x); }, -90.0f, 90.0f, kSamples) <=
        0.6);
}

TEST_CASE("math: special values follow IEEE") {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(exp(-inf) == 0.0f);
  CHECK(exp(inf) == inf);
  CHECK(exp(0.0f) == 1.0f);
  CHECK(std::isnan(exp(nan)));
  CHECK(log(0.0f) == -inf);
  CHECK(log(inf) == inf);
  CHECK(log(1.0f) == 0.0f);
  CHECK(std::isnan(log(-1.0f)));
  CHECK(std::isnan(log(nan)));
  CHECK(tanh(inf) == 1.0f);
  CHECK(tanh(-inf) == -1.0f);
  CHECK(std::isnan(tanh(nan)));
  CHECK(erf(inf) == 1.0f);
  CHECK(erf(-inf) == -1.0f);
  CHECK(std::isnan(erf(nan)));
  CHECK(sigmoid(inf) == 1.0f);
  CHECK(sigmoid(-inf) == 0.0f);
  CHECK(std::isnan(sin(inf)));
  CHECK(pow(-2.0f, 3.0f) == -8.0f);
  CHECK(pow(-1.1f, 2.0f) == 1.21f);
  CHECK(std::isnan(pow(-2.0f, 0.5f)));
  CHECK(pow(nan, 0.0f) == 1.0f);
  CHECK(pow(0.0f, -1.0f) == inf);
}

TEST_CASE("math: the double functions agree with the C library") {
  const auto check_near = [](double got, double exact) {
    if (std::isnan(exact) || std::isinf(exact)) {
      CHECK((std::isnan(exact) ? std::isnan(got) : got == exact));
    } else {
      CHECK(std::fabs(got - exact) <= 0x1p-49 * std::max(std::fabs(exact), 0x1p-900));
    }
  };
  for (int i = -400; i <= 400; ++i) {
    const double x = i * 0.0371;
    CAPTURE(x);
    check_near(f64::exp(x), std::exp(x));
    check_near(f64::expm1(x), std::expm1(x));
    check_near(f64::log(x), std::log(x));
    check_near(f64::log1p(x), std::log1p(x));
    check_near(f64::atan(x), std::atan(x));
    check_near(f64::sinh(x), std::sinh(x));
    check_near(f64::cosh(x), std::cosh(x));
    check_near(f64::tanh(x), std::tanh(x));
    check_near(f64::asinh(x), std::asinh(x));
    check_near(f64::acosh(x), std::acosh(x));
    check_near(f64::asin(x / 15.0), std::asin(x / 15.0));
    check_near(f64::acos(x / 15.0), std::acos(x / 15.0));
    check_near(f64::atanh(x / 15.0), std::atanh(x / 15.0));
    check_near(f64::atan2(x, 1.0 - x), std::atan2(x, 1.0 - x));
    CHECK(std::fabs(f64::sin(x) - std::sin(x)) <= 0x1p-52);
    CHECK(std::fabs(f64::cos(x) - std::cos(x)) <= 0x1p-52);
    CHECK(std::fabs(f64::erf(x) - std::erf(x)) <= 0x1p-49);
    CHECK(std::fabs(f64::pow(3.7, x) / std::pow(3.7, x) - 1.0) <= 0x1p-45);
  }
}

TEST_CASE("math: each lane equals the scalar function in bits") {
  for (float x = -20.0f; x < 20.0f; x += 0.37f) {
    const f32x4 lanes = {x, x + 0.1f, -x, x * 3.0f};
    for (int lane = 0; lane < 4; ++lane) {
      CHECK(exp(lanes)[lane] == exp(lanes[lane]));
      CHECK(tanh(lanes)[lane] == tanh(lanes[lane]));
      CHECK(erf(lanes)[lane] == erf(lanes[lane]));
      CHECK(sigmoid(lanes)[lane] == sigmoid(lanes[lane]));
    }
  }
}

}  // namespace bitwright::tests
