#pragma once

#include <optional>
#include <string>
#include <vector>

#include "passes/fuse_integer.h"

namespace bitwright {

// What fuse_integer finds in a graph before it writes another. Notation: codes are what QuantizeLinear makes, by the name they have in
// the graph; zero points are those of u8 codes (of s8 codes: + 128).

/// An operand read through DequantizeLinear, or by a QLinear operator.
struct CodedOperand {
  std::string codes;
  float scale = 1.0f;
  std::int32_t zero_point = 0;
  bool is_signed = false;
  const TensorRecord* constant = nullptr;  // where the codes are an initializer
};

struct CodedWeights {
  std::string codes;
  const TensorRecord* record = nullptr;
  std::vector<float> scales{};              // one, or one for each output channel
  std::vector<std::int64_t> zero_points{};  // empty: 0
};

/// What a fused operator computes.
enum class Fused { conv, gemm, matmul, add, mul, concat, max_pool, average_pool, softmax, layer_norm, lookup, pixels, move };

/// Nodes of the graph that become one.
struct FusedGroup {
  Fused kind = Fused::move;
  std::size_t core = 0;            // the node that says shapes and attributes
  std::size_t at = 0;              // where the result is made: a QuantizeLinear, or the core
  std::vector<std::size_t> nodes;  // all of them, in order
  std::vector<CodedOperand> inputs;
  std::optional<CodedWeights> weights;
  Tensor bias;                 // i32 codes of scale x_scale * w_scale, one for each output channel; undefined: none
  bool is_transposed = false;  // gemm: weights [n, k]
  bool gives_reals = false;    // the result is the core's float output
  CodedOperand output;         // else
  std::int32_t qmin = 0, qmax = 255;
};

/// Looks at one graph; indices are those of its nodes.
class IntegerPatterns {
 public:
  IntegerPatterns(const Model& model, const ValueTypes& types)
      : graph_(model.graph), index_(model.graph), types_(types), opset_(model.opset()) {}

  /// Groups in the order of `at`; no node is in two.
  std::vector<FusedGroup> find();
  /// Why the node is in no group, as far as that was noticed.
  std::string reason(std::size_t node) const;

  const GraphIndex& index() const { return index_; }
  /// The value's shape, if every extent is known.
  std::optional<Shape> shape(const std::string& value) const;
  /// The rank of a value; -1 if unknown.
  std::int64_t rank(const std::string& value) const;
  /// The codes behind a value that DequantizeLinear makes with one scale.
  std::optional<CodedOperand> operand(const std::string& value) const;
  /// What QuantizeLinear makes, with one scale.
  std::optional<CodedOperand> quantized(const Node& node) const;
  const Node* producer(const std::string& value) const;

 private:
  std::optional<CodedOperand> coded(const Node& node, const std::string& codes, const std::string& scale,
                                    const std::string& zero_point) const;
  std::optional<CodedWeights> weights(const std::string& value, std::int64_t axis) const;
  std::optional<CodedWeights> weights(const Node& node, const std::string& codes, const std::string& scale,
                                      const std::string& zero_point, std::int64_t axis) const;
  std::optional<std::vector<float>> constant(const std::string& value) const;
  /// False where the bias is none that int32 codes can say: the group stays float.
  bool set_bias(const Node& node, const std::string& value, std::int64_t n, FusedGroup& group) const;
  /// True if no accumulator of the layer can leave int32, whichever kernel sums it. Channels lie along the weights' `axis`.
  bool fits_int32(const FusedGroup& group, std::size_t axis) const;
  /// False where the value is known to be of another type: files may say anything of codes.
  bool may_be(const std::string& value, DType dtype) const;
  bool is_read_once(const std::string& value) const;
  bool take(const FusedGroup& group);

  std::optional<FusedGroup> behind(std::size_t quantize);
  std::optional<FusedGroup> core_group(const Node& node) const;
  std::optional<FusedGroup> lookup(const std::string& value, std::size_t quantize) const;
  std::optional<FusedGroup> qlinear(std::size_t at) const;
  std::optional<FusedGroup> product(std::size_t at) const;
  /// Of two matrices, or batches of them, that are both made by the run: the second becomes the weights.
  bool is_product_of_two(FusedGroup& group) const;
  /// True if the node moves whole pixels from known places to known places.
  bool is_pixel_move(const Node& node) const;
  bool clips(const Node& node, FusedGroup& group) const;

  const Graph& graph_;
  const GraphIndex index_;
  const ValueTypes& types_;
  std::int64_t opset_;
  std::vector<std::uint8_t> is_taken_;
};

bool is_quantize(const Node& node);
bool is_dequantize(const Node& node);

}  // namespace bitwright
