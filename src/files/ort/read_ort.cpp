#include <bit>
#include <map>
#include <string>

#include "base/error.h"
#include "files/onnx/fields.h"
#include "files/onnx/wire_writer.h"
#include "files/ort/flat_buffer.h"
#include "files/ort/ort.h"
#include "model/limits.h"

namespace bitwright {

namespace {

using namespace onnx;
using ort::FlatBuffer;
using Place = FlatBuffer::Place;

/// Messages that follow the same way in both schemas. The numbers of types and of attribute types are the same too.
enum class Message : std::uint8_t {
  opset,
  entry,
  node,
  attribute,
  tensor,
  sparse_tensor,
  value_info,
  type,
  tensor_type,
  shape,
  dim,
  sequence,
  map,
  graph,  // has its own code
  none
};

enum class Kind : std::uint8_t { text, texts, i32, i64, f32, i64s, f32s, message, messages, dim_value, type_value };

/// Field `index` of a table, and the field of the protobuf message that it becomes.
struct Row {
  Message message;
  std::uint8_t index;
  Kind kind;
  std::uint8_t field;
  Message inner = Message::none;
};

constexpr Row kRows[] = {
    {Message::opset, 0, Kind::text, opset_proto::kDomain},
    {Message::opset, 1, Kind::i64, opset_proto::kVersion},
    {Message::entry, 0, Kind::text, entry_proto::kKey},
    {Message::entry, 1, Kind::text, entry_proto::kValue},
    {Message::node, 8, Kind::texts, node_proto::kInput},
    {Message::node, 9, Kind::texts, node_proto::kOutput},
    {Message::node, 0, Kind::text, node_proto::kName},
    {Message::node, 5, Kind::text, node_proto::kOpType},
    {Message::node, 10, Kind::messages, node_proto::kAttribute, Message::attribute},
    {Message::node, 1, Kind::text, node_proto::kDoc},
    {Message::node, 2, Kind::text, node_proto::kDomain},
    {Message::attribute, 0, Kind::text, attribute_proto::kName},
    {Message::attribute, 3, Kind::f32, attribute_proto::kF},
    {Message::attribute, 4, Kind::i64, attribute_proto::kI},
    {Message::attribute, 5, Kind::text, attribute_proto::kS},
    {Message::attribute, 6, Kind::message, attribute_proto::kT, Message::tensor},
    {Message::attribute, 7, Kind::message, attribute_proto::kG, Message::graph},
    {Message::attribute, 8, Kind::f32s, attribute_proto::kFloats},
    {Message::attribute, 9, Kind::i64s, attribute_proto::kInts},
    {Message::attribute, 10, Kind::texts, attribute_proto::kStrings},
    {Message::attribute, 11, Kind::messages, attribute_proto::kTensors, Message::tensor},
    {Message::attribute, 12, Kind::messages, attribute_proto::kGraphs, Message::graph},
    {Message::attribute, 1, Kind::text, attribute_proto::kDoc},
    {Message::attribute, 2, Kind::i32, attribute_proto::kType},
    {Message::tensor, 2, Kind::i64s, tensor_proto::kDims},
    {Message::tensor, 3, Kind::i32, tensor_proto::kDataType},
    {Message::tensor, 5, Kind::texts, tensor_proto::kStringData},
    {Message::tensor, 0, Kind::text, tensor_proto::kName},
    {Message::tensor, 4, Kind::text, tensor_proto::kRawData},
    {Message::tensor, 1, Kind::text, tensor_proto::kDoc},
    {Message::sparse_tensor, 0, Kind::message, sparse_proto::kValues, Message::tensor},
    {Message::sparse_tensor, 1, Kind::message, sparse_proto::kIndices, Message::tensor},
    {Message::sparse_tensor, 2, Kind::i64s, sparse_proto::kDims},
    {Message::value_info, 0, Kind::text, value_info_proto::kName},
    {Message::value_info, 2, Kind::message, value_info_proto::kType, Message::type},
    {Message::value_info, 1, Kind::text, value_info_proto::kDoc},
    {Message::type, 2, Kind::type_value, 0},
    {Message::type, 0, Kind::text, type_proto::kDenotation},
    {Message::tensor_type, 0, Kind::i32, tensor_type_proto::kElemType},
    {Message::tensor_type, 1, Kind::message, tensor_type_proto::kShape, Message::shape},
    {Message::shape, 0, Kind::messages, shape_proto::kDim, Message::dim},
    {Message::dim, 0, Kind::dim_value, 0},
    {Message::dim, 1, Kind::text, shape_proto::kDimDenotation},
    {Message::sequence, 0, Kind::message, sequence_type_proto::kElemType, Message::type},
    {Message::map, 0, Kind::i32, map_type_proto::kKeyType},
    {Message::map, 1, Kind::message, map_type_proto::kValueType, Message::type},
};

/// Writes the protobuf message of each table; called twice, as WireWriter wants it.
class Translator {
 public:
  Translator(const FlatBuffer& file, WireWriter& out) : file_(file), out_(out) {}

  void model(Place session) {
    n_left_ = kMaxOrtGrowth * file_.n_bytes() + kFreeBytes;
    using namespace model_proto;
    const Place at = file_.field(session, 1);
    if (at == 0) throw_error(ErrorCode::bad_model, {"no model in it; it is truncated or damaged"});
    const Place model = file_.follow(at);
    // Before IR 4 initializers are inputs too, and constants all the same; those that onnxruntime made are not among the inputs.
    const Place version = file_.field(model, 0);
    const std::uint64_t ir_version = version == 0 ? 0 : file_.number_64(version);
    has_constant_inputs_ = ir_version < 4;
    out_.varint_field(kIrVersion, has_constant_inputs_ ? 4 : ir_version);
    text(model, 2, kProducerName);
    text(model, 3, kProducerVersion);
    text(model, 4, kDomain);
    if (const Place place = file_.field(model, 5)) out_.varint_field(kModelVersion, file_.number_64(place));
    text(model, 6, kDoc);
    messages(model, 1, kOpsetImport, Message::opset, 0);
    messages(model, 9, kMetadata, Message::entry, 0);
    if (const Place graph = file_.field(model, 7))
      out_.message(kGraph, [&] {
        text(model, 8, graph_proto::kDoc);
        write_graph(file_.follow(graph), 0);
      });
  }

 private:
  static constexpr std::uint64_t kFreeBytes = 1 << 18;  // small files may use their parts as often as they like

  /// Parts may stand in many places of a FlatBuffer at once: what is written is held to a multiple of the file.
  void spend(std::uint64_t amount) {
    if (amount > n_left_)
      throw_error(ErrorCode::limit_exceeded,
                  {"its parts are used so often that the model would be more than ", kMaxOrtGrowth, " times the file"});
    n_left_ -= amount;
  }

  void write_text(Place place, std::uint32_t field) {
    const std::string_view text = file_.text(place);
    spend(1 + text.size());
    out_.text_field(field, text);
  }
  void text(Place table, std::uint32_t index, std::uint32_t field) {
    if (const Place place = file_.field(table, index)) write_text(place, field);
  }

  /// Calls `take` with the place of each element.
  template <typename Take>
  void each(Place place, std::uint32_t width, const Take& take) {
    const auto elements = file_.elements(place, width);
    spend(elements.n);
    for (std::uint32_t i = 0; i < elements.n; ++i) take(elements.first + i * width);
  }

  void messages(Place table, std::uint32_t index, std::uint32_t field, Message kind, int depth) {
    if (const Place place = file_.field(table, index))
      each(place, 4, [&](Place element) { message(file_.follow(element), field, kind, depth); });
  }

  void message(Place table, std::uint32_t field, Message kind, int depth) {
    spend(1);
    if (depth >= kMaxOrtNesting)
      throw_error(ErrorCode::limit_exceeded, {"its parts are nested more than ", kMaxOrtNesting, " deep"});
    out_.message(field, [&] { content(table, kind, depth + 1); });
  }

  void content(Place table, Message kind, int depth) {
    if (kind == Message::graph) return write_graph(table, depth);
    if (kind == Message::tensor) check_tensor(table);
    for (const Row& row : kRows) {
      if (row.message != kind) continue;
      if (const Place place = file_.field(table, row.index)) write_field(table, place, row, depth);
    }
  }

  void write_field(Place table, Place place, const Row& row, int depth) {
    switch (row.kind) {
      case Kind::text:
        return write_text(place, row.field);
      case Kind::texts:
        return each(place, 4, [&](Place element) { write_text(element, row.field); });
      case Kind::i32:
        return out_.varint_field(row.field, file_.number_32(place));
      case Kind::i64:
        return out_.varint_field(row.field, file_.number_64(place));
      case Kind::f32:
        return write_float(place, row.field);
      case Kind::i64s:
        return each(place, 8, [&](Place element) { out_.varint_field(row.field, file_.number_64(element)); });
      case Kind::f32s:
        return each(place, 4, [&](Place element) { write_float(element, row.field); });
      case Kind::message:
        return message(file_.follow(place), row.field, row.inner, depth);
      case Kind::messages:
        return messages(table, row.index, row.field, row.inner, depth);
      case Kind::dim_value:
        return write_dim_value(file_.follow(place));
      case Kind::type_value:
        return write_type_value(table, file_.follow(place), depth);
    }
  }

  void write_float(Place place, std::uint32_t field) { out_.float_field(field, std::bit_cast<float>(file_.number_32(place))); }

  void write_dim_value(Place value) {
    const Place kind = file_.field(value, 0);
    const std::uint64_t which = kind == 0 ? 0 : file_.number(kind, 1);
    if (which == 1) {
      const Place number = file_.field(value, 1);
      out_.varint_field(shape_proto::kDimValue, number == 0 ? 0 : file_.number_64(number));
    } else if (which == 2) {
      text(value, 2, shape_proto::kDimParam);
    }
  }

  void write_type_value(Place table, Place value, int depth) {
    const Place kind = file_.field(table, 1);
    switch (kind == 0 ? 0 : file_.number(kind, 1)) {
      case 1:
        return message(value, type_proto::kTensor, Message::tensor_type, depth);
      case 2:
        return message(value, type_proto::kSequence, Message::sequence, depth);
      case 3:
        return message(value, type_proto::kMap, Message::map, depth);
      default:
        return;
    }
  }

  void check_tensor(Place tensor) const {
    const Place offset = file_.field(tensor, 6);
    if (offset != 0 && static_cast<std::int64_t>(file_.number_64(offset)) >= 0)
      throw_error(ErrorCode::bad_external_data,
                  {"its weights stand in another file, which is not read for .ort; give the ONNX model it was made from"});
  }

  void write_graph(Place graph, int depth) {
    using namespace graph_proto;
    out_.text_field(kName, "graph");  // they have none there, and ONNX wants one
    write_values(graph, depth);
    messages(graph, 2, kNode, Message::node, depth);
    messages(graph, 0, kInitializer, Message::tensor, depth);
    messages(graph, 7, kSparseInitializer, Message::sparse_tensor, depth);
  }

  /// Inputs and outputs are names there, and all types stand in one list. What is kept of it is gone before the nodes follow, whose
  /// graphs may have the same list.
  void write_values(Place graph, int depth) {
    struct Value {
      Place info = 0;
      bool is_told = false;
    };
    std::map<std::string_view, Value> values;
    const auto each_value = [&](std::uint32_t index, const auto& take) {
      if (const Place place = file_.field(graph, index))
        each(place, 4, [&](Place element) {
          spend(3);  // a place in the list costs more than a byte
          const Place table = file_.follow(element);
          if (const Place name = file_.field(table, 0)) take(values[file_.text(name)], table);
        });
    };
    each_value(1, [](Value& value, Place info) { value.info = info; });
    if (has_constant_inputs_) each_value(0, [](Value& value, Place) { value.is_told = true; });
    const auto write_ends = [&](std::uint32_t index, std::uint32_t field) {
      if (const Place place = file_.field(graph, index))
        each(place, 4, [&](Place element) {
          Value& value = values[file_.text(element)];
          if (value.info == 0) throw_error(ErrorCode::bad_model, {"an input or output has no type"});
          if (field == graph_proto::kOutput || !value.is_told) message(value.info, field, Message::value_info, depth);
          value.is_told = true;
        });
    };
    write_ends(5, graph_proto::kInput);
    write_ends(6, graph_proto::kOutput);
    for (const auto& [name, value] : values)
      if (value.info != 0 && !value.is_told) message(value.info, graph_proto::kValueInfo, Message::value_info, depth);
  }

  const FlatBuffer& file_;
  WireWriter& out_;
  std::uint64_t n_left_ = 0;
  bool has_constant_inputs_ = false;
};

}  // namespace

bool is_ort(const ByteSource& source) {
  std::uint8_t head[8];
  if (source.size_bytes() < sizeof(head)) return false;
  source.read(0, head);
  const std::uint64_t root = FlatBuffer(head).number_32(0);
  return std::string_view(reinterpret_cast<const char*>(head) + 4, 4) == "ORTM" && root < source.size_bytes();
}

std::vector<std::uint8_t> onnx_of_ort(const ByteSource& source) {
  if (source.size_bytes() > kMaxOrtBytes)
    throw_error(ErrorCode::limit_exceeded,
                {source.name(), ": .ort files are read up to ", kMaxOrtBytes, " bytes; give the ONNX model it was made from"});
  std::vector<std::uint8_t> copy;
  std::span<const std::uint8_t> bytes = source.in_memory();
  if (bytes.empty()) {
    copy.resize(static_cast<std::size_t>(source.size_bytes()));
    source.read(0, copy);
    bytes = copy;
  }
  const FlatBuffer file(bytes);
  MemorySink sink;
  WireWriter out;
  Translator translator(file, out);
  try {
    translator.model(file.root());
    out.start_writing(sink, {});
    translator.model(file.root());
  } catch (const Error& error) {
    throw_error(error.code(), {source.name(), ": .ort: ", error.what()});
  }
  out.finish();
  return sink.take();
}

}  // namespace bitwright
