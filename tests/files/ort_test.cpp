// onnxruntime's .ort files: what is in them, and files made to hurt.
#include "files/ort/ort.h"

#include <doctest/doctest.h>

#include <bit>

#include "bad_input.h"
#include "engine/session.h"
#include "files/flat_bytes.h"
#include "files/model_file.h"
#include "files/onnx/onnx.h"
#include "files/wire_bytes.h"
#include "model/limits.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

std::uint64_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

Flat dim(std::uint64_t extent) { return Flat().table(0, Flat().number(0, 1, 1).number(1, extent, 8)); }
Flat open_dim(const char* name) { return Flat().table(0, Flat().number(0, 2, 1).text(2, name)); }

/// A ValueInfo of float32.
Flat value(const char* name, std::vector<Flat> dims) {
  const Flat tensor_type = Flat().number(0, 1, 4).table(1, Flat().tables(0, std::move(dims)));
  return Flat().text(0, name).table(2, Flat().number(1, 1, 1).table(2, tensor_type));
}

Flat node(const char* op_type, std::vector<std::string> inputs, std::vector<std::string> outputs,
          std::vector<Flat> attributes = {}) {
  return Flat()
      .text(0, std::string("the ") + op_type)
      .number(3, 13, 4)
      .text(5, op_type)
      .texts(8, std::move(inputs))
      .texts(9, std::move(outputs))
      .tables(10, std::move(attributes));
}

Flat weights() {
  return Flat().text(0, "w").numbers(2, {2}, 8).number(3, 1, 4).text(4, std::string("\0\0\x80\x3f\0\0\0\x40", 8));  // 1, 2
}

Flat session(Flat graph) {
  const Flat opset = Flat().text(0, "").number(1, 13, 8);
  const Flat entry = Flat().text(0, "who").text(1, "we");
  const Flat model =
      Flat().number(0, 7, 8).tables(1, {opset}).text(2, "maker").text(6, "doc").table(7, std::move(graph)).tables(9, {entry});
  return Flat().text(0, "6").table(1, model);
}

/// y = LeakyRelu(x + w), alpha 0.5
Flat small_graph() {
  const Flat alpha = Flat().text(0, "alpha").number(2, 1, 4).number(3, bits(0.5f), 4);
  return Flat()
      .tables(0, {weights()})
      .tables(1,
              {value("x", {open_dim("n"), dim(2)}), value("y", {open_dim("n"), dim(2)}), value("sum", {open_dim("n"), dim(2)})})
      .tables(2, {node("Add", {"x", "w"}, {"sum"}), node("LeakyRelu", {"sum"}, {"y"}, {alpha})})
      .texts(5, {"x"})
      .texts(6, {"y"});
}

std::shared_ptr<ByteSource> source_of(const std::string& bytes) {
  return std::make_shared<MemorySource>(std::vector<std::uint8_t>(bytes.begin(), bytes.end()), "small.ort");
}
std::string small_file() { return session(small_graph()).file("ORTM"); }

std::optional<ErrorCode> read_refusal(const Flat& graph, std::string* message = nullptr) {
  return refusal([&] { static_cast<void>(read_model(source_of(session(graph).file("ORTM")))); }, message);
}

TEST_CASE("ort: nodes, attributes, weights, types and metadata are read, and the model runs") {
  const std::string bytes = small_file();
  for (const bool is_in_memory : {true, false}) {
    const auto source =
        is_in_memory ? source_of(bytes) : std::make_shared<SlowSource>(std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
    const Model model = read_model(source);
    CHECK(model.ir_version == 7);
    CHECK(model.opset() == 13);
    CHECK(model.producer_name == "maker");
    CHECK(model.doc == "doc");
    CHECK(model.metadata == std::vector<std::pair<std::string, std::string>>{{"who", "we"}});
    CHECK(model.file_bytes == bytes.size());
    REQUIRE(model.graph.nodes.size() == 2);
    CHECK(model.graph.nodes[0].name == "the Add");
    CHECK(model.graph.nodes[1].attr_f("alpha", 0.0f) == 0.5f);
    REQUIRE(model.graph.inputs.size() == 1);
    CHECK(model.graph.inputs[0].shape == Shape{kUnknownDim, 2});
    CHECK(model.graph.inputs[0].dim_params == std::vector<std::string>{"n", ""});
    REQUIRE(model.graph.value_infos.size() == 1);
    CHECK(model.graph.value_infos[0].name == "sum");
    Session runner(std::make_shared<Model>(model));
    const Tensor y = runner.run({{"x", Tensor::of<float>({2, 2}, {1.0f, 1.0f, -2.0f, -6.0f})}}).at("y");
    CHECK(std::vector<float>(y.data<float>().begin(), y.data<float>().end()) == std::vector<float>{2.0f, 3.0f, -0.5f, -2.0f});
  }
}

TEST_CASE("ort: what is read is written as ONNX and read again to the same bytes") {
  const auto written = [](const Model& model) {
    MemorySink sink;
    write_onnx(model, sink, nullptr);
    return sink.take();
  };
  const std::vector<std::uint8_t> once = written(read_model(source_of(small_file())));
  CHECK(written(read_onnx(std::make_shared<MemorySource>(once, "once.onnx"))) == once);
}

TEST_CASE("ort: subgraphs, sequences, numbers of all kinds") {
  const Flat sequence = Flat().text(0, "s").table(
      2, Flat().number(1, 2, 1).table(2, Flat().table(0, Flat().number(1, 1, 1).table(2, Flat().number(0, 7, 4)))));
  const Flat ints = Flat().text(0, "ints").number(2, 7, 4).numbers(9, {3, static_cast<std::uint64_t>(-4)}, 8);
  const Flat floats = Flat().text(0, "floats").number(2, 6, 4).numbers(8, {bits(1.5f), bits(-2.0f)}, 4);
  const Flat strings = Flat().text(0, "strings").number(2, 8, 4).texts(10, {"a", ""});
  const Flat one = Flat().text(0, "one").number(2, 2, 4).number(4, static_cast<std::uint64_t>(-1), 8);
  const Flat tensor = Flat().text(0, "value").number(2, 4, 4).table(6, weights());
  const Flat branch = Flat()
                          .text(0, "then_branch")
                          .number(2, 5, 4)
                          .table(7, Flat().tables(1, {value("z", {})}).tables(2, {node("Neg", {"x"}, {"z"})}).texts(6, {"z"}));
  Flat graph = small_graph();
  graph.tables(1, {value("x", {}), value("y", {}), sequence}).texts(6, {"y", "s"});
  graph.tables(2, {node("Odd", {"x"}, {"y", "s"}, {ints, floats, strings, one, tensor, branch})});
  const Model model = read_model(source_of(session(graph).file("ORTM")));
  const Node& odd = model.graph.nodes.at(0);
  CHECK(odd.attr_ints("ints") == std::vector<std::int64_t>{3, -4});
  CHECK(odd.attr_floats("floats") == std::vector<float>{1.5f, -2.0f});
  CHECK(odd.find("strings")->strings == std::vector<std::string>{"a", ""});
  CHECK(odd.attr_i("one", 0) == -1);
  CHECK(odd.find("value")->t->load().data<float>()[1] == 2.0f);
  CHECK(odd.find("then_branch")->g->nodes.at(0).op_type == "Neg");
  CHECK_FALSE(model.graph.outputs.at(1).is_tensor);
}

TEST_CASE("ort: each truncation is refused, and each changed byte is read or refused within bounds") {
  const std::string whole = small_file();
  for (std::size_t n = 8; n < whole.size(); ++n) {
    const auto code = refusal([&] { static_cast<void>(read_model(source_of(whole.substr(0, n)))); });
    const bool is_typed = code == ErrorCode::bad_model || code == ErrorCode::bad_graph;
    CHECK_MESSAGE((is_typed || n + 8 >= whole.size()), "cut to ", n, " bytes");
  }
  std::size_t n_refused = 0;
  for (std::size_t i = 8; i < whole.size(); ++i)
    for (const int change : {0x01, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ change);
      const auto code = refusal([&] { static_cast<void>(read_model(source_of(bytes))); });
      CHECK(code != ErrorCode::internal);
      n_refused += code ? 1 : 0;
    }
  CHECK(n_refused > whole.size() / 2);
}

TEST_CASE("ort: an end of the graph without a type is refused") {
  Flat graph = small_graph();
  CHECK(read_refusal(graph.texts(6, {"z"})) == ErrorCode::bad_model);
}

TEST_CASE("ort: before IR 4 initializers that are inputs become constants") {
  const Flat opset = Flat().text(0, "").number(1, 7, 8);
  Flat graph = small_graph();
  graph.tables(1, {value("x", {dim(2)}), value("w", {dim(2)}), value("y", {dim(2)})}).texts(5, {"x", "w"});
  const Flat model = Flat().number(0, 3, 8).tables(1, {opset}).table(7, graph);
  const Model read = read_model(source_of(Flat().table(1, model).file("ORTM")));
  CHECK(read.ir_version == 4);
  REQUIRE(read.graph.inputs.size() == 1);
  CHECK(read.graph.inputs[0].name == "x");
  CHECK(read.graph.find_initializer("w") != nullptr);
}

TEST_CASE("ort: weights in another file are refused, with what to do") {
  std::string message;
  Flat graph = small_graph();
  graph.tables(0, {weights().number(6, 0, 8)});
  CHECK(read_refusal(graph, &message) == ErrorCode::bad_external_data);
  CHECK(message.find("small.ort: .ort: its weights stand in another file") == 0);
  graph.tables(0, {weights().number(6, static_cast<std::uint64_t>(-1), 8)});
  CHECK_FALSE(read_refusal(graph).has_value());
}

/// A chain of n subgraphs, each in the node of the one around it.
Flat nested(int n) {
  Flat graph = Flat().tables(1, {value("z", {})}).tables(2, {node("Neg", {"x"}, {"z"})}).texts(6, {"z"});
  for (int i = 0; i < n; ++i) {
    const Flat body = Flat().text(0, "body").number(2, 5, 4).table(7, std::move(graph));
    graph = Flat().tables(1, {value("z", {})}).tables(2, {node("If", {"x"}, {"z"}, {body})}).texts(6, {"z"});
  }
  return graph.tables(1, {value("x", {}), value("z", {})}).texts(5, {"x"});
}

/// A sequence of sequences ... of tensors, as the type of an input.
Flat nested_type(int n) {
  Flat type = Flat().number(1, 1, 1).table(2, Flat().number(0, 1, 4));
  for (int i = 0; i < n; ++i) type = Flat().number(1, 2, 1).table(2, Flat().table(0, std::move(type)));
  return small_graph().tables(1, {value("y", {}), Flat().text(0, "x").table(2, std::move(type))});
}

TEST_CASE("ort: nesting, just under its limits and just over") {
  CHECK_FALSE(read_refusal(nested(kMaxNesting)).has_value());
  CHECK(read_refusal(nested(kMaxNesting + 1)) == ErrorCode::limit_exceeded);
  // A value info, its type, and two more for each sequence.
  constexpr int kMost = (kMaxOrtNesting - 3) / 2;
  CHECK_FALSE(read_refusal(nested_type(kMost)).has_value());
  CHECK(read_refusal(nested_type(kMost + 1)) == ErrorCode::limit_exceeded);
  CHECK(read_refusal(nested_type(200)) == ErrorCode::limit_exceeded);
}

TEST_CASE("ort: parts that stand in many places make a model of limited size") {
  // Each level has the same attribute twice, a graph: 2^n graphs from a file that grows with n.
  const auto doubling = [](int n) {
    Flat graph = Flat().tables(1, {value("z", {})}).tables(2, {node("Neg", {"x"}, {"z"})}).texts(6, {"z"});
    for (int i = 0; i < n; ++i) {
      const auto branch = std::make_shared<Flat>(Flat().text(0, "body").number(2, 5, 4).table(7, std::move(graph)));
      Flat twice = node("If", {"x"}, {"z"});
      twice.tables(10, std::vector<std::shared_ptr<Flat>>{branch, branch});
      graph = Flat().tables(1, {value("z", {})}).tables(2, {twice}).texts(6, {"z"});
    }
    return graph.tables(1, {value("x", {}), value("z", {})}).texts(5, {"x"});
  };
  CHECK(read_refusal(doubling(10)) != ErrorCode::limit_exceeded);
  CHECK(read_refusal(doubling(25)) == ErrorCode::limit_exceeded);
  // One text of n bytes, n times.
  const auto repeated = [](std::size_t n_bytes, std::size_t n_times) {
    const auto attribute = std::make_shared<Flat>(Flat().text(0, std::string(n_bytes, 'a')).number(2, 2, 4));
    Flat odd = node("Odd", {"x"}, {"y"});
    odd.tables(10, std::vector<std::shared_ptr<Flat>>(n_times, attribute));
    return small_graph().tables(2, {odd});
  };
  const std::size_t n_bytes = 1 << 20;
  CHECK(read_refusal(repeated(n_bytes, kMaxOrtGrowth)) != ErrorCode::limit_exceeded);
  CHECK(read_refusal(repeated(n_bytes, kMaxOrtGrowth + 2)) == ErrorCode::limit_exceeded);
}

TEST_CASE("ort: a list of types that the graphs inside each other share is read within bounds") {
  const auto with_types = [](int n) {
    std::vector<std::shared_ptr<Flat>> types;
    for (int i = 0; i < n; ++i) types.push_back(std::make_shared<Flat>(Flat().text(0, "t" + std::to_string(i))));
    Flat graph = Flat().tables(1, types);
    for (int i = 0; i < kMaxNesting; ++i) {
      const Flat body = Flat().text(0, "body").number(2, 5, 4).table(7, std::move(graph));
      graph = Flat().tables(2, {node("If", {""}, {"z"}, {body})}).tables(1, types);
    }
    return source_of(session(graph).file("ORTM"));
  };
  const auto source = with_types(10'000);
  CHECK(source->size_bytes() < 2'000'000);  // the list stands there once, its places 33 times
  std::size_t n_types = 0;
  CHECK_FALSE(refusal([&] { n_types = read_model(source).graph.value_infos.size(); }).has_value());
  CHECK(n_types == 10'000);
}

/// Says that it is long, and is zeros behind its mark.
class LongOrt final : public ByteSource {
 public:
  explicit LongOrt(std::uint64_t n_bytes) : n_bytes_(n_bytes) {}
  std::uint64_t size_bytes() const override { return n_bytes_; }
  std::string name() const override { return "long.ort"; }

 protected:
  void do_read(std::uint64_t offset, std::span<std::uint8_t> out) const override {
    std::fill(out.begin(), out.end(), std::uint8_t{0});
    const std::string head("\x08\0\0\0ORTM", 8);
    for (std::size_t i = 0; i < head.size(); ++i)
      if (i >= offset && i - offset < out.size()) out[i - static_cast<std::size_t>(offset)] = static_cast<std::uint8_t>(head[i]);
  }

 private:
  std::uint64_t n_bytes_;
};

TEST_CASE("ort: its size, at the limit and just over") {
  const auto code = [](std::uint64_t n_bytes) -> std::optional<ErrorCode> {
    try {
      static_cast<void>(read_model(std::make_shared<LongOrt>(n_bytes)));
      return std::nullopt;
    } catch (const Error& error) {
      return error.code();
    }
  };
  CHECK(code(kMaxOrtBytes) == ErrorCode::bad_model);
  CHECK(code(kMaxOrtBytes + 1) == ErrorCode::limit_exceeded);
}

TEST_CASE("ort: an ONNX file that has the mark by chance is read as ONNX") {
  const Wire model = Wire().number(1, 7).text(2, "ORTM").append(onnx_model(relu_graph()));
  CHECK(model.bytes().substr(4, 4) == "ORTM");
  CHECK(read_model(memory_source(model)).producer_name == "ORTM");
}

}  // namespace
