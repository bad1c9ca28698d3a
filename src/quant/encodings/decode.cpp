#include "base/error.h"
#include "base/float16.h"
#include "quant/encodings/encoding.h"
#include "quant/encodings/groups.h"
#include "quant/quantize.h"

namespace bitwright {

void decode_tensor(const EncodedTensor& e, std::span<float> values) {
  if (static_cast<std::int64_t>(values.size()) != n_elements(e.shape))
    throw_error(ErrorCode::shape_mismatch, {values.size(), " values were asked for of shape ", e.shape});
  const Encoding encoding = e.scheme.encoding;
  if (encoding == Encoding::uniform)
    return dequantize_packed(e.codes, e.shape, {e.range, e.granularity, e.scales, e.zero_points}, e.scheme.bits, values);
  if (encoding == Encoding::product) return decode_product(e, values);
  if (encoding == Encoding::f16 || encoding == Encoding::bf16) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto half = static_cast<std::uint16_t>(e.codes[2 * i] | e.codes[2 * i + 1] << 8);
      values[i] = encoding == Encoding::f16 ? f16_to_f32(half) : bf16_to_f32(half);
    }
    return;
  }
  const bool is_scaled = has_scales(encoding);
  const std::size_t n_levels = is_scaled ? 0 : static_cast<std::size_t>(e.scheme.n_entries);  // 0: shared by all
  std::uint8_t codes[kCodePiece];
  for_each_run(scale_layout(e.granularity, e.shape), [&](const Run& run) {
    for (std::int64_t at = 0; at < run.count; at += kCodePiece) {
      const std::int64_t n = std::min(kCodePiece, run.count - at);
      unpack(e.codes.data(), e.scheme.bits, static_cast<std::size_t>(run.element + at), static_cast<std::size_t>(n), codes);
      float* out = values.data() + run.element + at;
      const std::int64_t first = run.scale_of(at);
      if (!run.varies) {
        const float* levels = e.levels.data() + static_cast<std::size_t>(first) * n_levels;
        const float factor = is_scaled ? e.scales[static_cast<std::size_t>(first)] : 1.0f;
        for (std::int64_t i = 0; i < n; ++i) out[i] = factor * levels[codes[i]];
      } else if (is_scaled) {
        for (std::int64_t i = 0; i < n; ++i) out[i] = e.scales[static_cast<std::size_t>(first + i)] * e.levels[codes[i]];
      } else {
        for (std::int64_t i = 0; i < n; ++i) out[i] = e.levels[static_cast<std::size_t>(first + i) * n_levels + codes[i]];
      }
    }
  });
}

}  // namespace bitwright
