#include "ops/projection.h"

#include <algorithm>
#include <utility>

#include "ops/dynamic_codes.h"
#include "ops/float_operands.h"
#include "ops/matrix_product.h"

namespace bitwright {

namespace {

class FloatProjection final : public Projection {
 public:
  explicit FloatProjection(RightOperand right) : right_(std::move(right)) {}
  void multiply(const float* a, std::int64_t m, float* c, Allocator&) const override {
    bitwright::multiply(a, right_.k, 1, m, right_, c);
  }

 private:
  RightOperand right_;
};

class DynamicProjection final : public Projection {
 public:
  DynamicProjection(std::vector<RightOperand> right, std::int64_t k, std::vector<float> scales)
      : right_(std::move(right)), k_(k), scales_(std::move(scales)) {}

  void multiply(const float* a, std::int64_t m, float* c, Allocator& allocator) const override {
    const std::int64_t n = right_.front().n;
    Tensor values(DType::f32, {m, k_}, allocator);
    const std::span<float> centered = values.data<float>();
    std::copy_n(a, m * k_, centered.data());
    const DynamicCodes dynamic = quantize_dynamic(values, allocator);
    const std::span<const std::uint8_t> codes = dynamic.codes.bytes();
    for (std::size_t i = 0; i < centered.size(); ++i) centered[i] = static_cast<float>(codes[i] - dynamic.zero_point);
    Tensor sums(DType::i32, {m, n}, allocator);
    multiply_small_integers(centered.data(), m, right_, sums.data<std::int32_t>().data(), allocator);
    const std::span<const std::int32_t> sum = std::as_const(sums).data<std::int32_t>();
    for (std::size_t i = 0; i < sum.size(); ++i)
      c[i] = static_cast<float>(sum[i]) * (dynamic.scale * scales_[scales_.size() == 1 ? 0 : i % static_cast<std::size_t>(n)]);
  }

 private:
  std::vector<RightOperand> right_;
  std::int64_t k_;
  std::vector<float> scales_;
};

}  // namespace

std::unique_ptr<Projection> float_projection(const float* w, std::int64_t k_stride, std::int64_t column_stride, std::int64_t k,
                                             std::int64_t n, Allocator& allocator) {
  return std::make_unique<FloatProjection>(right_operand(w, k_stride, column_stride, k, n, kMaxElements, allocator));
}

std::unique_ptr<Projection> dynamic_projection(const float* w, std::int64_t k, std::int64_t n, std::vector<float> scales,
                                               Allocator& allocator) {
  return std::make_unique<DynamicProjection>(pack_small_integers(w, k, n, allocator), k, std::move(scales));
}

}  // namespace bitwright
