#include "base/error.h"
#include "files/onnx/fields.h"
#include "files/onnx/onnx.h"
#include "files/onnx/writer.h"
#include "model/limits.h"

namespace bitwright {

namespace {

using namespace onnx;

void write_opset(WireWriter& wire, std::uint32_t field, const OpsetImport& import) {
  wire.message(field, [&] {
    wire.text_field(opset_proto::kDomain, import.domain.empty() && import.has_explicit_onnx_domain ? "ai.onnx" : import.domain);
    wire.int_field(opset_proto::kVersion, import.version);
    wire.bytes(import.unknown_fields);
  });
}

void write_function(WriteContext& context, const Function& function) {
  using namespace function_proto;
  WireWriter& wire = context.wire;
  wire.text_field(kName, function.name);
  for (const std::string& value : function.inputs) wire.text_field(kInput, value);
  for (const std::string& value : function.outputs) wire.text_field(kOutput, value);
  for (const std::string& name : function.attributes) wire.text_field(kAttribute, name);
  for (const Node& node : function.nodes) write_node(context, kNode, node);
  wire.optional_text_field(kDoc, function.doc);
  for (const OpsetImport& import : function.opset_imports) write_opset(wire, kOpsetImport, import);
  wire.optional_text_field(kDomain, function.domain);
  for (const Attribute& attribute : function.attribute_defaults) write_attribute(context, kAttributeProto, attribute);
  for (const ValueInfo& info : function.value_infos) write_value_info(context, kValueInfo, info);
  wire.optional_text_field(kOverload, function.overload);
  wire.bytes(function.unknown_fields);
}

void write_content(WriteContext& context, const Model& model) {
  using namespace model_proto;
  WireWriter& wire = context.wire;
  wire.int_field(kIrVersion, model.ir_version);
  wire.optional_text_field(kProducerName, model.producer_name);
  wire.optional_text_field(kProducerVersion, model.producer_version);
  wire.optional_text_field(kDomain, model.domain);
  if (model.model_version != 0) wire.int_field(kModelVersion, model.model_version);
  wire.optional_text_field(kDoc, model.doc);
  wire.message(kGraph, [&] { write_graph_content(context, model.graph); });
  for (const OpsetImport& import : model.opset_imports) write_opset(wire, kOpsetImport, import);
  for (const auto& [key, value] : model.metadata) {
    wire.message(kMetadata, [&, &key = key, &value = value] {
      wire.text_field(entry_proto::kKey, key);
      wire.text_field(entry_proto::kValue, value);
    });
  }
  for (const Function& function : model.functions) wire.message(kFunctions, [&] { write_function(context, function); });
  wire.bytes(model.unknown_fields);
}

}  // namespace

std::uint64_t onnx_size_bytes(const Model& model) {
  const OnnxWriteOptions options;
  WriteContext context{{}, {}, options};
  write_content(context, model);
  return context.wire.n_bytes();
}

void set_file_bytes(Model& model) {
  model.file_bytes = onnx_size_bytes(model);
  model.external_bytes = 0;
}

bool needs_external_data(const Model& model) { return onnx_size_bytes(model) > kMaxMessageBytes; }

void write_onnx(const Model& model, ByteSink& out, ByteSink* external, const OnnxWriteOptions& options,
                const OnProgress& on_progress) {
  BITWRIGHT_ASSERT(options.external_name.empty() || external != nullptr);
  WriteContext context{{}, {}, options};
  write_content(context, model);
  const std::uint64_t n_model_bytes = context.wire.n_bytes();
  if (n_model_bytes > kMaxMessageBytes)
    throw_error(ErrorCode::limit_exceeded,
                {"the model file would have ", n_model_bytes, " bytes, a protobuf file has at most 2^31 - 1; ",
                 (options.external_name.empty() ? "write its weights to an external file"
                                                : "its constants outside of initializers are too large")});
  const std::uint64_t total = n_model_bytes + context.layout.n_bytes();
  const auto report = [&](std::uint64_t n_written) {
    if (on_progress) on_progress({"write", n_written + context.layout.n_written(), total});
  };
  context.wire.start_writing(out, report);
  context.layout.start_writing(external);
  write_content(context, model);
  context.wire.finish();
  BITWRIGHT_ASSERT(context.wire.n_bytes() == n_model_bytes && context.layout.n_written() == context.layout.n_bytes());
  out.flush();
  if (external != nullptr) external->flush();
}

}  // namespace bitwright
