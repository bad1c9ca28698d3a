#include "passes/fuse_integer.h"

#include <doctest/doctest.h>

#include <random>

#include "base/error.h"
#include "engine/model_builder.h"
#include "engine/session.h"
#include "kernels/random.h"
#include "tensor/elements.h"

namespace bitwright::tests {
namespace {

/// Builds graphs of codes: every value between its own QuantizeLinear and DequantizeLinear.
class QdqBuilder {
 public:
  explicit QdqBuilder(Shape x, bool is_signed = false) : is_signed_(is_signed) {
    graph.inputs = {ValueInfo::of("x", DType::f32, std::move(x))};
  }

  /// The dequantized value of `value`; scale and zero point in u8 codes.
  std::string pair(const std::string& value, float scale, int zero_point) {
    const std::string q = value + "_q", d = value + "_d";
    const auto inputs = parameters(value, scale, zero_point);
    graph.nodes.push_back(make_node("QuantizeLinear", {value, inputs.first, inputs.second}, {q}));
    graph.nodes.push_back(make_node("DequantizeLinear", {q, inputs.first, inputs.second}, {d}));
    return d;
  }

  /// A constant of random s8 codes with a scale for each index of `axis`.
  std::string weights(const std::string& name, Shape shape, std::int64_t axis, int largest = 127) {
    const std::int64_t n = shape[static_cast<std::size_t>(axis)];
    Tensor codes(DType::i8, shape), scales(DType::f32, {n}), zeros(DType::i8, {n});
    for (std::int8_t& code : codes.data<std::int8_t>()) code = static_cast<std::int8_t>(draw(-largest, largest));
    for (float& scale : scales.data<float>()) scale = 0.001f * static_cast<float>(draw(1, 20));
    return dequantize(name, std::move(codes), std::move(scales), std::move(zeros), axis);
  }
  /// A constant of random codes with one scale.
  std::string constant(const std::string& name, Shape shape, float scale, int zero_point) {
    Tensor codes(DType::u8, std::move(shape));
    for (std::uint8_t& code : codes.data<std::uint8_t>()) code = static_cast<std::uint8_t>(draw(0, 255));
    return dequantize(name, std::move(codes), Tensor::scalar<float>(scale),
                      Tensor::scalar<std::uint8_t>(static_cast<std::uint8_t>(zero_point)), -1);
  }
  /// int32 codes whose scale is that of the accumulators.
  std::string bias(const std::string& name, const std::string& weights, float x_scale, std::int64_t n) {
    Tensor codes(DType::i32, {n}), scales(DType::f32, {n});
    const TensorRecord* of = graph.find_initializer(weights.substr(0, weights.size() - 2) + "_scale");
    const Tensor weight_scales = of->load();
    for (std::int64_t i = 0; i < n; ++i) {
      codes.data<std::int32_t>()[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(draw(-3000, 3000));
      scales.data<float>()[static_cast<std::size_t>(i)] = x_scale * weight_scales.data<float>()[static_cast<std::size_t>(i)];
    }
    return dequantize(name, std::move(codes), std::move(scales), Tensor(), 0);
  }
  std::string node(std::string op_type, std::vector<std::string> inputs, std::string output,
                   std::vector<Attribute> attributes = {}) {
    graph.nodes.push_back(make_node(std::move(op_type), std::move(inputs), {output}, std::move(attributes)));
    return output;
  }
  void output(const std::string& value) { graph.outputs.push_back(ValueInfo::of(value, DType::f32, {})); }
  /// In [low, high], the same on every host, which standard distributions are not.
  int draw(int low, int high) { return low + static_cast<int>(random_() % static_cast<std::uint32_t>(high - low + 1)); }

  Graph graph;

 private:
  std::pair<std::string, std::string> parameters(const std::string& value, float scale, int zero_point) {
    graph.initializers.push_back(TensorRecord::of(value + "_scale", Tensor::scalar<float>(scale)));
    graph.initializers.push_back(
        TensorRecord::of(value + "_zero", is_signed_ ? Tensor::scalar<std::int8_t>(static_cast<std::int8_t>(zero_point - 128))
                                                     : Tensor::scalar<std::uint8_t>(static_cast<std::uint8_t>(zero_point))));
    return {value + "_scale", value + "_zero"};
  }
  std::string dequantize(const std::string& name, Tensor codes, Tensor scales, Tensor zeros, std::int64_t axis) {
    std::vector<std::string> inputs{name, name + "_scale"};
    graph.initializers.push_back(TensorRecord::of(name, std::move(codes)));
    graph.initializers.push_back(TensorRecord::of(name + "_scale", std::move(scales)));
    if (zeros.is_defined()) {
      graph.initializers.push_back(TensorRecord::of(name + "_zero", std::move(zeros)));
      inputs.push_back(name + "_zero");
    }
    std::vector<Attribute> attributes;
    if (axis >= 0) attributes.push_back(Attribute::of_int("axis", axis));
    graph.nodes.push_back(make_node("DequantizeLinear", inputs, {name + "_d"}, attributes));
    return name + "_d";
  }

  bool is_signed_;
  std::mt19937 random_{7};
};

/// How far results of a chain may lie from the simulated run's: each rounding that differs moves all that read it.
struct Tolerance {
  float scale;           // of the result's codes
  double share = 0.001;  // of codes that may differ at all
  // Likewise in integer_only, which rounds halves up: one differing code reaches all outputs that read it.
  double integer_share = 0.02;
  double most = 1.0;  // codes apart
};

std::vector<NodeProfile> check_equals_simulated(const Graph& graph, const Shape& x_shape, Tolerance tolerance,
                                                float x_range = 2.0f) {
  const auto model = share(make_model(graph));
  std::uint32_t seed = 11;
  std::vector<NodeProfile> rows;
  Session simulated(model);
  for (const SessionArithmetic arithmetic : {SessionArithmetic::fast, SessionArithmetic::integer_only}) {
    CAPTURE(static_cast<int>(arithmetic));
    Session session(model, {.arithmetic = arithmetic});
    double n_apart = 0, n = 0, furthest = 0;
    for (int i = 0; i < 3; ++i) {
      Tensor x(DType::f32, x_shape);
      const std::vector<float> drawn = random_floats(x.data<float>().size(), seed++);
      for (std::size_t k = 0; k < drawn.size(); ++k) x.data<float>()[k] = drawn[k] * x_range;
      const auto expected = simulated.run({{"x", x}});
      const auto got = session.run({{"x", x}});
      for (const auto& [name, tensor] : expected) {
        REQUIRE(got.at(name).shape() == tensor.shape());
        for (std::size_t k = 0; k < tensor.data<float>().size(); ++k) {
          const double apart = std::abs(got.at(name).data<float>()[k] - tensor.data<float>()[k]) / tolerance.scale;
          furthest = std::max(furthest, apart);
          n_apart += apart > 0.5;
          ++n;
        }
      }
    }
    CHECK(furthest <= tolerance.most + 1e-3);
    CHECK(n_apart <= (arithmetic == SessionArithmetic::fast ? tolerance.share : tolerance.integer_share) * n);
    if (arithmetic == SessionArithmetic::fast) rows = session.profile();
  }
  return rows;
}

std::size_t n_of(const std::vector<NodeProfile>& rows, const std::string& op_type) {
  return static_cast<std::size_t>(
      std::count_if(rows.begin(), rows.end(), [&](const NodeProfile& row) { return row.op_type == op_type; }));
}

TEST_CASE("fuse_integer: an inverted residual block becomes integer operators alone, channels last between two borders") {
  for (const bool is_signed : {false, true}) {
    QdqBuilder b({1, 8, 9, 7}, is_signed);
    const std::string x = b.pair("x", 0.02f, 120);
    const std::string w1 = b.weights("w1", {24, 8, 1, 1}, 0);
    b.node("Conv", {x, w1, b.bias("b1", w1, 0.02f, 24)}, "c1");
    const std::string d1 = b.pair(b.node("Relu", {"c1"}, "r1"), 0.015f, is_signed ? 0 : 3);
    const std::string w2 = b.weights("w2", {24, 1, 3, 3}, 0);
    b.node("Conv", {d1, w2, b.bias("b2", w2, 0.015f, 24)}, "c2",
           {Attribute::of_int("group", 24), Attribute::of_ints("pads", {1, 1, 1, 1})});
    b.graph.initializers.push_back(TensorRecord::of("six", Tensor::scalar<float>(0.7f)));
    b.graph.initializers.push_back(TensorRecord::of("zero", Tensor::scalar<float>(0.0f)));
    const std::string d2 = b.pair(b.node("Clip", {"c2", "zero", "six"}, "r2"), 0.01f, 20);
    const std::string w3 = b.weights("w3", {8, 24, 1, 1}, 0);
    const std::string d3 = b.pair(b.node("Conv", {d2, w3}, "c3"), 0.03f, 100);
    b.output(b.pair(b.node("Add", {d3, x}, "sum"), 0.0413f, 130));
    const auto rows = check_equals_simulated(b.graph, {1, 8, 9, 7}, {.scale = 0.0413f, .share = 0.02});
    CHECK(n_of(rows, "Conv") == 3);
    CHECK(n_of(rows, "Add") == 1);
    CHECK(n_of(rows, "Quantize") == 1);
    CHECK(n_of(rows, "Dequantize") == 1);
    CHECK(rows.size() == 6);
  }
}

TEST_CASE("fuse_integer: a head of pooling, flattening and Gemm gives codes, or reals where nobody quantizes them") {
  for (const bool gives_reals : {false, true}) {
    QdqBuilder b({2, 12, 65, 5});
    const std::string x = b.pair("x", 0.02f, 128);
    const std::string pooled = b.pair(b.node("GlobalAveragePool", {x}, "pool"), 0.005f, 110);
    const std::string flat = b.pair(b.node("Flatten", {pooled}, "flat"), 0.005f, 110);
    const std::string w = b.weights("w", {10, 12}, 0);
    b.node("Gemm", {flat, w, b.bias("b", w, 0.005f, 10)}, "y", {Attribute::of_int("transB", 1)});
    b.output(gives_reals ? "y" : b.pair("y", 0.002f, 90));
    const auto rows =
        check_equals_simulated(b.graph, {2, 12, 65, 5}, {.scale = 0.002f, .share = 0.25, .integer_share = 0.25, .most = 10.0});
    CHECK(n_of(rows, "Gemm") == 1);
    CHECK(n_of(rows, "AveragePool") == 1);
    CHECK(n_of(rows, "Dequantize") == (gives_reals ? 0 : 1));
    CHECK(n_of(rows, "DequantizeLinear") == 0);
  }
}

TEST_CASE("fuse_integer: attention multiplies codes by codes, in batches and by one matrix that all share") {
  for (const bool is_signed : {false, true}) {
    CAPTURE(is_signed);
    QdqBuilder b({2, 3, 7, 13}, is_signed);
    const std::string x = b.pair("x", 0.02f, 120);
    const std::string turned = b.pair(b.node("Transpose", {x}, "turned", {Attribute::of_ints("perm", {0, 1, 3, 2})}), 0.02f, 120);
    const std::string scores = b.pair(b.node("MatMul", {x, turned}, "scores"), 0.11f, 128);
    const std::string soft = b.pair(b.node("Softmax", {scores}, "soft"), 1.0f / 256.0f, 0);
    b.graph.initializers.push_back(TensorRecord::of("axes", Tensor::of<std::int64_t>({1}, {1})));
    for (const char* name : {"starts", "ends"})
      b.graph.initializers.push_back(TensorRecord::of(name, Tensor::of<std::int64_t>({1}, {name[0] == 's' ? 1 : 2})));
    const std::string one = b.pair(b.node("Slice", {x, "starts", "ends", "axes"}, "one"), 0.02f, 120);  // [2, 1, 7, 13]
    b.output(b.pair(b.node("MatMul", {soft, one}, "mixed"), 0.015f, 90));
    b.output(b.node("MatMul", {one, turned}, "reals"));
    const auto rows = check_equals_simulated(b.graph, {2, 3, 7, 13}, {.scale = 0.015f, .share = 0.02, .integer_share = 0.1});
    CHECK(n_of(rows, "MatMul") == 3);
    for (const NodeProfile& row : rows) {
      CAPTURE(row.op_type);
      CHECK((row.is_integer || row.op_type == "Slice"));
      if (row.op_type == "MatMul") CHECK(row.kernel.find("reference") == std::string::npos);
    }
  }
}

TEST_CASE("fuse_integer: products of codes whose sums could leave int32 are refused where shapes tell too late") {
  QdqBuilder b({-1, -1});
  const std::string x = b.pair("x", 0.02f, 120);
  const std::string turned = b.pair(b.node("Transpose", {x}, "turned"), 0.02f, 120);
  b.output(b.pair(b.node("MatMul", {x, turned}, "y"), 40.0f, 128));
  const auto model = share(make_model(b.graph));
  Session session(model, {.arithmetic = SessionArithmetic::fast});
  const auto run = [&](std::int64_t k) { return session.run({{"x", Tensor(DType::f32, {2, k})}}); };
  CHECK(run(16512).at("y_d").shape() == Shape{2, 2});
  CHECK_THROWS_WITH_AS(run(16513), doctest::Contains("could leave int32"), Error);
  CHECK(run(0).at("y_d").data<float>()[0] == 0.0f);
}

TEST_CASE("fuse_integer: functions of one value become tables, alone and as chains with constants") {
  QdqBuilder b({1, 3, 4, 5});
  const std::string x = b.pair("x", 0.03f, 128);
  b.graph.initializers.push_back(TensorRecord::of("half", Tensor::scalar<float>(0.5f)));
  b.node("Sigmoid", {x}, "s");
  b.node("Mul", {x, "s"}, "silu");
  b.node("Mul", {"silu", "half"}, "halved");
  const std::string first = b.pair("halved", 0.02f, 40);
  b.output(b.pair(b.node("Tanh", {first}, "t"), 1.0f / 128.0f, 128));
  // Tables are made by the same float operators on the same reals: every code is the same.
  const auto rows =
      check_equals_simulated(b.graph, {1, 3, 4, 5}, {.scale = 1.0f / 128.0f, .share = 0.0, .integer_share = 0.0}, 4.0f);
  CHECK(n_of(rows, "Lookup") == 2);
  CHECK(rows.size() == 4);
}

TEST_CASE("fuse_integer: concat, pooling, product with a constant per channel, and what stays float between islands") {
  QdqBuilder b({1, 6, 8, 8});
  const std::string x = b.pair("x", 0.02f, 128);
  const std::string scaled = b.pair(b.node("Mul", {x, b.constant("k", {6, 1, 1}, 0.0107f, 30)}, "scaled"), 0.0313f, 120);
  const std::string both = b.pair(b.node("Concat", {x, scaled}, "both", {Attribute::of_int("axis", 1)}), 0.03f, 120);
  const std::string most = b.pair(b.node("MaxPool", {both}, "most",
                                         {Attribute::of_ints("kernel_shape", {3, 3}), Attribute::of_ints("pads", {1, 1, 1, 1}),
                                          Attribute::of_ints("strides", {2, 2})}),
                                  0.03f, 120);
  const std::string mean = b.pair(b.node("AveragePool", {most}, "mean",
                                         {Attribute::of_ints("kernel_shape", {2, 2}), Attribute::of_ints("pads", {0, 0, 1, 1})}),
                                  0.02f, 110);
  b.node("Softmax", {mean}, "soft", {Attribute::of_int("axis", 1)});
  const std::string again = b.pair(b.node("Add", {"soft", mean}, "joined"), 0.0231f, 100);
  const std::string w = b.weights("w", {4, 6, 3, 3}, 0);
  b.output(b.pair(b.node("Conv", {again, w}, "c", {Attribute::of_int("group", 2), Attribute::of_ints("strides", {2, 1})}), 0.02f,
                  128));
  const auto rows =
      check_equals_simulated(b.graph, {1, 6, 8, 8}, {.scale = 0.02f, .share = 0.05, .integer_share = 0.5, .most = 3.0});
  for (const char* op_type : {"Mul", "Concat", "MaxPool", "AveragePool", "Conv", "Softmax"}) {
    CAPTURE(op_type);
    CHECK(n_of(rows, op_type) == 1);
  }
}

TEST_CASE("fuse_integer: softmax along channels, moves of whole pixels, and layers whose sums could leave int32") {
  QdqBuilder b({1, 6, 5, 4});
  const std::string x = b.pair("x", 0.02f, 128);
  b.graph.initializers.push_back(TensorRecord::of("pads", Tensor::of<std::int64_t>({8}, {0, 0, 1, 0, 0, 0, 0, 2})));
  const std::string padded = b.pair(b.node("Pad", {x, "pads"}, "padded"), 0.02f, 128);
  b.graph.initializers.push_back(TensorRecord::of("factors", Tensor::of<float>({4}, {1.0f, 1.0f, 2.0f, 2.0f})));
  const std::string large = b.pair(b.node("Resize", {padded, "", "factors"}, "large",
                                          {Attribute::of_string("mode", "nearest"), Attribute::of_string("nearest_mode", "floor"),
                                           Attribute::of_string("coordinate_transformation_mode", "asymmetric")}),
                                   0.02f, 128);
  for (const char* name : {"starts", "ends", "axes"})
    b.graph.initializers.push_back(
        TensorRecord::of(name, Tensor::of<std::int64_t>({2}, name[0] == 's'   ? std::initializer_list<std::int64_t>{1, 2}
                                                             : name[0] == 'e' ? std::initializer_list<std::int64_t>{9, 11}
                                                                              : std::initializer_list<std::int64_t>{2, 3})));
  const std::string part = b.pair(b.node("Slice", {large, "starts", "ends", "axes"}, "part"), 0.02f, 128);
  b.output(b.pair(b.node("Softmax", {part}, "soft", {Attribute::of_int("axis", 1)}), 1.0f / 256.0f, 0));
  const auto rows =
      check_equals_simulated(b.graph, {1, 6, 5, 4}, {.scale = 1.0f / 256.0f, .share = 0.001, .integer_share = 0.001});
  CHECK(n_of(rows, "Pixels") == 3);
  CHECK(n_of(rows, "Softmax") == 1);
  CHECK(rows.size() == 6);

  QdqBuilder wide({1, 2, 4, 4});
  const std::string read = wide.pair("x", 0.02f, 128);
  const std::string w = wide.weights("w", {2, 2, 1, 1}, 0);
  wide.graph.initializers.push_back(TensorRecord::of("b", Tensor::of<std::int32_t>({2}, {2147483000, 0})));
  const Tensor scales = wide.graph.find_initializer("w_scale")->load();
  wide.graph.initializers.push_back(
      TensorRecord::of("bs", Tensor::of<float>({2}, {0.02f * scales.data<float>()[0], 0.02f * scales.data<float>()[1]})));
  wide.graph.nodes.push_back(make_node("DequantizeLinear", {"b", "bs"}, {"bd"}, {Attribute::of_int("axis", 0)}));
  wide.output(wide.pair(wide.node("Conv", {read, w, "bd"}, "c"), 1000.0f, 128));
  const auto left = check_equals_simulated(wide.graph, {1, 2, 4, 4}, {.scale = 1000.0f, .share = 0.0, .integer_share = 0.0});
  CHECK(std::any_of(left.begin(), left.end(), [](const NodeProfile& row) {
    return row.op_type == "Conv" && !row.is_integer && row.reason.find("int32") != std::string::npos;
  }));
}

TEST_CASE("fuse_integer: nodes that lack inputs or outputs are left to the checks of the run") {
  for (const char* op_type : {"DequantizeLinear", "QuantizeLinear", "Conv", "Gemm", "MatMul", "Add", "Concat", "Clip", "Softmax",
                              "Resize", "QLinearConv", "QLinearMatMul", "LayerNormalization", "ReduceMean", "Reshape"})
    for (const std::size_t n_inputs : {0u, 1u, 2u})
      for (const std::size_t n_outputs : {0u, 1u, 2u}) {
        CAPTURE(op_type);
        QdqBuilder b({1, 4, 5, 5});
        const std::string x = b.pair("x", 0.02f, 128);
        Node node = make_node(op_type, std::vector<std::string>(n_inputs, x), {});
        for (std::size_t i = 0; i < n_outputs; ++i) node.outputs.push_back("y" + std::to_string(i));
        b.graph.nodes.push_back(node);
        b.output(n_outputs == 0 ? x : b.pair("y0", 0.02f, 128));
        try {
          Session session(share(make_model(b.graph)), {.arithmetic = SessionArithmetic::fast});
          session.run({{"x", Tensor(DType::f32, {1, 4, 5, 5})}});
        } catch (const Error& error) {
          CHECK(std::string(error.what()) != "");
        }
      }
}

TEST_CASE("fuse_integer: moves of pixels that leave none, crop or fill with a real of their own, and constants of odd types") {
  const auto ends = [](std::vector<std::int64_t> values) {
    return Tensor::of<std::int64_t>({static_cast<std::int64_t>(values.size())}, std::span<const std::int64_t>(values));
  };
  // The same as the float operators, or refused by name.
  const auto check = [](QdqBuilder& b, const char* what, const Shape& x_shape = {1, 2, 4, 4}) {
    CAPTURE(what);
    const auto model = share(make_model(b.graph));
    Tensor x(DType::f32, x_shape);
    for (std::size_t i = 0; i < x.data<float>().size(); ++i) x.data<float>()[i] = 0.02f * static_cast<float>(i);
    const Tensor expected = Session(model).run({{"x", x}}).at(b.graph.outputs[0].name);
    for (const SessionArithmetic arithmetic : {SessionArithmetic::fast, SessionArithmetic::integer_only}) {
      Session session(model, {.arithmetic = arithmetic});
      for (int run = 0; run < 2; ++run) {
        const Tensor got = session.run({{"x", x}}).at(b.graph.outputs[0].name);
        REQUIRE(got.shape() == expected.shape());
        for (std::size_t i = 0; i < got.data<float>().size(); ++i)
          CHECK(std::abs(got.data<float>()[i] - expected.data<float>()[i]) <= 0.0201f);
      }
    }
  };
  {
    QdqBuilder b({1, 2, 4, 4});
    const std::string x = b.pair("x", 0.02f, 128);
    b.graph.initializers.push_back(TensorRecord::of("at", ends({2})));
    b.graph.initializers.push_back(TensorRecord::of("axis", ends({3})));
    b.output(b.pair(b.node("Slice", {x, "at", "at", "axis"}, "s"), 0.02f, 128));
    check(b, "an empty slice");
  }
  {
    QdqBuilder b({1, 2, 4, 4});
    const std::string x = b.pair("x", 0.02f, 128);
    b.graph.initializers.push_back(TensorRecord::of("roi", Tensor::of<float>({8}, {0, 0, -1, -1, 1, 1, 2, 2})));
    b.graph.initializers.push_back(TensorRecord::of("sizes", ends({1, 2, 6, 6})));
    b.output(b.pair(b.node("Resize", {x, "roi", "", "sizes"}, "s",
                           {Attribute::of_string("mode", "nearest"),
                            Attribute::of_string("coordinate_transformation_mode", "tf_crop_and_resize"),
                            Attribute::of_float("extrapolation_value", 0.5f)}),
                    0.02f, 128));
    check(b, "cropped, filled with 0.5");
  }
  {
    QdqBuilder b({1, 2, 4, 4});
    const std::string x = b.pair("x", 0.02f, 128);
    b.graph.initializers.push_back(TensorRecord::of("axes", Tensor::of<float>({2}, {NAN, 3})));
    b.output(b.pair(b.node("ReduceMean", {x, "axes"}, "s"), 0.02f, 128));
    check(b, "axes that are no integers, and before opset 18 none at all");
  }
  {
    QdqBuilder b({1, 2, 4, 4});
    const std::string x = b.pair("x", 0.02f, 128);
    b.graph.initializers.push_back(TensorRecord::of("pads", ends({0, 0, 1, 1, 0, 0, 1, 1})));
    b.graph.initializers.push_back(TensorRecord::of("fill", Tensor(DType::f32, {0})));
    b.output(b.pair(b.node("Pad", {x, "pads", "fill"}, "s"), 0.02f, 128));
    try {
      check(b, "a fill without elements");
    } catch (const Error& error) {
      CHECK(std::string(error.what()).find("Pad") != std::string::npos);
    }
  }
  {
    QdqBuilder b({1, 2, 4, 4});
    const std::string x = b.pair("x", 0.02f, 128);
    b.graph.initializers.push_back(TensorRecord::of("two", Tensor::scalar<double>(2.0)));
    b.output(b.pair(b.node("Mul", {x, "two"}, "s"), 0.02f, 128));
    CHECK_THROWS_AS(check(b, "a constant in double"), Error);
  }
  {
    QdqBuilder b({1000000000, 0, 4, 4});
    const std::string x = b.pair("x", 0.02f, 128);
    b.graph.initializers.push_back(TensorRecord::of("pads", ends({0, 0, 1, 1, 0, 0, 1, 1})));
    b.output(b.pair(b.node("Pad", {x, "pads"}, "s"), 0.02f, 128));
    check(b, "a thousand million empty images", {1000000000, 0, 4, 4});
  }
}

TEST_CASE("fuse_integer: reals of int32, and codes that are none, are left to the operators themselves") {
  QdqBuilder b({1, 2, 4, 4});
  b.graph.inputs[0] = ValueInfo::of("x", DType::i32, {1, 2, 4, 4});
  b.output(b.pair(b.node("MaxPool", {b.pair("x", 0.5f, 128)}, "p", {Attribute::of_ints("kernel_shape", {2, 2})}), 0.5f, 128));
  const auto model = share(make_model(b.graph));
  Tensor x(DType::i32, {1, 2, 4, 4});
  for (std::size_t i = 0; i < 32; ++i) x.data<std::int32_t>()[i] = static_cast<std::int32_t>(i) - 16;
  const Tensor expected = Session(model).run({{"x", x}}).at(b.graph.outputs[0].name);
  Session fast(model, {.arithmetic = SessionArithmetic::fast});
  const Tensor got = fast.run({{"x", x}}).at(b.graph.outputs[0].name);
  CHECK(to_f32_vector(got) == to_f32_vector(expected));

  for (const DType dtype : {DType::f32, DType::i4, DType::u4, DType::i32, DType::boolean, DType::f16}) {
    CAPTURE(dtype_name(dtype));
    QdqBuilder odd({1, 2, 4, 4});
    odd.graph.inputs[0] = ValueInfo::of("x", dtype, {1, 2, 4, 4});
    odd.graph.initializers.push_back(TensorRecord::of("s", Tensor::scalar(0.5f)));
    odd.graph.initializers.push_back(TensorRecord::of("z", Tensor::scalar<std::uint8_t>(128)));
    odd.output(odd.pair(odd.node("MaxPool", {odd.node("DequantizeLinear", {"x", "s", "z"}, "d")}, "p",
                                 {Attribute::of_ints("kernel_shape", {2, 2})}),
                        0.5f, 128));
    const auto run = [&] {
      Session session(share(make_model(odd.graph)), {.arithmetic = SessionArithmetic::fast});
      session.run({{"x", Tensor(dtype, {1, 2, 4, 4})}});
    };
    CHECK_THROWS_AS(run(), Error);
  }
}

TEST_CASE("fuse_integer: zero points of another type than their codes, also such as no code could be, are refused by the run") {
  for (const char* which : {"x_zero", "w_zero"})
    for (const float zero : {NAN, INFINITY, 1e20f, 3.0f}) {
      CAPTURE(which);
      CAPTURE(zero);
      QdqBuilder b({1, 2, 4, 4});
      const std::string x = b.pair("x", 0.02f, 128), w = b.weights("w", {2, 2, 1, 1}, 0);
      b.output(b.pair(b.node("Conv", {x, w}, "c"), 0.02f, 128));
      for (TensorRecord& record : b.graph.initializers)
        if (record.name == which) {
          Tensor zeros(DType::f32, record.shape);
          std::fill(zeros.data<float>().begin(), zeros.data<float>().end(), zero);
          record = TensorRecord::of(which, zeros);
        }
      for (const SessionArithmetic arithmetic : {SessionArithmetic::fast, SessionArithmetic::integer_only}) {
        const auto run = [&] {
          Session session(share(make_model(b.graph)), {.arithmetic = arithmetic});
          session.run({{"x", Tensor(DType::f32, {1, 2, 4, 4})}});
        };
        CHECK_THROWS_AS(run(), Error);
      }
    }
}

TEST_CASE("fuse_integer: broken scales and biases are refused by node and tensor") {
  const auto message = [](float scale, std::int32_t bias_code, float bias_scale) {
    QdqBuilder b({1, 2, 4, 4});
    const std::string x = b.pair("x", scale, 128);
    const std::string w = b.weights("w", {2, 2, 1, 1}, 0);
    b.graph.initializers.push_back(TensorRecord::of("b", Tensor::of<std::int32_t>({2}, {bias_code, 0})));
    b.graph.initializers.push_back(TensorRecord::of("bs", Tensor::of<float>({2}, {bias_scale, bias_scale})));
    b.graph.nodes.push_back(make_node("DequantizeLinear", {"b", "bs"}, {"bd"}, {Attribute::of_int("axis", 0)}));
    b.output(b.pair(b.node("Conv", {x, w, "bd"}, "c"), 0.02f, 128));
    try {
      Session session(share(make_model(b.graph)), {.arithmetic = SessionArithmetic::fast});
      return std::string("nothing was thrown");
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  CHECK(message(0.0f, 1, 0.001f).find("the scale of 'x_q' is 0; scales must be positive and finite") != std::string::npos);
  CHECK(message(NAN, 1, 0.001f).find("'x_q' is NaN") != std::string::npos);
  CHECK(message(0.001f, 2000000000, 1.0f).find("node 'n_c' (Conv): the bias 'bd' does not fit int32") != std::string::npos);
}

}  // namespace
}  // namespace bitwright::tests
