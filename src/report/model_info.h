#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/model.h"

namespace bitwright {

struct OperatorCount {
  std::string op_type;
  std::string domain;
  std::uint64_t count = 0;
  bool is_runnable = false;  // we have the operator; opsets are asked by check_runnable
};

struct TensorInfo {
  std::string name;
  DType dtype = DType::undefined;
  Shape shape;
  std::uint64_t size_bytes = 0;
  std::string scheme;  // of codes: "i8 per_channel(axis=0)", "u4 per_block(axis=1,block_size=32)", "nf4 ..."; empty for others
};

/// What `inspect` tells. Subgraphs and local functions are counted in.
struct ModelInfo {
  std::uint64_t n_nodes = 0;
  std::uint64_t n_parameters = 0;        // elements of initializers and of tensors in attributes
  std::vector<OperatorCount> operators;  // most frequent first, then by name
  std::vector<TensorInfo> tensors;       // initializers and Constant values in order of the graph
  std::string not_runnable;              // why our engine cannot run it; empty where it can
  bool is_quantized = false;             // holds quantize, dequantize or integer operators
  std::vector<ValueInfo> inputs;         // to feed: initializers with defaults left out
  std::vector<ValueInfo> outputs;
};

ModelInfo inspect(const Model& model);

}  // namespace bitwright
