#include "quant/quantize.h"

#include <cstring>

#include "base/error.h"
#include "base/simd.h"
#include "quant/packing.h"
#include "quant/reference.h"
#include "quant/runs.h"
#include "quant/store_codes.h"

namespace bitwright {

namespace {

/// Codes of one run are made in pieces of this many elements, which stay in the L1 cache on their way to packing.
constexpr std::size_t kPieceLength = 1024;

constexpr float kMagic = 0x1.8p23f;  // its unit in the last place is 1: adding it rounds half to even
/// Quotients are clamped to where the magic number holds; codes and zero points lie within 2^16.
constexpr float kMaxSteps = 0x1p20f;

/// Four codes: saturate(round_half_even(x / scale) + zero_point); a NaN counts as 0.
inline i32x4 codes_of(f32x4 x, f32x4 scale, i32x4 zero_point, i32x4 qmin, i32x4 qmax) {
  f32x4 steps = x / scale;
  steps = float_of_bits(bits_of(steps) & (x == x));
  steps = min(max(steps, splat(-kMaxSteps)), splat(kMaxSteps));
  i32x4 code = bits_of(steps + splat(kMagic)) - bits_of(splat(kMagic)) + zero_point;
  code = select(code < qmin, qmin, code);
  return select(code > qmax, qmax, code);
}

/// The same where all share a scale: the quotient is clamped to [low, high] = [qmin, qmax] - zero_point before it is
/// rounded, which both saturates and keeps the magic number valid.
struct SharedScale {
  f32x4 scale;
  f32x4 low;
  f32x4 high;
  i32x4 offset;

  SharedScale(float s, std::int32_t zero_point, CodeRange range)
      : scale(splat(s)),
        low(splat(static_cast<float>(range.qmin - zero_point))),
        high(splat(static_cast<float>(range.qmax - zero_point))),
        offset(splat(zero_point) - bits_of(splat(kMagic))) {}

  i32x4 codes_of(f32x4 x) const { return codes_of(x, scale); }
  /// With other scales of the same zero point.
  i32x4 codes_of(f32x4 x, f32x4 scales) const {
    f32x4 steps = x / scales;
    steps = float_of_bits(bits_of(steps) & (x == x));
    return bits_of(min(max(steps, low), high) + splat(kMagic)) + offset;
  }
};

void quantize_same(const float* x, std::size_t n, float scale, std::int32_t zero_point, CodeRange range, std::uint8_t* out) {
  const SharedScale shared(scale, zero_point, range);
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16)
    store_codes(out + i, shared.codes_of(load_f32x4(x + i)), shared.codes_of(load_f32x4(x + i + 4)),
                shared.codes_of(load_f32x4(x + i + 8)), shared.codes_of(load_f32x4(x + i + 12)));
  for (; i < n; ++i) out[i] = static_cast<std::uint8_t>(shared.codes_of(splat(x[i]))[0]);
}

inline i32x4 load_i32x4(const std::int32_t* p) {
  i32x4 v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

void quantize_varying(const float* x, std::size_t n, const float* scales, const std::int32_t* zero_points, bool shares_zero_point,
                      CodeRange range, std::uint8_t* out) {
  if (shares_zero_point) {
    const SharedScale shared(1.0f, zero_points[0], range);
    const auto four = [&](std::size_t i) { return shared.codes_of(load_f32x4(x + i), load_f32x4(scales + i)); };
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16) store_codes(out + i, four(i), four(i + 4), four(i + 8), four(i + 12));
    for (; i < n; ++i) out[i] = static_cast<std::uint8_t>(shared.codes_of(splat(x[i]), splat(scales[i]))[0]);
    return;
  }
  const i32x4 qmin = splat(range.qmin);
  const i32x4 qmax = splat(range.qmax);
  const auto four = [&](std::size_t i) {
    return codes_of(load_f32x4(x + i), load_f32x4(scales + i), load_i32x4(zero_points + i), qmin, qmax);
  };
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) store_codes(out + i, four(i), four(i + 4), four(i + 8), four(i + 12));
  for (; i < n; ++i)
    out[i] = static_cast<std::uint8_t>(codes_of(splat(x[i]), splat(scales[i]), splat(zero_points[i]), qmin, qmax)[0]);
}

/// Codes of 16 bits, which are few: one loop serves both, `step` is 0 where all share a scale.
[[gnu::noinline]] void quantize_wide(const float* x, std::size_t n, const float* scales, const std::int32_t* zero_points,
                                     std::size_t step, CodeRange range, std::uint16_t* out) {
  for (std::size_t i = 0; i < n;) {
    const bool is_four = n - i >= 4;
    const std::size_t s = i * step;
    const f32x4 scale = is_four && step != 0 ? load_f32x4(scales + s) : splat(scales[s]);
    const i32x4 zero_point = is_four && step != 0 ? load_i32x4(zero_points + s) : splat(zero_points[s]);
    const i32x4 codes =
        codes_of(is_four ? load_f32x4(x + i) : splat(x[i]), scale, zero_point, splat(range.qmin), splat(range.qmax));
    for (std::size_t k = 0; k < (is_four ? 4u : 1u); ++k) out[i++] = static_cast<std::uint16_t>(codes[k]);
  }
}
void quantize_same(const float* x, std::size_t n, float scale, std::int32_t zero_point, CodeRange range, std::uint16_t* out) {
  quantize_wide(x, n, &scale, &zero_point, 0, range, out);
}
void quantize_varying(const float* x, std::size_t n, const float* scales, const std::int32_t* zero_points, bool, CodeRange range,
                      std::uint16_t* out) {
  quantize_wide(x, n, scales, zero_points, 1, range, out);
}

template <typename Code, typename Emit>
void quantize_runs(std::span<const float> values, const Shape& shape, const QuantParamsView& params, Emit&& emit) {
  const auto& zero_points = params.zero_points;
  const bool shares_zero_point =
      std::all_of(zero_points.begin(), zero_points.end(), [&](std::int32_t z) { return z == zero_points[0]; });
  // `emit` is asked where the codes of a piece go, and told when they are there.
  for_each_run(scale_layout(params.granularity, shape), [&](const Run& run) {
    for (std::int64_t at = 0; at < run.count; at += static_cast<std::int64_t>(kPieceLength)) {
      const std::size_t n = std::min(kPieceLength, static_cast<std::size_t>(run.count - at));
      const auto from = static_cast<std::size_t>(run.element + at);
      const auto s = static_cast<std::size_t>(run.scale_of(at));
      const float* x = values.data() + from;
      Code* out = emit.place(from);
      if (run.varies)
        quantize_varying(x, n, params.scales.data() + s, zero_points.data() + s, shares_zero_point, params.range, out);
      else
        quantize_same(x, n, params.scales[s], params.zero_points[s], params.range, out);
      emit.done(n);
    }
  });
}

/// Codes that go straight to their place.
template <typename Code>
struct InPlace {
  Code* codes;
  Code* place(std::size_t element) const { return codes + element; }
  void done(std::size_t) const {}
};

struct Packed {
  Packer packer;
  std::uint8_t piece[kPieceLength];
  std::uint8_t* place(std::size_t) { return piece; }
  void done(std::size_t n) { packer.append(piece, n); }
};

void check_layout(std::size_t n_values, std::size_t n_code_bytes, int bits, const Shape& shape, const QuantParamsView& params) {
  const auto n = static_cast<std::uint64_t>(n_elements(shape));
  const auto n_scales = static_cast<std::size_t>(n_elements(scale_shape(params.granularity, shape)));
  if (n_values != n || n_code_bytes != (n * static_cast<std::uint64_t>(bits) + 7) / 8)
    throw_error(ErrorCode::shape_mismatch, {"values or codes do not have the size of shape ", shape});
  if (params.scales.size() != n_scales || params.zero_points.size() != n_scales)
    throw_error(ErrorCode::shape_mismatch, {params.scales.size(), " scales were given where shape ", shape, " ",
                                            to_string(params.granularity), " needs ", n_scales});
}

/// Codes that share the one scale and zero point, or have one each. Eight at a time, written out: links for size leave loops as they
/// stand.
template <bool is_shared, typename Code>
void dequantize_run(const Code* codes, std::int64_t n, const float* scales, const std::int32_t* zero_points, float* values) {
  typedef Code Codes __attribute__((vector_size(8 * sizeof(Code))));
  typedef std::int32_t Integers __attribute__((vector_size(32)));
  typedef float Reals __attribute__((vector_size(32)));
  Integers zeros = Integers{} + *zero_points;
  Reals steps = Reals{} + *scales;
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    Codes narrow;
    std::memcpy(&narrow, codes + i, sizeof(narrow));
    if constexpr (!is_shared) {
      std::memcpy(&zeros, zero_points + i, sizeof(zeros));
      std::memcpy(&steps, scales + i, sizeof(steps));
    }
    const Reals reals = steps * __builtin_convertvector(__builtin_convertvector(narrow, Integers) - zeros, Reals);
    std::memcpy(values + i, &reals, sizeof(reals));
  }
  for (; i < n; ++i) {
    const std::int64_t at = is_shared ? 0 : i;
    values[i] = scales[at] * static_cast<float>(codes[i] - zero_points[at]);
  }
}

/// `piece` hands out the codes of elements [element, element + n), n <= kPieceLength.
template <typename Piece>
void dequantize_runs(const Shape& shape, const QuantParamsView& params, float* values, Piece&& piece) {
  for_each_run(scale_layout(params.granularity, shape), [&](const Run& run) {
    constexpr auto kLength = static_cast<std::int64_t>(kPieceLength);
    for (std::int64_t at = 0; at < run.count; at += kLength) {
      const std::int64_t n = std::min(kLength, run.count - at);
      const std::int64_t s = run.scale_of(at);
      const auto* codes = piece(run.element + at, n);
      const float* scales = params.scales.data() + s;
      const std::int32_t* zero_points = params.zero_points.data() + s;
      if (run.varies)
        dequantize_run<false>(codes, n, scales, zero_points, values + run.element + at);
      else
        dequantize_run<true>(codes, n, scales, zero_points, values + run.element + at);
    }
  });
}

void dequantize_codes(std::span<const std::uint8_t> codes, const Shape& shape, const QuantParamsView& params, int bits,
                      bool is_signed, std::span<float> values) {
  check_layout(values.size(), codes.size(), bits, shape, params);
  const auto as = [&]<typename Code>(Code) {
    BITWRIGHT_ASSERT(reinterpret_cast<std::uintptr_t>(codes.data()) % alignof(Code) == 0);
    const auto* all = reinterpret_cast<const Code*>(codes.data());
    dequantize_runs(shape, params, values.data(), [&](std::int64_t element, std::int64_t) { return all + element; });
  };
  if (bits == 8) return is_signed ? as(std::int8_t{}) : as(std::uint8_t{});
  if (bits == 16) {
    std::int32_t wide[kPieceLength];
    return dequantize_runs(shape, params, values.data(), [&](std::int64_t element, std::int64_t n) {
      for (std::int64_t i = 0; i < n; ++i) {
        std::uint16_t code;
        std::memcpy(&code, codes.data() + 2 * (element + i), sizeof(code));
        wide[i] = is_signed ? static_cast<std::int16_t>(code) : code;
      }
      return wide;
    });
  }
  std::uint8_t piece[kPieceLength];
  std::int8_t extended[kPieceLength];  // fewer than 8 bits: unsigned ones fit too
  const int sign = is_signed ? 1 << (bits - 1) : 0;
  const u8x16 signs = u8x16{} + static_cast<std::uint8_t>(sign);
  dequantize_runs(shape, params, values.data(), [&](std::int64_t element, std::int64_t n) {
    unpack(codes.data(), bits, static_cast<std::size_t>(element), static_cast<std::size_t>(n), piece);
    std::int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
      u8x16 wide;
      std::memcpy(&wide, piece + i, sizeof(wide));
      wide = (wide ^ signs) - signs;
      std::memcpy(extended + i, &wide, sizeof(wide));
    }
    for (; i < n; ++i) extended[i] = static_cast<std::int8_t>((piece[i] ^ sign) - sign);
    return extended;
  });
}

}  // namespace

void quantize_run(const float* values, std::size_t n, float scale, std::int32_t zero_point, CodeRange range,
                  std::uint8_t* codes) {
  quantize_same(values, n, scale, zero_point, range, codes);
}

void quantize_packed(std::span<const float> values, const Shape& shape, const QuantParamsView& params, int bits,
                     std::span<std::uint8_t> codes) {
  check_layout(values.size(), codes.size(), bits, shape, params);
  if (bits == 8) {
    quantize_runs<std::uint8_t>(values, shape, params, InPlace<std::uint8_t>{codes.data()});
  } else if (bits == 16) {
    BITWRIGHT_ASSERT(reinterpret_cast<std::uintptr_t>(codes.data()) % alignof(std::uint16_t) == 0);
    quantize_runs<std::uint16_t>(values, shape, params, InPlace<std::uint16_t>{reinterpret_cast<std::uint16_t*>(codes.data())});
  } else {
    Packed packed{Packer(codes.data(), bits), {}};
    quantize_runs<std::uint8_t>(values, shape, params, packed);
    packed.packer.finish();
  }
}

void dequantize_packed(std::span<const std::uint8_t> codes, const Shape& shape, const QuantParamsView& params, int bits,
                       std::span<float> values) {
  dequantize_codes(codes, shape, params, bits, params.range.qmin < 0, values);
}

void quantize(std::span<const float> values, const Shape& shape, const QuantParams& params, std::span<std::uint8_t> codes) {
  const int bits = dtype_bits(params.dtype);
  if (!is_integer(params.dtype) || bits > 16)
    throw_error(ErrorCode::unsupported,
                {"no codes of type ", dtype_name(params.dtype), " are made here; choose an integer type of at most 16 bits"});
  quantize_packed(values, shape, params, bits, codes);
}

void dequantize(std::span<const std::uint8_t> codes, const Shape& shape, const QuantParams& params, std::span<float> values) {
  const int bits = dtype_bits(params.dtype);
  if (params.dtype == DType::i32) {
    check_layout(values.size(), codes.size(), bits, shape, params);
    return reference::dequantize(codes, shape, params, values);
  }
  if (!is_integer(params.dtype) || bits > 16)
    throw_error(ErrorCode::unsupported, {"codes of type ", dtype_name(params.dtype), " cannot be dequantized here"});
  dequantize_codes(codes, shape, params, bits, is_signed(params.dtype), values);
}

}  // namespace bitwright
