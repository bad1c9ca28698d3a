#include "passes/plan.h"

#include "base/text.h"
#include "quant/encodings/encoding.h"

#include <charconv>

namespace bitwright {

namespace {

/// The shortest text that reads back as the same float.
std::string number(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), value);
  return std::string(text, end.ptr);
}

}  // namespace

std::string_view tensor_role_name(TensorRole role) {
  switch (role) {
    case TensorRole::activation:
      return "activation";
    case TensorRole::weight:
      return "weight";
    case TensorRole::bias:
      return "bias";
  }
  return "activation";
}

std::string_view severity_name(Severity severity) {
  switch (severity) {
    case Severity::info:
      return "info";
    case Severity::warning:
      return "warning";
    case Severity::error:
      return "error";
  }
  return "info";
}

PassResult& PassResult::operator+=(const PassResult& other) {
  n_changes += other.n_changes;
  messages.insert(messages.end(), other.messages.begin(), other.messages.end());
  removed.insert(removed.end(), other.removed.begin(), other.removed.end());
  return *this;
}

std::string_view scheme_name(const TensorScheme& scheme) {
  for (const NamedScheme& named : named_schemes()) {
    TensorScheme same = complete_scheme(named.scheme);
    same.seed = scheme.seed;
    if (same == scheme) return named.name;
  }
  return scheme.encoding == Encoding::uniform ? dtype_name(scheme.dtype) : encoding_info(scheme.encoding).name;
}

std::string code_name(DType dtype) {
  std::string name(dtype_name(dtype));
  if (!is_integer(dtype)) return name;
  return concat({(name[0] == 'u' ? "uint" : "int"), name.substr(1)});
}

std::string to_string(const NodeDecision& decision) {
  std::string line = decision.graph.empty() ? "" : concat({decision.graph, ": "});
  line += concat({decision.node, " (", (decision.domain.empty() ? "" : concat({decision.domain, "."})), decision.op_type,
                  "): ", decision.mode});
  if (!decision.reason.empty()) line += concat({", ", decision.reason});
  return line;
}

std::string to_string(const TensorPlan& tensor) {
  std::string line = concat({tensor.value, ": ", tensor_role_name(tensor.role), " ", dtype_name(tensor.params.dtype), " ",
                             to_string(tensor.params.granularity)});
  if (!tensor.params.scales.empty()) {
    line += concat({" scale ", number(tensor.params.scales.front())});
    if (tensor.params.scales.size() > 1) line += "..";
  }
  if (!tensor.params.zero_points.empty()) line += concat({" zero_point ", tensor.params.zero_points.front()});
  line += " ->";
  for (const NodeInput& consumer : tensor.consumers) line += concat({" ", consumer.node, "[", consumer.input, "]"});
  return line;
}

std::string to_string(const QuantPlan& plan) {
  std::string text;
  for (const NodeDecision& decision : plan.nodes) text += to_string(decision) + "\n";
  for (const TensorPlan& tensor : plan.tensors) text += to_string(tensor) + "\n";
  return text;
}

std::string to_string(const LintRow& row) {
  std::string line(severity_name(row.severity));
  line += ": ";
  if (!row.node.empty()) line += concat({"node '", row.node, "': "});
  return line + row.message;
}

}  // namespace bitwright
