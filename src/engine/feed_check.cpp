#include "engine/feed_check.h"

#include <algorithm>

#include "base/error.h"

namespace bitwright {

namespace {

std::string expected_type(const ValueInfo& input) {
  std::string text(dtype_name(input.dtype));
  if (!input.has_shape) return text;
  text += '[';
  for (std::size_t i = 0; i < input.shape.size(); ++i) {
    if (i != 0) text += ',';
    const bool is_symbol = input.shape[i] < 0 && i < input.dim_params.size() && !input.dim_params[i].empty();
    text += is_symbol ? input.dim_params[i] : input.shape[i] <= 0 ? "?" : std::to_string(input.shape[i]);
  }
  return concat({text, "]"});
}

bool fits(const ValueInfo& input, const Tensor& tensor) {
  if (input.dtype != DType::undefined && input.dtype != tensor.dtype()) return false;
  if (!input.has_shape) return true;
  if (input.shape.size() != tensor.rank()) return false;
  for (std::size_t i = 0; i < tensor.rank(); ++i)
    if (input.shape[i] > 0 && input.shape[i] != tensor.extent(i)) return false;
  return true;
}

}  // namespace

void check_feeds(const Graph& graph, const std::set<std::string>& optional, const std::map<std::string, Tensor>& feeds) {
  std::string names;
  for (const ValueInfo& input : graph.inputs) {
    if (optional.count(input.name) != 0 && feeds.count(input.name) == 0) continue;
    names += concat({(names.empty() ? "" : ", "), in_quotes(input.name)});
    const auto feed = feeds.find(input.name);
    if (feed == feeds.end() || !feed->second.is_defined())
      throw_error(ErrorCode::invalid_argument, {"input ", in_quotes(input.name), " is missing; feed ", expected_type(input)},
                  input.name);
    if (!fits(input, feed->second))
      throw_error(ErrorCode::invalid_argument,
                  {"input ", in_quotes(input.name), ": ", expected_type(input), " is expected, ",
                   dtype_name(feed->second.dtype()), feed->second.shape(), " was given"},
                  input.name);
  }
  for (const auto& [name, tensor] : feeds) {
    const bool is_known = std::any_of(graph.inputs.begin(), graph.inputs.end(),
                                      [&name = name](const ValueInfo& input) { return input.name == name; });
    if (!is_known)
      throw_error(ErrorCode::invalid_argument, {"the model has no input ", in_quotes(name), "; it has ", names}, name);
  }
}

}  // namespace bitwright
