#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "calibrate/calibrator.h"
#include "engine/session.h"
#include "model/model.h"
#include "quant/recipe.h"

namespace bitwright {

/// One calibration: our engine run over samples, or values pushed by another runner.
class CalibrationRun {
 public:
  /// `has_own_runner`: values are pushed by `observe`, no session is made. Throws what Session throws.
  CalibrationRun(std::shared_ptr<const Model> model, const Recipe& recipe, bool has_own_runner);

  const std::vector<std::string>& values() const { return values_; }
  /// One sample through our engine; gives the outputs (state to carry on).
  std::map<std::string, Tensor> feed(const std::map<std::string, Tensor>& feeds);
  /// One sample's values from another runner.
  void observe(const std::map<std::string, Tensor>& values);
  Statistics statistics() const { return calibrator_.finish(); }
  std::uint64_t n_samples() const { return calibrator_.n_samples(); }

 private:
  std::vector<std::string> values_;
  Calibrator calibrator_;
  std::optional<Session> session_;
};

/// A copy with these values of the main graph as further outputs, for a runner that knows outputs only. Graph inputs, constants and
/// what is an output already are left out; types are those the file tells, others are left to the runner to infer.
Model with_outputs(const Model& model, const std::vector<std::string>& values);

}  // namespace bitwright
