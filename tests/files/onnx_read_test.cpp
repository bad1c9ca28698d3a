#include <doctest/doctest.h>

#include <map>

#include "base/error.h"
#include "files/onnx/onnx.h"
#include "files/wire_bytes.h"
#include "model/limits.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

Model read(const Wire& wire) { return read_onnx(memory_source(wire)); }

ErrorCode code_of(const Wire& wire, std::string* message = nullptr) {
  try {
    static_cast<void>(read(wire));
  } catch (const Error& error) {
    if (message != nullptr) *message = error.what();
    return error.code();
  }
  FAIL("no error");
  return ErrorCode::internal;
}

Wire with_tensor(const Wire& tensor) { return onnx_model(relu_graph(Wire().message(5, tensor))); }

struct Files final : ExternalData {
  std::shared_ptr<ByteSource> open(const std::string& name) override {
    const auto found = files.find(name);
    return found != files.end() ? std::make_shared<MemorySource>(found->second, name) : nullptr;
  }
  std::map<std::string, std::vector<std::uint8_t>> files;
};

Wire external_tensor(const std::string& location, const std::string& offset, const std::string& length) {
  Wire tensor = onnx_tensor("w", {2}, 1);
  tensor.message(13, Wire().text(1, "location").text(2, location));
  if (!offset.empty()) tensor.message(13, Wire().text(1, "offset").text(2, offset));
  if (!length.empty()) tensor.message(13, Wire().text(1, "length").text(2, length));
  return tensor.number(14, 1);
}

}  // namespace

TEST_CASE("read_onnx: a small model comes out as it was laid") {
  const Model model = read(onnx_model(relu_graph()));
  CHECK(model.ir_version == 7);
  CHECK(model.opset() == 13);
  REQUIRE(model.graph.nodes.size() == 1);
  CHECK(model.graph.nodes[0].op_type == "Relu");
  CHECK(model.graph.inputs[0].dtype == DType::f32);
  CHECK(model.graph.inputs[0].shape == Shape{kUnknownDim});
  CHECK(model.graph.inputs[0].dim_params[0] == "n");
}

TEST_CASE("read_onnx: packed and single values mix, in any field that may hold them") {
  Wire tensor = onnx_tensor("w", {3}, 6);  // int32: a packed run of two, then one alone
  tensor.text(5, std::string("\x05\x07")).number(5, 9);
  const Model model = read(with_tensor(tensor));
  CHECK(to_i64_vector(model.graph.initializers[0].load()) == std::vector<std::int64_t>{5, 7, 9});
}

TEST_CASE("read_onnx: negative int32 values take ten bytes on the wire") {
  const Model model = read(with_tensor(onnx_tensor("w", {1}, 3).number(5, ~std::uint64_t{0})));
  CHECK(to_i64_vector(model.graph.initializers[0].load()) == std::vector<std::int64_t>{-1});
}

TEST_CASE("read_onnx: half floats stand in int32_data as their bits, 4-bit pairs as bytes") {
  const Model halves = read(with_tensor(onnx_tensor("w", {1}, 10).number(5, 0x3c00)));
  CHECK(to_f32_vector(halves.graph.initializers[0].load()) == std::vector<float>{1.0f});
  const Model nibbles = read(with_tensor(onnx_tensor("w", {3}, 22).number(5, 0x21).number(5, 0x0f)));
  CHECK(to_f32_vector(nibbles.graph.initializers[0].load()) == std::vector<float>{1.0f, 2.0f, -1.0f});
}

TEST_CASE("read_onnx: the last of a repeated number counts, and messages in parts are joined") {
  Wire wire;
  wire.number(1, 3).number(1, 7);
  wire.message(7, Wire().message(1, onnx_node("Relu", {"X"}, {"Y"})).message(11, onnx_value("X")));
  wire.message(7, Wire().message(12, onnx_value("Y")).text(2, "second"));
  wire.message(8, Wire().number(2, 13));
  const Model model = read(wire);
  CHECK(model.ir_version == 7);
  CHECK(model.graph.nodes.size() == 1);
  CHECK(model.graph.name == "second");
}

TEST_CASE("read_onnx: a tensor in parts is joined and keeps no place in the file") {
  const Wire head = onnx_tensor("", {2}, 7);
  const Wire attribute =
      Wire().text(1, "value").message(5, head).message(5, Wire().text(7, std::string("\x03\x04"))).number(20, 4);
  const Model model = read(onnx_model(relu_graph(Wire().message(1, onnx_node("Constant", {}, {"c"}).message(5, attribute)))));
  const TensorRecord& record = *model.graph.nodes[1].attributes[0].t;
  CHECK(to_i64_vector(record.load()) == std::vector<std::int64_t>{3, 4});
  CHECK_FALSE(record.is_untouched);
}

TEST_CASE("read_onnx: numbers longer than they need be mean the same") {
  Wire wire = Wire().raw({0x88, 0x80, 0x00, 0x87, 0x80, 0x80, 0x00});  // field 1 = 7, tag and value with idle bytes
  wire.message(7, relu_graph()).message(8, Wire().number(2, 13));
  CHECK(read(wire).ir_version == 7);
}

TEST_CASE("read_onnx: unknown fields are kept as they stood") {
  const Wire unknown = Wire().text(900, "extra");
  Wire wire = onnx_model(relu_graph(unknown));
  wire.append(unknown);
  const Model model = read(wire);
  const std::string kept(model.unknown_fields.begin(), model.unknown_fields.end());
  CHECK(kept == unknown.bytes());
  CHECK(model.graph.unknown_fields.size() == unknown.bytes().size());
}

TEST_CASE("read_onnx: large raw values stay in the file, small ones and typed ones do not") {
  const Model raw = read(with_tensor(onnx_tensor("w", {512}, 1).text(9, std::string(2048, '\0'))));
  CHECK(std::holds_alternative<SourceRange>(raw.graph.initializers[0].values));
  const Model packed = read(with_tensor(onnx_tensor("w", {512}, 1).text(4, std::string(2048, '\1'))));
  CHECK(std::holds_alternative<SourceRange>(packed.graph.initializers[0].values));
  const Model ints = read(with_tensor(onnx_tensor("w", {2048}, 7).text(7, std::string(2048, '\5'))));
  CHECK(std::holds_alternative<Generated>(ints.graph.initializers[0].values));
  CHECK(to_i64_vector(ints.graph.initializers[0].load()) == std::vector<std::int64_t>(2048, 5));
  const Model small = read(with_tensor(onnx_tensor("w", {1}, 1).text(9, std::string(4, '\0'))));
  CHECK(std::holds_alternative<Tensor>(small.graph.initializers[0].values));
}

TEST_CASE("read_onnx: a file that is not in memory is read through a window, values untouched") {
  const Wire wire = with_tensor(onnx_tensor("w", {1 << 20}, 1).text(9, std::string(4u << 20, '\7')));
  const auto source = std::make_shared<SlowSource>(wire.vector());
  const Model model = read_onnx(source);
  CHECK(source->n_read() < 300000);
  CHECK(model.graph.initializers[0].load().bytes()[12345] == 7);
  std::vector<std::uint8_t> piece(3);
  model.graph.initializers[0].read_bytes((4u << 20) - 3, piece);
  CHECK(piece == std::vector<std::uint8_t>{7, 7, 7});
}

TEST_CASE("read_onnx: foreign and broken files are refused with place and remedy") {
  std::string message;
  CHECK(code_of(Wire(), &message) == ErrorCode::bad_model);
  CHECK(message.find("empty") != std::string::npos);
  CHECK(code_of(Wire().raw({'h', 'e', 'l', 'l', 'o', ' ', 'w', 'o', 'r', 'l', 'd'}), &message) == ErrorCode::bad_model);
  CHECK(message.find("not an ONNX model") != std::string::npos);
  CHECK(code_of(Wire().number(1, 7), &message) == ErrorCode::bad_model);
  CHECK(message.find("no graph") != std::string::npos);
  CHECK(code_of(Wire().number(1, 99).message(7, relu_graph())) == ErrorCode::unsupported);
}

TEST_CASE("read_onnx: lengths past the end are refused, however large") {
  for (const std::uint64_t length : {std::uint64_t{5}, (std::uint64_t{1} << 31) - 1, (std::uint64_t{1} << 32) - 1,
                                     (std::uint64_t{1} << 32) + 1, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    std::string message;
    CHECK(code_of(Wire().number(1, 7).varint(7 << 3 | 2).varint(length).raw({0}), &message) == ErrorCode::bad_model);
    CHECK(message.find(std::to_string(length)) != std::string::npos);
  }
}

TEST_CASE("read_onnx: groups, field number 0 and varints of eleven bytes are refused") {
  for (const int wire_type : {3, 4, 6, 7})
    CHECK(code_of(Wire().number(1, 7).varint(9 << 3 | static_cast<unsigned>(wire_type))) == ErrorCode::bad_model);
  CHECK(code_of(Wire().number(1, 7).varint(0)) == ErrorCode::bad_model);
  CHECK(code_of(Wire().number(1, 7).varint(std::uint64_t{1} << 32)) == ErrorCode::bad_model);
  CHECK(code_of(Wire().raw({8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})) == ErrorCode::bad_model);
}

TEST_CASE("read_onnx: tensors whose values do not fit their shape are refused by name") {
  std::string message;
  CHECK(code_of(with_tensor(onnx_tensor("w", {2}, 1).text(9, "1234567")), &message) == ErrorCode::bad_model);
  CHECK(message.find("'w'") != std::string::npos);
  CHECK(code_of(with_tensor(onnx_tensor("w", {2}, 1).text(9, "123456789"))) == ErrorCode::bad_model);
  CHECK(code_of(with_tensor(onnx_tensor("w", {3}, 22).text(9, "1"))) == ErrorCode::bad_model);
  CHECK(read(with_tensor(onnx_tensor("w", {3}, 22).text(9, "12"))).graph.initializers[0].size_bytes() == 2);
  CHECK(code_of(with_tensor(onnx_tensor("w", {2}, 1).text(9, "12345678").text(4, "12345678"))) == ErrorCode::bad_model);
  CHECK(code_of(with_tensor(onnx_tensor("w", {1}, 3).text(4, "1234"))) == ErrorCode::bad_model);
  CHECK(code_of(with_tensor(onnx_tensor("w", {2}, 7).number(7, 1))) == ErrorCode::bad_model);
  CHECK(code_of(with_tensor(onnx_tensor("w", {-1}, 1))) == ErrorCode::bad_model);
  CHECK(code_of(with_tensor(onnx_tensor("w", {1}, 1).message(3, Wire().number(1, 0)).text(9, "1234"))) == ErrorCode::bad_model);
}

TEST_CASE("read_onnx: shapes whose size wraps, and ranks beyond the limit, are refused") {
  Wire wraps;
  for (int i = 0; i < 4; ++i) wraps.number(1, std::uint64_t{1} << 62);
  CHECK(code_of(with_tensor(wraps.number(2, 1))) == ErrorCode::limit_exceeded);
  Wire ranks;
  for (int i = 0; i < 1000; ++i) ranks.number(1, 1);
  CHECK(code_of(with_tensor(ranks.number(2, 1).text(9, "1234"))) == ErrorCode::limit_exceeded);
}

TEST_CASE("read_onnx: an element type we do not know is carried and cannot be loaded") {
  const Model model = read(with_tensor(onnx_tensor("w", {2}, 77).text(9, "abc")));
  CHECK(model.graph.initializers[0].dtype == DType::undefined);
  CHECK_THROWS_AS(model.graph.initializers[0].load(), Error);
}

TEST_CASE("read_onnx: external values are found by offset and length") {
  Files files;
  files.files["sub/w.bin"] = {9, 9, 9, 9, 0, 0, 128, 63, 0, 0, 0, 64};
  const Model model = read_onnx(memory_source(with_tensor(external_tensor("./sub//w.bin", "4", "8"))), &files);
  CHECK(to_f32_vector(model.graph.initializers[0].load()) == std::vector<float>{1.0f, 2.0f});
  CHECK(model.graph.initializers[0].external_location == "sub/w.bin");
  CHECK(model.external_bytes == 12);
}

TEST_CASE("read_onnx: external values that were not given are missed when they are asked for") {
  Files files;
  const Model model = read_onnx(memory_source(with_tensor(external_tensor("w.bin", "", ""))), &files);
  CHECK_THROWS_WITH_AS(static_cast<void>(model.graph.initializers[0].load()), doctest::Contains("'w.bin'"), Error);
}

TEST_CASE("read_onnx: external file names that leave the folder are refused, also in attributes") {
  for (const std::string& name : {std::string(""), std::string("/etc/passwd"), std::string("../w"), std::string("a/../../w"),
                                  std::string("a/.."), std::string("C:\\w"), std::string("c:w"), std::string("\\\\host\\w"),
                                  std::string("a\\w"), std::string("w\0.bin", 6), std::string("."), std::string("./")}) {
    CAPTURE(name);
    CHECK(code_of(with_tensor(external_tensor(name, "", ""))) == ErrorCode::bad_external_data);
    const Wire attribute = Wire().text(1, "value").message(5, external_tensor(name, "", "")).number(20, 4);
    CHECK(code_of(onnx_model(relu_graph(Wire().message(1, onnx_node("Constant", {}, {"c"}).message(5, attribute))))) ==
          ErrorCode::bad_external_data);
  }
  CHECK(code_of(onnx_model(relu_graph(Wire().message(15, Wire().message(1, external_tensor("ok", "", "")))))) ==
        ErrorCode::unsupported);
}

TEST_CASE("read_onnx: external ranges outside of the file, and counts that are none, are refused") {
  Files files;
  files.files["w"] = std::vector<std::uint8_t>(10);
  for (const auto& range : std::vector<std::pair<std::string, std::string>>{{"3", "8"},
                                                                            {"18446744073709551615", "8"},
                                                                            {"18446744073709551616", ""},
                                                                            {"-1", "8"},
                                                                            {"x", ""},
                                                                            {"4x", ""},
                                                                            {"0", "9"},
                                                                            {"0", "1000000000000000"}}) {
    CAPTURE(range.first);
    CAPTURE(range.second);
    CHECK_THROWS_AS(read_onnx(memory_source(with_tensor(external_tensor("w", range.first, range.second))), &files), Error);
  }
  Wire twice = external_tensor("w", "0", "8");
  twice.message(13, Wire().text(1, "offset").text(2, "1"));
  CHECK_THROWS_AS(read_onnx(memory_source(with_tensor(twice)), &files), Error);
  Wire foreign = external_tensor("w", "0", "8");
  foreign.message(13, Wire().text(1, "__class__").text(2, "x")).message(13, Wire().text(1, "checksum").text(2, "y"));
  CHECK(read_onnx(memory_source(with_tensor(foreign)), &files).graph.initializers.size() == 1);
}

TEST_CASE("read_onnx: string tensors are read") {
  const Model model = read(with_tensor(onnx_tensor("w", {2}, 8).text(6, "a").text(6, "")));
  CHECK(model.graph.initializers[0].load().strings() == std::vector<std::string>{"a", ""});
  CHECK(code_of(with_tensor(onnx_tensor("w", {2}, 8).text(6, "a"))) == ErrorCode::bad_model);
}

TEST_CASE("read_onnx: subgraphs nest up to the limit and no deeper") {
  const auto nested = [](int depth) {
    Wire graph = Wire().message(1, onnx_node("Relu", {"X"}, {"Y"})).message(12, onnx_value("Y"));
    for (int i = 0; i < depth; ++i) {
      const Wire attribute = Wire().text(1, "body").message(6, graph).number(20, 5);
      graph = Wire().message(1, onnx_node("Loop", {}, {"Y"}).message(5, attribute)).message(12, onnx_value("Y"));
    }
    return onnx_model(graph.message(11, onnx_value("X")));
  };
  CHECK(read(nested(kMaxNesting)).graph.nodes.size() == 1);
  CHECK(code_of(nested(kMaxNesting + 1)) == ErrorCode::limit_exceeded);
  CHECK(code_of(nested(500)) == ErrorCode::limit_exceeded);
}

TEST_CASE("read_onnx: a domain imported twice counts as it was said last") {
  Wire wire = onnx_model(relu_graph(), 11);
  wire.message(8, Wire().text(1, "ai.onnx").number(2, 13));
  CHECK(read(wire).opset() == 13);
  CHECK(code_of(onnx_model(relu_graph(), 0)) == ErrorCode::bad_model);
}
