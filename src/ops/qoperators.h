#pragma once

#include <string>
#include <string_view>

#include "model/model.h"

namespace bitwright {

/// An operator between codes, and the float operator that it stands for. Operands are triples of inputs: codes, scale, zero point.
struct QOperator {
  std::string_view name;
  std::string_view domain;
  std::string_view op_type;  // of ai.onnx
  std::size_t first;  // the first operand's input; inputs before it, but for the result's parameters, are the float operator's
  std::size_t n_operands;  // 0: as many as there are
  std::size_t result;      // where the result's scale stands, the zero point behind it
  std::size_t bias;        // int32 codes whose scale is the product of the operands'; 0: none
};

/// Nothing where the operator is none of them.
const QOperator* find_qoperator(std::string_view domain, std::string_view name);
/// The one that stands for a float operator of ai.onnx.
const QOperator* qoperator_of(std::string_view op_type);

/// Operators that pass codes on as they are, each output holding codes of the first input only.
bool moves_codes(const Node& node);

/// Dequantize, quantize and integer operators: what makes a model a quantized one.
bool is_quantized_operator(const Node& node);

/// Cast of stored codes: bytes that become indices of a table of levels, halves that become floats. `from` is the initializer that
/// it reads, or nullptr.
bool widens_codes(const Node& node, const TensorRecord* from);

/// "182 DequantizeLinear, 1 QGemm"; empty for a float model. Of the main graph, subgraphs and local functions.
std::string quantized_operators_of(const Model& model);

}  // namespace bitwright
