// What the schemes hold while they encode: beside the tensor that was given, their result, and little more.
#include <doctest/doctest.h>

#include <limits>
#include <random>

#include "allocations.h"
#include "quant/encodings/encoding.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

std::uint64_t result_bytes(const EncodedTensor& e) {
  const auto bytes = [](const auto& list) { return list.size() * sizeof(list[0]); };
  return bytes(e.codes) + bytes(e.scales) + bytes(e.zero_points) + bytes(e.scale_codes) + bytes(e.super_scales) +
         bytes(e.levels) + bytes(e.alphas);
}

}  // namespace

TEST_CASE("encode_tensor, decode_tensor: beside the tensor and the result, what a scheme holds does not grow with them") {
  std::mt19937 random(3);
  std::vector<float> all(512 * 512);
  for (float& value : all) value = static_cast<float>(random() >> 8) * 0x1p-24f - 0.5f;
  const auto check = [&](const Shape& shape, const TensorScheme& scheme, std::int64_t axis) {
    CAPTURE(to_string(shape));
    CAPTURE(axis);
    // Codebooks and searches through bins have tables of their own; the least that could grow, 8 bytes a block, is 64 kB here.
    const bool has_tables = scheme.encoding == Encoding::kmeans || scheme.encoding == Encoding::product ||
                            scheme.clipping == CalibrationMethod::entropy;
    const std::uint64_t most_bytes = std::uint64_t{has_tables ? 128u : 48u} << 10;
    const auto values = std::span(all).first(static_cast<std::size_t>(n_elements(shape)));
    std::vector<float> reals(values.size());
    const std::uint64_t before = live_bytes();
    reset_peak();
    const EncodedTensor encoded = encode_tensor(values, shape, scheme, axis);
    const std::uint64_t held = peak_bytes() - before;
    CHECK(held >= result_bytes(encoded));
    CHECK(held <= result_bytes(encoded) + most_bytes);
    const std::uint64_t after = live_bytes();
    reset_peak();
    decode_tensor(encoded, reals);
    CHECK(peak_bytes() <= after + most_bytes);
  };
  using enum CalibrationMethod;
  for (const NamedScheme& named : named_schemes())
    for (const std::int64_t axis : {0, 1})
      for (const CalibrationMethod clipping : {min_max, percentile, entropy, mse, aciq_laplace}) {
        CAPTURE(named.name);
        TensorScheme scheme = named.scheme;
        if (clipping != min_max && scheme.encoding != Encoding::uniform && scheme.encoding != Encoding::nf4) continue;
        if (clipping != min_max) scheme.clipping = clipping;
        const bool is_search = clipping != min_max && clipping != aciq_laplace;
        if (!is_search) check({512, 512}, scheme, axis);
        // A search through thousands of bins for each scale: few bits show what it holds, many take minutes under sanitizers.
        const int most_bits = scheme.grain == TensorScheme::Grain::per_block ? 2 : 4;
        if (clipping == entropy && scheme.grain != TensorScheme::Grain::per_tensor && complete_scheme(scheme).bits > most_bits)
          continue;
        if (is_search) check({256, 512}, scheme, axis);
      }
  for (const Encoding encoding : {Encoding::kmeans, Encoding::binary_code, Encoding::ternary, Encoding::binary})
    for (const std::int64_t axis : {0, 1}) {
      CAPTURE(encoding_info(encoding).name);
      check({512, 512}, {.grain = TensorScheme::Grain::per_block, .encoding = encoding}, axis);
    }
}

TEST_CASE("encode_tensor: neither importances nor thresholds of a whole tensor are held beside it") {
  const Shape shape = {256, 512};
  std::mt19937 random(4);
  std::vector<float> values(256 * 512);
  for (float& value : values) value = static_cast<float>(random() >> 8) * 0x1p-24f - 0.5f;
  const auto check = [&](const TensorScheme& scheme, const EncodeOptions& options) {
    CAPTURE(encoding_info(scheme.encoding).name);
    CAPTURE(options.importance.size());
    const std::uint64_t before = live_bytes();
    reset_peak();
    const EncodedTensor encoded = encode_tensor(values, shape, scheme, 0, options);
    CHECK(peak_bytes() - before <= result_bytes(encoded) + (128u << 10));
  };
  check({.encoding = Encoding::ternary, .clipping = CalibrationMethod::mse}, {});
  const std::vector<float> of_elements(values.size(), 2.0f), of_rows(256, 2.0f), of_columns(512, 2.0f);
  for (const auto& [importance, axis] : {std::pair(&of_elements, 0), std::pair(&of_rows, 0), std::pair(&of_columns, 1)})
    for (const TensorScheme& scheme :
         {TensorScheme{.dtype = DType::u8}, TensorScheme{.dtype = DType::u4, .grain = TensorScheme::Grain::per_channel},
          TensorScheme{.encoding = Encoding::nf4}, TensorScheme{.encoding = Encoding::ternary},
          TensorScheme{.encoding = Encoding::binary}, TensorScheme{.encoding = Encoding::kmeans, .bits = 2},
          TensorScheme{.encoding = Encoding::binary_code, .bits = 2}}) {
      TensorScheme weighed = scheme;
      weighed.clipping = CalibrationMethod::output_error;
      check(weighed, {.importance = *importance, .importance_axis = axis});
    }
}

TEST_CASE("encode_tensor: large groups with NaN or apart in memory are not copied, and are what they are side by side") {
  std::mt19937 random(6);
  constexpr std::size_t kRows = 1 << 16;
  std::vector<float> rows(2 * kRows), columns(2 * kRows), with_nan(2 * kRows);
  for (std::size_t i = 0; i < kRows; ++i)
    for (std::size_t row = 0; row < 2; ++row) {
      const float value = static_cast<float>(random() >> 8) * 0x1p-24f - (row == 0 ? 0.5f : 0.25f);
      rows[row * kRows + i] = columns[2 * i + row] = value;
    }
  // The rows again, all in one, with what counts as nothing between them.
  std::vector<float> all;
  for (std::size_t i = 0; i < with_nan.size(); ++i) {
    with_nan[i] = i % 3 == 2 ? std::numeric_limits<float>::quiet_NaN() : rows[i];
    if (i % 3 != 2) all.push_back(rows[i]);
  }
  const std::vector<float> importance(with_nan.size(), 2.0f);
  const auto held = [&](std::span<const float> values, const Shape& shape, const TensorScheme& scheme, std::int64_t axis) {
    const std::uint64_t before = live_bytes();
    reset_peak();
    EncodedTensor encoded = encode_tensor(
        values, shape, scheme, axis,
        {.importance = scheme.clipping == CalibrationMethod::output_error ? std::span(importance).first(values.size())
                                                                          : std::span<const float>()});
    CHECK(peak_bytes() - before <= result_bytes(encoded) + (128u << 10));
    return encoded;
  };
  const auto n = static_cast<std::int64_t>(kRows);
  using enum CalibrationMethod;
  for (const Encoding encoding :
       {Encoding::uniform, Encoding::nf4, Encoding::binary, Encoding::ternary, Encoding::kmeans, Encoding::binary_code})
    for (const CalibrationMethod clipping : {min_max, percentile, entropy, mse, aciq_laplace, output_error}) {
      CAPTURE(encoding_info(encoding).name);
      CAPTURE(static_cast<int>(clipping));
      const bool has_clipping = encoding == Encoding::uniform || encoding == Encoding::nf4;
      if (clipping != min_max && !has_clipping && !(encoding == Encoding::ternary && clipping == mse)) continue;
      TensorScheme scheme{.dtype = DType::u4, .encoding = encoding, .clipping = clipping};
      if (encoding == Encoding::kmeans || encoding == Encoding::binary_code) scheme.bits = 2;
      const EncodedTensor one = held(all, {static_cast<std::int64_t>(all.size())}, scheme, 0);
      const EncodedTensor between = held(with_nan, {2 * n}, scheme, 0);
      CHECK(between.n_not_finite == with_nan.size() - all.size());
      CHECK(one.scales == between.scales);
      CHECK(one.zero_points == between.zero_points);
      CHECK(one.levels == between.levels);
      scheme.grain = TensorScheme::Grain::per_channel;
      const EncodedTensor beside = held(rows, {2, n}, scheme, 0);
      const EncodedTensor apart = held(columns, {n, 2}, scheme, 1);
      CHECK(beside.scales == apart.scales);
      CHECK(beside.levels == apart.levels);
      const auto codes = unpack_codes(beside), others = unpack_codes(apart);
      for (std::size_t i = 0; i < 2 * kRows; ++i)
        if (codes[i] != others[i % kRows * 2 + i / kRows]) FAIL_CHECK("element " << i);
    }
}

TEST_CASE("encode_tensor: the importance of an axis is that of each of its elements, in large groups and in small ones") {
  std::mt19937 random(5);
  for (const Shape& shape : {Shape{64, 512}, Shape{16, 24}})
    for (const std::int64_t axis : {0, 1}) {
      std::vector<float> values(static_cast<std::size_t>(n_elements(shape)));
      for (float& value : values) value = static_cast<float>(random() >> 8) * 0x1p-24f - 0.5f;
      std::vector<float> of_axis(static_cast<std::size_t>(shape[static_cast<std::size_t>(axis)]));
      for (float& weight : of_axis) weight = static_cast<float>(random() % 7);
      std::vector<float> of_elements(values.size());
      const auto columns = static_cast<std::size_t>(shape[1]);
      for (std::size_t i = 0; i < values.size(); ++i) of_elements[i] = of_axis[axis == 0 ? i / columns : i % columns];
      for (const Encoding encoding : {Encoding::uniform, Encoding::ternary, Encoding::kmeans, Encoding::binary_code}) {
        const TensorScheme scheme{
            .dtype = DType::u4, .encoding = encoding, .bits = 2, .clipping = CalibrationMethod::output_error};
        const EncodedTensor a = encode_tensor(values, shape, scheme, 0, {.importance = of_axis, .importance_axis = axis});
        const EncodedTensor b = encode_tensor(values, shape, scheme, 0, {.importance = of_elements});
        CHECK(a.scales == b.scales);
        CHECK(a.levels == b.levels);
        CHECK(a.codes == b.codes);
      }
    }
}
