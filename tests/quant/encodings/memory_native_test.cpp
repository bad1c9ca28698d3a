// What the schemes hold while they encode: beside the tensor that was given, their result, and little more.
#include <doctest/doctest.h>

#include <random>

#include "allocations.h"
#include "quant/encodings/encoding.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

std::uint64_t result_bytes(const EncodedTensor& e) {
  const auto bytes = [](const auto& list) { return list.size() * sizeof(list[0]); };
  return bytes(e.codes) + bytes(e.scales) + bytes(e.zero_points) + bytes(e.scale_codes) + bytes(e.super_scales) + bytes(e.levels);
}

}  // namespace

TEST_CASE("encode_tensor: no scheme holds a second tensor beside its result") {
  const Shape shape = {256, 512};
  std::mt19937 random(3);
  std::vector<float> values(256 * 512);
  for (float& value : values) value = static_cast<float>(random() >> 8) * 0x1p-24f - 0.5f;
  const std::uint64_t tensor_bytes = values.size() * sizeof(float);
  using enum CalibrationMethod;
  for (const NamedScheme& named : named_schemes())
    for (const std::int64_t axis : {0, 1})
      for (const CalibrationMethod clipping : {min_max, percentile, entropy, mse, aciq_laplace}) {
        CAPTURE(named.name);
        CAPTURE(axis);
        TensorScheme scheme = named.scheme;
        if (clipping != min_max && scheme.encoding != Encoding::uniform && scheme.encoding != Encoding::nf4) continue;
        if (clipping != min_max) scheme.clipping = clipping;
        // A search through thousands of bins for each scale: few bits show what it holds, many take minutes under sanitizers.
        const int most_bits = scheme.grain == TensorScheme::Grain::per_block ? 2 : 4;
        if (clipping == entropy && scheme.grain != TensorScheme::Grain::per_tensor && complete_scheme(scheme).bits > most_bits)
          continue;
        const std::uint64_t before = live_bytes();
        reset_peak();
        const EncodedTensor encoded = encode_tensor(values, shape, scheme, axis);
        const std::uint64_t held = peak_bytes() - before;
        CHECK(held >= result_bytes(encoded));
        // What is found of each block before its scale is settled; for percentiles of a whole tensor, its magnitudes.
        const std::uint64_t most = clipping == percentile ? tensor_bytes : tensor_bytes / 2;
        CHECK(held <= result_bytes(encoded) + most + 65536);
      }
}
