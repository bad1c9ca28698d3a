#include <doctest/doctest.h>

#include "base/error.h"
#include "files/onnx/onnx.h"
#include "files/wire_bytes.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

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

TEST_CASE("read_onnx: every prefix of a model is read or refused with a typed error") {
  const auto bytes = small_model().vector();
  for (std::size_t n = 0; n <= bytes.size(); ++n) {
    CAPTURE(n);
    CHECK(is_handled({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n)}, n % 2 == 0));
  }
}

TEST_CASE("read_onnx: every single-byte change of a model is read or refused with a typed error") {
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

TEST_CASE("read_onnx: odd names are carried") {
  const std::string odd = std::string("a\0b\xff\xed\xa0\x80", 7);
  const std::string longest(1u << 20, 'n');
  Wire graph;
  graph.message(1, onnx_node("Relu", {odd}, {longest})).message(11, onnx_value(odd)).message(12, onnx_value(longest));
  const Model model = read_onnx(memory_source(onnx_model(graph)));
  CHECK(model.graph.nodes[0].inputs[0] == odd);
  CHECK(model.graph.nodes[0].label().size() < 200);
  Wire longer;
  longer.message(1, onnx_node("Relu", {longest + "n"}, {"y"}));
  CHECK_THROWS_AS(read_onnx(memory_source(onnx_model(longer))), Error);
}

TEST_CASE("read_onnx: a million nodes and a value with a million uses take linear time") {
  constexpr int kNodes = 1000000;
  const std::string relu = Wire().message(1, onnx_node("Relu", {"X"}, {})).bytes();
  std::string nodes;
  nodes.reserve(relu.size() * kNodes);
  for (int i = 0; i < kNodes; ++i) nodes += relu;
  Wire graph;
  graph.text(2, "g").message(11, onnx_value("X"));
  std::string bytes = graph.bytes() + nodes;
  Wire model = Wire().number(1, 7).message(8, Wire().number(2, 13)).text(7, bytes);
  const Model read = read_onnx(memory_source(model));
  CHECK(read.graph.nodes.size() == kNodes);
  CHECK(GraphIndex(read.graph).consumers("X").size() == kNodes);
}
