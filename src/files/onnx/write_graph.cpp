#include "files/onnx/fields.h"
#include "files/onnx/writer.h"

namespace bitwright::onnx {

namespace {

void write_type(WireWriter& wire, const ValueInfo& info) {
  wire.message(value_info_proto::kType, [&] {
    wire.message(type_proto::kTensor, [&] {
      wire.int_field(tensor_type_proto::kElemType, static_cast<std::int64_t>(info.dtype));
      if (!info.has_shape) return;
      wire.message(tensor_type_proto::kShape, [&] {
        for (std::size_t i = 0; i < info.shape.size(); ++i) {
          wire.message(shape_proto::kDim, [&] {
            if (info.shape[i] != kUnknownDim) {
              wire.int_field(shape_proto::kDimValue, info.shape[i]);
            } else if (i < info.dim_params.size()) {
              wire.optional_text_field(shape_proto::kDimParam, info.dim_params[i]);
            }
          });
        }
      });
    });
  });
}

}  // namespace

void write_value_info(WriteContext& context, std::uint32_t field, const ValueInfo& info) {
  WireWriter& wire = context.wire;
  wire.message(field, [&] {
    wire.text_field(value_info_proto::kName, info.name);
    if (!info.has_type_changed) {
      if (!info.type_bytes.empty())
        wire.text_field(value_info_proto::kType, {reinterpret_cast<const char*>(info.type_bytes.data()), info.type_bytes.size()});
    } else {
      write_type(wire, info);
    }
    wire.optional_text_field(value_info_proto::kDoc, info.doc);
    wire.bytes(info.unknown_fields);
  });
}

void write_attribute(WriteContext& context, std::uint32_t field, const Attribute& attribute) {
  using namespace attribute_proto;
  WireWriter& wire = context.wire;
  wire.message(field, [&] {
    const bool is_reference = !attribute.ref_attr_name.empty();
    wire.text_field(kName, attribute.name);
    if (attribute.f != 0.0f || (attribute.type == AttributeType::f && !is_reference)) wire.float_field(kF, attribute.f);
    if (attribute.i != 0 || (attribute.type == AttributeType::i && !is_reference)) wire.int_field(kI, attribute.i);
    if (!attribute.s.empty() || (attribute.type == AttributeType::s && !is_reference)) wire.text_field(kS, attribute.s);
    if (attribute.t) write_tensor(context, kT, *attribute.t, Placement::inner);
    if (attribute.g) wire.message(kG, [&] { write_graph_content(context, *attribute.g); });
    for (const float value : attribute.floats) wire.float_field(kFloats, value);
    for (const std::int64_t value : attribute.ints) wire.int_field(kInts, value);
    for (const std::string& value : attribute.strings) wire.text_field(kStrings, value);
    for (const auto& tensor : attribute.tensors) write_tensor(context, kTensors, *tensor, Placement::inner);
    for (const auto& graph : attribute.graphs) wire.message(kGraphs, [&] { write_graph_content(context, *graph); });
    wire.optional_text_field(kDoc, attribute.doc);
    wire.int_field(kType, static_cast<std::int64_t>(attribute.type));
    wire.optional_text_field(kRefAttrName, attribute.ref_attr_name);
    wire.bytes(attribute.unknown_fields);
  });
}

void write_node(WriteContext& context, std::uint32_t field, const Node& node) {
  using namespace node_proto;
  WireWriter& wire = context.wire;
  wire.message(field, [&] {
    for (const std::string& value : node.inputs) wire.text_field(kInput, value);
    for (const std::string& value : node.outputs) wire.text_field(kOutput, value);
    wire.optional_text_field(kName, node.name);
    wire.text_field(kOpType, node.op_type);
    for (const Attribute& attribute : node.attributes) write_attribute(context, kAttribute, attribute);
    wire.optional_text_field(kDoc, node.doc);
    wire.optional_text_field(kDomain, node.domain.empty() && node.has_explicit_onnx_domain ? "ai.onnx" : node.domain);
    wire.optional_text_field(kOverload, node.overload);
    wire.bytes(node.unknown_fields);
  });
}

void write_graph_content(WriteContext& context, const Graph& graph) {
  using namespace graph_proto;
  WireWriter& wire = context.wire;
  for (const Node& node : graph.nodes) write_node(context, kNode, node);
  wire.optional_text_field(kName, graph.name);
  for (const TensorRecord& record : graph.initializers) write_tensor(context, kInitializer, record, Placement::external_if_large);
  wire.optional_text_field(kDoc, graph.doc);
  for (const ValueInfo& info : graph.inputs) write_value_info(context, kInput, info);
  for (const ValueInfo& info : graph.outputs) write_value_info(context, kOutput, info);
  for (const ValueInfo& info : graph.value_infos) write_value_info(context, kValueInfo, info);
  wire.bytes(graph.unknown_fields);
}

}  // namespace bitwright::onnx
