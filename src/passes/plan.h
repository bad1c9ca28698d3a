#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quant/quant_params.h"
#include "quant/scheme.h"

namespace bitwright {

/// The plain data between deciding and editing: it can be printed, compared and stored next to the model.

/// What became of one node. Every node of the model, subgraphs and local functions included, gets one.
struct NodeDecision {
  std::string node;  // its name, or its first output where it has none
  std::string op_type;
  std::string domain;  // "" for ai.onnx
  std::string graph;   // "" for the main graph, "if_1/then_branch", "function custom.Gelu"
  bool is_quantized = false;
  std::string mode = "float";  // "QDQ int8", "dynamic int8", "weights only int8", "float16", "float"
  std::string reason;          // for float nodes always, for others where there is something to say
  bool operator==(const NodeDecision&) const = default;
};

enum class TensorRole { activation, weight, bias };
/// "activation", "weight", "bias".
std::string_view tensor_role_name(TensorRole role);

/// One input of one node of the main graph.
struct NodeInput {
  std::string node;  // as in NodeDecision; "" stands for the graph output of that name
  std::int64_t input = 0;
  bool operator==(const NodeInput&) const = default;
};

/// What became of a weight whose codes are no plain integers.
struct EncodedWeight {
  std::string scheme;              // as named schemes call it, or its encoding
  std::uint64_t stored_bytes = 0;  // of all tensors that stand for it in the file
  double sqnr_db = 0.0;
  float rmin = 0.0f;
  float rmax = 0.0f;
  /// What codes stand for where their group reaches farthest; empty for plain integers and codebooks of vectors.
  std::vector<float> grid;
  double clipped_share = 0.0;  // of the values, beyond the ends of their groups
};

/// One value that gets codes.
struct TensorPlan {
  std::string value;  // as the graph calls it
  TensorRole role = TensorRole::activation;
  QuantParams params;
  /// The inputs that read the dequantized value.
  std::vector<NodeInput> consumers;
  std::optional<EncodedWeight> encoded{};
};

struct QuantPlan {
  std::vector<NodeDecision> nodes;  // in order of the graph, subgraphs behind the node that owns them
  std::vector<TensorPlan> tensors;  // activations in order of the graph, then weights and biases in order of their first consumer
};

enum class Severity { info, warning, error };
std::string_view severity_name(Severity severity);

/// Something that the user should know before the file is written: what will be slow on the target, what was treated specially.
struct LintRow {
  Severity severity = Severity::info;
  std::string node;  // empty: the whole model
  std::string message;
  bool operator==(const LintRow&) const = default;
};

/// What a pass did. A pass leaves a valid graph and finds nothing to do when run twice.
struct PassResult {
  std::int64_t n_changes = 0;
  std::vector<std::string> messages;  // one sentence each, for the report
  std::vector<NodeDecision> removed;  // nodes that are gone, each with the reason
  PassResult& operator+=(const PassResult& other);
};

/// The name of a complete scheme where it has one, else of its encoding.
std::string_view scheme_name(const TensorScheme& scheme);

/// "int8", "uint4": how rows call the codes; other element types by their own names.
std::string code_name(DType dtype);

/// One line each: for tests, logs and diffs.
std::string to_string(const NodeDecision& decision);
std::string to_string(const TensorPlan& tensor);
std::string to_string(const QuantPlan& plan);
std::string to_string(const LintRow& row);

}  // namespace bitwright
