#include "api/calibration_run.h"

#include <utility>

#include "api/quantize.h"
#include "base/error.h"

namespace bitwright {

CalibrationRun::CalibrationRun(std::shared_ptr<const Model> model, const Recipe& recipe, bool has_own_runner)
    : values_(values_to_calibrate(*model, recipe)), calibrator_(recipe.calibration, values_, true) {
  if (has_own_runner) return;
  session_.emplace(std::move(model));
  session_->observe(values_);
}

std::map<std::string, Tensor> CalibrationRun::feed(const std::map<std::string, Tensor>& feeds) {
  BITWRIGHT_ASSERT(session_.has_value());
  // Graph inputs are no node's output: they are seen here.
  for (const auto& [name, tensor] : feeds) calibrator_.observe(name, tensor);
  auto outputs = session_->run(feeds, [this](const std::string& value, const Tensor& tensor) { calibrator_.observe(value, tensor); });
  calibrator_.end_sample();
  return outputs;
}

void CalibrationRun::observe(const std::map<std::string, Tensor>& values) {
  for (const auto& [name, tensor] : values) calibrator_.observe(name, tensor);
  calibrator_.end_sample();
}

}  // namespace bitwright
