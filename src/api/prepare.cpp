#include "api/prepare.h"

#include <algorithm>
#include <set>

#include "engine/session.h"
#include "passes/clean_graph.h"
#include "passes/fold_batch_norm.h"
#include "passes/fuse_matmul_add.h"
#include "passes/graph_edit.h"

namespace bitwright {

namespace {

/// From IR 4 on, initializers need not be inputs; listed there they could be overridden, and runtimes would not fuse them.
constexpr std::int64_t kIrOfFreeInitializers = 4;

PassResult freeze_initializers(Model& model) {
  PassResult result;
  std::set<std::string, std::less<>> constants;
  for (const TensorRecord& record : model.graph.initializers) constants.insert(record.name);
  result.n_changes = static_cast<std::int64_t>(std::erase_if(model.graph.inputs, [&](const ValueInfo& input) { return constants.contains(input.name); }));
  model.ir_version = std::max(model.ir_version, kIrOfFreeInitializers);
  if (result.n_changes > 0)
    result.messages.push_back(std::to_string(result.n_changes) + (result.n_changes == 1 ? " weight was" : " weights were") +
                              " listed as graph input too and became constant");
  return result;
}

}  // namespace

Prepared prepare_static(const Model& model, const Recipe& recipe) {
  Prepared prepared{std::make_shared<Model>(model), {}, {}};
  Model& copy = *prepared.model;
  own_subgraphs(copy);
  prepared.result += freeze_initializers(copy);
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
