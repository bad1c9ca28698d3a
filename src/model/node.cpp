#include <algorithm>

#include "base/error.h"
#include "model/model.h"

namespace bitwright {

namespace {

Attribute named(std::string name, AttributeType type) {
  Attribute attribute;
  attribute.name = std::move(name);
  attribute.type = type;
  return attribute;
}

std::string_view type_name(AttributeType type) {
  static constexpr std::string_view kNames[] = {"undefined",      "float", "int",     "string",  "tensor", "graph",
                                                "floats",         "ints",  "strings", "tensors", "graphs", "sparse tensor",
                                                "sparse tensors", "type",  "types"};
  return kNames[static_cast<std::size_t>(type)];
}

/// The attribute of that name and type; nullptr where it is left out.
const Attribute* typed(const Node& node, std::string_view name, AttributeType type) {
  const Attribute* attribute = node.find(name);
  if (attribute == nullptr) return nullptr;
  if (attribute->type != type)
    throw_error(ErrorCode::bad_graph,
                {node.label(), ": attribute ", in_quotes(name), " is of type ", type_name(attribute->type), " where ",
                 type_name(type), " is needed; mend the model"},
                node.name);
  return attribute;
}

}  // namespace

Attribute Attribute::of_int(std::string name, std::int64_t value) {
  Attribute attribute = named(std::move(name), AttributeType::i);
  attribute.i = value;
  return attribute;
}

Attribute Attribute::of_float(std::string name, float value) {
  Attribute attribute = named(std::move(name), AttributeType::f);
  attribute.f = value;
  return attribute;
}

Attribute Attribute::of_string(std::string name, std::string value) {
  Attribute attribute = named(std::move(name), AttributeType::s);
  attribute.s = std::move(value);
  return attribute;
}

Attribute Attribute::of_ints(std::string name, std::vector<std::int64_t> values) {
  Attribute attribute = named(std::move(name), AttributeType::ints);
  attribute.ints = std::move(values);
  return attribute;
}

Attribute Attribute::of_floats(std::string name, std::vector<float> values) {
  Attribute attribute = named(std::move(name), AttributeType::floats);
  attribute.floats = std::move(values);
  return attribute;
}

Attribute Attribute::of_tensor(std::string name, Tensor value) {
  Attribute attribute = named(std::move(name), AttributeType::t);
  attribute.t = std::make_shared<TensorRecord>(TensorRecord::of("", std::move(value)));
  return attribute;
}

const Attribute* Node::find(std::string_view attribute) const {
  for (const Attribute& candidate : attributes)
    if (candidate.name == attribute) return &candidate;
  return nullptr;
}

std::int64_t Node::attr_i(std::string_view attribute, std::int64_t otherwise) const {
  const Attribute* found = typed(*this, attribute, AttributeType::i);
  return found != nullptr ? found->i : otherwise;
}

float Node::attr_f(std::string_view attribute, float otherwise) const {
  const Attribute* found = typed(*this, attribute, AttributeType::f);
  return found != nullptr ? found->f : otherwise;
}

std::string Node::attr_s(std::string_view attribute, std::string_view otherwise) const {
  const Attribute* found = typed(*this, attribute, AttributeType::s);
  return found != nullptr ? found->s : std::string(otherwise);
}

std::vector<std::int64_t> Node::attr_ints(std::string_view attribute) const {
  const Attribute* found = typed(*this, attribute, AttributeType::ints);
  return found != nullptr ? found->ints : std::vector<std::int64_t>{};
}

std::vector<float> Node::attr_floats(std::string_view attribute) const {
  const Attribute* found = typed(*this, attribute, AttributeType::floats);
  return found != nullptr ? found->floats : std::vector<float>{};
}

void Node::set(Attribute attribute) {
  for (Attribute& candidate : attributes) {
    if (candidate.name == attribute.name) {
      candidate = std::move(attribute);
      return;
    }
  }
  attributes.push_back(std::move(attribute));
}

void Node::remove(std::string_view attribute) {
  std::erase_if(attributes, [&](const Attribute& candidate) { return candidate.name == attribute; });
}

std::string Node::label() const {
  const std::string type = domain.empty() ? op_type : concat({domain, ".", op_type});
  const std::string shown_type = quoted(type).substr(1);
  const std::string bare_type = shown_type.substr(0, shown_type.size() - 1);
  if (!name.empty()) return concat({"node ", in_quotes(name), " (", bare_type, ")"});
  for (const std::string& output : outputs)
    if (!output.empty()) return concat({"node making ", in_quotes(output), " (", bare_type, ")"});
  return concat({"a node without name (", bare_type, ")"});
}

}  // namespace bitwright
