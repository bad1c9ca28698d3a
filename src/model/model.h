#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "io/byte_source.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

namespace bitwright {

struct Graph;

/// A range of bytes of a file that is read when needed.
struct SourceRange {
  std::shared_ptr<ByteSource> source;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// Values that are made whenever they are asked for (quantized from another tensor while the model is written), so that edited
/// models stay out of memory. `make` gives a tensor of the record's element type and shape, the same bytes on every call.
struct Generated {
  std::function<Tensor()> make;
};

/// Values written as text, or in the typed fields of a TensorProto, are decoded to packed little-endian bytes when read.
using Values = std::variant<std::monostate, SourceRange, Tensor, Generated>;

/// A named constant: an initializer, or the value of a Constant node. Its values stay in the file until `load` is called.
struct TensorRecord {
  std::string name;
  DType dtype = DType::undefined;
  Shape shape;
  std::string doc;
  /// monostate: values that are not there (external data not given). SourceRange: exactly packed_bytes(dtype, n) bytes of raw
  /// little-endian values. Tensor: values in memory. Generated: values made by `load`.
  Values values;
  /// The name of the external file that held them; empty where they were in the model itself.
  std::string external_location;
  /// The whole TensorProto message as it stood in the file, written back verbatim while `is_untouched`.
  std::optional<SourceRange> origin;
  bool is_untouched = false;
  /// Fields we do not know, as they stood on the wire (tag and content), and metadata_props.
  std::vector<std::uint8_t> unknown_fields;

  std::uint64_t size_bytes() const;  // packed
  /// The values, read from the file if need be. Throws Error{bad_external_data} where they are not there.
  Tensor load() const;
  /// Bytes [offset, offset + out.size()) of the packed values, without loading the rest.
  void read_bytes(std::uint64_t offset, std::span<std::uint8_t> out) const;
  /// A record with values in memory.
  static TensorRecord of(std::string name, Tensor tensor);
};

enum class AttributeType {
  undefined = 0,
  f = 1,
  i = 2,
  s = 3,
  t = 4,
  g = 5,
  floats = 6,
  ints = 7,
  strings = 8,
  tensors = 9,
  graphs = 10,
  sparse_tensor = 11,
  sparse_tensors = 12,
  type_proto = 13,
  type_protos = 14
};

struct Attribute {
  std::string name;
  AttributeType type = AttributeType::undefined;
  std::string ref_attr_name;  // inside a function: the function's attribute it stands for
  std::string doc;
  float f = 0.0f;
  std::int64_t i = 0;
  std::string s;
  std::shared_ptr<TensorRecord> t;
  std::shared_ptr<Graph> g;
  std::vector<float> floats;
  std::vector<std::int64_t> ints;
  std::vector<std::string> strings;
  std::vector<std::shared_ptr<TensorRecord>> tensors;
  std::vector<std::shared_ptr<Graph>> graphs;
  std::vector<std::uint8_t> unknown_fields;  // also sparse tensors and types, which we carry but do not read

  static Attribute of_int(std::string name, std::int64_t value);
  static Attribute of_float(std::string name, float value);
  static Attribute of_string(std::string name, std::string value);
  static Attribute of_ints(std::string name, std::vector<std::int64_t> values);
  static Attribute of_floats(std::string name, std::vector<float> values);
  static Attribute of_tensor(std::string name, Tensor value);
};

struct Node {
  std::string name;
  std::string op_type;
  std::string domain;  // "" and "ai.onnx" are the same: the reader writes ""
  std::string overload;
  std::vector<std::string> inputs;   // "" for an optional one left out
  std::vector<std::string> outputs;  // likewise
  std::vector<Attribute> attributes;
  std::string doc;
  std::vector<std::uint8_t> unknown_fields;
  /// "ai.onnx" is written back where the file said so.
  bool has_explicit_onnx_domain = false;

  const Attribute* find(std::string_view attribute) const;
  std::int64_t attr_i(std::string_view attribute, std::int64_t otherwise) const;
  float attr_f(std::string_view attribute, float otherwise) const;
  std::string attr_s(std::string_view attribute, std::string_view otherwise) const;
  /// Empty where it is left out. All throw Error{bad_graph} naming node and attribute where the type is another one.
  std::vector<std::int64_t> attr_ints(std::string_view attribute) const;
  std::vector<float> attr_floats(std::string_view attribute) const;
  bool has(std::string_view attribute) const { return find(attribute) != nullptr; }
  void set(Attribute attribute);  // replaces one of that name
  void remove(std::string_view attribute);
  /// "node 'up1' (ConvTranspose)": how messages call it.
  std::string label() const;
};

/// Name and type of a graph input, output or inner value.
struct ValueInfo {
  std::string name;
  DType dtype = DType::undefined;  // undefined also for sequences, maps, optionals (see `is_tensor`)
  bool is_tensor = true;
  bool has_shape = false;
  Shape shape;                          // kUnknownDim where the extent is symbolic or missing
  std::vector<std::string> dim_params;  // as long as shape; "" where the extent is a number or missing
  std::string doc;
  std::vector<std::uint8_t> type_bytes;  // the TypeProto as it stood, written back while the type is untouched
  std::vector<std::uint8_t> unknown_fields;

  static ValueInfo of(std::string name, DType dtype, Shape shape);
  void set_type(DType dtype, Shape shape);  // drops type_bytes
  bool has_type_changed = false;
};

/// Nodes in topological order (checked by validate), edges by name.
struct Graph {
  std::string name;
  std::string doc;
  std::vector<Node> nodes;
  std::vector<TensorRecord> initializers;
  std::vector<ValueInfo> inputs;  // initializers listed here too are constants with a default, not inputs to feed
  std::vector<ValueInfo> outputs;
  std::vector<ValueInfo> value_infos;
  std::vector<std::uint8_t> unknown_fields;  // also sparse_initializer and quantization_annotation

  const TensorRecord* find_initializer(std::string_view name) const;  // linear: use GraphIndex in loops
};

struct OpsetImport {
  std::string domain;  // "" for ai.onnx
  std::int64_t version = 0;
  std::vector<std::uint8_t> unknown_fields;
  bool has_explicit_onnx_domain = false;
};

/// A local function of the model (FunctionProto).
struct Function {
  std::string name;
  std::string domain;
  std::string overload;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<std::string> attributes;  // names without default
  std::vector<Attribute> attribute_defaults;
  std::vector<Node> nodes;
  std::vector<OpsetImport> opset_imports;
  std::string doc;
  std::vector<ValueInfo> value_infos;
  std::vector<std::uint8_t> unknown_fields;
};

struct Model {
  std::int64_t ir_version = 0;
  std::vector<OpsetImport> opset_imports;
  std::string producer_name;
  std::string producer_version;
  std::string domain;
  std::int64_t model_version = 0;
  std::string doc;
  std::vector<std::pair<std::string, std::string>> metadata;
  std::vector<Function> functions;
  Graph graph;
  std::vector<std::uint8_t> unknown_fields;  // also training_info
  std::uint64_t file_bytes = 0;              // of the model file itself
  std::uint64_t external_bytes = 0;          // of the external data it refers to
  std::string file_name;

  /// 0 where the domain is not imported.
  std::int64_t opset(std::string_view domain = "") const;
  void set_opset(std::string_view domain, std::int64_t version);
};

/// Who makes and who uses each value of one graph, and where initializers stand. Indices into the graph's vectors;
/// made once per pass, invalid after nodes are added or removed.
class GraphIndex {
 public:
  explicit GraphIndex(const Graph& graph);
  /// Index of the node that makes the value; -1 for inputs, initializers and outer values.
  std::int64_t producer(std::string_view value) const;
  /// Indices of nodes that use the value, each as often as it uses it, subgraph uses included (as the node that owns the subgraph).
  std::span<const std::int64_t> consumers(std::string_view value) const;
  /// The initializer of that name or nullptr. An initializer that is also a graph input counts.
  const TensorRecord* initializer(std::string_view value) const;
  std::int64_t initializer_index(std::string_view value) const;  // -1 if none
  bool is_graph_output(std::string_view value) const;
  bool is_graph_input(std::string_view value) const;  // fed by the caller: not an initializer

 private:
  struct Entry {
    std::int64_t producer = -1;
    std::int64_t initializer = -1;
    bool is_output = false;
    bool is_input = false;
    std::vector<std::int64_t> consumers;
  };
  const Entry* find(std::string_view value) const;
  const Graph& graph_;
  std::map<std::string, Entry, std::less<>> entries_;
};

/// Unique value and node names: never one that stands anywhere in the model, subgraphs included.
class NameAllocator {
 public:
  explicit NameAllocator(const Model& model);
  std::string fresh(const std::string& wish);  // "conv1_scale", else "conv1_scale_1", ...

 private:
  std::map<std::string, std::int64_t, std::less<>> taken_;
};

/// Checks what every later step relies on: no cycle (nodes are put in topological order where the file had them in another),
/// no duplicate output, input or initializer names, no missing input, subgraphs alike with outer names visible.
/// Throws Error{bad_graph} naming node and value.
void validate(Model& model);

}  // namespace bitwright
