#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.h"
#include "base/simd.h"
#include "quant/encodings/groups.h"
#include "quant/quantize.h"

// Product quantization: `sub_vector` neighbours along the axis share one code, an entry of a codebook of vectors; each column
// group (column_group sub-vectors along the axis) has its own codebook, shared by all rows. A row is everything at one place of
// the other axes. The last sub-vector of a row may be shorter: what is missing counts as 0 and is not decoded.
// Source: Jegou et al. 2011, Product quantization for nearest neighbor search; refinement: Wu et al. 2016, Quantized
// convolutional neural networks, arXiv 1512.06473, eq. 6 (with the codes fixed, the codebook is a linear least squares problem).

namespace bitwright {

namespace {

constexpr int kMaxPasses = 12;
constexpr std::size_t kSeedSample = 2048;
constexpr int kRefineSteps = 12;
/// Of each column's sum of squares, added to the diagonal of X^T X, so that few samples do not decide everything (as in GPTQ, Frantar et
/// al. 2022, arXiv 2210.17323, section 3.3).
constexpr float kDamping = 0.01f;

/// The rows of a tensor, cut into sub-vectors.
struct Rows {
  std::int64_t outer = 1;
  std::int64_t extent = 1;
  std::int64_t inner = 1;
  std::int64_t length = 1;        // of a sub-vector
  std::int64_t n_sub = 1;         // sub-vectors in a row
  std::int64_t column_group = 1;  // of them share a codebook
  std::int64_t n_entries = 1;

  Rows(const Shape& shape, std::int64_t axis, const TensorScheme& scheme) {
    const ScaleLayout l = scale_layout(PerBlock{axis, scheme.sub_vector}, shape);
    outer = l.outer;
    extent = l.extent;
    inner = l.inner;
    length = scheme.sub_vector;
    n_sub = l.n_blocks();
    column_group = scheme.column_group > 0 ? scheme.column_group : std::max<std::int64_t>(n_sub, 1);
    n_entries = scheme.n_entries;
  }
  std::int64_t n_rows() const { return outer * inner; }
  std::int64_t n_groups() const { return (n_sub + column_group - 1) / column_group; }
  /// The place of element `column` of a row.
  std::size_t at(std::int64_t row, std::int64_t column) const {
    return static_cast<std::size_t>((row / inner * extent + column) * inner + row % inner);
  }
  /// The place of a sub-vector's code: as a tensor with n_sub in the place of the axis.
  std::size_t code_at(std::int64_t row, std::int64_t sub) const {
    return static_cast<std::size_t>((row / inner * n_sub + sub) * inner + row % inner);
  }
  std::int64_t length_of(std::int64_t sub) const { return std::min(length, extent - sub * length); }
};

class ProductEncoder {
 public:
  ProductEncoder(EncodedTensor& e, std::span<const float> values, std::int64_t axis)
      : e_(e), values_(values), rows_(e.shape, axis, e.scheme), k_((rows_.n_entries + 3) / 4 * 4) {}

  void run(const EncodeOptions& options) {
    e_.n_not_finite = scan_min_max(values_).n_not_finite;
    e_.levels.assign(static_cast<std::size_t>(rows_.n_groups() * rows_.n_entries * rows_.length), 0.0f);
    e_.codes.assign(static_cast<std::size_t>((rows_.n_rows() * rows_.n_sub * e_.scheme.bits + 7) / 8), 0);
    for (std::int64_t g = 0; g < rows_.n_groups() && !e_.codes.empty(); ++g) fit(g);
    if (!options.samples.empty())
      refine(options);
    else if (!options.importance.empty())
      weigh(options);
  }

 private:
  float* entry(std::int64_t group, std::int64_t code) {
    return e_.levels.data() + (group * rows_.n_entries + code) * rows_.length;
  }
  std::uint8_t code_of(std::int64_t row, std::int64_t sub) const {
    return code_in(e_.codes.data(), e_.scheme.bits, rows_.code_at(row, sub));
  }
  /// A sub-vector, by its number within the group's; not finite and missing elements as 0.
  void read(std::int64_t row, std::int64_t sub, float* out) const {
    std::fill_n(out, rows_.length, 0.0f);
    for (std::int64_t e = 0; e < rows_.length_of(sub); ++e) out[e] = finite_at(row, sub * rows_.length + e);
  }

  void fit(std::int64_t group) {
    const std::int64_t first = group * rows_.column_group;
    const std::int64_t width = std::min(rows_.column_group, rows_.n_sub - first);
    const std::int64_t n_vectors = rows_.n_rows() * width;
    seed(group, first, width, n_vectors);
    const auto length = static_cast<std::size_t>(rows_.length);
    std::vector<double> sums(static_cast<std::size_t>(k_) * length);
    std::vector<double> counts(static_cast<std::size_t>(k_));
    float vector[8];
    bool has_changed = true;
    for (int pass = 0; has_changed; ++pass) {
      transpose(group);
      std::fill(sums.begin(), sums.end(), 0.0);
      std::fill(counts.begin(), counts.end(), 0.0);
      has_changed = pass == 0;
      for (std::int64_t row = 0; row < rows_.n_rows(); ++row)
        for (std::int64_t s = first; s < first + width; ++s) {
          read(row, s, vector);
          const std::uint8_t code = nearest(vector);
          has_changed |= code_of(row, s) != code;
          set_code(e_.codes.data(), e_.scheme.bits, rows_.code_at(row, s), code);
          for (std::size_t e = 0; e < length; ++e) sums[code * length + e] += static_cast<double>(vector[e]);
          counts[code] += 1.0;
        }
      if (pass + 1 == kMaxPasses) break;  // the codes belong to the entries as they are
      for (std::int64_t c = 0; c < rows_.n_entries && has_changed; ++c) {
        const auto at = static_cast<std::size_t>(c);
        if (counts[at] == 0.0) continue;
        for (std::size_t e = 0; e < length; ++e) entry(group, c)[e] = static_cast<float>(sums[at * length + e] / counts[at]);
      }
    }
  }

  void seed(std::int64_t group, std::int64_t first, std::int64_t width, std::int64_t n_vectors) {
    const auto length = static_cast<std::size_t>(rows_.length);
    const std::size_t n = std::min(static_cast<std::size_t>(n_vectors), kSeedSample);
    std::vector<float> sample(n * length);
    std::vector<double> distance(n, 1.0);
    for (std::size_t i = 0; i < n; ++i) {
      const auto at = static_cast<std::int64_t>(i * static_cast<std::uint64_t>(n_vectors) / n);
      read(at / width, first + at % width, sample.data() + i * length);
    }
    for (std::int64_t c = 0; c < rows_.n_entries; ++c) {
      double total = 0.0;
      for (const double d : distance) total += d;
      double drawn = random_unit(e_.scheme.seed + static_cast<std::uint64_t>(group), static_cast<std::uint64_t>(c)) * total;
      std::size_t chosen = 0;
      for (; chosen + 1 < n; ++chosen) {
        drawn -= distance[chosen];
        if (drawn < 0.0) break;
      }
      const float* picked = sample.data() + chosen * length;
      std::copy_n(picked, length, entry(group, c));
      for (std::size_t i = 0; i < n; ++i) {
        double d = 0.0;
        for (std::size_t e = 0; e < length; ++e) {
          const double difference = static_cast<double>(sample[i * length + e]) - static_cast<double>(picked[e]);
          d += difference * difference;
        }
        distance[i] = c == 0 ? d : std::min(distance[i], d);
      }
    }
  }

  /// The codebook with four entries side by side; missing ones are infinitely far.
  void transpose(std::int64_t group) {
    const auto k = static_cast<std::size_t>(k_);
    columns_.assign(k * static_cast<std::size_t>(rows_.length), std::numeric_limits<float>::infinity());
    for (std::int64_t c = 0; c < rows_.n_entries; ++c)
      for (std::int64_t e = 0; e < rows_.length; ++e)
        columns_[static_cast<std::size_t>(e) * k + static_cast<std::size_t>(c)] = entry(group, c)[e];
  }

  /// The first of the nearest entries.
  std::uint8_t nearest(const float* vector) const {
    f32x4 best = splat(std::numeric_limits<float>::infinity());
    i32x4 best_code = splat(0);
    i32x4 code = {0, 1, 2, 3};
    for (std::int64_t c = 0; c < k_; c += 4, code += 4) {
      f32x4 distance = splat(0.0f);
      for (std::int64_t e = 0; e < rows_.length; ++e) {
        const f32x4 d = load_f32x4(columns_.data() + e * k_ + c) - splat(vector[e]);
        distance += d * d;
      }
      const i32x4 is_nearer = distance < best;
      best = select(is_nearer, distance, best);
      best_code = select(is_nearer, code, best_code);
    }
    int found = 0;
    for (int lane = 1; lane < 4; ++lane)
      if (best[lane] < best[found] || (best[lane] == best[found] && best_code[lane] < best_code[found])) found = lane;
    return static_cast<std::uint8_t>(best_code[found]);
  }

  /// The place of a row's element among the levels.
  std::size_t level_at(std::int64_t row, std::int64_t column) const {
    const std::int64_t sub = column / rows_.length;
    return static_cast<std::size_t>((sub / rows_.column_group * rows_.n_entries + code_of(row, sub)) * rows_.length +
                                    column % rows_.length);
  }
  float finite_at(std::int64_t row, std::int64_t column) const {
    const float value = values_[rows_.at(row, column)];
    return std::isfinite(value) ? value : 0.0f;
  }

  /// The same for samples whose columns are independent, of which mean squares are enough: entries become weighted means.
  void weigh(const EncodeOptions& options) {
    const std::size_t stride = importance_stride(options, e_.shape);
    std::vector<double> sums(e_.levels.size(), 0.0);
    std::vector<double> weights(e_.levels.size(), 0.0);
    for (std::int64_t row = 0; row < rows_.n_rows(); ++row)
      for (std::int64_t c = 0; c < rows_.extent; ++c) {
        const auto weight = static_cast<double>(options.importance[rows_.at(row, c) / stride % options.importance.size()]);
        const std::size_t level = level_at(row, c);
        sums[level] += weight * static_cast<double>(finite_at(row, c));
        weights[level] += weight;
      }
    for (std::size_t i = 0; i < sums.size(); ++i)
      if (weights[i] > 0.0) e_.levels[i] = static_cast<float>(sums[i] / weights[i]);
  }

  /// Conjugate gradients on the normal equations: minimizes sum over outputs and samples of (x . (w - w'))^2 over the codebooks.
  /// The error falls with each step, from where k-means left it. An output sums a row of the tensor, or the rows of a kernel.
  void refine(const EncodeOptions& options) {
    const std::size_t n = e_.levels.size();
    transpose_samples(options);
    std::vector<double> change(n, 0.0);
    std::vector<double> gradient(n, 0.0);  // of what is left
    apply({}, gradient);
    std::vector<double> direction = gradient;
    std::vector<double> image(n);
    double before = 0.0;
    for (const double g : gradient) before += g * g;
    const double enough = before * 1e-12;
    for (int step = 0; step < kRefineSteps && before > enough; ++step) {
      apply(direction, image);
      double curvature = 0.0;
      for (std::size_t i = 0; i < n; ++i) curvature += direction[i] * image[i];
      const double length = before / curvature;
      if (!std::isfinite(length)) break;
      double after = 0.0;
      for (std::size_t i = 0; i < n; ++i) {
        change[i] += length * direction[i];
        gradient[i] -= length * image[i];
        after += gradient[i] * gradient[i];
      }
      for (std::size_t i = 0; i < n; ++i) direction[i] = gradient[i] + after / before * direction[i];
      before = after;
    }
    for (std::size_t i = 0; i < n; ++i) e_.levels[i] += static_cast<float>(change[i]);
  }

  /// Four samples side by side, the last ones filled up with 0.
  void transpose_samples(const EncodeOptions& options) {
    window_ = options.sample_window;
    const auto columns = static_cast<std::size_t>(rows_.extent * window_);
    const std::size_t n_samples = options.samples.size() / columns;
    stride_ = (n_samples + 3) & ~std::size_t{3};
    samples_.assign(columns * stride_, 0.0f);
    damping_.assign(columns, 0.0f);
    for (std::size_t i = 0; i < options.samples.size(); ++i) {
      const float x = options.samples[i];
      samples_[i % columns * stride_ + i / columns] = x;
      damping_[i % columns] += kDamping * x * x;
    }
  }

  /// out = sum over outputs of A^T H A levels, A picking the entries of an output's elements and H = X^T X + D; without levels, of
  /// A^T H (w - A levels) with those there are.
  void apply(const std::vector<double>& levels, std::vector<double>& out) const {
    std::vector<std::size_t> places(damping_.size());
    std::vector<float> values(damping_.size());
    std::vector<float> outputs(stride_);
    std::fill(out.begin(), out.end(), 0.0);
    for (std::int64_t row = 0; row < rows_.n_rows(); row += window_) {
      std::fill(outputs.begin(), outputs.end(), 0.0f);
      for (std::size_t c = 0; c < places.size(); ++c) {
        const std::int64_t column = static_cast<std::int64_t>(c) / window_;
        const std::int64_t at = row + static_cast<std::int64_t>(c) % window_;
        places[c] = level_at(at, column);
        values[c] = levels.empty() ? finite_at(at, column) - e_.levels[places[c]] : static_cast<float>(levels[places[c]]);
        for (std::size_t s = 0; s < stride_; s += 4)
          store_f32x4(&outputs[s], load_f32x4(&outputs[s]) + load_f32x4(&samples_[c * stride_ + s]) * splat(values[c]));
      }
      for (std::size_t c = 0; c < places.size(); ++c) {
        f32x4 sum = splat(0.0f);
        for (std::size_t s = 0; s < stride_; s += 4) sum += load_f32x4(&samples_[c * stride_ + s]) * load_f32x4(&outputs[s]);
        out[places[c]] += static_cast<double>((sum[0] + sum[1]) + (sum[2] + sum[3]) + damping_[c] * values[c]);
      }
    }
  }

  EncodedTensor& e_;
  std::span<const float> values_;
  Rows rows_;
  std::int64_t k_;
  std::vector<float> columns_;
  std::vector<float> samples_;  // [column][sample]
  std::vector<float> damping_;  // of each column
  std::size_t stride_ = 0;
  std::int64_t window_ = 1;
};

}  // namespace

void encode_product(EncodedTensor& encoded, std::span<const float> values, std::int64_t, const EncodeOptions& options) {
  ProductEncoder(encoded, values, std::get<PerBlock>(encoded.granularity).axis).run(options);
}

void decode_product(const EncodedTensor& e, std::span<float> values) {
  const Rows rows(e.shape, std::get<PerBlock>(e.granularity).axis, e.scheme);
  for (std::int64_t row = 0; row < rows.n_rows(); ++row)
    for (std::int64_t sub = 0; sub < rows.n_sub; ++sub) {
      const std::uint8_t code = code_in(e.codes.data(), e.scheme.bits, rows.code_at(row, sub));
      const float* entry = e.levels.data() + (sub / rows.column_group * rows.n_entries + code) * rows.length;
      for (std::int64_t i = 0; i < rows.length_of(sub); ++i) values[rows.at(row, sub * rows.length + i)] = entry[i];
    }
}

}  // namespace bitwright
