#include "passes/coded_constant.h"

#include <doctest/doctest.h>

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
        // Two-level scales multiply once more, in float: the last bit may differ.
        const float tolerance = encoded.scheme.scale_form == ScaleForm::f32 ? 0.0f : 1e-6f;
        std::size_t n_far = 0;
        for (std::size_t i = 0; i < made.size(); ++i)
          n_far += std::abs(made[i] - wanted[i]) > tolerance * std::abs(wanted[i]) ? 1 : 0;
        CHECK(n_far == 0);
        // The way without held codes makes the same.
        const auto again = [&] { return encode_tensor(values.data<float>(), shape, named.scheme, axis); };
        Model other;
        NameAllocator other_names(other);
        CHECK(run(coded_constant("w", encoded, again, DType::f32, opset, other_names), shape, opset) == made);
      }
  }
}

TEST_CASE("coded_constant: packed codes are smaller than half floats, also where ONNX has no operator for them") {
  for (const char* name : {"nf4", "kmeans16", "binary", "ternary", "pq4", "bcq2", "pot4"}) {
    CAPTURE(name);
    const Shape shape{256, 64};
    const Tensor values = wave(shape);
    const EncodedTensor encoded = encode_tensor(values.data<float>(), shape, find_scheme(name)->scheme, 0);
    Model empty;
    NameAllocator names(empty);
    std::uint64_t n_bytes = 0;
    for (const TensorRecord& record : coded_constant("w", encoded, {}, DType::f32, 21, names).records)
      n_bytes += record.size_bytes();
    CHECK(n_bytes < 2 * values.data<float>().size());
  }
}

}  // namespace bitwright
