#include <algorithm>
#include <cstring>
#include <limits>

#include "ops/limits.h"
#include "ops/op.h"
#include "ops/refusal.h"

namespace bitwright {

namespace {

bool as_bool(const Node& node, const Tensor& tensor) {
  if (tensor.dtype() != DType::boolean || tensor.n_elements() != 1)
    refuse(node, "its condition must be one bool", ErrorCode::shape_mismatch);
  return tensor.bytes()[0] != 0;
}

void infer_unknown(InferContext& context) {
  for (std::size_t i = 0; i < context.n_outputs(); ++i) context.set_output(i, DType::undefined, std::nullopt);
}

void run_if(RunContext& context) {
  const bool is_then = as_bool(context.node(), context.input(0));
  std::vector<Tensor> outputs = context.subgraphs().run(is_then ? "then_branch" : "else_branch", {});
  if (outputs.size() < context.n_outputs()) refuse(context.node(), "a branch has fewer outputs than the node");
  for (std::size_t i = 0; i < context.n_outputs(); ++i) context.set_output(i, std::move(outputs[i]));
}

/// The parts of all turns along a new first axis.
Tensor stacked(const Node& node, const std::vector<Tensor>& parts, Allocator& allocator) {
  const Tensor& first = parts.front();
  Shape shape = first.shape();
  shape.insert(shape.begin(), static_cast<std::int64_t>(parts.size()));
  if (first.dtype() == DType::string || dtype_bits(first.dtype()) < 8)
    refuse(node, {"scan outputs of ", dtype_name(first.dtype()), " are not supported"}, ErrorCode::unsupported);
  Tensor whole(first.dtype(), shape, allocator);
  std::size_t offset = 0;
  for (const Tensor& part : parts) {
    if (part.dtype() != first.dtype() || part.shape() != first.shape())
      refuse(node, {"a scan output changes its shape from ", first.shape(), " to ", part.shape(), " between turns"},
             ErrorCode::shape_mismatch);
    if (part.size_bytes() != 0) std::memcpy(whole.bytes().data() + offset, part.bytes().data(), part.size_bytes());
    offset += part.size_bytes();
  }
  return whole;
}

/// Without a turn there is nothing to stack: an empty tensor of the declared type.
Tensor none_stacked(const Node& node, std::string_view attribute, std::size_t output) {
  const Attribute* body = node.find(attribute);
  Shape shape{0};
  DType dtype = DType::f32;
  if (body != nullptr && body->g && output < body->g->outputs.size()) {
    const ValueInfo& info = body->g->outputs[output];
    if (info.dtype != DType::undefined) dtype = info.dtype;
    if (info.has_shape)
      for (const std::int64_t extent : info.shape) shape.push_back(std::max<std::int64_t>(extent, 0));
  }
  return Tensor(dtype, shape);
}

void run_loop(RunContext& context) {
  const Node& node = context.node();
  std::int64_t max_turns = std::numeric_limits<std::int64_t>::max();
  if (context.has_input(0)) {
    const std::vector<std::int64_t> given = to_i64_vector(context.input(0));
    if (given.size() != 1) refuse(node, "its trip count must be one integer", ErrorCode::shape_mismatch);
    max_turns = given.front();
  }
  bool is_going = !context.has_input(1) || as_bool(node, context.input(1));
  const std::size_t n_carried = context.n_inputs() > 2 ? context.n_inputs() - 2 : 0;
  if (context.n_outputs() < n_carried) refuse(node, "it has fewer outputs than carried values");
  const std::size_t n_scans = context.n_outputs() - n_carried;
  std::vector<Tensor> arguments(2 + n_carried);
  for (std::size_t i = 0; i < n_carried; ++i) arguments[2 + i] = context.input(2 + i);
  std::vector<std::vector<Tensor>> scans(n_scans);
  for (std::int64_t turn = 0; is_going && turn < max_turns; ++turn) {
    if (turn == kMaxTurns) refuse(node, {"it made ", kMaxTurns, " turns without an end"}, ErrorCode::limit_exceeded);
    arguments[0] = Tensor::scalar<std::int64_t>(turn);
    arguments[1] = Tensor::scalar<bool>(is_going);
    std::vector<Tensor> results = context.subgraphs().run("body", arguments);
    if (results.size() < 1 + n_carried + n_scans) refuse(node, "its body has fewer outputs than the node needs");
    is_going = as_bool(node, results[0]);
    for (std::size_t i = 0; i < n_carried; ++i) arguments[2 + i] = std::move(results[1 + i]);
    for (std::size_t i = 0; i < n_scans; ++i) scans[i].push_back(std::move(results[1 + n_carried + i]));
  }
  for (std::size_t i = 0; i < n_carried; ++i) context.set_output(i, std::move(arguments[2 + i]));
  for (std::size_t i = 0; i < n_scans; ++i)
    context.set_output(n_carried + i, scans[i].empty() ? none_stacked(node, "body", 1 + n_carried + i)
                                                       : stacked(node, scans[i], context.allocator()));
}

/// Moves an axis to another place, by copying runs of bytes.
Tensor with_axis_moved(const Tensor& tensor, std::size_t from, std::size_t to, Allocator& allocator) {
  if (from == to) return tensor;
  const Shape& shape = tensor.shape();
  Shape moved = shape;
  moved.erase(moved.begin() + static_cast<std::ptrdiff_t>(from));
  moved.insert(moved.begin() + static_cast<std::ptrdiff_t>(to), shape[from]);
  // Between the two places the axes keep their order: a transpose of [outer, a, b, inner].
  const std::size_t low = std::min(from, to);
  const std::size_t high = std::max(from, to);
  const auto product = [&](std::size_t begin, std::size_t end) {
    std::int64_t n = 1;
    for (std::size_t i = begin; i < end; ++i) n *= shape[i];
    return static_cast<std::size_t>(n);
  };
  const std::size_t outer = product(0, low);
  const std::size_t a = from < to ? static_cast<std::size_t>(shape[from]) : product(low, high);
  const std::size_t b = from < to ? product(low + 1, high + 1) : static_cast<std::size_t>(shape[from]);
  const std::size_t inner = product(high + 1, shape.size()) * static_cast<std::size_t>(dtype_bits(tensor.dtype())) / 8;
  Tensor result(tensor.dtype(), moved, allocator);
  const std::uint8_t* source = tensor.bytes().data();
  std::uint8_t* target = result.bytes().data();
  for (std::size_t o = 0; o < outer; ++o)
    for (std::size_t i = 0; i < a; ++i)
      for (std::size_t j = 0; j < b; ++j)
        if (inner != 0) std::memcpy(target + ((o * b + j) * a + i) * inner, source + ((o * a + i) * b + j) * inner, inner);
  return result;
}

Tensor slice_at(const Tensor& tensor, std::int64_t index, Allocator& allocator) {
  Shape shape(tensor.shape().begin() + 1, tensor.shape().end());
  Tensor part(tensor.dtype(), shape, allocator);
  const std::size_t n_bytes = part.size_bytes();
  if (n_bytes != 0) std::memcpy(part.bytes().data(), tensor.bytes().data() + static_cast<std::size_t>(index) * n_bytes, n_bytes);
  return part;
}

std::int64_t listed(const std::vector<std::int64_t>& values, std::size_t i) { return i < values.size() ? values[i] : 0; }

/// Scan since opset 9. Directions 1 go backwards: inputs are read from the end, outputs are put before what is there.
void run_scan(RunContext& context) {
  const Node& node = context.node();
  const auto n_scan_inputs = static_cast<std::size_t>(node.attr_i("num_scan_inputs", 0));
  if (n_scan_inputs == 0 || n_scan_inputs > context.n_inputs()) refuse(node, "its num_scan_inputs does not fit its inputs");
  const std::size_t n_states = context.n_inputs() - n_scan_inputs;
  if (context.n_outputs() < n_states) refuse(node, "it has fewer outputs than states");
  const std::size_t n_scan_outputs = context.n_outputs() - n_states;
  const std::vector<std::int64_t> input_axes = node.attr_ints("scan_input_axes");
  const std::vector<std::int64_t> output_axes = node.attr_ints("scan_output_axes");
  const std::vector<std::int64_t> input_directions = node.attr_ints("scan_input_directions");
  const std::vector<std::int64_t> output_directions = node.attr_ints("scan_output_directions");
  std::vector<Tensor> sources;
  for (std::size_t i = 0; i < n_scan_inputs; ++i) {
    const Tensor& input = context.input(n_states + i);
    if (input.rank() == 0 || input.dtype() == DType::string || dtype_bits(input.dtype()) < 8)
      refuse(node, {"scan inputs of ", dtype_name(input.dtype()), input.shape(), " are not supported"}, ErrorCode::unsupported);
    const auto axis = static_cast<std::size_t>(normalized_axis(listed(input_axes, i), input.rank()));
    sources.push_back(with_axis_moved(input, axis, 0, context.allocator()));
    if (sources[i].extent(0) != sources[0].extent(0))
      refuse(node, "its scan inputs have different lengths", ErrorCode::shape_mismatch);
  }
  const std::int64_t n_turns = sources[0].extent(0);
  if (n_turns > kMaxTurns) refuse(node, {"it has more than ", kMaxTurns, " turns"}, ErrorCode::limit_exceeded);
  std::vector<Tensor> arguments(context.n_inputs());
  for (std::size_t i = 0; i < n_states; ++i) arguments[i] = context.input(i);
  std::vector<std::vector<Tensor>> scans(n_scan_outputs);
  for (std::int64_t turn = 0; turn < n_turns; ++turn) {
    for (std::size_t i = 0; i < n_scan_inputs; ++i)
      arguments[n_states + i] =
          slice_at(sources[i], listed(input_directions, i) == 1 ? n_turns - 1 - turn : turn, context.allocator());
    std::vector<Tensor> results = context.subgraphs().run("body", arguments);
    if (results.size() < n_states + n_scan_outputs) refuse(node, "its body has fewer outputs than the node needs");
    for (std::size_t i = 0; i < n_states; ++i) arguments[i] = std::move(results[i]);
    for (std::size_t i = 0; i < n_scan_outputs; ++i) scans[i].push_back(std::move(results[n_states + i]));
  }
  for (std::size_t i = 0; i < n_states; ++i) context.set_output(i, std::move(arguments[i]));
  for (std::size_t i = 0; i < n_scan_outputs; ++i) {
    if (scans[i].empty()) {
      context.set_output(n_states + i, none_stacked(node, "body", n_states + i));
      continue;
    }
    if (listed(output_directions, i) == 1) std::reverse(scans[i].begin(), scans[i].end());
    const Tensor whole = stacked(node, scans[i], context.allocator());
    const auto axis = static_cast<std::size_t>(normalized_axis(listed(output_axes, i), whole.rank()));
    context.set_output(n_states + i, with_axis_moved(whole, 0, axis, context.allocator()));
  }
}

/// The one value that a Constant node carries.
Tensor constant_value(const Node& node) {
  if (const Attribute* value = node.find("value"); value != nullptr && value->t) return value->t->load();
  if (node.has("value_float")) return Tensor::scalar<float>(node.attr_f("value_float", 0.0f));
  if (node.has("value_int")) return Tensor::scalar<std::int64_t>(node.attr_i("value_int", 0));
  if (node.has("value_string")) return Tensor::of_strings({}, {node.attr_s("value_string", "")});
  if (node.has("value_floats")) {
    const std::vector<float> values = node.attr_floats("value_floats");
    return Tensor::of<float>({static_cast<std::int64_t>(values.size())}, std::span<const float>(values));
  }
  if (node.has("value_ints")) {
    const std::vector<std::int64_t> values = node.attr_ints("value_ints");
    return Tensor::of<std::int64_t>({static_cast<std::int64_t>(values.size())}, std::span<const std::int64_t>(values));
  }
  if (const Attribute* value = node.find("value_strings"); value != nullptr)
    return Tensor::of_strings({static_cast<std::int64_t>(value->strings.size())}, value->strings);
  refuse(node, node.has("sparse_value") ? "sparse values are not supported" : "it carries no value",
         node.has("sparse_value") ? ErrorCode::unsupported : ErrorCode::bad_graph);
}

void infer_constant(InferContext& context) {
  const Node& node = context.node();
  if (const Attribute* value = node.find("value"); value != nullptr && value->t)
    return context.set_output(0, value->t->dtype, value->t->shape);
  const Tensor made = constant_value(node);
  context.set_output(0, made.dtype(), made.shape());
}

void run_constant(RunContext& context) { context.set_output(0, constant_value(context.node())); }

constexpr std::int64_t kIfSince[] = {1, 11, 13, 16, 19, 21, 23, 24, 25};
constexpr std::int64_t kLoopSince[] = {1, 11, 13, 16, 19, 21, 23, 24, 25};
constexpr std::int64_t kScanSince[] = {9, 11, 16, 19, 21, 23, 24, 25};
constexpr std::int64_t kConstantSince[] = {1, 9, 11, 12, 13, 19, 21, 23, 24, 25};
constexpr Op kOps[] = {
    {"Constant", "", kConstantSince, infer_constant, run_constant},
    {"If", "", kIfSince, infer_unknown, run_if},
    {"Loop", "", kLoopSince, infer_unknown, run_loop},
    {"Scan", "", kScanSince, infer_unknown, run_scan},
};

}  // namespace

extern const OpFamily control_flow_family;
const OpFamily control_flow_family{"control_flow", kOps};

}  // namespace bitwright
