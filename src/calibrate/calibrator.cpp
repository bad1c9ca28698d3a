#include "calibrate/calibrator.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "base/error.h"
#include "base/random.h"
#include "quant/observers/histogram.h"
#include "quant/quantize.h"

namespace bitwright {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Where in a plane of this shape the window around a place has its element; -1: outside of it.
std::int64_t in_window(std::span<const std::int64_t> shape, std::span<const std::int64_t> window, std::int64_t place,
                       std::int64_t element) {
  if (window.empty()) return place;
  std::int64_t found = 0;
  std::int64_t stride = 1;
  for (std::size_t d = shape.size(); d-- > 0;) {
    const std::int64_t at = place % shape[d] + element % window[d] - window[d] / 2;
    if (at < 0 || at >= shape[d]) return -1;
    found += at * stride;
    stride *= shape[d];
    place /= shape[d];
    element /= window[d];
  }
  return found;
}

/// Keeps rows in a reservoir. Source: Vitter 1985, Random sampling with a reservoir, algorithm R.
void add_rows(ChannelStatistics& seen, std::span<const float> values, std::span<const std::int64_t> plane, std::size_t inner) {
  const auto& [value, axis, extent, wants_rows, window] = seen.request;
  if (!wants_rows || (!window.empty() && window.size() != plane.size())) return;
  const std::size_t length = seen.request.row_length();
  const auto n_channels = static_cast<std::size_t>(extent);
  const std::size_t n_window = length / n_channels;
  for (std::size_t place = 0; place < values.size() / n_channels; ++place) {
    const std::uint64_t n = seen.n_places++;
    const std::uint64_t row = n < kMaxSampleRows ? n : random_bits(0, n) % (n + 1);
    if (row >= kMaxSampleRows) continue;
    if (row == n) seen.rows.resize(seen.rows.size() + length);
    for (std::size_t i = 0; i < length; ++i) {
      const std::int64_t at =
          in_window(plane, window, static_cast<std::int64_t>(place % inner), static_cast<std::int64_t>(i % n_window));
      const float x = at < 0 ? 0.0f : values[(place / inner * n_channels + i / n_window) * inner + static_cast<std::size_t>(at)];
      seen.rows[row * length + i] = x - x == 0.0f ? x : 0.0f;
    }
  }
}

/// Adds to the sums of squares and the rows. Tensors without the axis, or of another extent there, are left out.
void add(ChannelStatistics& sums, const Tensor& tensor) {
  const Shape& shape = tensor.shape();
  const auto rank = static_cast<std::int64_t>(shape.size());
  const std::int64_t axis = sums.request.axis < 0 ? sums.request.axis + rank : sums.request.axis;
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
  add_rows(sums, values, std::span(shape).subspan(static_cast<std::size_t>(axis) + 1), inner);
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
  std::vector<ChannelStatistics> channels;  // sums until `finish`
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
    if (with_histograms || needs_histogram(options.method))
      observer.histogram.emplace(options.n_bins, options.method == CalibrationMethod::mse);
  }
  for (const ChannelRequest& request : channels) {
    const auto found = impl_->observers.find(request.value);
    if (found == impl_->observers.end()) continue;
    auto& asked = found->second.channels;
    if (std::any_of(asked.begin(), asked.end(), [&](const ChannelStatistics& seen) { return seen.request == request; })) continue;
    asked.emplace_back().request = request;
    asked.back().squares.resize(static_cast<std::size_t>(request.extent));
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
      row.histogram_rests = observer.histogram->rests();
    }
    row.channels = observer.channels;
    for (ChannelStatistics& seen : row.channels) {
      if (seen.n == 0.0) seen.squares.clear();
      for (double& square : seen.squares) square /= seen.n;
    }
  }
  return table;
}

}  // namespace bitwright
