#include "calibrate/calibrator.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "base/error.h"
#include "quant/observers/histogram.h"
#include "quant/quantize.h"

namespace bitwright {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Adds to the sums of squares. Tensors without the axis, or of another extent there, are left out.
void add(TensorStatistics::MeanSquares& sums, const Tensor& tensor) {
  const Shape& shape = tensor.shape();
  const auto rank = static_cast<std::int64_t>(shape.size());
  const std::int64_t axis = sums.axis < 0 ? sums.axis + rank : sums.axis;
  if (axis < 0 || axis >= rank || shape[static_cast<std::size_t>(axis)] != static_cast<std::int64_t>(sums.squares.size())) return;
  std::size_t inner = 1;
  for (std::int64_t i = axis + 1; i < rank; ++i) inner *= static_cast<std::size_t>(shape[static_cast<std::size_t>(i)]);
  const std::span<const float> values = tensor.data<float>();
  if (sums.squares.empty() || values.empty()) return;
  for (std::size_t at = 0; at < values.size();)
    for (double& sum : sums.squares)
      for (const std::size_t end = at + inner; at < end; ++at) {
        const double x = values[at];
        if (x - x == 0.0) sum += x * x;
      }
  sums.n += static_cast<double>(values.size()) / static_cast<double>(sums.squares.size());
}

/// Everything kept of one value.
struct Observer {
  std::uint64_t n_samples = 0;
  std::uint64_t n_values = 0;
  MinMax all{kInfinity, -kInfinity, 0};
  MinMax sample{kInfinity, -kInfinity, 0};  // of the running one
  bool is_in_sample = false;
  bool has_average = false;
  double average_rmin = 0.0;
  double average_rmax = 0.0;
  std::int64_t first_not_finite_sample = -1;
  std::optional<WideningHistogram> histogram;
  std::vector<TensorStatistics::MeanSquares> channels;  // sums until `finish`
};

void merge(MinMax& into, const MinMax& from) {
  into.rmin = std::min(into.rmin, from.rmin);
  into.rmax = std::max(into.rmax, from.rmax);
  into.n_not_finite += from.n_not_finite;
}

bool needs_histogram(CalibrationMethod method) {
  return method != CalibrationMethod::min_max && method != CalibrationMethod::moving_average;
}

}  // namespace

class Calibrator::Impl {
 public:
  CalibrationOptions options;
  std::map<std::string, Observer, std::less<>> observers;
  std::uint64_t n_samples = 0;
};

Calibrator::Calibrator(CalibrationOptions options, const std::vector<std::string>& values, bool with_histograms,
                       const std::vector<ChannelRequest>& channels)
    : impl_(std::make_unique<Impl>()) {
  if (!(options.moving_average_rate > 0.0 && options.moving_average_rate <= 1.0))
    throw_error(ErrorCode::invalid_argument, {"the moving average's rate must lie above 0 and at most at 1"});
  if (!(options.percentile > 0.0 && options.percentile <= 100.0))
    throw_error(ErrorCode::invalid_argument, {"the percentile must lie above 0 and at most at 100"});
  impl_->options = options;
  for (const std::string& value : values) {
    Observer& observer = impl_->observers[value];
    if (with_histograms || needs_histogram(options.method)) observer.histogram.emplace(options.n_bins);
  }
  for (const ChannelRequest& request : channels) {
    const auto found = impl_->observers.find(request.value);
    if (found == impl_->observers.end()) continue;
    auto& channels_of_value = found->second.channels;
    bool is_new = true;
    for (const auto& row : channels_of_value) is_new &= row.axis != request.axis;
    if (is_new) channels_of_value.push_back({request.axis, std::vector<double>(static_cast<std::size_t>(request.extent)), 0.0});
  }
}

Calibrator::~Calibrator() = default;

void Calibrator::observe(std::string_view value, const Tensor& tensor) {
  const auto found = impl_->observers.find(value);
  if (found == impl_->observers.end() || tensor.dtype() != DType::f32) return;
  Observer& observer = found->second;
  const std::span<const float> values = tensor.data<float>();
  const MinMax ends = scan_min_max(values);
  observer.n_values += values.size();
  observer.is_in_sample = true;
  merge(observer.sample, ends);
  if (ends.n_not_finite != 0 && observer.first_not_finite_sample < 0)
    observer.first_not_finite_sample = static_cast<std::int64_t>(impl_->n_samples);
  if (observer.histogram) observer.histogram->add(values, ends.rmin, ends.rmax, ends.n_not_finite == 0);
  for (auto& sums : observer.channels) add(sums, tensor);
}

void Calibrator::end_sample() {
  const double rate = impl_->options.moving_average_rate;
  for (auto& [name, observer] : impl_->observers) {
    if (!observer.is_in_sample) continue;
    ++observer.n_samples;
    merge(observer.all, observer.sample);
    if (observer.sample.has_finite()) {
      const double rmin = observer.sample.rmin;
      const double rmax = observer.sample.rmax;
      observer.average_rmin = observer.has_average ? observer.average_rmin + rate * (rmin - observer.average_rmin) : rmin;
      observer.average_rmax = observer.has_average ? observer.average_rmax + rate * (rmax - observer.average_rmax) : rmax;
      observer.has_average = true;
    }
    observer.sample = {kInfinity, -kInfinity, 0};
    observer.is_in_sample = false;
  }
  ++impl_->n_samples;
}

std::uint64_t Calibrator::n_samples() const { return impl_->n_samples; }

Statistics Calibrator::finish() const {
  Statistics table;
  for (const auto& [name, observer] : impl_->observers) {
    TensorStatistics& row = table[name];
    row.n_samples = observer.n_samples;
    row.n_values = observer.n_values;
    row.n_not_finite = observer.all.n_not_finite;
    row.first_not_finite_sample = observer.first_not_finite_sample;
    if (observer.all.has_finite()) {
      row.rmin = observer.all.rmin;
      row.rmax = observer.all.rmax;
      row.average_rmin = static_cast<float>(observer.average_rmin);
      row.average_rmax = static_cast<float>(observer.average_rmax);
    }
    if (observer.histogram) {
      row.histogram_min = observer.histogram->min();
      row.histogram_max = observer.histogram->max();
      row.histogram = observer.histogram->counts();
    }
    row.mean_squares = observer.channels;
    for (auto& [axis, squares, n] : row.mean_squares) {
      if (n == 0.0) squares.clear();
      for (double& square : squares) square /= n;
    }
  }
  return table;
}

}  // namespace bitwright
