#include "api/calibration_run.h"

#include <algorithm>
#include <set>
#include <utility>

#include "api/quantize.h"
#include "base/error.h"

namespace bitwright {

CalibrationRun::CalibrationRun(std::shared_ptr<const Model> model, const Recipe& recipe, bool has_own_runner)
    : values_(values_to_calibrate(*model, recipe)),
      calibrator_(recipe.calibration, values_, recipe.mode == QuantMode::static_, channels_to_calibrate(*model, recipe)) {
  if (has_own_runner) return;
  session_.emplace(std::move(model));
  session_->observe(values_);
}

std::map<std::string, Tensor> CalibrationRun::feed(const std::map<std::string, Tensor>& feeds) {
  BITWRIGHT_ASSERT(session_.has_value());
  // Graph inputs are no node's output: they are seen here.
  for (const auto& [name, tensor] : feeds) calibrator_.observe(name, tensor);
  auto outputs =
      session_->run(feeds, [this](const std::string& value, const Tensor& tensor) { calibrator_.observe(value, tensor); });
  calibrator_.end_sample();
  return outputs;
}

void CalibrationRun::observe(const std::map<std::string, Tensor>& values) {
  for (const auto& [name, tensor] : values) calibrator_.observe(name, tensor);
  calibrator_.end_sample();
}

Model with_outputs(const Model& model, const std::vector<std::string>& values) {
  Model copy = model;
  std::set<std::string, std::less<>> computed;
  for (const Node& node : copy.graph.nodes) computed.insert(node.outputs.begin(), node.outputs.end());
  for (const ValueInfo& output : copy.graph.outputs) computed.erase(output.name);
  for (const std::string& value : values) {
    if (computed.erase(value) == 0) continue;
    const auto known = std::find_if(copy.graph.value_infos.begin(), copy.graph.value_infos.end(),
                                    [&](const ValueInfo& info) { return info.name == value; });
    if (known != copy.graph.value_infos.end()) {
      copy.graph.outputs.push_back(*known);
      continue;
    }
    ValueInfo info;
    info.name = value;
    copy.graph.outputs.push_back(std::move(info));
  }
  return copy;
}

}  // namespace bitwright
