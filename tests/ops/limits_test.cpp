// Every named limit of an operator, just under and just over.
#include "ops/limits.h"

#include <doctest/doctest.h>

#include <cmath>

#include "bad_input.h"
#include "ops/run_op.h"

namespace bitwright::tests {
namespace {

/// What a Loop or Scan without a body runs: as many results as wanted, the first a condition that stays true.
class EndlessBody final : public OneNodeRun {
 public:
  using OneNodeRun::OneNodeRun;
  std::vector<Tensor> run(std::string_view, std::span<const Tensor>) override {
    ++n_turns;
    return {condition_};
  }
  std::int64_t n_turns = 0;

 private:
  Tensor condition_ = Tensor::scalar<bool>(true);
};

/// Runs the node; `n_turns`: how many turns it made.
void run_endless(const Node& node, const std::vector<Tensor>& inputs, std::int64_t& n_turns) {
  std::unique_ptr<OpState> state;
  const std::vector<TypeInfo> inferred(node.outputs.size());
  EndlessBody run(node, 13, inputs, false, state, inferred);
  try {
    find_op("", node.op_type)->run(run);
  } catch (const Error&) {
    n_turns = run.n_turns;
    throw;
  }
}

}  // namespace

TEST_CASE("limits: turns of a Loop and of a Scan") {
  std::int64_t n_turns = 0;
  // Millions of turns are work, not a bad input: they are held to no time.
  CHECK_THROWS_WITH_AS(run_endless(make_node("Loop", {}, 0), {}, n_turns), doctest::Contains("turns without an end"), Error);
  CHECK(n_turns == kMaxTurns);
  // A Scan is refused by the length of its input before its first turn; where that is allowed, by what this body lacks.
  const Node scan = make_node("Scan", {Attribute::of_int("num_scan_inputs", 1)}, 2);
  CHECK(refusal([&] { run_endless(scan, {Tensor(DType::u8, {kMaxTurns + 1})}, n_turns); }) == ErrorCode::limit_exceeded);
  CHECK(n_turns == 0);
  CHECK(refusal([&] { run_endless(scan, {Tensor(DType::u8, {kMaxTurns})}, n_turns); }) == ErrorCode::bad_graph);
  CHECK(n_turns == 1);
}

TEST_CASE("limits: the length of a DFT, also one that is no power of two") {
  const auto first_of_impulse = [](std::int64_t n) {
    Tensor x(DType::f32, {1, n, 1});
    x.data<float>()[0] = 1.0f;
    const Tensor y = run_op(make_node("DFT"), 20, {x, Tensor(), Tensor::scalar<std::int64_t>(1)})[0];
    for (const float value : y.data<float>().last(2)) CHECK(std::fabs(value) <= 1.000001f);
    return y.data<float>()[static_cast<std::size_t>(n)];
  };
  // All values of an impulse's transform are 1, the imaginary parts 0.
  CHECK(first_of_impulse(kMaxTransform) == 1.0f);
  CHECK(first_of_impulse(1'000'003 - 1) == doctest::Approx(1.0f));
  CHECK(refusal([&] { static_cast<void>(first_of_impulse(kMaxTransform + 1)); }) == ErrorCode::limit_exceeded);
}

TEST_CASE("limits: samples of a RoiAlign bin along each side, within little memory") {
  const auto run = [](std::int64_t ratio) {
    const Node node = make_node("RoiAlign", {Attribute::of_int("sampling_ratio", ratio)});
    return run_op_f32(node, 16,
                      {Tensor::of<float>({1, 1, 2, 2}, {1, 1, 1, 1}), Tensor::of<float>({1, 4}, {0, 0, 1, 1}),
                       Tensor::of<std::int64_t>({1}, {0})});
  };
  {
    const Bounds bounds;
    CHECK(run(kMaxSamplesPerSide) == std::vector<float>{1.0f});
  }
  CHECK(refusal([&] { static_cast<void>(run(kMaxSamplesPerSide + 1)); }) == ErrorCode::limit_exceeded);
}

TEST_CASE("limits: values of a window") {
  const auto extent = [](std::int64_t stride) {
    const Node node = make_node("MaxPool", {Attribute::of_ints("kernel_shape", {1}), Attribute::of_ints("strides", {stride})});
    return run_op(node, 12, {Tensor::of<float>({1, 1, 3}, {1, 2, 3})})[0].extent(2);
  };
  CHECK(extent(kMaxWindowValue) == 1);
  CHECK(refusal([&] { static_cast<void>(extent(kMaxWindowValue + 1)); }) == ErrorCode::bad_graph);
}

}  // namespace bitwright::tests
