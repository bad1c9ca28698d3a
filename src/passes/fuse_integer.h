#pragma once

#include <functional>
#include <optional>
#include <span>

#include "kernels/int8.h"
#include "model/model.h"
#include "passes/plan.h"
#include "passes/plan_static.h"

namespace bitwright {

struct IntegerFusion {
  Arithmetic arithmetic = Arithmetic::fast;
  /// Forced, for tests; else the kernels choose by what the probe found.
  std::optional<KernelFamily> family;
  /// Runs a node of one output on constants: tables are made by the float operators themselves.
  std::function<Tensor(const Node& node, std::span<const Tensor* const> inputs)> evaluate;
};

/// Turns what lies between QuantizeLinear and DequantizeLinear, and the QLinear operators, into operators of the domain
/// kInternalDomain: u8 codes, channels last through an island, biases, Relu and Clip absorbed, any function of one value a table.
/// What has no integer form stays as it was, codes and reals made for it where it needs them. The model is for our engine alone.
///
/// Fused nodes bear the name of the node they compute, and list in `doc` the nodes they stand for; the `doc` of others says why they
/// stayed. `types`: as far as known; a value of unknown rank stays in the graph's layout.
/// Throws Error{bad_graph} naming node and tensor for scales that are not positive and finite and for biases beyond int32.
PassResult fuse_integer(Model& model, const ValueTypes& types, const IntegerFusion& how);

}  // namespace bitwright
