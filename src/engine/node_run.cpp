#include "engine/node_run.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace bitwright {

namespace {

[[noreturn]] void missing_input(const Node& node, std::size_t i) {
  throw_error(ErrorCode::bad_graph, {node.label(), ": input ", i, " is missing"});
}

[[noreturn]] void missing_output(const Node& node, std::size_t i) {
  throw_error(ErrorCode::bad_graph, {node.label(), ": output ", i, " is not listed"});
}

}  // namespace

const TypeInfo& NodeInference::input(std::size_t i) const {
  if (!has_input(i)) missing_input(node_, i);
  return *types_[i];
}

void NodeInference::set_output(std::size_t i, DType dtype, std::optional<Shape> shape) {
  if (i >= outputs_.size()) return;  // an optional output that the node does not list
  outputs_[i].dtype = dtype;
  outputs_[i].shape = std::move(shape);
}

const Tensor& NodeRun::input(std::size_t i) const {
  if (!has_input(i)) missing_input(node(), i);
  return *inputs_[i];
}

const TypeInfo& NodeRun::inferred(std::size_t i) const {
  if (i >= inferred_.size()) missing_output(node(), i);
  return inferred_[i];
}

Tensor& NodeRun::output(std::size_t i) {
  if (i >= outputs_.size()) missing_output(node(), i);
  if (!outputs_[i].is_defined()) {
    if (!inferred_[i].is_known())
      throw_error(ErrorCode::bad_graph, {node().label(), ": its inputs do not tell the shape of output ", i, "; one is missing"});
    outputs_[i] = Tensor(inferred_[i].dtype, *inferred_[i].shape, setting_.allocator);
    const int bits = dtype_bits(inferred_[i].dtype);
    if (bits != 0 && bits < 8 && outputs_[i].size_bytes() != 0)
      outputs_[i].bytes().back() = 0;  // the bits after the last element count in comparisons of bytes
  }
  return outputs_[i];
}

void NodeRun::set_output(std::size_t i, Tensor tensor) {
  if (i >= outputs_.size()) return;
  if (setting_.is_bound && outputs_[i].is_defined()) {
    if (outputs_[i].dtype() != tensor.dtype() || outputs_[i].shape() != tensor.shape())
      throw_error(ErrorCode::internal, {node().label(), ": output ", i, " changed its type between runs"});
    if (tensor.size_bytes() != 0 && outputs_[i].bytes().data() != tensor.bytes().data())
      std::memcpy(outputs_[i].bytes().data(), tensor.bytes().data(), tensor.size_bytes());
    return;
  }
  outputs_[i] = std::move(tensor);
}

void NodeRun::check_outputs() {
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (outputs_[i].is_defined() || !wants_output(i)) continue;
    if (inferred_[i].is_known() && n_elements(*inferred_[i].shape) == 0) {
      output(i);
      continue;
    }
    if (inferred_[i].dtype == DType::undefined)
      throw_error(ErrorCode::bad_graph, {node().label(), ": output ", i, " is listed, the operator does not make it"});
    throw_error(ErrorCode::internal, {node().label(), ": output ", i, " was not computed"});
  }
}

std::vector<Tensor> NoSubgraphs::run(std::string_view attribute, std::span<const Tensor>) {
  throw_error(ErrorCode::bad_graph, {"attribute ", in_quotes(attribute), " holds no subgraph that can be run here"});
}

bool is_repeatable(const Node& node) {
  static constexpr std::string_view kDrawing[] = {"Bernoulli",     "Multinomial",       "RandomNormal", "RandomNormalLike",
                                                  "RandomUniform", "RandomUniformLike", "Dropout"};
  return std::find(std::begin(kDrawing), std::end(kDrawing), node.op_type) == std::end(kDrawing);
}

}  // namespace bitwright
