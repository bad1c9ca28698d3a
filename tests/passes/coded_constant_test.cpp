#include "passes/coded_constant.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/model_builder.h"
#include "engine/session.h"

namespace bitwright {
namespace {

Tensor wave(Shape shape) {
  Tensor tensor(DType::f32, std::move(shape));
  float at = 0.0f;
  for (float& value : tensor.data<float>()) {
    at += 0.7f;
    value = std::sin(at) * (1.0f + std::sin(at * 0.01f));
  }
  return tensor;
}

/// What the nodes of the constant compute.
std::vector<float> run(const CodedConstant& constant, const Shape& shape, std::int64_t opset) {
  Graph graph;
  graph.nodes = constant.nodes;
  graph.initializers = constant.records;
  graph.outputs.push_back(ValueInfo::of("w", DType::f32, shape));
  return tests::values_of<float>(Session(tests::share(tests::make_model(std::move(graph), opset))).run({}).at("w"));
}

}  // namespace

TEST_CASE("coded_constant: every named scheme is a graph that gives the decoded reals") {
  for (const NamedScheme& named : named_schemes()) {
    if (named.scheme.grain == TensorScheme::Grain::per_token && named.scheme.encoding != Encoding::uniform) continue;
    for (const auto& where : {std::pair(Shape{64, 10}, std::int64_t{0}), std::pair(Shape{6, 70}, std::int64_t{1}),
                              std::pair(Shape{8, 5, 3, 3}, std::int64_t{0})})
      for (const std::int64_t opset : {13, 25}) {
        const Shape& shape = where.first;
        const std::int64_t axis = where.second;
        CAPTURE(named.name);
        CAPTURE(to_string(shape));
        CAPTURE(opset);
        const Tensor values = wave(shape);
        const EncodedTensor encoded = encode_tensor(values.data<float>(), shape, named.scheme, axis);
        // Blocks and float8 have no DequantizeLinear at opset 13: our engine runs them all the same, other runtimes must not see them.
        std::vector<float> wanted(values.data<float>().size());
        decode_tensor(encoded, wanted);
        Model empty;
        NameAllocator names(empty);
        const CodedConstant constant = coded_constant("w", encoded, {}, DType::f32, opset, names);
        const std::vector<float> made = run(constant, shape, opset);
        REQUIRE(made.size() == wanted.size());
        // Two-level scales multiply once more, in float: the last bit may differ. So may that of a sum of planes, of which none
        // is larger than the largest real.
        const float tolerance = encoded.scheme.scale_form == ScaleForm::f32 ? 0.0f : 1e-6f;
        const float of_sums = encoded.alphas.empty() ? 0.0f : 1e-6f * std::abs(*std::max_element(wanted.begin(), wanted.end()));
        std::size_t n_far = 0;
        for (std::size_t i = 0; i < made.size(); ++i)
          n_far += std::abs(made[i] - wanted[i]) > tolerance * std::abs(wanted[i]) + of_sums ? 1 : 0;
        CHECK(n_far == 0);
        // The way without held codes makes the same.
        const auto again = [&] { return encode_tensor(values.data<float>(), shape, named.scheme, axis); };
        Model other;
        NameAllocator other_names(other);
        CHECK(run(coded_constant("w", encoded, again, DType::f32, opset, other_names), shape, opset) == made);
      }
  }
}

TEST_CASE("coded_constant: codes of every width, and codebooks of channels, groups and blocks") {
  const Shape shape{9, 29};  // no multiple of anything
  const Tensor values = wave(shape);
  const auto check = [&](const TensorScheme& scheme) {
    CAPTURE(encoding_info(scheme.encoding).name);
    CAPTURE(scheme.bits);
    CAPTURE(scheme.n_entries);
    CAPTURE(static_cast<int>(scheme.scale_form));
    const std::int64_t axis = scheme.grain == TensorScheme::Grain::per_channel ? 0 : 1;
    const EncodedTensor encoded = encode_tensor(values.data<float>(), shape, scheme, axis);
    std::vector<float> wanted(values.data<float>().size());
    decode_tensor(encoded, wanted);
    Model empty;
    NameAllocator names(empty);
    CHECK(run(coded_constant("w", encoded, {}, DType::f32, 13, names), shape, 13) == wanted);
  };
  using enum TensorScheme::Grain;
  for (const auto grain : {per_tensor, per_channel, per_block, per_token})
    for (int bits = 2; bits <= 8; ++bits) {
      check({.grain = grain, .block_size = 8, .encoding = Encoding::power_of_two, .bits = bits});
      check({.grain = grain, .block_size = 8, .encoding = Encoding::kmeans, .n_entries = (1 << bits) - 1});
    }
  for (const int n_entries : {3, 20, 100})
    check({.encoding = Encoding::product, .n_entries = n_entries, .sub_vector = 3, .column_group = 4});
  check({.grain = per_channel, .encoding = Encoding::kmeans, .bits = 5, .channel_group = 3});
  for (const ScaleForm form : {ScaleForm::f16, ScaleForm::e8m0, ScaleForm::f8e4m3fn}) {
    check({.grain = per_block, .block_size = 8, .encoding = Encoding::nf4, .scale_form = form});
    check({.grain = per_channel, .encoding = Encoding::nf4, .channel_group = 3, .scale_form = form});
    check({.grain = per_tensor, .encoding = Encoding::nf4, .scale_form = form});
  }
}

TEST_CASE("coded_constant: what a file holds is what the scheme stores, also where ONNX has no operator for it") {
  constexpr std::uint64_t kTables = 1600;  // levels and what codes of scales stand for, shapes, powers of two
  for (const NamedScheme& named : named_schemes()) {
    if (has_dequantize_form(named.scheme, Target::portable)) continue;
    CAPTURE(named.name);
    for (const Shape& shape : {Shape{256, 64}, Shape{101, 101}}) {
      const Tensor values = wave(shape);
      const EncodedTensor encoded = encode_tensor(values.data<float>(), shape, named.scheme, 0);
      Model empty;
      NameAllocator names(empty);
      std::uint64_t n_bytes = 0;
      for (const TensorRecord& record : coded_constant("w", encoded, {}, DType::f32, 13, names).records)
        n_bytes += record.size_bytes();
      CHECK(n_bytes < encoded.stored_bits() / 8 + kTables);
    }
  }
}

}  // namespace bitwright
