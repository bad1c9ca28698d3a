// Cases 1 to 15 of the list of bad inputs: the wire. tests/bad_input.h holds each to its bounds.
#include <doctest/doctest.h>

#include "bad_input.h"
#include "files/onnx/onnx.h"
#include "files/wire_bytes.h"
#include "model/limits.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

std::optional<ErrorCode> read_refusal(const Wire& wire, std::string* message = nullptr) {
  return refusal([&] { static_cast<void>(read_onnx(memory_source(wire))); }, message);
}

Wire truncated_head() { return Wire().number(1, 7); }

/// A model with every kind of field in it.
Wire small_model() {
  const Wire value = Wire().text(1, "value").message(5, onnx_tensor("", {2}, 7).text(7, std::string("\x01\x02"))).number(20, 4);
  const Wire branch = Wire().message(1, onnx_node("Neg", {"X"}, {"z"})).message(12, onnx_value("z"));
  Wire graph = relu_graph();
  graph.message(1, onnx_node("Constant", {}, {"c"}).message(5, value));
  graph.message(1, onnx_node("If", {"X"}, {"p"}).message(5, Wire().text(1, "then_branch").message(6, branch).number(20, 5)));
  graph.message(5, onnx_tensor("w", {2, 1}, 1).text(9, "12345678"));
  graph.message(5, onnx_tensor("e", {1}, 1).message(13, Wire().text(1, "location").text(2, "f")).number(14, 1));
  const Wire function = Wire().text(1, "F").text(10, "d").text(4, "x").text(5, "y").message(7, onnx_node("Abs", {"x"}, {"y"}));
  return onnx_model(graph).message(14, Wire().text(1, "k").text(2, "v")).message(25, function);
}

/// Success, or a typed error that is not our own fault; what is read is also written, loaded and read again.
bool is_handled(const std::vector<std::uint8_t>& bytes, bool is_in_memory) {
  try {
    std::shared_ptr<ByteSource> source;
    if (is_in_memory) {
      source = std::make_shared<MemorySource>(bytes, "flipped.onnx");
    } else {
      source = std::make_shared<SlowSource>(bytes);
    }
    const Model model = read_onnx(source);
    for (const TensorRecord& record : model.graph.initializers)
      if (record.external_location.empty() && record.dtype != DType::undefined) static_cast<void>(record.load());
    MemorySink sink;
    write_onnx(model, sink, nullptr);
    static_cast<void>(read_onnx(std::make_shared<MemorySource>(sink.take(), "again.onnx")));
    return true;
  } catch (const Error& error) {
    return error.code() != ErrorCode::internal && error.code() != ErrorCode::out_of_memory &&
           std::string(error.what()).size() > 20;
  }
}

}  // namespace

TEST_CASE("bad input 1: an empty file is refused as such") {
  std::string message;
  CHECK(read_refusal(Wire(), &message) == ErrorCode::bad_model);
  CHECK(message.find("empty") != std::string::npos);
}

TEST_CASE("bad input 2: no single byte is a model") {
  for (int byte = 0; byte < 256; ++byte) CHECK(read_refusal(Wire().raw({byte})) == ErrorCode::bad_model);
}

TEST_CASE("bad input 3: every prefix of a model is read or refused with a typed error") {
  const auto bytes = small_model().vector();
  for (std::size_t n = 0; n <= bytes.size(); ++n) {
    CAPTURE(n);
    CHECK(is_handled({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n)}, n % 2 == 0));
  }
}

TEST_CASE("bad input 4: every single-byte change of a model is read or refused with a typed error") {
  auto bytes = small_model().vector();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::uint8_t kept = bytes[i];
    for (int value = 0; value < 256; ++value) {
      bytes[i] = static_cast<std::uint8_t>(value);
      if (!is_handled(bytes, value % 2 == 0)) FAIL_CHECK("byte ", i, " set to ", value);
    }
    bytes[i] = kept;
  }
}

TEST_CASE("bad input 5: a varint of more than ten bytes is refused, as tag, length and value") {
  const Wire endless = Wire().raw({255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1});
  CHECK(read_refusal(endless) == ErrorCode::bad_model);
  CHECK(read_refusal(Wire().raw({8}).append(endless)) == ErrorCode::bad_model);
  CHECK(read_refusal(Wire().raw({58}).append(endless)) == ErrorCode::bad_model);
  const Wire packed = onnx_tensor("w", {1}, 7).text(7, endless.bytes());
  CHECK(read_refusal(onnx_model(relu_graph(Wire().message(5, packed)))) == ErrorCode::bad_model);
}

TEST_CASE("bad input 6: varints longer than they need be mean the same, as tag, length and value") {
  Wire wire = Wire().raw({0x88, 0x80, 0x00, 0x87, 0x80, 0x80, 0x00});  // field 1 = 7
  const std::string graph = relu_graph().bytes();
  wire.raw({0xba, 0x80, 0x00, static_cast<int>(graph.size() | 0x80), 0x80, 0x00});  // field 7, its length
  std::string bytes = wire.bytes() + graph;
  const Model model = read_onnx(std::make_shared<MemorySource>(std::vector<std::uint8_t>(bytes.begin(), bytes.end()), "idle"));
  CHECK(model.ir_version == 7);
  CHECK(model.graph.nodes.size() == 1);
}

TEST_CASE("bad input 7: a length one past the end is refused wherever a length stands") {
  const Wire tensor = onnx_tensor("w", {2}, 1).varint(9 << 3 | 2).varint(9).raw({1, 2, 3, 4, 5, 6, 7, 8});
  CHECK(read_refusal(onnx_model(relu_graph(Wire().message(5, tensor)))) == ErrorCode::bad_model);
  CHECK(read_refusal(onnx_model(relu_graph(Wire().varint(1 << 3 | 2).varint(2).raw({10})))) == ErrorCode::bad_model);
  CHECK(read_refusal(truncated_head().varint(7 << 3 | 2).varint(1)) == ErrorCode::bad_model);
}

TEST_CASE("bad input 8: huge lengths are refused without memory for them") {
  for (const std::uint64_t length : {(std::uint64_t{1} << 31) - 1, (std::uint64_t{1} << 32) - 1, (std::uint64_t{1} << 32) + 1,
                                     std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    std::string message;
    CHECK(read_refusal(truncated_head().varint(7 << 3 | 2).varint(length).raw({0}), &message) == ErrorCode::bad_model);
    CHECK(message.find(std::to_string(length)) != std::string::npos);
    const Wire tensor = onnx_tensor("w", {2}, 1).varint(9 << 3 | 2).varint(length).raw({0});
    CHECK(read_refusal(onnx_model(relu_graph(Wire().message(5, tensor)))) == ErrorCode::bad_model);
    CHECK(refusal([&] {
            static_cast<void>(
                read_onnx(std::make_shared<SlowSource>(truncated_head().varint(8 << 3 | 2).varint(length).raw({0}).vector())));
          }) == ErrorCode::bad_model);
  }
}

TEST_CASE("bad input 9: field numbers 0 and beyond 2^29 - 1 are refused") {
  CHECK(read_refusal(truncated_head().varint(0).varint(0)) == ErrorCode::bad_model);
  CHECK(read_refusal(truncated_head().varint(std::uint64_t{1} << 32).varint(0)) == ErrorCode::bad_model);
  CHECK_FALSE(read_refusal(onnx_model(relu_graph()).varint(std::uint64_t{(1u << 29) - 1} << 3).varint(0)).has_value());
}

TEST_CASE("bad input 10: wire types 3, 4, 6 and 7 are refused, and known fields of another wire type") {
  for (const unsigned wire_type : {3u, 4u, 6u, 7u})
    CHECK(read_refusal(truncated_head().varint(9 << 3 | wire_type)) == ErrorCode::bad_model);
  CHECK(read_refusal(Wire().text(1, "7").message(7, relu_graph())) == ErrorCode::bad_model);  // ir_version as text
  CHECK(read_refusal(truncated_head().number(7, 1)) == ErrorCode::bad_model);                 // the graph as a number
}

TEST_CASE("bad input 11: packed and single values mix in dims, attributes and tensors") {
  const Wire ints = Wire().text(1, "axes").text(8, std::string("\x01\x02")).number(8, 3).number(20, 7);
  Wire floats = Wire().text(1, "f").text(7, std::string("\0\0\x80\x3f\0\0\0\x40", 8)).varint(7 << 3 | 5).raw({0, 0, 64, 64});
  floats.number(20, 6);
  Wire tensor = Wire().text(1, std::string("\x01\x03")).number(2, 6).text(8, "w");  // dims packed
  tensor.text(5, std::string("\x05\x07")).number(5, 9);
  Wire rest = Wire().message(1, onnx_node("Op", {"w"}, {"o"}).message(5, ints).message(5, floats)).message(5, tensor);
  const Model model = read_onnx(memory_source(onnx_model(relu_graph(rest))));
  CHECK(model.graph.nodes[1].attr_ints("axes") == std::vector<std::int64_t>{1, 2, 3});
  CHECK(model.graph.nodes[1].attr_floats("f") == std::vector<float>{1.0f, 2.0f, 3.0f});
  CHECK(model.graph.initializers[0].shape == Shape{1, 3});
  CHECK(to_i64_vector(model.graph.initializers[0].load()) == std::vector<std::int64_t>{5, 7, 9});
}

TEST_CASE("bad input 12: of repeated scalars the last counts, and a message in parts is joined") {
  Wire wire = Wire().number(1, 3).number(1, 7);
  wire.message(7, Wire().message(1, onnx_node("Relu", {"X"}, {"Y"})).message(11, onnx_value("X")));
  wire.message(7, Wire().message(12, onnx_value("Y")).text(2, "first").text(2, "second"));
  const Model model = read_onnx(memory_source(wire));
  CHECK(model.ir_version == 7);
  CHECK(model.graph.nodes.size() == 1);
  CHECK(model.graph.name == "second");
}

TEST_CASE("bad input 13: fields that are not known are written back as they stood, in every message") {
  const Wire extra = Wire().text(900, "extra").number(901, 5);
  const Wire attribute = Wire().text(1, "axis").number(3, 1).number(20, 2).append(extra);
  Wire graph =
      relu_graph(Wire().message(1, onnx_node("Softmax", {"Y"}, {"s"}).message(5, attribute).append(extra)).append(extra));
  graph.message(5, onnx_tensor("w", {1}, 1).text(9, "1234").append(extra));
  const Model model = read_onnx(memory_source(onnx_model(graph).append(extra)));
  MemorySink sink;
  write_onnx(model, sink, nullptr);
  const std::string out(sink.bytes().begin(), sink.bytes().end());
  std::size_t n = 0;
  for (std::size_t at = out.find(extra.bytes()); at != std::string::npos; at = out.find(extra.bytes(), at + 1)) ++n;
  CHECK(n == 5);
}

TEST_CASE("bad input 14: subgraphs nested 10 000 deep are refused without recursion that deep") {
  std::string graph = Wire().message(1, onnx_node("Relu", {"X"}, {"Y"})).message(12, onnx_value("Y")).bytes();
  for (int i = 0; i < 10000; ++i) {
    const Wire attribute = Wire().text(1, "body").text(6, graph).number(20, 5);
    graph = Wire().message(1, onnx_node("Loop", {}, {"Y"}).message(5, attribute)).bytes();
  }
  Wire wire = Wire().number(1, 7);
  wire.text(7, graph);
  CHECK(read_refusal(wire) == ErrorCode::limit_exceeded);
  // Types of sequences in sequences are carried unread.
  std::string type = Wire().message(1, Wire().number(1, 1)).bytes();
  for (int i = 0; i < 10000; ++i) type = Wire().message(4, Wire().text(1, type)).bytes();
  const Wire value = Wire().text(1, "S").text(2, type);
  CHECK_FALSE(read_refusal(onnx_model(relu_graph(Wire().message(13, value)))).has_value());
}

TEST_CASE("bad input 15: names of odd bytes are carried, and shown in messages shortened and escaped") {
  const std::string odd = std::string("a\0b\xff\xed\xa0\x80", 7);  // NUL, invalid UTF-8, a lone surrogate
  const std::string longest(kMaxNameBytes, 'n');
  Wire graph;
  graph.message(1, onnx_node("Relu", {odd}, {longest})).message(11, onnx_value(odd)).message(12, onnx_value(longest));
  const Model model = read_onnx(memory_source(onnx_model(graph)));
  CHECK(model.graph.nodes[0].inputs[0] == odd);
  CHECK(model.graph.nodes[0].label().size() < 200);
  std::string message;
  CHECK(read_refusal(onnx_model(Wire().message(1, onnx_node("Relu", {odd + "\n"}, {"y"}))), &message) == ErrorCode::bad_graph);
  CHECK(message.find("a\\x00b") != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
}
