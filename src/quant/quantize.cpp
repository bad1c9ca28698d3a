#include "quant/quantize.h"

#include <cstring>

#include "base/error.h"
#include "base/simd.h"
#include "quant/reference.h"
#include "quant/runs.h"

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

typedef std::uint8_t u8x16 __attribute__((vector_size(16)));
typedef std::uint16_t u16x8 __attribute__((vector_size(16)));

/// Stores the low bits of 16 codes.
inline void store(std::uint8_t* out, i32x4 a, i32x4 b, i32x4 c, i32x4 d) {
  const auto ab = __builtin_shufflevector(std::bit_cast<u16x8>(a), std::bit_cast<u16x8>(b), 0, 2, 4, 6, 8, 10, 12, 14);
  const auto cd = __builtin_shufflevector(std::bit_cast<u16x8>(c), std::bit_cast<u16x8>(d), 0, 2, 4, 6, 8, 10, 12, 14);
  const auto all = __builtin_shufflevector(std::bit_cast<u8x16>(ab), std::bit_cast<u8x16>(cd), 0, 2, 4, 6, 8, 10, 12, 14, 16, 18,
                                           20, 22, 24, 26, 28, 30);
  std::memcpy(out, &all, sizeof(all));
}
inline void store(std::uint16_t* out, i32x4 a, i32x4 b, i32x4 c, i32x4 d) {
  const auto ab = __builtin_shufflevector(std::bit_cast<u16x8>(a), std::bit_cast<u16x8>(b), 0, 2, 4, 6, 8, 10, 12, 14);
  const auto cd = __builtin_shufflevector(std::bit_cast<u16x8>(c), std::bit_cast<u16x8>(d), 0, 2, 4, 6, 8, 10, 12, 14);
  std::memcpy(out, &ab, sizeof(ab));
  std::memcpy(out + 8, &cd, sizeof(cd));
}

template <typename Code>
void quantize_same(const float* x, std::size_t n, float scale, std::int32_t zero_point, CodeRange range, Code* out) {
  const SharedScale shared(scale, zero_point, range);
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16)
    store(out + i, shared.codes_of(load_f32x4(x + i)), shared.codes_of(load_f32x4(x + i + 4)),
          shared.codes_of(load_f32x4(x + i + 8)), shared.codes_of(load_f32x4(x + i + 12)));
  for (; i < n; ++i) out[i] = static_cast<Code>(shared.codes_of(splat(x[i]))[0]);
}

inline i32x4 load_i32x4(const std::int32_t* p) {
  i32x4 v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

template <typename Code>
void quantize_varying(const float* x, std::size_t n, const float* scales, const std::int32_t* zero_points, bool shares_zero_point,
                      CodeRange range, Code* out) {
  if (shares_zero_point) {
    const SharedScale shared(1.0f, zero_points[0], range);
    const auto four = [&](std::size_t i) { return shared.codes_of(load_f32x4(x + i), load_f32x4(scales + i)); };
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16) store(out + i, four(i), four(i + 4), four(i + 8), four(i + 12));
    for (; i < n; ++i) out[i] = static_cast<Code>(shared.codes_of(splat(x[i]), splat(scales[i]))[0]);
    return;
  }
  const i32x4 qmin = splat(range.qmin);
  const i32x4 qmax = splat(range.qmax);
  const auto four = [&](std::size_t i) {
    return codes_of(load_f32x4(x + i), load_f32x4(scales + i), load_i32x4(zero_points + i), qmin, qmax);
  };
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) store(out + i, four(i), four(i + 4), four(i + 8), four(i + 12));
  for (; i < n; ++i) out[i] = static_cast<Code>(codes_of(splat(x[i]), splat(scales[i]), splat(zero_points[i]), qmin, qmax)[0]);
}

/// Appends codes of 4 or 2 bits to packed bytes, at any element.
class Packer {
 public:
  Packer(std::uint8_t* out, int bits) : out_(out), bits_(bits), per_byte_(8 / bits), mask_((1u << bits) - 1) {}

  void append(const std::uint8_t* codes, std::size_t n) {
    std::size_t i = 0;
    while (i < n && n_held_ != 0) push(codes[i++]);
    if (bits_ == 4) {
      for (; i + 2 <= n; i += 2) *out_++ = static_cast<std::uint8_t>((codes[i] & 15u) | (codes[i + 1] << 4));
    } else {
      for (; i + 4 <= n; i += 4)
        *out_++ =
            static_cast<std::uint8_t>((codes[i] & 3u) | (codes[i + 1] & 3u) << 2 | (codes[i + 2] & 3u) << 4 | codes[i + 3] << 6);
    }
    while (i < n) push(codes[i++]);
  }
  void finish() {
    if (n_held_ != 0) *out_ = static_cast<std::uint8_t>(held_);
  }

 private:
  void push(std::uint8_t code) {
    held_ |= (code & mask_) << (bits_ * n_held_);
    if (++n_held_ < per_byte_) return;
    *out_++ = static_cast<std::uint8_t>(held_);
    held_ = 0;
    n_held_ = 0;
  }

  std::uint8_t* out_;
  int bits_;
  int per_byte_;
  unsigned mask_;
  unsigned held_ = 0;
  int n_held_ = 0;
};

template <typename Code, typename Emit>
void quantize_runs(std::span<const float> values, const Shape& shape, const QuantParams& params, Emit&& emit) {
  const auto& zero_points = params.zero_points;
  const bool shares_zero_point =
      std::all_of(zero_points.begin(), zero_points.end(), [&](std::int32_t z) { return z == zero_points[0]; });
  // `emit` is asked where the codes of a piece go, and told when they are there.
  const auto in_pieces = [&](std::int64_t element, std::int64_t count, auto&& piece) {
    for (std::size_t at = 0; at < static_cast<std::size_t>(count); at += kPieceLength) {
      const std::size_t n = std::min(kPieceLength, static_cast<std::size_t>(count) - at);
      const std::size_t from = static_cast<std::size_t>(element) + at;
      piece(values.data() + from, n, at, emit.place(from));
      emit.done(n);
    }
  };
  for_each_run(
      scale_layout(params.granularity, shape),
      [&](std::int64_t element, std::int64_t count, std::int64_t scale) {
        const auto s = static_cast<std::size_t>(scale);
        in_pieces(element, count, [&](const float* x, std::size_t n, std::size_t, Code* out) {
          quantize_same(x, n, params.scales[s], params.zero_points[s], params.range, out);
        });
      },
      [&](std::int64_t element, std::int64_t count, std::int64_t scale) {
        const auto s = static_cast<std::size_t>(scale);
        in_pieces(element, count, [&](const float* x, std::size_t n, std::size_t at, Code* out) {
          quantize_varying(x, n, params.scales.data() + s + at, zero_points.data() + s + at, shares_zero_point, params.range,
                           out);
        });
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

void check_layout(std::size_t n_values, std::size_t n_code_bytes, const Shape& shape, const QuantParams& params) {
  const auto n = static_cast<std::uint64_t>(n_elements(shape));
  const auto n_scales = static_cast<std::size_t>(n_elements(scale_shape(params.granularity, shape)));
  if (n_values != n || n_code_bytes != packed_bytes(params.dtype, n))
    throw Error(ErrorCode::shape_mismatch, "values or codes do not have the size of shape " + to_string(shape));
  if (params.scales.size() != n_scales || params.zero_points.size() != n_scales)
    throw Error(ErrorCode::shape_mismatch, std::to_string(params.scales.size()) + " scales were given where shape " +
                                               to_string(shape) + " " + to_string(params.granularity) + " needs " +
                                               std::to_string(n_scales));
}

/// Elements of `Code` in memory; a loop that compilers turn into vector code.
template <typename Code>
void dequantize_runs(const Code* codes, const Shape& shape, const QuantParams& params, float* values) {
  for_each_run(
      scale_layout(params.granularity, shape),
      [&](std::int64_t element, std::int64_t count, std::int64_t scale) {
        const float s = params.scales[static_cast<std::size_t>(scale)];
        const std::int32_t zero_point = params.zero_points[static_cast<std::size_t>(scale)];
        for (std::int64_t i = element; i < element + count; ++i) values[i] = s * static_cast<float>(codes[i] - zero_point);
      },
      [&](std::int64_t element, std::int64_t count, std::int64_t scale) {
        const float* s = params.scales.data() + scale;
        const std::int32_t* zero_points = params.zero_points.data() + scale;
        for (std::int64_t i = 0; i < count; ++i)
          values[element + i] = s[i] * static_cast<float>(codes[element + i] - zero_points[i]);
      });
}

}  // namespace

void quantize(std::span<const float> values, const Shape& shape, const QuantParams& params, std::span<std::uint8_t> codes) {
  const int bits = dtype_bits(params.dtype);
  if (!is_integer(params.dtype) || bits > 16)
    throw Error(ErrorCode::unsupported, "no codes of type " + std::string(dtype_name(params.dtype)) +
                                            " are made here; choose an integer type of at most 16 bits");
  check_layout(values.size(), codes.size(), shape, params);
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

void dequantize(std::span<const std::uint8_t> codes, const Shape& shape, const QuantParams& params, std::span<float> values) {
  check_layout(values.size(), codes.size(), shape, params);
  const auto as = [&]<typename Code>(Code) {
    BITWRIGHT_ASSERT(reinterpret_cast<std::uintptr_t>(codes.data()) % alignof(Code) == 0);
    dequantize_runs(reinterpret_cast<const Code*>(codes.data()), shape, params, values.data());
  };
  switch (params.dtype) {
    case DType::u8:
      as(std::uint8_t{});
      break;
    case DType::i8:
      as(std::int8_t{});
      break;
    case DType::u16:
      as(std::uint16_t{});
      break;
    case DType::i16:
      as(std::int16_t{});
      break;
    case DType::u4:
    case DType::i4:
    case DType::u2:
    case DType::i2:
    case DType::i32:
      reference::dequantize(codes, shape, params, values);
      break;
    default:
      throw Error(ErrorCode::unsupported,
                  "codes of type " + std::string(dtype_name(params.dtype)) + " cannot be dequantized here");
  }
}

}  // namespace bitwright
