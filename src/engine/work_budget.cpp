#include "engine/work_budget.h"

#include <algorithm>

#include "base/checked.h"

namespace bitwright {

namespace {

/// Element operations of a node, from above: products of matrices touch a row of the larger input for every output element.
std::uint64_t work_of(const Step& step, std::uint64_t n_in, std::uint64_t n_largest_in, std::uint64_t n_out) {
  static constexpr std::string_view kMultiplying[] = {
      "MatMul", "Gemm",        "Conv",          "ConvTranspose", "Einsum",      "MatMulInteger",
      "LSTM",   "GRU",         "RNN",           "Attention",     "ConvInteger", "DFT",
      "STFT",   "QLinearConv", "QLinearMatMul", "MatMulNBits",   "TopK",        "NonMaxSuppression"};
  const bool is_multiplying =
      std::find(std::begin(kMultiplying), std::end(kMultiplying), step.node->op_type) != std::end(kMultiplying);
  if (!is_multiplying) return n_in + n_out;
  return checked_mul(n_largest_in, std::max<std::uint64_t>(n_out, 1)).value_or(~std::uint64_t{0});
}

}  // namespace

bool WorkBudget::spend(const Step& step) {
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
    if (step.outputs[i] == Step::kAbsent || !step.output_types[i].is_known()) continue;
    const auto n = static_cast<std::uint64_t>(n_elements(*step.output_types[i].shape));
    n_out += n;
    out_bytes += packed_bytes(step.output_types[i].dtype, n);
  }
  constexpr std::uint64_t kStepWork = 64;  // of a step that computes nothing: loops of empty bodies end too
  const std::uint64_t work = kStepWork + work_of(step, n_in, n_largest_in, n_out);
  if (out_bytes > limits_.max_result_bytes || out_bytes > limits_.max_total_bytes - bytes_spent_ ||
      work > limits_.max_work - work_spent_)
    return false;
  bytes_spent_ += out_bytes;
  work_spent_ += work;
  return true;
}

}  // namespace bitwright
