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
                         const EncodeOptions& options)
    : values_(values), layout_(layout), importance_(options.importance), importance_stride_(importance_stride(options, shape)) {}

Group::Group(GroupReader& reader, std::int64_t scale) : reader_(&reader), scale_(scale) {
  for_each_piece([&](std::span<const float> values, const Importance&) { size_ += values.size(); });
}

void Group::for_each_piece(TakePiece take) const {
  if (reader_ == nullptr) return take(values_, importance_);
  reader_->gather(scale_, kCodePiece, take);
  take(reader_->gathered_, {reader_->gathered_importance_});
}

void GroupReader::gather(std::int64_t scale, std::size_t most, Group::TakePiece take) {
  gathered_.clear();
  gathered_importance_.clear();
  for_each_run_of(layout_, scale, 1, [&](const Run& run) {
    const auto first = static_cast<std::size_t>(run.element);
    for (std::size_t i = first; i < first + static_cast<std::size_t>(run.count); ++i) {
      if (!std::isfinite(values_[i])) continue;
      if (gathered_.size() == most) {
        take(gathered_, {gathered_importance_});
        gathered_.clear();
        gathered_importance_.clear();
      }
      gathered_.push_back(values_[i]);
      if (!importance_.empty()) gathered_importance_.push_back(importance_[i / importance_stride_ % importance_.size()]);
    }
  });
}

Group GroupReader::operator()(std::size_t scale, bool has_not_finite) {
  const auto number = static_cast<std::int64_t>(scale);
  std::int64_t first = 0, n = 0;
  for_each_run_of(layout_, number, 1, [&](const Run& run) {
    first = run.element;
    n += run.count;
  });
  // Finding each importance by division takes longer than copying those of small groups, and so does finding values that stand apart.
  constexpr std::int64_t kMostCopied = 16384;
  if (!has_not_finite && layout_.has_contiguous_groups() && (importance_.empty() || n > kMostCopied)) {
    const auto at = static_cast<std::size_t>(first);
    return Group(values_.subspan(at, static_cast<std::size_t>(n)), {importance_, at, importance_stride_});
  }
  if (n > kMostCopied) return Group(*this, number);
  gather(number, static_cast<std::size_t>(n), [](std::span<const float>, const Importance&) {});
  return Group(gathered_, {gathered_importance_});
}

CodeSums sum_by_code(const LevelTable& table, const Group& group) {
  // A sum and its count change as one vector. Four copies: neighbours often fall to the same code, and would wait for each other.
  constexpr std::size_t kCopies = 4;
  const std::size_t n_codes = table.levels.size();
  std::vector<f64x2> slots(kCopies * n_codes, f64x2{});
  std::uint8_t codes[kCodePiece];
  group.for_each_piece([&](std::span<const float> values, const Importance& importance) {
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
  });
  CodeSums found{std::vector<double>(n_codes, 0.0), std::vector<double>(n_codes, 0.0)};
  for (std::size_t i = 0; i < slots.size(); ++i) {
    found.sum[i / kCopies] += slots[i][0];
    found.count[i / kCopies] += slots[i][1];
  }
  return found;
}

}  // namespace bitwright
