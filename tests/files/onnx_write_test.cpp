#include <doctest/doctest.h>

#include "base/error.h"
#include "files/onnx/onnx.h"
#include "files/wire_bytes.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

std::vector<std::uint8_t> written(const Model& model) {
  MemorySink sink;
  write_onnx(model, sink, nullptr);
  return sink.take();
}

Model read(std::vector<std::uint8_t> bytes) { return read_onnx(std::make_shared<MemorySource>(std::move(bytes), "again.onnx")); }

/// Something of everything: attributes of each kind, a subgraph, a function, metadata, types that are no tensors, unknown fields.
Wire rich_model() {
  Wire branch = Wire().message(1, onnx_node("Neg", {"X"}, {"branch_out"})).text(2, "then").message(12, onnx_value("branch_out"));
  branch.message(5, onnx_tensor("inner", {2}, 1).text(9, "12345678"));
  Wire node = onnx_node("If", {"cond"}, {"picked"});
  node.text(3, "choose").text(6, "a doc").message(5, Wire().text(1, "then_branch").message(6, branch).number(20, 5));
  node.message(5, Wire().text(1, "f").varint(2 << 3 | 5).raw({0, 0, 128, 63}).number(20, 1));
  node.message(5, Wire().text(1, "zero").number(20, 2).number(3, 0));
  node.message(5, Wire().text(1, "s").text(4, "text").number(20, 3));
  node.message(5, Wire().text(1, "is").number(8, 1).number(8, ~std::uint64_t{0}).number(20, 7));
  node.message(5, Wire().text(1, "fs").text(7, std::string("\0\0\x80\x3f", 4)).number(20, 6));
  node.message(5, Wire().text(1, "ss").text(9, "a").text(9, "").number(20, 8));
  node.message(5, Wire().text(1, "tp").message(14, Wire().message(1, Wire().number(1, 1))).number(20, 13));
  node.text(700, "unknown");
  Wire graph = relu_graph(Wire().message(1, node));
  graph.message(5, onnx_tensor("w", {300}, 1).text(9, std::string(1200, '\3')).text(12, "weights"));
  graph.message(5, onnx_tensor("typed", {2}, 7).text(7, std::string("\x01\x02")));
  graph.message(11, onnx_value("cond"))
      .message(13,
               Wire().text(1, "seq").message(2, Wire().message(4, Wire().message(1, Wire().message(1, Wire().number(1, 1))))));
  Wire function = Wire().text(1, "Twice").text(10, "local").text(4, "x").text(5, "y").text(6, "alpha");
  function.message(7, onnx_node("Add", {"x", "x"}, {"y"}).text(7, "ai.onnx")).message(9, Wire().text(1, "ai.onnx").number(2, 13));
  Wire model = onnx_model(graph);
  return model.text(2, "producer")
      .number(5, 3)
      .message(14, Wire().text(1, "key").text(2, "value"))
      .message(25, function)
      .text(20, "training");
}

struct OneFile final : ExternalData {
  std::shared_ptr<ByteSource> open(const std::string& name) override {
    return name == "weights.bin" ? std::make_shared<MemorySource>(bytes, name) : nullptr;
  }
  std::vector<std::uint8_t> bytes;
};

}  // namespace

TEST_CASE("write_onnx: reading and writing again gives the same bytes") {
  const Model model = read_onnx(memory_source(rich_model()));
  const auto once = written(model);
  CHECK(once.size() == onnx_size_bytes(model));
  const auto twice = written(read(once));
  CHECK(once == twice);
  const Model again = read(once);
  const Node& node = again.graph.nodes[1];
  CHECK(node.label() == "node 'choose' (If)");
  CHECK(node.attr_ints("is") == std::vector<std::int64_t>{1, -1});
  CHECK(node.attr_i("zero", 5) == 0);
  CHECK(node.find("ss")->strings == std::vector<std::string>{"a", ""});
  CHECK(node.unknown_fields == model.graph.nodes[1].unknown_fields);
  CHECK(again.metadata == model.metadata);
  CHECK(again.functions[0].nodes[0].has_explicit_onnx_domain);
  CHECK(again.functions[0].attributes == std::vector<std::string>{"alpha"});
  CHECK_FALSE(again.graph.value_infos[0].is_tensor);
  CHECK(again.graph.value_infos[0].type_bytes == model.graph.value_infos[0].type_bytes);
  CHECK(again.unknown_fields == model.unknown_fields);
}

TEST_CASE("write_onnx: an untouched tensor keeps its bytes, an edited one is written anew") {
  Model model = read_onnx(memory_source(rich_model()));
  model.graph.initializers[0] = TensorRecord::of("w", Tensor::of<std::int8_t>({2}, {-1, 2}));
  const Model again = read(written(model));
  CHECK(again.graph.initializers[0].dtype == DType::i8);
  CHECK(to_i64_vector(again.graph.initializers[0].load()) == std::vector<std::int64_t>{-1, 2});
  CHECK(again.graph.initializers[1].origin->length == model.graph.initializers[1].origin->length);
}

TEST_CASE("write_onnx: generated values are asked for once, when they are written") {
  Model model = read_onnx(memory_source(rich_model()));
  int n_calls = 0;
  TensorRecord record;
  record.name = "w";
  record.dtype = DType::u8;
  record.shape = {3};
  record.values = Generated{[&] {
    ++n_calls;
    return Tensor::of<std::uint8_t>({3}, {1, 2, 3});
  }};
  model.graph.initializers[0] = record;
  const Model again = read(written(model));
  CHECK(n_calls == 1);
  CHECK(to_i64_vector(again.graph.initializers[0].load()) == std::vector<std::int64_t>{1, 2, 3});
}

TEST_CASE("write_onnx: a changed type is written from its fields") {
  Model model = read_onnx(memory_source(rich_model()));
  model.graph.inputs[0].set_type(DType::f16, {1, kUnknownDim});
  model.graph.inputs[0].dim_params = {"", "len"};
  const Model again = read(written(model));
  CHECK(again.graph.inputs[0].dtype == DType::f16);
  CHECK(again.graph.inputs[0].shape == Shape{1, kUnknownDim});
  CHECK(again.graph.inputs[0].dim_params[1] == "len");
}

TEST_CASE("write_onnx: external data goes to one file, aligned, and is found again") {
  Model model = read_onnx(memory_source(rich_model()));
  model.graph.initializers.push_back(TensorRecord::of("big", Tensor(DType::f32, {1 << 18})));
  MemorySink out;
  MemorySink external;
  OnnxWriteOptions options;
  options.external_name = "weights.bin";
  write_onnx(model, out, &external, options);
  CHECK(out.bytes().size() < 2000);
  OneFile file;
  file.bytes = external.take();
  CHECK(file.bytes.size() == 4096 + (1u << 20));
  const Model again = read_onnx(std::make_shared<MemorySource>(out.take(), "again.onnx"), &file);
  CHECK(again.graph.initializers[0].external_location == "weights.bin");
  CHECK(again.graph.initializers[0].load().bytes()[7] == 3);
  CHECK(std::get<SourceRange>(again.graph.initializers[2].values).offset == 4096);
  CHECK(again.graph.initializers[1].external_location.empty());
  const Model inside = read(written(again));
  CHECK(inside.graph.initializers[0].external_location.empty());
  CHECK(inside.graph.initializers[0].doc == "weights");
}

TEST_CASE("write_onnx: values that are not there are named") {
  OneFile none;
  Wire tensor = onnx_tensor("w", {2}, 1).message(13, Wire().text(1, "location").text(2, "other.bin")).number(14, 1);
  const Model model = read_onnx(memory_source(onnx_model(relu_graph(Wire().message(5, tensor)))), &none);
  MemorySink sink;
  CHECK_THROWS_WITH_AS(write_onnx(model, sink, nullptr), doctest::Contains("'other.bin'"), Error);
  CHECK(sink.bytes().empty());
}

TEST_CASE("write_onnx: a type number we do not know survives external data") {
  OneFile file;
  file.bytes = {1, 2, 3, 4, 5};
  Wire tensor = onnx_tensor("w", {2}, 77).message(13, Wire().text(1, "location").text(2, "weights.bin"));
  tensor.message(13, Wire().text(1, "length").text(2, "3")).number(14, 1);
  const Model model = read_onnx(memory_source(onnx_model(relu_graph(Wire().message(5, tensor)))), &file);
  const auto once = written(model);
  const Wire number = Wire().number(2, 77);
  const std::string bytes(once.begin(), once.end());
  CHECK(bytes.find(number.bytes()) != std::string::npos);
  CHECK(bytes.find(std::string("\x4a\x03\x01\x02\x03")) != std::string::npos);
}

TEST_CASE("needs_external_data: beyond 2^31 - 1 bytes, and the writer refuses to go there") {
  Model model = read_onnx(memory_source(onnx_model(relu_graph())));
  const std::uint64_t n_rest = onnx_size_bytes(model);
  TensorRecord record;
  record.name = "huge";
  record.dtype = DType::u8;
  record.shape = {std::int64_t{1} << 30};
  record.values = Generated{[]() -> Tensor { throw Error(ErrorCode::internal, "not to be called"); }};
  model.graph.initializers.push_back(record);
  const std::uint64_t n_framing = onnx_size_bytes(model) - n_rest - (std::uint64_t{1} << 30);
  const std::uint64_t most = (std::uint64_t{1} << 31) - 1;
  // The same count of bytes frames the larger tensor: its lengths need five bytes as these do.
  model.graph.initializers[0].shape = {static_cast<std::int64_t>(most - n_rest - n_framing)};
  CHECK(onnx_size_bytes(model) == most);
  CHECK_FALSE(needs_external_data(model));
  ++model.graph.initializers[0].shape[0];
  CHECK(onnx_size_bytes(model) == most + 1);
  CHECK(needs_external_data(model));
  MemorySink sink;
  CHECK_THROWS_WITH_AS(write_onnx(model, sink, nullptr), doctest::Contains("external file"), Error);
}

TEST_CASE("tensor proto: every element type comes back, with its name") {
  for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::i64, DType::u8, DType::i4, DType::u2, DType::boolean}) {
    Tensor tensor(dtype, {3});
    for (std::size_t i = 0; i < tensor.size_bytes(); ++i) tensor.bytes()[i] = static_cast<std::uint8_t>(i & 1);
    std::string name;
    const Tensor again = read_tensor_proto(write_tensor_proto(tensor, "x"), &name);
    CHECK(name == "x");
    CHECK(again.dtype() == dtype);
    CHECK(std::equal(again.bytes().begin(), again.bytes().end(), tensor.bytes().begin(), tensor.bytes().end()));
  }
  const Tensor strings = Tensor::of_strings({2}, {"one", ""});
  CHECK(read_tensor_proto(write_tensor_proto(strings, "")).strings() == strings.strings());
  const std::vector<std::uint8_t> broken{0x0a, 0xff};
  try {
    static_cast<void>(read_tensor_proto(broken));
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::bad_data);
  }
}
