#include "report/activation_bytes.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "base/error.h"
#include "engine/session.h"

namespace bitwright {

namespace {

std::uint64_t bytes_of(const TypeInfo& type) {
  if (!type.shape || type.dtype == DType::undefined || type.dtype == DType::string) return 0;
  Shape shape = *type.shape;
  for (std::int64_t& extent : shape) extent = extent < 0 ? 1 : extent;
  return packed_bytes(type.dtype, static_cast<std::uint64_t>(n_elements(shape)));
}

}  // namespace

std::uint64_t activation_bytes(const Model& model) {
  std::map<std::string, TypeInfo, std::less<>> types;
  try {
    types = infer_types(model);
  } catch (const Error& error) {  // shapes that contradict each other: a run will tell
    if (error.code() == ErrorCode::out_of_memory) throw;
    return 0;
  }
  std::map<std::string_view, std::size_t> last_use;
  const std::vector<Node>& nodes = model.graph.nodes;
  for (std::size_t i = 0; i < nodes.size(); ++i)
    for (const std::string& input : nodes[i].inputs) last_use[input] = i;
  for (const ValueInfo& output : model.graph.outputs) last_use[output.name] = nodes.size();
  for (const TensorRecord& record : model.graph.initializers) last_use.erase(record.name);
  const auto size_of = [&](const std::string& value) {
    const auto found = types.find(value);
    return found == types.end() ? 0 : bytes_of(found->second);
  };
  std::uint64_t live = 0;
  std::uint64_t peak = 0;
  for (const ValueInfo& input : model.graph.inputs)
    if (last_use.count(input.name) != 0) live += size_of(input.name);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    std::uint64_t idle = 0;
    for (const std::string& output : nodes[i].outputs) {
      live += size_of(output);
      if (last_use.count(output) == 0) idle += size_of(output);
    }
    peak = std::max(peak, live);
    live -= idle;
    for (const std::string& input : nodes[i].inputs)
      if (const auto found = last_use.find(input); found != last_use.end() && found->second == i) {
        live -= std::min(live, size_of(input));
        last_use.erase(found);  // it may be listed twice
      }
  }
  return peak;
}

}  // namespace bitwright
