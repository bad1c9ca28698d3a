#include "api/try_scheme.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "model/visit_nodes.h"
#include "passes/weights.h"
#include "tensor/elements.h"
#include "tensor/raw_allocator.h"

namespace bitwright {

namespace {

const TensorRecord* find_constant(const Model& model, std::string_view name) {
  const auto among = [&](const Graph& graph) -> const TensorRecord* {
    for (const TensorRecord& record : graph.initializers)
      if (record.name == name) return &record;
    return nullptr;
  };
  const TensorRecord* found = among(model.graph);
  visit_nodes(model, [&](const Node& node, const std::string&) {
    for (const Attribute& attribute : node.attributes) {
      if (found != nullptr) return;
      if (attribute.g) found = among(*attribute.g);
      for (const std::shared_ptr<Graph>& graph : attribute.graphs)
        if (graph && found == nullptr) found = among(*graph);
      if (attribute.t && !node.outputs.empty() && node.outputs[0] == name) found = attribute.t.get();
    }
  });
  return found;
}

}  // namespace

Tensor float_constant(const Model& model, std::string_view name) {
  const TensorRecord* record = find_constant(model, name);
  if (record == nullptr)
    throw_error(ErrorCode::invalid_argument,
                {"the model has no constant tensor ", in_quotes(std::string(name)), "; 'inspect' lists the largest ones"},
                std::string(name));
  switch (record->dtype) {
    case DType::f32:
      return record->load();
    case DType::f16:
    case DType::bf16:
    case DType::f64:
      break;
    default:
      throw_error(
          ErrorCode::unsupported,
          {"tensor ", in_quotes(std::string(name)), " has elements of ", dtype_name(record->dtype), "; schemes are for floats"},
          std::string(name));
  }
  const Tensor given = record->load();
  Tensor values(DType::f32, record->shape, raw_allocator());
  const std::span<float> out = values.data<float>();
  std::vector<double> piece(4096);
  for (std::size_t at = 0; at < out.size(); at += piece.size()) {
    const std::span<double> part(piece.data(), std::min(piece.size(), out.size() - at));
    read_elements(given, static_cast<std::int64_t>(at), part);
    std::transform(part.begin(), part.end(), out.begin() + static_cast<std::ptrdiff_t>(at),
                   [](double value) { return static_cast<float>(value); });
  }
  return values;
}

std::int64_t fit_to_reader(TensorScheme& scheme, const Model& model, std::string_view name, const Shape& shape) {
  const Node* reader = nullptr;
  WeightAxes axes;
  visit_nodes(model, [&](const Node& node, const std::string&) {
    for (std::size_t i = 0; i < node.inputs.size() && reader == nullptr; ++i) {
      if (node.inputs[i] != name) continue;
      // weight_axes only looks at the node.
      WeightUse use{const_cast<Node*>(&node), i, "", std::vector<std::int64_t>(shape.size()),
                    static_cast<std::int64_t>(shape.size())};
      std::iota(use.axes.begin(), use.axes.end(), 0);
      if (const auto found = weight_axes(use)) {
        reader = &node;
        axes = *found;
      }
    }
  });
  if (reader == nullptr) return scheme.grain == TensorScheme::Grain::per_channel ? 0 : -1;
  scheme = fitted_scheme(scheme, shape, axes, *reader);
  return scheme_axis(scheme, shape, axes);
}

}  // namespace bitwright
