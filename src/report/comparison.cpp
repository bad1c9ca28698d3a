#include "report/comparison.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "model/half_name.h"
#include "report/metrics.h"

namespace bitwright {

namespace {

struct Row {
  std::string value;
  std::string node;
  std::string op_type;
  ErrorSums sums;
};

ValueComparison summary(const Row& row) {
  return {row.value,       row.node,       row.op_type, row.sums.sqnr_db(), row.sums.cosine(), row.sums.max_abs_error(),
          row.sums.rmin(), row.sums.rmax()};
}

/// Integers and the like have no error in decibels: only float values are compared.
bool is_comparable(const Tensor& tensor) {
  return tensor.dtype() == DType::f32 || tensor.dtype() == DType::f16 || tensor.dtype() == DType::bf16;
}

void add_pair(ErrorSums& sums, const Tensor& reference, const Tensor& quantized) {
  if (reference.dtype() == DType::f32 && quantized.dtype() == DType::f32)
    sums.add(reference.data<float>(), quantized.data<float>());
  else
    sums.add(to_f32_vector(reference), to_f32_vector(quantized));
}

std::vector<std::string> names_of(const std::vector<ValueInfo>& values) {
  std::vector<std::string> names;
  names.reserve(values.size());
  for (const ValueInfo& value : values) names.push_back(value.name);
  return names;
}

}  // namespace

class Comparison::Impl {
 public:
  Impl(std::shared_ptr<const Model> reference, std::shared_ptr<const Model> quantized)
      : reference_(std::move(reference)),
        quantized_(std::move(quantized)),
        reference_session_(reference_),
        quantized_session_(quantized_) {
    const std::vector<std::string> outputs = names_of(reference_session_.outputs());
    if (outputs != names_of(quantized_session_.outputs()))
      throw_error(ErrorCode::shape_mismatch, {"the two models have other outputs; compare a model with what was made of it"});
    const GraphIndex made(quantized_->graph);
    const GraphIndex known(reference_->graph);
    std::vector<std::string> observed;
    std::vector<std::string> counterparts;
    for (const Node& node : reference_->graph.nodes)
      for (const std::string& value : node.outputs) {
        if (value.empty() || node.op_type == "Constant") continue;
        std::string counterpart = value;
        if (made.producer(value) < 0) counterpart = half_name(value);
        if (made.producer(counterpart) < 0 || (counterpart != value && known.producer(counterpart) >= 0)) continue;
        place_.emplace(counterpart, rows_.size());
        rows_.push_back({value, node.name.empty() ? node.outputs.front() : node.name, node.op_type, {}});
        observed.push_back(value);
        counterparts.push_back(std::move(counterpart));
      }
    for (const std::string& name : outputs) {
      const auto inner = place_.find(name);
      outputs_.push_back({});
      outputs_.back().whole.value = name;
      if (inner != place_.end()) {
        outputs_.back().whole.node = rows_[inner->second].node;
        outputs_.back().whole.op_type = rows_[inner->second].op_type;
      }
      output_sums_.emplace_back();
    }
    reference_session_.observe(observed);
    quantized_session_.observe(counterparts);
  }

  Outputs feed(const std::map<std::string, Tensor>& feeds, std::int64_t label,
               const std::map<std::string, Tensor>* quantized_feeds) {
    std::map<std::string, Tensor> seen;
    Outputs outputs;
    outputs.reference = reference_session_.run(feeds, [&](const std::string& value, const Tensor& tensor) {
      // A view would be overwritten: the arena gives the block to the next value.
      if (is_comparable(tensor)) seen.insert_or_assign(value, tensor.clone());
    });
    outputs.quantized =
        quantized_session_.run(quantized_feeds ? *quantized_feeds : feeds, [&](const std::string& value, const Tensor& tensor) {
          const auto place = place_.find(value);
          if (place == place_.end() || !is_comparable(tensor)) return;
          Row& row = rows_[place->second];
          const auto found = seen.find(row.value);
          if (found == seen.end()) return;
          if (found->second.n_elements() == tensor.n_elements()) add_pair(row.sums, found->second, tensor);
          seen.erase(found);
        });
    ++n_samples_;
    bool is_judged = false;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      OutputComparison& output = outputs_[i];
      const Tensor& reference = outputs.reference.at(output.whole.value);
      const Tensor& quantized = outputs.quantized.at(output.whole.value);
      if (reference.n_elements() != quantized.n_elements())
        throw_error(ErrorCode::shape_mismatch,
                    {"output ", in_quotes(output.whole.value), " has shape ", reference.shape(), " in float and ",
                     quantized.shape(), " quantized"},
                    output.whole.value);
      if (!is_comparable(reference) || !is_comparable(quantized)) continue;
      add_pair(output_sums_[i], reference, quantized);
      ErrorSums sample;
      add_pair(sample, reference, quantized);
      const double db = sample.sqnr_db();
      output.sample_sqnr_db.push_back(std::isnan(db) ? -std::numeric_limits<double>::infinity() : db);
      is_judged = count_top1(output, reference, quantized, is_judged ? -1 : label) || is_judged;
    }
    return outputs;
  }

  ComparisonResult finish() const {
    ComparisonResult result;
    result.n_samples = n_samples_;
    result.outputs = outputs_;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const ValueComparison& names = outputs_[i].whole;
      result.outputs[i].whole = summary({names.value, names.node, names.op_type, output_sums_[i]});
    }
    for (const Row& row : rows_)
      if (row.sums.n() + row.sums.n_not_finite() != 0) result.values.push_back(summary(row));
    result.has_labels = reference_accuracy_.total != 0;
    result.reference_accuracy = reference_accuracy_;
    result.quantized_accuracy = quantized_accuracy_;
    return result;
  }

 private:
  /// True if the output holds class scores. Every row of a batch is one decision; a label belongs to a single row.
  bool count_top1(OutputComparison& output, const Tensor& reference, const Tensor& quantized, std::int64_t label) {
    const Shape& shape = reference.shape();
    std::int64_t n_classes = shape.empty() ? 0 : shape.back();
    // [n, classes, 1, 1], as old exporters leave it, counts too.
    if (shape.size() == 4 && shape[2] == 1 && shape[3] == 1)
      n_classes = shape[1];
    else if (shape.size() != 2 && shape.size() != 1)
      return false;
    if (n_classes < 2) return false;
    output.has_top1 = true;
    const std::vector<float> x = to_f32_vector(reference);
    const std::vector<float> y = to_f32_vector(quantized);
    const auto width = static_cast<std::size_t>(n_classes);
    const std::size_t n_rows = x.size() / width;
    for (std::size_t row = 0; row < n_rows; ++row) {
      const std::int64_t a = top1(std::span(x).subspan(row * width, width));
      const std::int64_t b = top1(std::span(y).subspan(row * width, width));
      ++output.top1_agreement.total;
      if (a == b) ++output.top1_agreement.count;
      if (label >= 0 && n_rows == 1) {
        ++reference_accuracy_.total;
        ++quantized_accuracy_.total;
        if (a == label) ++reference_accuracy_.count;
        if (b == label) ++quantized_accuracy_.count;
      }
    }
    return true;
  }

  std::shared_ptr<const Model> reference_;
  std::shared_ptr<const Model> quantized_;
  Session reference_session_;
  Session quantized_session_;
  std::vector<Row> rows_;
  std::map<std::string, std::size_t, std::less<>> place_;  // of rows, by the value's name in the quantized model
  std::vector<OutputComparison> outputs_;
  std::vector<ErrorSums> output_sums_;
  std::uint64_t n_samples_ = 0;
  ShareOf reference_accuracy_;
  ShareOf quantized_accuracy_;
};

Comparison::Comparison(std::shared_ptr<const Model> reference, std::shared_ptr<const Model> quantized)
    : impl_(std::make_unique<Impl>(std::move(reference), std::move(quantized))) {}
Comparison::~Comparison() = default;
Comparison::Outputs Comparison::feed(const std::map<std::string, Tensor>& feeds, std::int64_t label,
                                     const std::map<std::string, Tensor>* quantized_feeds) {
  return impl_->feed(feeds, label, quantized_feeds);
}
ComparisonResult Comparison::finish() const { return impl_->finish(); }

}  // namespace bitwright
