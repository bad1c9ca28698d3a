#include "base/error.h"
#include "files/onnx/fields.h"
#include "files/onnx/reader.h"
#include "model/limits.h"

namespace bitwright::onnx {

namespace {

constexpr std::string_view kOnnxDomain = "ai.onnx";

/// The type of an attribute that does not say it, as files before IR 2 may: what is there tells.
AttributeType type_of_content(std::uint32_t field_number) {
  using namespace attribute_proto;
  switch (field_number) {
    case kF:
      return AttributeType::f;
    case kI:
      return AttributeType::i;
    case kS:
      return AttributeType::s;
    case kT:
      return AttributeType::t;
    case kG:
      return AttributeType::g;
    case kFloats:
      return AttributeType::floats;
    case kInts:
      return AttributeType::ints;
    case kStrings:
      return AttributeType::strings;
    case kTensors:
      return AttributeType::tensors;
    case kGraphs:
      return AttributeType::graphs;
    case kSparseTensor:
      return AttributeType::sparse_tensor;
    case kSparseTensors:
      return AttributeType::sparse_tensors;
    case kTypeProto:
      return AttributeType::type_proto;
    case kTypeProtos:
      return AttributeType::type_protos;
    default:
      return AttributeType::undefined;
  }
}

std::shared_ptr<Graph> read_subgraph(ReadContext& context, MessageReader& reader, int depth, std::shared_ptr<Graph> graph) {
  if (!graph) graph = std::make_shared<Graph>();
  MessageReader inner(reader, "GraphProto");
  read_graph(context, inner, depth + 1, *graph);
  return graph;
}

std::shared_ptr<TensorRecord> read_shared_tensor(ReadContext& context, std::span<const TextPart> parts,
                                                 const std::string& attribute) {
  return std::make_shared<TensorRecord>(read_tensor(context, parts, concat({" in attribute ", in_quotes(attribute)})));
}

TextPart part_of(MessageReader& reader) {
  reader.need_bytes();
  return {reader.field().payload_offset, reader.field().payload_bytes};
}

void read_values(ReadContext& context, MessageReader& reader, std::vector<ValueInfo>& values) {
  MessageReader inner(reader, "ValueInfoProto");
  values.push_back(read_value_info(context, inner));
}

}  // namespace

void ReadContext::count_message() {
  if (++n_messages_ > kMaxMessages)
    throw_error(ErrorCode::limit_exceeded,
                {window.source()->name(), ": nodes, attributes, tensors and types together pass the limit of ", kMaxMessages});
}

std::shared_ptr<ByteSource> ReadContext::external_file(const std::string& name) {
  const auto [entry, is_new] = external_files_.try_emplace(name);
  if (is_new && external_data_ != nullptr) {
    entry->second.source = external_data_->open(name);
    if (entry->second.source) external_bytes_ += entry->second.source->size_bytes();
  }
  return entry->second.source;
}

void ReadContext::count_external_use(const std::string& name, std::uint64_t n_bytes) {
  constexpr std::uint64_t kFreeBytes = std::uint64_t{64} << 20;  // small files may be used as often as they like
  ExternalFile& file = external_files_[name];
  file.n_used_bytes += n_bytes;
  if (file.n_used_bytes > kFreeBytes && file.n_used_bytes / kMaxExternalUses > file.source->size_bytes())
    throw_error(ErrorCode::limit_exceeded, {"external file ", in_quotes(name), ": its tensors overlap more than ",
                                            kMaxExternalUses, " times; store each value once"});
}

Attribute read_attribute(ReadContext& context, MessageReader& reader, int depth) {
  using namespace attribute_proto;
  context.count_message();
  Attribute attribute;
  AttributeType content = AttributeType::undefined;
  std::vector<TextPart> tensor;
  while (reader.next()) {
    const std::uint32_t number = reader.field().number;
    if (content == AttributeType::undefined) content = type_of_content(number);
    switch (number) {
      case kName:
        attribute.name = reader.text(kMaxNameBytes);
        break;
      case kRefAttrName:
        attribute.ref_attr_name = reader.text(kMaxNameBytes);
        break;
      case kDoc:
        attribute.doc = reader.text(kMaxTextBytes);
        break;
      case kType:
        if (reader.uint64() > static_cast<std::uint64_t>(AttributeType::type_protos))
          reader.refuse(concat({"attribute type ", reader.uint64()}));
        attribute.type = static_cast<AttributeType>(reader.uint64());
        break;
      case kF:
        attribute.f = reader.float32();
        break;
      case kI:
        attribute.i = reader.int64();
        break;
      case kS:
        attribute.s = reader.text(kMaxTextBytes);
        break;
      case kT:
        tensor.push_back(part_of(reader));
        break;
      case kG:
        attribute.g = read_subgraph(context, reader, depth, std::move(attribute.g));
        break;
      case kFloats:
        reader.append_floats(attribute.floats);
        break;
      case kInts:
        reader.append_int64s(attribute.ints);
        break;
      case kStrings:
        attribute.strings.push_back(reader.text(kMaxTextBytes));
        break;
      case kTensors: {
        const TextPart part = part_of(reader);
        attribute.tensors.push_back(read_shared_tensor(context, {&part, 1}, attribute.name));
        break;
      }
      case kGraphs:
        attribute.graphs.push_back(read_subgraph(context, reader, depth, nullptr));
        break;
      case kSparseTensor:
      case kSparseTensors: {
        MessageReader sparse(reader, "SparseTensorProto");
        check_sparse_tensor(context, sparse);
        reader.keep_unknown(attribute.unknown_fields);
        break;
      }
      default:
        reader.keep_unknown(attribute.unknown_fields);
    }
  }
  if (!tensor.empty()) attribute.t = read_shared_tensor(context, tensor, attribute.name);
  if (attribute.type == AttributeType::undefined) attribute.type = content;
  const bool is_empty_tensor = attribute.type == AttributeType::t && !attribute.t;
  const bool is_empty_graph = attribute.type == AttributeType::g && !attribute.g;
  if ((is_empty_tensor || is_empty_graph) && attribute.ref_attr_name.empty())
    throw_error(ErrorCode::bad_model,
                {"attribute ", in_quotes(attribute.name), " at offset ", reader.offset(), ": it is said to be a ",
                 (is_empty_tensor ? "tensor" : "graph"), " but holds none; the file is damaged"});
  return attribute;
}

Node read_node(ReadContext& context, MessageReader& reader, int depth) {
  using namespace node_proto;
  context.count_message();
  Node node;
  while (reader.next()) {
    switch (reader.field().number) {
      case kInput:
        node.inputs.push_back(reader.text(kMaxNameBytes));
        break;
      case kOutput:
        node.outputs.push_back(reader.text(kMaxNameBytes));
        break;
      case kName:
        node.name = reader.text(kMaxNameBytes);
        break;
      case kOpType:
        node.op_type = reader.text(kMaxNameBytes);
        break;
      case kDomain:
        node.domain = reader.text(kMaxNameBytes);
        break;
      case kOverload:
        node.overload = reader.text(kMaxNameBytes);
        break;
      case kDoc:
        node.doc = reader.text(kMaxTextBytes);
        break;
      case kAttribute: {
        MessageReader inner(reader, "AttributeProto");
        node.attributes.push_back(read_attribute(context, inner, depth));
        break;
      }
      default:
        reader.keep_unknown(node.unknown_fields);
    }
  }
  if (node.domain == kOnnxDomain) {
    node.domain.clear();
    node.has_explicit_onnx_domain = true;
  }
  if (node.op_type.empty())
    throw_error(ErrorCode::bad_model,
                {"node ", in_quotes(node.name), " at offset ", reader.offset(), " names no operator; the file is damaged"},
                node.name);
  return node;
}

void read_graph(ReadContext& context, MessageReader& reader, int depth, Graph& graph) {
  using namespace graph_proto;
  if (depth > kMaxNesting)
    throw_error(ErrorCode::limit_exceeded,
                {"GraphProto at offset ", reader.offset(), ": subgraphs are nested deeper than ", kMaxNesting});
  context.count_message();
  while (reader.next()) {
    switch (reader.field().number) {
      case kNode: {
        MessageReader inner(reader, "NodeProto");
        graph.nodes.push_back(read_node(context, inner, depth));
        break;
      }
      case kName:
        graph.name = reader.text(kMaxNameBytes);
        break;
      case kDoc:
        graph.doc = reader.text(kMaxTextBytes);
        break;
      case kInitializer: {
        const TextPart part = part_of(reader);
        graph.initializers.push_back(read_tensor(context, {&part, 1}, ""));
        break;
      }
      case kInput:
        read_values(context, reader, graph.inputs);
        break;
      case kOutput:
        read_values(context, reader, graph.outputs);
        break;
      case kValueInfo:
        read_values(context, reader, graph.value_infos);
        break;
      case kSparseInitializer: {
        MessageReader sparse(reader, "SparseTensorProto");
        check_sparse_tensor(context, sparse);
        reader.keep_unknown(graph.unknown_fields);
        break;
      }
      default:
        reader.keep_unknown(graph.unknown_fields);
    }
  }
}

OpsetImport read_opset(ReadContext& context, MessageReader& reader) {
  context.count_message();
  OpsetImport import;
  while (reader.next()) {
    switch (reader.field().number) {
      case opset_proto::kDomain:
        import.domain = reader.text(kMaxNameBytes);
        break;
      case opset_proto::kVersion:
        import.version = reader.int64();
        break;
      default:
        reader.keep_unknown(import.unknown_fields);
    }
  }
  if (import.domain == kOnnxDomain) {
    import.domain.clear();
    import.has_explicit_onnx_domain = true;
  }
  return import;
}

}  // namespace bitwright::onnx
