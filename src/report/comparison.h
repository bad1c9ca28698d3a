#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/session.h"
#include "model/model.h"
#include "tensor/tensor.h"

namespace bitwright {

/// One value of the graph over all samples, float against quantized.
struct ValueComparison {
  std::string value;
  std::string node;  // that makes it in the float model
  std::string op_type;
  double sqnr_db = 0.0;  // +inf where both are equal
  double cosine = 1.0;
  double max_abs_error = 0.0;
  double rmin = 0.0;
  double rmax = 0.0;
};

/// A count out of a total, with the 95 % Wilson score interval of its share.
struct ShareOf {
  std::uint64_t count = 0;
  std::uint64_t total = 0;
};

struct OutputComparison {
  ValueComparison whole;
  std::vector<double> sample_sqnr_db;  // one a sample
  bool has_top1 = false;               // float scores [n, classes] with 2 classes or more
  ShareOf top1_agreement;
};

struct ComparisonResult {
  std::uint64_t n_samples = 0;
  std::vector<OutputComparison> outputs;
  std::vector<ValueComparison> values;  // in order of the float graph
  bool has_labels = false;
  ShareOf reference_accuracy;
  ShareOf quantized_accuracy;
};

/// Runs a float model and what was made of it side by side. Values are matched by name: passes keep the names of what they
/// quantize; what there is in float16 alone is found by half_name. Memory holds the float values of one sample at
/// a time.
class Comparison {
 public:
  struct Outputs {
    std::map<std::string, Tensor> reference;
    std::map<std::string, Tensor> quantized;
  };

  /// Throws what Session throws, and Error{shape_mismatch} where inputs or outputs have other names.
  Comparison(std::shared_ptr<const Model> reference, std::shared_ptr<const Model> quantized);
  ~Comparison();
  /// One sample; label < 0: not known. The label is compared with the top-1 of the first output with scores.
  /// `quantized_feeds`: what the quantized model reads where that is something else (a state of its own).
  Outputs feed(const std::map<std::string, Tensor>& feeds, std::int64_t label,
               const std::map<std::string, Tensor>* quantized_feeds = nullptr);
  ComparisonResult finish() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitwright
