// Every named limit of the readers, just under and just over. Large files are told, not held: their middle is zeros.
#include "model/limits.h"

#include <doctest/doctest.h>

#include "base/error.h"
#include "engine/model_builder.h"
#include "engine/session.h"
#include "files/onnx/onnx.h"
#include "files/wire_bytes.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

/// `head`, then zeros, then `tail`.
class LongSource final : public ByteSource {
 public:
  LongSource(std::string head, std::uint64_t n_zeros, std::string tail)
      : head_(std::move(head)), n_zeros_(n_zeros), tail_(std::move(tail)) {}
  std::uint64_t size_bytes() const override { return head_.size() + n_zeros_ + tail_.size(); }
  std::string name() const override { return "long.onnx"; }

 protected:
  void do_read(std::uint64_t offset, std::span<std::uint8_t> out) const override {
    std::fill(out.begin(), out.end(), std::uint8_t{0});
    copy(head_, 0, offset, out);
    copy(tail_, head_.size() + n_zeros_, offset, out);
  }

 private:
  static void copy(const std::string& part, std::uint64_t at, std::uint64_t offset, std::span<std::uint8_t> out) {
    for (std::size_t i = 0; i < part.size(); ++i)
      if (at + i >= offset && at + i - offset < out.size()) out[at + i - offset] = static_cast<std::uint8_t>(part[i]);
  }
  std::string head_;
  std::uint64_t n_zeros_;
  std::string tail_;
};

std::optional<ErrorCode> refusal(std::shared_ptr<ByteSource> source) {
  try {
    static_cast<void>(read_onnx(std::move(source)));
    return std::nullopt;
  } catch (const Error& error) {
    return error.code();
  }
}

std::optional<ErrorCode> refusal(const Wire& wire) { return refusal(memory_source(wire)); }

/// A model with a field of n zero bytes behind it.
std::optional<ErrorCode> refusal_of_field(std::uint32_t field, std::uint64_t n) {
  Wire head = onnx_model(relu_graph());
  head.varint(field << 3 | 2).varint(n);
  return refusal(std::make_shared<LongSource>(head.bytes(), n, ""));
}

Wire with_rank(std::size_t rank) {
  Wire tensor;
  for (std::size_t i = 0; i < rank; ++i) tensor.number(1, 1);
  Wire shape;
  for (std::size_t i = 0; i < rank; ++i) shape.message(1, Wire().number(1, 1));
  const Wire value = Wire().text(1, "v").message(2, Wire().message(1, Wire().number(1, 1).message(2, shape)));
  return onnx_model(relu_graph(Wire().message(5, tensor.number(2, 1).text(8, "w").text(9, "1234")).message(13, value)));
}

Wire with_external_keys(std::uint64_t n) {
  Wire tensor = onnx_tensor("w", {2}, 1).message(13, Wire().text(1, "location").text(2, "f"));
  for (std::uint64_t i = 1; i < n; ++i) tensor.message(13, Wire().text(1, "k" + std::to_string(i)).text(2, "v"));
  return onnx_model(relu_graph(Wire().message(5, tensor.number(14, 1))));
}

/// A model file of exactly n bytes, nearly all of it the values of one tensor.
std::optional<ErrorCode> refusal_of_file(std::uint64_t n) {
  const auto head_of = [&](std::uint64_t n_values) {
    Wire tensor = Wire().number(1, n_values).number(2, 2).text(8, "w").varint(9 << 3 | 2).varint(n_values);
    Wire graph = relu_graph().varint(5 << 3 | 2).varint(tensor.bytes().size() + n_values).append(tensor);
    Wire model = Wire().number(1, 7).message(8, Wire().number(2, 13));
    return model.varint(7 << 3 | 2).varint(graph.bytes().size() + n_values).append(graph).bytes();
  };
  const std::uint64_t n_values = n - head_of(n).size();
  REQUIRE(head_of(n_values).size() + n_values == n);
  return refusal(std::make_shared<LongSource>(head_of(n_values), n_values, ""));
}

/// How many nodes of a model that makes n floats from constants are left for the runs.
std::size_t n_not_folded(std::int64_t n) {
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {1})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {1})};
  graph.initializers = {TensorRecord::of("s", Tensor::of<std::int64_t>({1}, {n})),
                        TensorRecord::of("first", Tensor::of<std::int64_t>({1}, {0}))};
  graph.nodes = {make_node("ConstantOfShape", {"s"}, {"c"}), make_node("Gather", {"c", "first"}, {"y"})};
  return Session(share(make_model(std::move(graph)))).profile().size();
}

}  // namespace

TEST_CASE("limits: names, texts and unread fields") {
  CHECK_FALSE(refusal(onnx_model(relu_graph(Wire().text(2, std::string(kMaxNameBytes, 'n'))))).has_value());
  CHECK(refusal(onnx_model(relu_graph(Wire().text(2, std::string(kMaxNameBytes + 1, 'n'))))) == ErrorCode::limit_exceeded);
  CHECK_FALSE(refusal_of_field(6, kMaxTextBytes).has_value());  // the doc string
  CHECK(refusal_of_field(6, kMaxTextBytes + 1) == ErrorCode::limit_exceeded);
  const std::uint64_t n_head = Wire().varint(900 << 3 | 2).varint(kMaxUnknownBytes).bytes().size();
  CHECK_FALSE(refusal_of_field(900, kMaxUnknownBytes - n_head).has_value());
  CHECK(refusal_of_field(900, kMaxUnknownBytes - n_head + 1) == ErrorCode::limit_exceeded);
}

TEST_CASE("limits: rank of tensors and values, elements, external keys") {
  CHECK_FALSE(refusal(with_rank(kMaxRank)).has_value());
  CHECK(refusal(with_rank(kMaxRank + 1)) == ErrorCode::limit_exceeded);
  CHECK(n_elements({kMaxElements}) == kMaxElements);
  CHECK_THROWS_AS(static_cast<void>(n_elements({kMaxElements + 1})), Error);
  CHECK_THROWS_AS(static_cast<void>(n_elements({kMaxElements, 2})), Error);
  CHECK_FALSE(refusal(with_external_keys(kMaxExternalKeys)).has_value());
  CHECK(refusal(with_external_keys(kMaxExternalKeys + 1)) == ErrorCode::limit_exceeded);
}

TEST_CASE("limits: the bytes of a model file") {
  CHECK_FALSE(refusal_of_file(kMaxMessageBytes).has_value());
  CHECK(refusal_of_file(kMaxMessageBytes + 1) == ErrorCode::bad_model);
}

TEST_CASE("limits: messages of a file, counted without being kept") {
  // Each empty tensor of a sparse tensor counts; so do the model's graph, node, two values and opset.
  const auto sparse = [](std::uint64_t n) {
    std::string values(2 * n, '\0');
    for (std::size_t i = 0; i < values.size(); i += 2) values[i] = 1 << 3 | 2;
    return onnx_model(relu_graph(Wire().text(15, values)));
  };
  constexpr std::uint64_t kOthers = 5;
  CHECK_FALSE(refusal(sparse(kMaxMessages - kOthers)).has_value());
  CHECK(refusal(sparse(kMaxMessages - kOthers + 1)) == ErrorCode::limit_exceeded);
}

TEST_CASE("limits: a folded constant") {
  constexpr std::int64_t kFloats = (std::int64_t{64} << 20) / 4;
  CHECK(n_not_folded(kFloats) == 0);
  CHECK(n_not_folded(kFloats + 1) == 2);
}
