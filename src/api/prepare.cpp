#include "api/prepare.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "engine/session.h"
#include "passes/clean_graph.h"
#include "passes/dynamic.h"
#include "passes/fold_batch_norm.h"
#include "passes/fuse_matmul_add.h"
#include "passes/graph_edit.h"
#include "passes/upgrade_opset.h"
#include "passes/weight_only.h"

namespace bitwright {

namespace {

constexpr std::int64_t kIrOfFreeInitializers = 4;

/// onnxruntime makes QLinearConv and MatMulInteger of what we write; they came with this opset.
constexpr std::int64_t kIntegerOperators = 10;

std::int64_t needed_opset(const Recipe& recipe) {
  switch (recipe.mode) {
    case QuantMode::float16:
      return 0;
    case QuantMode::dynamic:
      return kDynamicOpset;
    case QuantMode::static_:
      return std::max(dequantize_opset(recipe.weight, recipe.target), dequantize_opset(recipe.activation, recipe.target));
    default:
      // DequantizeLinear to half floats.
      return std::max(dequantize_opset(recipe.weight, recipe.target), recipe.float16_rest ? std::int64_t{19} : 0);
  }
}

}  // namespace

PassResult freeze_initializers(Model& model) {
  PassResult result;
  std::set<std::string, std::less<>> constants;
  for (const TensorRecord& record : model.graph.initializers) constants.insert(record.name);
  result.n_changes = static_cast<std::int64_t>(
      std::erase_if(model.graph.inputs, [&](const ValueInfo& input) { return constants.contains(input.name); }));
  model.ir_version = std::max(model.ir_version, kIrOfFreeInitializers);
  if (result.n_changes > 0)
    result.messages.push_back(concat({result.n_changes, (result.n_changes == 1 ? " weight was" : " weights were"),
                                      " listed as graph input too and became constant"}));
  return result;
}

PassResult raise_opset(Model& model, const Recipe& recipe) {
  PassResult result;
  const std::int64_t needed = needed_opset(recipe);
  const std::int64_t before = model.opset();
  if (before >= needed) return result;
  const UpgradeResult upgrade = upgrade_opset(model, needed);
  if (upgrade.is_done) {
    result.n_changes = 1;
    result.messages.push_back(concat({"opset raised from ", before, " to ", needed, ", which quantized models need"}));
    // "node 'a' (Squeeze): axes became an input (opset 13)": said once for all nodes of that kind.
    std::map<std::string, std::pair<std::size_t, std::string>> kinds;
    for (const std::string& message : upgrade.messages) {
      const std::size_t type = message.rfind(" (", message.find("): "));
      auto& [n, first] = kinds[type == std::string::npos ? message : message.substr(type + 2)];
      if (n++ == 0) first = message;
    }
    for (const auto& [kind, row] : kinds)
      result.messages.push_back(row.first == 1 ? row.second : concat({row.second, ", and ", row.first - 1, " more likewise"}));
    return result;
  }
  const std::string finding =
      concat({"opset ", before, " cannot be raised to ", needed, ": ", upgrade.node, ": ", upgrade.reason});
  const bool needs_integers = recipe.mode != QuantMode::weight_only && before < kIntegerOperators;
  if (recipe.target == Target::portable || needs_integers)
    throw_error(ErrorCode::unsupported,
                {finding, (needs_integers ? "; choose mode weight_only" : "; choose an onnxruntime target")}, upgrade.node);
  result.messages.push_back(finding);
  return result;
}

Prepared prepare_static(const Model& model, const Recipe& recipe) {
  Prepared prepared{std::make_shared<Model>(model), {}, {}};
  Model& copy = *prepared.model;
  own_subgraphs(copy);
  prepared.result += freeze_initializers(copy);
  prepared.result += raise_opset(copy, recipe);
  prepared.result += lift_constants(copy);
  prepared.result += remove_identities(copy);
  prepared.result += fold_constant_views(copy);
  if (recipe.fold_batch_norm) prepared.result += fold_batch_norm(copy);
  prepared.result += fuse_matmul_add(copy, infer_types(copy));
  prepared.result += remove_unused(copy);
  prepared.types = infer_types(copy);
  return prepared;
}

}  // namespace bitwright
