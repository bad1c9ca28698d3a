#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/model.h"
#include "passes/weights.h"
#include "quant/recipe.h"

namespace bitwright {

/// A node in integers, and the constants it brings.
struct DynamicNode {
  std::vector<Node> nodes;
  std::vector<TensorRecord> records;
  QuantParams params;  // of the weight
};

/// That of the recipe, as far as integer products take it: symmetric, 8 bits, no blocks.
TensorScheme dynamic_weight_scheme(const Recipe& recipe, DType dtype);

/// Makes the nodes of dynamic quantization. `scope` tells graphs apart: an activation is quantized once in each.
class DynamicNodes {
 public:
  DynamicNodes(const Model& model, const Recipe& recipe) : recipe_(recipe), names_(model), opset_(model.opset()) {}

  /// Why the node cannot be done; empty where it can. `use` reads the constant `weight` f32.
  std::string refusal(const WeightUse& use, const TensorRecord& weight, const TensorRecord* bias) const;
  /// `bias` is the constant third input where it is one.
  /// `home` is the graph that holds the weight: codes are made once for all nodes that read it.
  DynamicNode make(const void* scope, const void* home, const WeightUse& use, const TensorRecord& weight,
                   const TensorRecord* bias);
  /// The nodes that make the codes of an activation, for the first who asks: they stand before the first node that reads them.
  std::vector<Node> take_quantize_nodes(const std::string& codes);
  /// DynamicQuantizeLSTM in place of an LSTM with constant W and R.
  DynamicNode make_lstm(const Node& node, const TensorRecord& w, const TensorRecord& r);

 private:
  struct Activation {
    std::string codes, scale, zero_point;
  };
  struct StoredWeight {
    std::string codes;
    QuantParams params;
    Shape shape;  // behind transB
  };
  const Activation& quantized(const void* scope, const std::string& value, bool is_per_token, DynamicNode& made);
  /// Nothing where the weight holds NaN or infinities.
  const StoredWeight* stored(const void* home, const Node& node, const TensorRecord& weight, DynamicNode& made);
  /// Adds Cast and Mul by both scales, and the bias; the last node makes `output`.
  void rescale(DynamicNode& made, const std::string& node, const std::string& acc, const Activation& activation, Tensor scales,
               const std::string& bias, const std::string& output);
  std::string constant(DynamicNode& made, const std::string& wish, Tensor tensor);
  Node node_of(std::string op_type, const std::string& wish, std::vector<std::string> inputs, std::vector<std::string> outputs);

  const Recipe& recipe_;
  NameAllocator names_;
  std::int64_t opset_;
  std::map<std::pair<std::pair<const void*, bool>, std::string>, Activation> activations_;  // by graph, per token or not, value
  std::map<std::string, std::vector<Node>> quantize_nodes_;                                 // by the codes they make
  std::map<std::pair<const void*, std::string>, StoredWeight> weights_;
};

}  // namespace bitwright
