#pragma once

#include <map>
#include <memory>
#include <string>

#include "model/model.h"

namespace bitwright {

/// What a local function's attribute names stand for at one call.
using AttributeBinding = std::map<std::string, Attribute, std::less<>>;

/// The call's attributes, over the function's defaults.
AttributeBinding bind_attributes(const Function& function, const Node& call);
/// True if an attribute of the node, or of a node in its subgraphs, refers to an attribute of the function.
bool has_attribute_references(const Node& node);
/// The node with references replaced, in subgraphs too; references to attributes that were not given are dropped.
Node resolve_attributes(const Node& node, const AttributeBinding& binding);

}  // namespace bitwright
