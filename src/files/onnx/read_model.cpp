#include <map>

#include "base/error.h"
#include "files/onnx/fields.h"
#include "files/onnx/onnx.h"
#include "files/onnx/reader.h"
#include "model/limits.h"

namespace bitwright {

namespace {

using namespace onnx;

constexpr std::int64_t kMaxIrVersion = 13;

void read_metadata(ReadContext& context, MessageReader& outer, Model& model) {
  context.count_message();
  MessageReader reader(outer, "StringStringEntryProto");
  std::pair<std::string, std::string> entry;
  while (reader.next()) {
    switch (reader.field().number) {
      case entry_proto::kKey:
        entry.first = reader.text(kMaxTextBytes);
        break;
      case entry_proto::kValue:
        entry.second = reader.text(kMaxTextBytes);
        break;
      default:
        outer.keep_unknown(model.unknown_fields);
        return;  // an entry with more than we know is carried whole
    }
  }
  model.metadata.push_back(std::move(entry));
}

Function read_function(ReadContext& context, MessageReader& reader) {
  using namespace function_proto;
  context.count_message();
  Function function;
  while (reader.next()) {
    switch (reader.field().number) {
      case kName:
        function.name = reader.text(kMaxNameBytes);
        break;
      case kDomain:
        function.domain = reader.text(kMaxNameBytes);
        break;
      case kOverload:
        function.overload = reader.text(kMaxNameBytes);
        break;
      case kInput:
        function.inputs.push_back(reader.text(kMaxNameBytes));
        break;
      case kOutput:
        function.outputs.push_back(reader.text(kMaxNameBytes));
        break;
      case kAttribute:
        function.attributes.push_back(reader.text(kMaxNameBytes));
        break;
      case kDoc:
        function.doc = reader.text(kMaxTextBytes);
        break;
      case kAttributeProto: {
        MessageReader inner(reader, "AttributeProto");
        function.attribute_defaults.push_back(read_attribute(context, inner, 0));
        break;
      }
      case kNode: {
        MessageReader inner(reader, "NodeProto");
        function.nodes.push_back(read_node(context, inner, 0));
        break;
      }
      case kOpsetImport: {
        MessageReader inner(reader, "OperatorSetIdProto");
        function.opset_imports.push_back(read_opset(context, inner));
        break;
      }
      case kValueInfo: {
        MessageReader inner(reader, "ValueInfoProto");
        function.value_infos.push_back(read_value_info(context, inner));
        break;
      }
      default:
        reader.keep_unknown(function.unknown_fields);
    }
  }
  return function;
}

/// Where a domain is imported more than once the last import counts, as in onnxruntime; the others are dropped.
void settle_opsets(std::vector<OpsetImport>& imports, const std::string& owner) {
  std::map<std::string, std::size_t> last;
  for (std::size_t i = 0; i < imports.size(); ++i) last[imports[i].domain] = i;
  std::vector<OpsetImport> kept;
  for (std::size_t i = 0; i < imports.size(); ++i)
    if (last[imports[i].domain] == i) kept.push_back(std::move(imports[i]));
  imports = std::move(kept);
  for (const OpsetImport& import : imports)
    if (import.version < 1)
      throw_error(ErrorCode::bad_model,
                  {owner, ": opset ", import.version, " of domain ", in_quotes(import.domain.empty() ? "ai.onnx" : import.domain),
                   "; opsets count from 1, export the model again"});
}

void read_fields(ReadContext& context, MessageReader& reader, Model& model, bool& has_graph) {
  using namespace model_proto;
  while (reader.next()) {
    switch (reader.field().number) {
      case kIrVersion:
        model.ir_version = reader.int64();
        break;
      case kProducerName:
        model.producer_name = reader.text(kMaxTextBytes);
        break;
      case kProducerVersion:
        model.producer_version = reader.text(kMaxTextBytes);
        break;
      case kDomain:
        model.domain = reader.text(kMaxTextBytes);
        break;
      case kModelVersion:
        model.model_version = reader.int64();
        break;
      case kDoc:
        model.doc = reader.text(kMaxTextBytes);
        break;
      case kGraph: {
        MessageReader inner(reader, "GraphProto");
        read_graph(context, inner, 0, model.graph);
        has_graph = true;
        break;
      }
      case kOpsetImport: {
        MessageReader inner(reader, "OperatorSetIdProto");
        model.opset_imports.push_back(read_opset(context, inner));
        break;
      }
      case kMetadata:
        read_metadata(context, reader, model);
        break;
      case kFunctions: {
        MessageReader inner(reader, "FunctionProto");
        model.functions.push_back(read_function(context, inner));
        break;
      }
      default:
        reader.keep_unknown(model.unknown_fields);
    }
  }
}

}  // namespace

Model read_onnx(std::shared_ptr<ByteSource> source, ExternalData* external_data) {
  const std::string file = source->name();
  Model model;
  model.file_name = file;
  model.file_bytes = source->size_bytes();
  if (model.file_bytes == 0) throw_error(ErrorCode::bad_model, {file, ": the file is empty; give an ONNX model"});
  if (model.file_bytes > kMaxMessageBytes)
    throw_error(ErrorCode::bad_model, {file, ": a protobuf file has at most 2^31 - 1 bytes, this one ", model.file_bytes,
                                       "; larger models keep weights in external files"});
  ReadContext context(std::move(source), external_data);
  bool has_graph = false;
  MessageReader reader(context.window, "ModelProto", 0, model.file_bytes);
  try {
    read_fields(context, reader, model, has_graph);
  } catch (const Error& error) {
    const bool is_foreign =
        error.code() == ErrorCode::bad_model && model.ir_version == 0 && !has_graph && model.graph.nodes.empty();
    throw_error(error.code(), {file, (is_foreign ? ": not an ONNX model: " : ": "), error.what()}, error.subject());
  }
  if (!has_graph) throw_error(ErrorCode::bad_model, {file, ": no graph in it; it is truncated or no ONNX model"});
  if (model.ir_version < 1) throw_error(ErrorCode::bad_model, {file, ": it has no IR version; it is no ONNX model"});
  if (model.ir_version > kMaxIrVersion)
    throw_error(ErrorCode::unsupported, {file, ": IR version ", model.ir_version, " is newer than ", kMaxIrVersion,
                                         "; export the model for an older one"});
  settle_opsets(model.opset_imports, file);
  for (Function& function : model.functions)
    settle_opsets(function.opset_imports, concat({"local function ", in_quotes(function.name)}));
  model.external_bytes = context.external_bytes();
  validate(model);
  return model;
}

}  // namespace bitwright
