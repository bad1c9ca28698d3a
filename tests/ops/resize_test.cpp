#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "ops/run_op.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {
const Tensor kPair = Tensor::of<float>({1, 2}, {1, 3});
const Tensor kDouble = Tensor::of<float>({2}, {1, 2});
}  // namespace

TEST_CASE("Resize: linear, half pixels and aligned corners") {
  const Node half = make_node("Resize", {Attribute::of_string("mode", "linear")});
  CHECK(run_op_f32(half, 13, {kPair, Tensor(), kDouble}) == std::vector<float>{1, 1.5f, 2.5f, 3});
  const Node aligned = make_node("Resize", {Attribute::of_string("mode", "linear"),
                                            Attribute::of_string("coordinate_transformation_mode", "align_corners")});
  CHECK(run_op_f32(aligned, 13, {kPair, Tensor(), Tensor(), Tensor::of<std::int64_t>({2}, {1, 3})}) ==
        std::vector<float>{1, 2, 3});
}

TEST_CASE("Resize: linear of a plane is the sum of four products, in ONNX Runtime's order, whatever comes before and behind") {
  // To the threefold: weights of 1/3 and 2/3 in floats, of which products and sums round.
  const std::int64_t n_channels = 5, h = 2, w = 3;  // with channels last, a vector of them and one left over
  std::vector<float> x;
  for (std::int64_t i = 0; i < n_channels * h * w; ++i) x.push_back(static_cast<float>(i * i % 17) * 0.7f - 5.3f);
  const auto taps = [](std::int64_t n, std::int64_t o) {
    const float at = std::min(std::max((static_cast<float>(o) + 0.5f) / 3.0f - 0.5f, 0.0f), static_cast<float>(n - 1));
    const auto first = std::min(static_cast<std::int64_t>(at), n - 1), second = std::min(first + 1, n - 1);
    if (first == second) return std::tuple(first, second, 0.5f, 0.5f);
    return std::tuple(first, second, static_cast<float>(second) - at, at - static_cast<float>(first));
  };
  for (const bool is_channels_last : {false, true}) {
    CAPTURE(is_channels_last);
    const auto at = [&](std::int64_t c, std::int64_t i, std::int64_t j, std::int64_t height, std::int64_t width) {
      return static_cast<std::size_t>(is_channels_last ? (i * width + j) * n_channels + c : (c * height + i) * width + j);
    };
    const Node node = make_node("Resize", {Attribute::of_string("mode", "linear")});
    const Shape shape = is_channels_last ? Shape{1, h, w, n_channels} : Shape{1, n_channels, h, w};
    const Tensor scales = is_channels_last ? Tensor::of<float>({4}, {1, 3, 3, 1}) : Tensor::of<float>({4}, {1, 1, 3, 3});
    const std::vector<float> y = run_op_f32(node, 13, {Tensor::of<float>(shape, std::span<const float>(x)), Tensor(), scales});
    std::int64_t n_wrong = 0;
    for (std::int64_t c = 0; c < n_channels; ++c)
      for (std::int64_t i = 0; i < 3 * h; ++i)
        for (std::int64_t j = 0; j < 3 * w; ++j) {
          const auto [top, bottom, u, v] = taps(h, i);
          const auto [left, right, a, b] = taps(w, j);
          const auto value = [&](std::int64_t row, std::int64_t column) { return x[at(c, row, column, h, w)]; };
          const float wanted =
              a * u * value(top, left) + b * u * value(top, right) + a * v * value(bottom, left) + b * v * value(bottom, right);
          n_wrong += y[at(c, i, j, 3 * h, 3 * w)] == wanted ? 0 : 1;
        }
    CHECK(n_wrong == 0);
  }
}

TEST_CASE("Resize: where no axis changes, linear copies infinities too") {
  const float infinite = std::numeric_limits<float>::infinity();
  const Node node = make_node("Resize", {Attribute::of_string("mode", "linear")});
  const std::vector<float> x = {1.0f, infinite, -infinite, 2.0f};
  CHECK(run_op_f32(node, 13, {Tensor::of<float>({2, 2}, std::span<const float>(x)), Tensor(), Tensor::of<float>({2}, {1, 1})}) ==
        x);
}

TEST_CASE("Resize and Upsample: nearest keeps the element type") {
  const Tensor bytes = Tensor::of<std::uint8_t>({1, 2}, {7, 200});
  const auto y = run_op(make_node("Resize"), 13, {bytes, Tensor(), kDouble});
  CHECK(y[0].dtype() == DType::u8);
  CHECK(to_f32_vector(y[0]) == std::vector<float>{7, 7, 200, 200});
  CHECK(run_op_f32(make_node("Upsample"), 9, {kPair, kDouble}) == std::vector<float>{1, 1, 3, 3});
  CHECK(run_op_f32(make_node("Resize"), 10, {kPair, kDouble}) == std::vector<float>{1, 1, 3, 3});
}

TEST_CASE("Resize: scales that are none are refused") {
  const auto with = [](float scale) { return std::vector<Tensor>{kPair, Tensor(), Tensor::of<float>({2}, {1, scale})}; };
  CHECK_THROWS_AS(run_op(make_node("Resize"), 13, with(0)), Error);
  CHECK_THROWS_AS(run_op(make_node("Resize"), 13, with(-1)), Error);
  CHECK_THROWS_AS(run_op(make_node("Resize"), 13, with(1e30f)), Error);
  CHECK_THROWS_AS(run_op(make_node("Resize"), 13, {kPair, Tensor(), Tensor::of<float>({1}, {2})}), Error);
  CHECK_THROWS_AS(run_op(make_node("Resize", {Attribute::of_string("mode", "magic")}), 13, with(2)), Error);
}
