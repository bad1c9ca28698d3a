// The same bits on every host, as in tests/engine/same_bits_test.cpp: the hashes do not say what is right (the other tests do), they
// say that every compiler and wasm store and decode the same.
#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "base/xxh64.h"
#include "quant/encodings/encoding.h"

using namespace bitwright;

namespace {

template <typename Values>
void add(Xxh64& hash, const Values& values) {
  hash.add({reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(values[0])});
}

/// Of all that is stored, and of what it decodes to, for every named scheme that `change` does not leave out.
std::string hash_of(const std::function<bool(TensorScheme&)>& change) {
  const Shape shape = {12, 5, 33};
  std::vector<float> x(12 * 5 * 33);
  std::uint32_t seed = 7;
  for (float& value : x) {
    float sum = 0.0f;
    for (int i = 0; i < 3; ++i) {
      seed = seed * 1664525u + 1013904223u;
      sum += static_cast<float>(static_cast<std::int32_t>(seed) >> 8) * 0x1p-23f;
    }
    value = sum;
  }
  Xxh64 hash;
  for (const NamedScheme& named : named_schemes()) {
    for (const std::int64_t axis : {0, 2}) {
      TensorScheme scheme = named.scheme;
      if (!change(scheme)) continue;
      const EncodedTensor e = encode_tensor(x, shape, scheme, axis);
      std::vector<float> reals(x.size());
      decode_tensor(e, reals);
      add(hash, e.codes);
      add(hash, e.scales);
      add(hash, e.zero_points);
      add(hash, e.levels);
      add(hash, e.scale_codes);
      add(hash, e.super_scales);
      add(hash, reals);
    }
  }
  return hash.hex();
}

bool is_fitted(const TensorScheme& s) {
  return s.encoding == Encoding::kmeans || s.encoding == Encoding::binary_code || s.encoding == Encoding::product ||
         s.encoding == Encoding::binary || s.encoding == Encoding::ternary;
}

}  // namespace

TEST_CASE("same bits: encodings of every scheme") {
  CHECK(hash_of([](TensorScheme& s) { return !is_fitted(s); }) == "45d293f4fc3ffffc");
  CHECK(hash_of([](TensorScheme& s) { return is_fitted(s); }) == "20c69f28bf9dc3d3");
}

TEST_CASE("same bits: every clipping method, and stochastic rounding") {
  const auto clipped = [](CalibrationMethod method) {
    return hash_of([=](TensorScheme& s) {
      s.clipping = method;
      return !is_fitted(s) && s.encoding != Encoding::f16 && s.encoding != Encoding::bf16;
    });
  };
  CHECK(clipped(CalibrationMethod::percentile) == "605e73a5d717f79c");
  CHECK(clipped(CalibrationMethod::entropy) == "fff5387359518b6c");
  CHECK(clipped(CalibrationMethod::mse) == "37bc46a4dfdeffec");
  CHECK(clipped(CalibrationMethod::aciq_laplace) == "88e499c17439343b");
  CHECK(clipped(CalibrationMethod::aciq_gaussian) == "bce044f10a50a278");
  CHECK(hash_of([](TensorScheme& s) {
          s.rounding = Rounding::stochastic;
          return s.encoding == Encoding::uniform;
        }) == "2036118cf05aed6b");
}
