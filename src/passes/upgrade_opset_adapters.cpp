#include "passes/upgrade_opset_adapters.h"

#include <algorithm>
#include <limits>

#include "base/float16.h"
#include "base/text.h"

namespace bitwright {

std::string NodeUpgrade::fresh(const std::string& role) {
  const std::string& base = !node.name.empty() ? node.name : node.outputs.empty() ? node.op_type : node.outputs.front();
  return names_.fresh(concat({base, "_", role}));
}

std::string NodeUpgrade::constant(const std::string& role, Tensor value) {
  constants.push_back(TensorRecord::of(fresh(role), std::move(value)));
  return constants.back().name;
}

std::string NodeUpgrade::i64_constant(const std::string& role, const std::vector<std::int64_t>& values) {
  return constant(role, Tensor::of<std::int64_t>({static_cast<std::int64_t>(values.size())}, values));
}

std::string NodeUpgrade::scalar_constant(const std::string& role, DType dtype, float value) {
  switch (dtype) {
    case DType::f32:
      return constant(role, Tensor::scalar(value));
    case DType::f64:
      return constant(role, Tensor::scalar(static_cast<double>(value)));
    case DType::f16:
    case DType::bf16: {
      Tensor tensor(dtype, {});
      tensor.data<std::uint16_t>()[0] = dtype == DType::f16 ? f32_to_f16(value) : f32_to_bf16(value);
      return constant(role, std::move(tensor));
    }
    default:
      refuse(concat({"its ", role, " cannot be said as ", dtype_name(dtype)}));
  }
}

Node& NodeUpgrade::add_before(std::string op_type, std::vector<std::string> inputs, const std::string& role) {
  Node added;
  added.name = fresh(role);
  added.op_type = std::move(op_type);
  added.inputs = std::move(inputs);
  added.outputs = {fresh(concat({role, "_value"}))};
  before.push_back(std::move(added));
  return before.back();
}

Node& NodeUpgrade::add_behind(std::string op_type, std::vector<std::string> inputs, std::vector<std::string> outputs) {
  Node added;
  added.name = fresh("restore");
  added.op_type = std::move(op_type);
  added.inputs = std::move(inputs);
  added.outputs = std::move(outputs);
  behind.push_back(std::move(added));
  return behind.back();
}

void NodeUpgrade::set_input(std::size_t i, std::string value) {
  if (node.inputs.size() <= i) node.inputs.resize(i + 1);
  node.inputs[i] = std::move(value);
}

void NodeUpgrade::refuse(const std::string& reason) const { throw UpgradeRefusal{node.label(), reason}; }

DType NodeUpgrade::dtype() const {
  const auto found = facts.dtype(input(0));
  if (!found) refuse("the element type of its input is not known; give the model with inferred types");
  return *found;
}

namespace {

/// A reference to an attribute of the function around it has no value to move into an input.
void need_value(NodeUpgrade& up, std::string_view attribute) {
  const Attribute* found = up.node.find(attribute);
  if (found != nullptr && !found->ref_attr_name.empty())
    up.refuse(concat({"its attribute ", attribute, " is set by the caller of the function; inline the function"}));
}

void ints_to_input(NodeUpgrade& up, const std::string& attribute, std::size_t i) {
  need_value(up, attribute);
  if (!up.node.has(attribute)) return;
  up.set_input(i, up.i64_constant(attribute, up.node.attr_ints(attribute)));
  up.node.remove(attribute);
}

void axes_to_input(NodeUpgrade& up) {
  need_value(up, "axes");
  // No axes and empty axes both mean all of them.
  if (up.node.has("axes") && up.node.attr_ints("axes").empty()) up.node.remove("axes");
  ints_to_input(up, "axes", 1);
}

void trim_outputs(Node& node) {
  while (!node.outputs.empty() && node.outputs.back().empty()) node.outputs.pop_back();
}

void refuse_change(NodeUpgrade& up) {
  up.refuse("its meaning changed in opset 9 in a way that is not converted; export the model for a newer opset");
}
void refuse_removed(NodeUpgrade& up) { up.refuse("the operator was removed in opset 10; export the model for a newer opset"); }

void batch_norm_9(NodeUpgrade& up) {
  if (up.node.attr_i("spatial", 1) != 1) up.refuse("batch normalization per element (spatial = 0) has no newer form");
  up.node.remove("spatial");
}

void upsample_9(NodeUpgrade& up) {
  need_value(up, "scales");
  const std::vector<float> scales = up.node.attr_floats("scales");
  up.set_input(1, up.constant("scales", Tensor::of<float>({static_cast<std::int64_t>(scales.size())}, scales)));
  up.node.remove("scales");
}

void upsample_10(NodeUpgrade& up) { up.node.op_type = "Resize"; }

void slice_10(NodeUpgrade& up) {
  ints_to_input(up, "starts", 1);
  ints_to_input(up, "ends", 2);
  ints_to_input(up, "axes", 3);
}

void top_k_10(NodeUpgrade& up) {
  need_value(up, "k");
  up.set_input(1, up.i64_constant("k", {up.node.attr_i("k", 1)}));
  up.node.remove("k");
}

void dropout_10(NodeUpgrade& up) {
  trim_outputs(up.node);
  if (up.node.outputs.size() < 2) return;
  if (up.facts.is_used(up.node.outputs[1])) up.refuse("its mask is used, and changed its type in opset 10");
  up.node.outputs.resize(1);
}

void clip_11(NodeUpgrade& up) {
  need_value(up, "min");
  need_value(up, "max");
  const bool has_min = up.node.has("min");
  const bool has_max = up.node.has("max");
  if (has_min) up.set_input(1, up.scalar_constant("min", up.dtype(), up.node.attr_f("min", 0.0f)));
  if (has_max) up.set_input(2, up.scalar_constant("max", up.dtype(), up.node.attr_f("max", 0.0f)));
  up.node.remove("min");
  up.node.remove("max");
}

void pad_11(NodeUpgrade& up) {
  need_value(up, "value");
  ints_to_input(up, "pads", 1);
  const float value = up.node.attr_f("value", 0.0f);
  if (value != 0.0f) up.set_input(2, up.scalar_constant("value", up.dtype(), value));
  up.node.remove("value");
}

/// Resize 10 leaves the nearest pixel open. onnxruntime takes the lower one when growing and the upper one when shrinking.
void resize_11(NodeUpgrade& up) {
  if (up.node.attr_s("mode", "nearest") == "nearest") {
    const auto scales = up.facts.small_constant(up.input(1));
    std::vector<float> factors;
    if (scales) factors = to_f32_vector(*scales);
    for (const TensorRecord& record : up.constants)
      if (record.name == up.input(1)) factors = to_f32_vector(record.load());
    if (factors.empty()) up.refuse("its scales are not constant, so which pixel is nearest cannot be told");
    const bool grows = std::all_of(factors.begin(), factors.end(), [](float factor) { return factor >= 1.0f; });
    const bool shrinks = std::all_of(factors.begin(), factors.end(), [](float factor) { return factor <= 1.0f; });
    if (!grows && !shrinks)
      up.refuse("it grows along one axis and shrinks along another, which takes the nearest pixel in two ways");
    up.node.set(Attribute::of_string("nearest_mode", grows ? "floor" : "ceil"));
  }
  up.node.set(Attribute::of_string("coordinate_transformation_mode", "asymmetric"));
  const std::string scales = up.input(1);
  // The region of interest may be left out from opset 13 on.
  up.set_input(1, up.target >= 13 ? std::string() : up.constant("roi", Tensor::of<float>({0}, {})));
  up.set_input(2, scales);
}

void resize_13(NodeUpgrade& up) {
  if (up.node.attr_s("coordinate_transformation_mode", "half_pixel") == "tf_half_pixel_for_nn")
    up.refuse("the coordinate mode tf_half_pixel_for_nn was removed in opset 13");
  for (std::size_t i = 1; i <= 2; ++i) {
    if (!up.has_input(i)) continue;
    const auto constant = up.facts.small_constant(up.input(i));
    if (constant && constant->n_elements() == 0 && (i == 1 || up.has_input(3))) up.set_input(i, "");
  }
}

void scatter_11(NodeUpgrade& up) { up.node.op_type = "ScatterElements"; }

void dropout_12(NodeUpgrade& up) {
  if (up.node.outputs.size() > 1 && up.facts.is_used(up.node.outputs[1]))
    up.refuse("its mask is used, which opset 12 turned from all false to all true");
  need_value(up, "ratio");
  if (!up.node.has("ratio")) return;
  up.set_input(1, up.constant("ratio", Tensor::scalar(up.node.attr_f("ratio", 0.5f))));
  up.node.remove("ratio");
}

/// Before opset 13 everything from `axis` on is one row. Where that is the last axis alone, it is the same as now.
void softmax_13(NodeUpgrade& up) {
  need_value(up, "axis");
  const std::int64_t axis = up.node.attr_i("axis", 1);
  const auto rank = up.facts.rank(up.input(0));
  if (axis == -1 || (rank && axis == *rank - 1)) {
    up.node.set(Attribute::of_int("axis", axis));
    return;
  }
  const std::string whole = up.input(0);
  const std::string shape = up.add_before("Shape", {whole}, "shape").outputs[0];
  Node& flatten = up.add_before("Flatten", {whole}, "rows");
  flatten.set(Attribute::of_int("axis", axis));
  up.set_input(0, flatten.outputs[0]);
  up.node.set(Attribute::of_int("axis", -1));
  const std::string result = up.node.outputs[0];
  up.node.outputs[0] = up.fresh("rows_out");
  up.add_behind("Reshape", {up.node.outputs[0], shape}, {result});
}

void split_13(NodeUpgrade& up) { ints_to_input(up, "split", 1); }

void batch_norm_14(NodeUpgrade& up) {
  trim_outputs(up.node);
  for (std::size_t i = 1; i < up.node.outputs.size(); ++i)
    if (up.facts.is_used(up.node.outputs[i])) up.refuse("its training outputs are used, and changed in opset 14");
  up.node.outputs.resize(1);
}

void roi_align_16(NodeUpgrade& up) {
  if (!up.node.has("coordinate_transformation_mode"))
    up.node.set(Attribute::of_string("coordinate_transformation_mode", "output_half_pixel"));
}

/// onnxruntime knew the operator before ONNX did, with a scale of another element type.
void layer_norm_17(NodeUpgrade& up) {
  for (std::size_t i = 1; i < up.node.inputs.size(); ++i)
    if (const auto own = up.facts.dtype(up.input(0)), other = up.facts.dtype(up.input(i)); own && other && *own != *other)
      up.refuse("its scale or bias is of another element type than its input, which ONNX does not allow");
}

void split_18(NodeUpgrade& up) {
  if (!up.has_input(1)) up.node.set(Attribute::of_int("num_outputs", static_cast<std::int64_t>(up.node.outputs.size())));
}

void dft_20(NodeUpgrade& up) {
  need_value(up, "axis");
  up.set_input(2, up.constant("axis", Tensor::scalar(up.node.attr_i("axis", 1))));
  up.node.remove("axis");
}

void grid_sample_20(NodeUpgrade& up) {
  const std::string mode = up.node.attr_s("mode", "bilinear");
  up.node.set(Attribute::of_string("mode", mode == "bilinear" ? "linear" : mode == "bicubic" ? "cubic" : mode));
}

/// Scale and bias were one number a group and are one a channel now: each is repeated for the channels of its group.
void group_norm_21(NodeUpgrade& up) {
  need_value(up, "num_groups");
  const std::string groups = up.i64_constant("groups", {up.node.attr_i("num_groups", 1)});
  Node& shape = up.add_before("Shape", {up.input(0)}, "channels");
  shape.set(Attribute::of_int("start", 1));
  shape.set(Attribute::of_int("end", 2));
  const std::string channels = shape.outputs[0];
  const std::string per_group = up.add_before("Div", {channels, groups}, "per_group").outputs[0];
  Node& grid_node = up.add_before("Concat", {groups, per_group}, "grid");
  grid_node.set(Attribute::of_int("axis", 0));
  const std::string grid = grid_node.outputs[0];
  const std::string last_axis = up.i64_constant("last_axis", {1});
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
    const std::string role = i == 1 ? "scale" : "bias";
    const std::string column = up.add_before("Unsqueeze", {up.input(i), last_axis}, concat({role, "_column"})).outputs[0];
    const std::string repeated = up.add_before("Expand", {column, grid}, concat({role, "_repeated"})).outputs[0];
    up.set_input(i, up.add_before("Reshape", {repeated, channels}, role).outputs[0]);
  }
}

constexpr std::string_view kRows = "softmax over several axes: flattened around it, as it did itself before opset 13";

// Operator and opset of every change that plain renumbering would get wrong. What is not here only took more types or optional
// attributes whose default is the old meaning.
constexpr OpsetAdapter kAdapters[] = {
    {"BatchNormalization", 9, batch_norm_9, ""},
    {"MeanVarianceNormalization", 9, refuse_change, ""},
    {"Scan", 9, refuse_change, ""},
    {"Upsample", 9, upsample_9, "scales became an input"},
    {"Dropout", 10, dropout_10, ""},
    {"Slice", 10, slice_10, "starts, ends and axes became inputs"},
    {"TopK", 10, top_k_10, "k became an input"},
    {"Upsample", 10, upsample_10, "Upsample became Resize"},
    {"Affine", 10, refuse_removed, ""},
    {"Crop", 10, refuse_removed, ""},
    {"DynamicSlice", 10, refuse_removed, ""},
    {"GRUUnit", 10, refuse_removed, ""},
    {"GivenTensorFill", 10, refuse_removed, ""},
    {"ImageScaler", 10, refuse_removed, ""},
    {"ParametricSoftplus", 10, refuse_removed, ""},
    {"Scale", 10, refuse_removed, ""},
    {"ScaledTanh", 10, refuse_removed, ""},
    {"Clip", 11, clip_11, "min and max became inputs"},
    {"Pad", 11, pad_11, "pads and value became inputs"},
    {"Resize", 11, resize_11, "coordinate and nearest pixel modes written out"},
    {"Scatter", 11, scatter_11, "Scatter became ScatterElements"},
    {"Dropout", 12, dropout_12, "ratio became an input"},
    {"Hardmax", 13, softmax_13, kRows},
    {"LogSoftmax", 13, softmax_13, kRows},
    {"Softmax", 13, softmax_13, kRows},
    {"ReduceSum", 13, axes_to_input, "axes became an input"},
    {"Resize", 13, resize_13, ""},
    {"Split", 13, split_13, "split became an input"},
    {"Squeeze", 13, axes_to_input, "axes became an input"},
    {"Unsqueeze", 13, axes_to_input, "axes became an input"},
    {"BatchNormalization", 14, batch_norm_14, ""},
    {"RoiAlign", 16, roi_align_16, "coordinate mode written out"},
    {"LayerNormalization", 17, layer_norm_17, ""},
    {"ReduceL1", 18, axes_to_input, "axes became an input"},
    {"ReduceL2", 18, axes_to_input, "axes became an input"},
    {"ReduceLogSum", 18, axes_to_input, "axes became an input"},
    {"ReduceLogSumExp", 18, axes_to_input, "axes became an input"},
    {"ReduceMax", 18, axes_to_input, "axes became an input"},
    {"ReduceMean", 18, axes_to_input, "axes became an input"},
    {"ReduceMin", 18, axes_to_input, "axes became an input"},
    {"ReduceProd", 18, axes_to_input, "axes became an input"},
    {"ReduceSumSquare", 18, axes_to_input, "axes became an input"},
    {"Split", 18, split_18, "the number of outputs written out"},
    {"DFT", 20, dft_20, "axis became an input"},
    {"GridSample", 20, grid_sample_20, "interpolation renamed"},
    {"GroupNormalization", 21, group_norm_21, "scale and bias repeated per channel"},
};

/// Operators whose attributes changed before opset 7, each with the opset of the last such change.
struct OldOperator {
  std::string_view op_type;
  std::int64_t opset;
};
constexpr OldOperator kOldOperators[] = {{"GlobalLpPool", 2}, {"LpPool", 2}, {"Pad", 2},     {"Split", 2},
                                         {"GRU", 3},          {"Concat", 4}, {"Reshape", 5}, {"Cast", 6},
                                         {"Selu", 6},         {"Tile", 6},   {"PRelu", 7},   {"Upsample", 7}};
constexpr std::string_view kOldAttributes[] = {"broadcast", "consumed_inputs", "output_sequence"};

}  // namespace

std::span<const OpsetAdapter> opset_adapters() { return kAdapters; }

void upgrade_below_7(NodeUpgrade& upgrade, std::int64_t from) {
  const std::string remedy = "; export the model for opset 7 or newer";
  for (const OldOperator& old : kOldOperators)
    if (old.op_type == upgrade.node.op_type && from < old.opset)
      upgrade.refuse(concat({"its form of opset ", from, " is not converted", remedy}));
  for (const std::string_view attribute : kOldAttributes)
    if (upgrade.node.has(attribute))
      upgrade.refuse(concat({"its attribute ", attribute, " of opset ", from, " is not converted", remedy}));
  if (upgrade.node.op_type == "BatchNormalization" || upgrade.node.op_type == "Dropout") {
    if (upgrade.node.attr_i("is_test", 0) == 0)
      upgrade.refuse(concat({"it is in training mode (is_test = 0), as was the default before opset 7", remedy}));
    upgrade.node.remove("is_test");
  }
}

}  // namespace bitwright
