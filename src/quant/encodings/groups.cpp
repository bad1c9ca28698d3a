#include "quant/encodings/groups.h"

#include "base/simd_int.h"
#include "quant/encodings/levels.h"

namespace bitwright {

std::size_t importance_stride(const EncodeOptions& options, const Shape& shape) {
  std::size_t stride = 1;
  if (options.importance.empty() || options.importance.size() == static_cast<std::size_t>(n_elements(shape))) return stride;
  for (auto i = static_cast<std::size_t>(normalized_axis(options.importance_axis, shape.size())) + 1; i < shape.size(); ++i)
    stride *= static_cast<std::size_t>(shape[i]);
  return stride;
}

GroupReader::GroupReader(std::span<const float> values, const ScaleLayout& layout, const Shape& shape,
                         const EncodeOptions& options, bool has_not_finite)
    : values_(values),
      layout_(layout),
      importance_(options.importance),
      importance_stride_(importance_stride(options, shape)),
      needs_copy_(has_not_finite) {}

void GroupReader::gather(std::int64_t first, std::int64_t count) {
  for (std::int64_t i = first; i < first + count; ++i) {
    const float value = values_[static_cast<std::size_t>(i)];
    if (!std::isfinite(value)) continue;
    gathered_.push_back(value);
    if (!importance_.empty())
      gathered_importance_.push_back(importance_[static_cast<std::size_t>(i) / importance_stride_ % importance_.size()]);
  }
}

GroupReader::Group GroupReader::operator()(std::int64_t scale) {
  const ScaleLayout& l = layout_;
  const std::int64_t n_inner_scales = l.is_per_position ? l.inner : 1;
  const std::int64_t inner = l.is_per_position ? scale % l.inner : 0;
  const std::int64_t n_blocks = std::max<std::int64_t>(l.n_blocks(), 1);  // a tensor without elements has a scale, too
  const std::int64_t block = scale / n_inner_scales % n_blocks;
  const std::int64_t outer = scale / n_inner_scales / n_blocks;
  const std::int64_t from = block * l.block;
  const std::int64_t length = std::min(l.block, l.extent - from);
  const std::int64_t first = (outer * l.extent + from) * l.inner + inner;
  const bool is_contiguous = l.is_per_position ? l.inner == 1 : l.outer == 1;
  const auto at = static_cast<std::size_t>(first), n = static_cast<std::size_t>(length * (l.is_per_position ? 1 : l.inner));
  // Finding each importance by division takes longer than copying those of small groups.
  constexpr std::size_t kMostCopied = 16384;
  if (is_contiguous && !needs_copy_ && (importance_.empty() || n > kMostCopied))
    return {values_.subspan(at, n), {importance_, at, importance_stride_}};
  gathered_.clear();
  gathered_importance_.clear();
  if (l.is_per_position) {
    for (std::int64_t e = 0; e < length; ++e) gather(first + e * l.inner, 1);
  } else {
    for (std::int64_t o = 0; o < l.outer; ++o) gather((o * l.extent + from) * l.inner, length * l.inner);
  }
  return {gathered_, {gathered_importance_}};
}

CodeSums sum_by_code(const LevelTable& table, std::span<const float> values, const Importance& importance) {
  // A sum and its count change as one vector. Four copies: neighbours often fall to the same code, and would wait for each other.
  constexpr std::size_t kCopies = 4;
  const std::size_t n_codes = table.levels.size();
  std::vector<f64x2> slots(kCopies * n_codes, f64x2{});
  std::uint8_t codes[kCodePiece];
  for (std::size_t at = 0; at < values.size(); at += kCodePiece) {
    const std::size_t n = std::min<std::size_t>(kCodePiece, values.size() - at);
    const float* x = values.data() + at;
    codes_of(table, x, n, codes);
    const auto slot = [&](std::size_t i) -> f64x2& { return slots[codes[i] * kCopies + i % kCopies]; };
    if (importance.empty()) {
#pragma GCC unroll 4
      for (std::size_t i = 0; i < n; ++i) slot(i) += f64x2{static_cast<double>(x[i]), 1.0};
    } else {
      for (std::size_t i = 0; i < n; ++i) {
        const double weight = importance[at + i];
        slot(i) += f64x2{weight * static_cast<double>(x[i]), weight};
      }
    }
  }
  CodeSums found{std::vector<double>(n_codes, 0.0), std::vector<double>(n_codes, 0.0)};
  for (std::size_t i = 0; i < slots.size(); ++i) {
    found.sum[i / kCopies] += slots[i][0];
    found.count[i / kCopies] += slots[i][1];
  }
  return found;
}

}  // namespace bitwright
