#include "engine/fold.h"

#include <algorithm>
#include <new>

#include "base/checked.h"
#include "base/error.h"
#include "engine/node_run.h"
#include "engine/step_run.h"

namespace bitwright {

namespace {

std::uint64_t elements_of(const Shape& shape) { return static_cast<std::uint64_t>(n_elements(shape)); }

/// Element operations of a node, from above: products of matrices touch a row of the larger input for every output element.
std::uint64_t work_of(const Step& step, std::uint64_t n_in, std::uint64_t n_largest_in, std::uint64_t n_out) {
  static constexpr std::string_view kMultiplying[] = {
      "MatMul",           "Gemm",        "Conv", "ConvTranspose", "Einsum",      "MatMulInteger", "LSTM",        "GRU", "RNN",
      "Attention",        "ConvInteger", "DFT",  "STFT",          "QLinearConv", "QLinearMatMul", "MatMulNBits", "Det", "TopK",
      "NonMaxSuppression"};
  const bool is_multiplying =
      std::find(std::begin(kMultiplying), std::end(kMultiplying), step.node->op_type) != std::end(kMultiplying);
  if (!is_multiplying) return n_in + n_out;
  return checked_mul(n_largest_in, std::max<std::uint64_t>(n_out, 1)).value_or(~std::uint64_t{0});
}

}  // namespace

bool ConstantFolder::spend(const Step& step) {
  std::uint64_t n_in = 0;
  std::uint64_t n_largest_in = 0;
  for (std::size_t i = 0; i < step.inputs.size(); ++i) {
    if (step.input_tensors[i] == nullptr) continue;
    const auto n = static_cast<std::uint64_t>(step.input_tensors[i]->n_elements());
    n_in += n;
    n_largest_in = std::max(n_largest_in, n);
  }
  std::uint64_t n_out = 0;
  std::uint64_t out_bytes = 0;
  for (std::size_t i = 0; i < step.outputs.size(); ++i) {
    if (step.outputs[i] == Step::kAbsent) continue;
    if (!step.output_types[i].is_known()) {
      if (n_in > kMaxUnknownInputs) return false;
      continue;
    }
    const std::uint64_t n = elements_of(*step.output_types[i].shape);
    n_out += n;
    out_bytes += packed_bytes(step.output_types[i].dtype, n);
  }
  const std::uint64_t work = work_of(step, n_in, n_largest_in, n_out);
  if (out_bytes > kMaxResultBytes || out_bytes > kMaxTotalBytes - bytes_spent_ || work > kMaxWork - work_spent_) return false;
  bytes_spent_ += out_bytes;
  work_spent_ += work;
  return true;
}

bool ConstantFolder::fold(GraphPlan& plan, Step& step) {
  const bool is_constant = step.node->op_type == "Constant";
  if (!step.subgraphs.empty() || !is_repeatable(*step.node)) return false;
  for (const int input : step.inputs)
    if (input != Step::kAbsent && plan.is_constant[static_cast<std::size_t>(input)] == 0) return false;
  try {
    infer_step(plan, step);
    if (!is_constant && !spend(step)) return false;
    NoSubgraphs no_subgraphs;
    compute_step(step, heap_allocator(), no_subgraphs, true);
  } catch (const NotKnownYet&) {
    return false;
  } catch (const Error&) {  // it may never run (an If branch), so the run is the place to complain
    return false;
  } catch (const std::bad_alloc&) {
    return false;
  }
  store_outputs(plan, step);
  step.state.reset();
  for (const int output : step.outputs)
    if (output != Step::kAbsent) plan.is_constant[static_cast<std::size_t>(output)] = 1;
  step.is_folded = true;
  return true;
}

}  // namespace bitwright
