#include "passes/upgrade_opset.h"

#include <doctest/doctest.h>

#include "base/error.h"
#include "base/float16.h"

// What each node must look like follows from the ONNX operator changelog;
// tests/web/upgrade-opset.test.ts shows with onnxruntime that the results agree.

using namespace bitwright;

namespace {

Node op(std::string op_type, std::vector<std::string> inputs, std::vector<Attribute> attributes = {},
        std::vector<std::string> outputs = {"y"}) {
  Node node;
  node.name = "n";
  node.op_type = std::move(op_type);
  node.inputs = std::move(inputs);
  node.outputs = std::move(outputs);
  node.attributes = std::move(attributes);
  return node;
}

/// x is f32 of rank 4; s and b are [3], factors is [1,1,2,2].
Model model_of(Node node, std::int64_t opset, DType dtype = DType::f32) {
  Model model;
  model.ir_version = 4;
  model.set_opset("", opset);
  model.graph.inputs = {ValueInfo::of("x", dtype, {1, 6, kUnknownDim, 4})};
  model.graph.initializers = {
      TensorRecord::of("s", Tensor::of<float>({3}, {1, 2, 3})), TensorRecord::of("factors", Tensor::of<float>({4}, {1, 1, 2, 2})),
      TensorRecord::of("shrink", Tensor::of<float>({4}, {1, 1, 0.5f, 0.5f})),
      TensorRecord::of("mixed", Tensor::of<float>({4}, {1, 1, 2, 0.5f})), TensorRecord::of("none", Tensor::of<float>({0}, {}))};
  for (const std::string& output : node.outputs) {
    ValueInfo info;
    info.name = output;
    if (!output.empty()) model.graph.outputs.push_back(info);
  }
  model.graph.outputs.resize(1);
  model.graph.nodes = {std::move(node)};
  return model;
}

Model upgraded(Model model, std::int64_t target) {
  const UpgradeResult result = upgrade_opset(model, target);
  INFO(result.node, ": ", result.reason);
  REQUIRE(result.is_done);
  CHECK(model.opset() == target);
  validate(model);
  Model again = model;
  CHECK(upgrade_opset(again, target).messages.empty());
  return model;
}

Node upgraded_node(Node node, std::int64_t opset, std::int64_t target) {
  const Model model = upgraded(model_of(std::move(node), opset), target);
  REQUIRE(model.graph.nodes.size() == 1);
  return model.graph.nodes[0];
}

Tensor constant(const Model& model, const std::string& name) {
  const TensorRecord* record = model.graph.find_initializer(name);
  REQUIRE(record != nullptr);
  return record->load();
}

/// The upgrade is refused, names the node, and leaves everything as it was.
std::string refusal(Model model, std::int64_t target) {
  const std::int64_t opset = model.opset();
  const UpgradeResult result = upgrade_opset(model, target);
  CHECK_FALSE(result.is_done);
  CHECK(result.node.find("'n'") != std::string::npos);
  CHECK(model.opset() == opset);
  CHECK(model.ir_version == 4);
  CHECK(result.messages.empty());
  return result.reason;
}

}  // namespace

TEST_CASE("upgrade_opset: nodes that only took more types are left alone") {
  const Model model = upgraded(model_of(op("Relu", {"x"}), 7), 25);
  CHECK(model.graph.nodes[0].attributes.empty());
  CHECK(model.graph.initializers.size() == 5);
}

TEST_CASE("upgrade_opset: the IR version is raised with the opset, never lowered") {
  for (const auto& [opset, ir_version] :
       std::vector<std::pair<int, int>>{{8, 4}, {9, 4}, {13, 7}, {18, 8}, {20, 9}, {21, 10}, {23, 11}, {24, 12}, {25, 13}}) {
    Model model = model_of(op("Relu", {"x"}), 7);
    CHECK(upgrade_opset(model, opset).ir_version == ir_version);
    CHECK(model.ir_version == ir_version);
  }
  Model newer = model_of(op("Relu", {"x"}), 7);
  newer.ir_version = 12;
  CHECK(upgrade_opset(newer, 13).ir_version == 12);
  CHECK(ir_version_of_opset(7) == 3);
}

TEST_CASE("upgrade_opset: a model that is there already is left alone, a target out of range is an error") {
  Model model = model_of(op("Relu", {"x"}), 17);
  CHECK(upgrade_opset(model, 13).to == 17);
  CHECK_THROWS_AS(upgrade_opset(model, kMaxUpgradeOpset + 1), Error);
  CHECK_THROWS_AS(upgrade_opset(model, 0), Error);
}

TEST_CASE("upgrade_opset: initializers leave the graph inputs when IR passes 3, where they would cease to be constant") {
  Model model = model_of(op("Relu", {"x"}), 7);
  model.ir_version = 3;
  model.graph.inputs.push_back(ValueInfo::of("s", DType::f32, {3}));
  const UpgradeResult result = upgrade_opset(model, 13);
  CHECK(model.graph.inputs.size() == 1);
  CHECK(result.messages.size() == 1);
}

TEST_CASE("upgrade_opset: BatchNormalization loses spatial and its training outputs") {
  const std::vector<std::string> inputs{"x", "s", "s", "s", "s"};
  const Node node =
      upgraded_node(op("BatchNormalization", inputs, {Attribute::of_int("spatial", 1)}, {"y", "", "unused"}), 7, 14);
  CHECK_FALSE(node.has("spatial"));
  CHECK(node.outputs == std::vector<std::string>{"y"});
  CHECK(refusal(model_of(op("BatchNormalization", inputs, {Attribute::of_int("spatial", 0)}), 7), 9).find("spatial") !=
        std::string::npos);
  Model training = model_of(op("BatchNormalization", inputs, {}, {"y", "mean"}), 9);
  training.graph.outputs.push_back(ValueInfo::of("mean", DType::f32, {}));
  CHECK(refusal(training, 14).find("training") != std::string::npos);
}

TEST_CASE("upgrade_opset: Upsample becomes Resize with its scales as an input") {
  const Model model = upgraded(
      model_of(op("Upsample", {"x"}, {Attribute::of_floats("scales", {1, 1, 2, 2}), Attribute::of_string("mode", "nearest")}), 7),
      13);
  const Node& node = model.graph.nodes[0];
  CHECK(node.op_type == "Resize");
  REQUIRE(node.inputs.size() == 3);
  CHECK(node.inputs[1].empty());
  CHECK(to_f32_vector(constant(model, node.inputs[2])) == std::vector<float>{1, 1, 2, 2});
  CHECK(node.attr_s("coordinate_transformation_mode", "") == "asymmetric");
  CHECK(node.attr_s("nearest_mode", "") == "floor");
  CHECK_FALSE(node.has("scales"));
}

TEST_CASE("upgrade_opset: Resize 10 takes the lower pixel when growing and the upper one when shrinking, as onnxruntime does") {
  CHECK(upgraded_node(op("Resize", {"x", "factors"}), 10, 13).attr_s("nearest_mode", "") == "floor");
  CHECK(upgraded_node(op("Resize", {"x", "shrink"}), 10, 13).attr_s("nearest_mode", "") == "ceil");
  CHECK_FALSE(upgraded_node(op("Resize", {"x", "mixed"}, {Attribute::of_string("mode", "linear")}), 10, 13).has("nearest_mode"));
  CHECK(refusal(model_of(op("Resize", {"x", "mixed"}), 10), 11).find("grows") != std::string::npos);
  CHECK(refusal(model_of(op("Resize", {"x", "x"}), 10), 11).find("not constant") != std::string::npos);
}

TEST_CASE("upgrade_opset: Resize 11 has a region of interest, which may be left out from 13 on") {
  const Model eleven = upgraded(model_of(op("Resize", {"x", "factors"}), 10), 11);
  CHECK(constant(eleven, eleven.graph.nodes[0].inputs[1]).n_elements() == 0);
  CHECK(upgraded_node(op("Resize", {"x", "none", "factors"}), 11, 13).inputs == std::vector<std::string>{"x", "", "factors"});
  CHECK(upgraded_node(op("Resize", {"x", "none", "none", "s"}), 11, 19).inputs == std::vector<std::string>{"x", "", "", "s"});
  CHECK(refusal(model_of(op("Resize", {"x", "none", "factors"},
                            {Attribute::of_string("coordinate_transformation_mode", "tf_half_pixel_for_nn")}),
                         11),
                13)
            .find("tf_half") != std::string::npos);
}

TEST_CASE("upgrade_opset: Slice 10 takes starts, ends and axes as inputs") {
  const Model model = upgraded(
      model_of(op("Slice", {"x"},
                  {Attribute::of_ints("starts", {1}), Attribute::of_ints("ends", {-1}), Attribute::of_ints("axes", {2})}),
               9),
      10);
  const Node& node = model.graph.nodes[0];
  REQUIRE(node.inputs.size() == 4);
  CHECK(to_i64_vector(constant(model, node.inputs[1])) == std::vector<std::int64_t>{1});
  CHECK(to_i64_vector(constant(model, node.inputs[2])) == std::vector<std::int64_t>{-1});
  CHECK(to_i64_vector(constant(model, node.inputs[3])) == std::vector<std::int64_t>{2});
  CHECK(node.attributes.empty());
}

TEST_CASE("upgrade_opset: TopK 10 takes k as an input of one element") {
  const Model model = upgraded(model_of(op("TopK", {"x"}, {Attribute::of_int("k", 3)}, {"y", "i"}), 7), 11);
  CHECK(constant(model, model.graph.nodes[0].inputs[1]).shape() == Shape{1});
  CHECK(to_i64_vector(constant(model, model.graph.nodes[0].inputs[1])) == std::vector<std::int64_t>{3});
}

TEST_CASE("upgrade_opset: Dropout 12 takes its ratio as an input; a mask that is used cannot be kept") {
  const Model model = upgraded(model_of(op("Dropout", {"x"}, {Attribute::of_float("ratio", 0.25f)}, {"y", "mask"}), 7), 12);
  CHECK(model.graph.nodes[0].outputs == std::vector<std::string>{"y"});
  CHECK(to_f32_vector(constant(model, model.graph.nodes[0].inputs[1])) == std::vector<float>{0.25f});
  for (const int opset : {7, 10}) {
    Model masked = model_of(op("Dropout", {"x"}, {}, {"y", "mask"}), opset);
    masked.graph.outputs.push_back(ValueInfo::of("mask", DType::f32, {}));
    CHECK(refusal(masked, 12).find("mask") != std::string::npos);
  }
}

TEST_CASE("upgrade_opset: Clip 11 takes its bounds as inputs of the element type") {
  const Model both =
      upgraded(model_of(op("Clip", {"x"}, {Attribute::of_float("min", 0.0f), Attribute::of_float("max", 6.0f)}), 7), 13);
  CHECK(to_f32_vector(constant(both, both.graph.nodes[0].inputs[2])) == std::vector<float>{6.0f});
  CHECK(constant(both, both.graph.nodes[0].inputs[1]).rank() == 0);
  const Model half = upgraded(model_of(op("Clip", {"x"}, {Attribute::of_float("max", 6.0f)}), 7, DType::f16), 13);
  CHECK(half.graph.nodes[0].inputs[1].empty());
  CHECK(constant(half, half.graph.nodes[0].inputs[2]).data<std::uint16_t>()[0] == f32_to_f16(6.0f));
  CHECK(upgraded_node(op("Clip", {"x"}), 7, 13).inputs.size() == 1);
  Model untyped = model_of(op("Clip", {"x"}, {Attribute::of_float("max", 6.0f)}), 7);
  untyped.graph.inputs[0] = ValueInfo{};
  untyped.graph.inputs[0].name = "x";
  CHECK(refusal(untyped, 13).find("element type") != std::string::npos);
}

TEST_CASE("upgrade_opset: Pad 11 takes pads and a value that is not zero as inputs") {
  const Model model = upgraded(
      model_of(op("Pad", {"x"}, {Attribute::of_ints("pads", {0, 0, 1, 1, 0, 0, 1, 1}), Attribute::of_float("value", 2.0f)}), 7),
      18);
  CHECK(to_i64_vector(constant(model, model.graph.nodes[0].inputs[1])).size() == 8);
  CHECK(to_f32_vector(constant(model, model.graph.nodes[0].inputs[2])) == std::vector<float>{2.0f});
  CHECK(upgraded_node(op("Pad", {"x"}, {Attribute::of_ints("pads", {0, 0})}), 7, 18).inputs.size() == 2);
}

TEST_CASE("upgrade_opset: Scatter becomes ScatterElements") {
  CHECK(upgraded_node(op("Scatter", {"x", "s", "s"}), 9, 11).op_type == "ScatterElements");
}

TEST_CASE("upgrade_opset: softmax over the last axis keeps its form, over more it is flattened around") {
  CHECK(upgraded_node(op("Softmax", {"x"}, {Attribute::of_int("axis", 3)}), 12, 13).attr_i("axis", 0) == 3);
  CHECK(upgraded_node(op("Hardmax", {"x"}, {Attribute::of_int("axis", -1)}), 12, 13).attr_i("axis", 0) == -1);
  for (const std::string type : {"Softmax", "LogSoftmax", "Hardmax"}) {
    const Model model = upgraded(model_of(op(type, {"x"}), 12), 13);
    REQUIRE(model.graph.nodes.size() == 4);
    CHECK(model.graph.nodes[0].op_type == "Shape");
    CHECK(model.graph.nodes[1].op_type == "Flatten");
    CHECK(model.graph.nodes[1].attr_i("axis", 0) == 1);
    CHECK(model.graph.nodes[2].op_type == type);
    CHECK(model.graph.nodes[2].attr_i("axis", 0) == -1);
    CHECK(model.graph.nodes[3].op_type == "Reshape");
    CHECK(model.graph.nodes[3].outputs == std::vector<std::string>{"y"});
  }
}

TEST_CASE("upgrade_opset: softmax knows the rank of what plain operators make") {
  Model model = model_of(op("Softmax", {"h"}), 12);
  Node flatten = op("Flatten", {"x"}, {}, {"h"});
  flatten.name = "f";
  model.graph.nodes.insert(model.graph.nodes.begin(), flatten);
  CHECK(upgraded(model, 13).graph.nodes.size() == 2);
}

TEST_CASE("upgrade_opset: axes become inputs, for ReduceSum at 13 and the other reductions at 18") {
  for (const std::string type : {"Squeeze", "Unsqueeze", "ReduceSum"}) {
    const Model model = upgraded(model_of(op(type, {"x"}, {Attribute::of_ints("axes", {0})}), 11), 13);
    CHECK(to_i64_vector(constant(model, model.graph.nodes[0].inputs[1])) == std::vector<std::int64_t>{0});
    CHECK_FALSE(model.graph.nodes[0].has("axes"));
  }
  for (const std::string type : {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
                                 "ReduceMin", "ReduceProd", "ReduceSumSquare"}) {
    CHECK(upgraded_node(op(type, {"x"}, {Attribute::of_ints("axes", {1})}), 13, 17).has("axes"));
    const Model model =
        upgraded(model_of(op(type, {"x"}, {Attribute::of_ints("axes", {1}), Attribute::of_int("keepdims", 0)}), 13), 18);
    CHECK(to_i64_vector(constant(model, model.graph.nodes[0].inputs[1])) == std::vector<std::int64_t>{1});
    CHECK(model.graph.nodes[0].attr_i("keepdims", 1) == 0);
  }
  CHECK(upgraded_node(op("ReduceMean", {"x"}), 13, 18).inputs.size() == 1);
  CHECK(upgraded_node(op("ReduceMean", {"x"}, {Attribute::of_ints("axes", {})}), 13, 18).inputs.size() == 1);
}

TEST_CASE("upgrade_opset: Split takes its sizes as an input at 13, or the number of outputs at 18") {
  const Model sizes = upgraded(model_of(op("Split", {"x"}, {Attribute::of_ints("split", {2, 4})}, {"y", "z"}), 11), 18);
  CHECK(to_i64_vector(constant(sizes, sizes.graph.nodes[0].inputs[1])) == std::vector<std::int64_t>{2, 4});
  CHECK_FALSE(sizes.graph.nodes[0].has("num_outputs"));
  CHECK(upgraded_node(op("Split", {"x"}, {}, {"y", "z"}), 11, 18).attr_i("num_outputs", 0) == 2);
}

TEST_CASE("upgrade_opset: RoiAlign, GridSample and DFT write out what was their default") {
  CHECK(upgraded_node(op("RoiAlign", {"x", "s", "s"}), 10, 16).attr_s("coordinate_transformation_mode", "") ==
        "output_half_pixel");
  CHECK(upgraded_node(op("GridSample", {"x", "x"}), 16, 20).attr_s("mode", "") == "linear");
  CHECK(upgraded_node(op("GridSample", {"x", "x"}, {Attribute::of_string("mode", "bicubic")}), 16, 20).attr_s("mode", "") ==
        "cubic");
  const Model model = upgraded(model_of(op("DFT", {"x"}), 17), 20);
  REQUIRE(model.graph.nodes[0].inputs.size() == 3);
  CHECK(model.graph.nodes[0].inputs[1].empty());
  CHECK(to_i64_vector(constant(model, model.graph.nodes[0].inputs[2])) == std::vector<std::int64_t>{1});
}

TEST_CASE("upgrade_opset: GroupNormalization 21 has scale and bias per channel") {
  const Model model = upgraded(model_of(op("GroupNormalization", {"x", "s", "s"}, {Attribute::of_int("num_groups", 3)}), 18), 21);
  CHECK(model.graph.nodes.size() == 10);
  CHECK(model.graph.nodes.back().op_type == "GroupNormalization");
  CHECK(model.graph.nodes.back().inputs[1] != "s");
}

TEST_CASE("upgrade_opset: a layer normalization of mixed types, which only onnxruntime knows, is refused") {
  CHECK(refusal(model_of(op("LayerNormalization", {"x", "s"}), 12, DType::f16), 17).find("element type") != std::string::npos);
  CHECK(upgraded_node(op("LayerNormalization", {"x", "s"}), 12, 17).inputs.size() == 2);
}

TEST_CASE("upgrade_opset: operators without a newer form are refused by name") {
  for (const std::string type : {"ImageScaler", "Crop", "Affine", "Scale", "ParametricSoftplus", "ScaledTanh", "GRUUnit",
                                 "DynamicSlice", "GivenTensorFill"})
    CHECK(refusal(model_of(op(type, {"x"}), 7), 13).find("removed") != std::string::npos);
  CHECK(refusal(model_of(op("Scan", {"x"}), 8), 9).find("opset 9") != std::string::npos);
  CHECK(refusal(model_of(op("MeanVarianceNormalization", {"x"}), 8), 9).find("opset 9") != std::string::npos);
}

TEST_CASE("upgrade_opset: below 7 the old broadcasting, and other old forms, are refused") {
  CHECK(refusal(model_of(op("Add", {"x", "s"}, {Attribute::of_int("broadcast", 1)}), 6), 13).find("broadcast") !=
        std::string::npos);
  CHECK(refusal(model_of(op("Gemm", {"x", "s", "s"}, {Attribute::of_int("broadcast", 1)}), 6), 13).find("broadcast") !=
        std::string::npos);
  CHECK(refusal(model_of(op("Reshape", {"x"}), 4), 13).find("opset 4") != std::string::npos);
  CHECK(refusal(model_of(op("Dropout", {"x"}), 6), 13).find("training") != std::string::npos);
  CHECK_FALSE(upgraded_node(op("Dropout", {"x"}, {Attribute::of_int("is_test", 1)}), 6, 13).has("is_test"));
  CHECK(upgraded_node(op("Relu", {"x"}), 6, 13).op_type == "Relu");
}

TEST_CASE("upgrade_opset: nodes of other domains and local functions are left alone") {
  Node foreign = op("Softmax", {"x"});
  foreign.domain = "com.custom";
  CHECK(upgraded_node(foreign, 12, 13).attributes.empty());
}

TEST_CASE("upgrade_opset: subgraphs are upgraded, and those of a refused or copied model are not touched") {
  Node loop = op("Loop", {"x"});
  Attribute body;
  body.name = "body";
  body.type = AttributeType::g;
  body.g = std::make_shared<Graph>();
  Node inner = op("Squeeze", {"x"}, {Attribute::of_ints("axes", {0})}, {"i"});
  inner.name = "inner";
  body.g->nodes = {inner};
  loop.attributes = {body};
  const Model before = model_of(loop, 11);
  const Model after = upgraded(before, 13);
  const Graph& upgraded_body = *after.graph.nodes[0].attributes[0].g;
  CHECK(upgraded_body.nodes[0].inputs.size() == 2);
  CHECK(upgraded_body.initializers.size() == 1);
  CHECK(before.graph.nodes[0].attributes[0].g->nodes[0].inputs.size() == 1);

  Model refused = before;
  Node last = op("RoiAlign", {"x", "s", "s"}, {}, {"r"});
  last.op_type = "Crop";
  refused.graph.nodes.push_back(last);
  refused.set_opset("", 9);
  refusal(refused, 13);
  CHECK(refused.graph.nodes[0].attributes[0].g->nodes[0].inputs.size() == 1);
}

TEST_CASE("upgrade_opset: local functions are upgraded from their own opset, with Constant nodes for constants") {
  Model model = model_of(op("Relu", {"x"}), 12);
  Function function;
  function.name = "F";
  function.domain = "local";
  function.inputs = {"a"};
  function.outputs = {"b"};
  function.opset_imports.emplace_back();
  function.opset_imports[0].version = 11;
  function.nodes = {op("Unsqueeze", {"a"}, {Attribute::of_ints("axes", {0})}, {"b"})};
  model.functions = {function};
  const Model after = upgraded(model, 13);
  const Function& done = after.functions[0];
  CHECK(done.opset_imports[0].version == 13);
  REQUIRE(done.nodes.size() == 2);
  CHECK(done.nodes[0].op_type == "Constant");
  CHECK(done.nodes[1].inputs[1] == done.nodes[0].outputs[0]);

  model.functions[0].nodes[0].attributes[0].ref_attr_name = "axes_of_caller";
  CHECK(refusal(model, 13).find("caller") != std::string::npos);
}
