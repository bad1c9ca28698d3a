#include <bit>
#include <cmath>

#include "base/math.h"
#include "ops/limits.h"
#include "ops/shapes.h"

// Fourier transforms and windows: DFT, STFT, HannWindow, HammingWindow, BlackmanWindow. All in double.
namespace bitwright {

namespace {

constexpr double kTwoPi = 6.28318530717958647693;

DType output_type(const Node& node) {
  const auto dtype = dtype_from_onnx(node.attr_i("output_datatype", 1));
  if (!dtype) refuse(node, "attribute 'output_datatype' names no element type");
  return *dtype;
}

std::int64_t scalar_of(const Node& node, const Tensor& tensor, const char* name) {
  if (tensor.n_elements() != 1) refuse(node, {name, " must be one number"}, ErrorCode::shape_mismatch);
  return element_i64(tensor, 0);
}

void infer_window(InferContext& context) {
  std::int64_t size = kUnknownDim;
  if (const Tensor* value = context.value(0)) {
    size = scalar_of(context.node(), *value, "the size");
    if (size < 0) refuse(context.node(), {"size ", size, " is negative"});
  }
  context.set_output(0, output_type(context.node()), Shape{size});
}

void run_window(RunContext& context) {
  const Node& node = context.node();
  double a0 = 0.5;  // Hann
  double a1 = 0.5;
  double a2 = 0.0;
  if (node.op_type == "HammingWindow") {
    a0 = 25.0 / 46.0;
    a1 = 1.0 - a0;
  } else if (node.op_type == "BlackmanWindow") {
    a0 = 0.42;
    a2 = 0.08;
  }
  Tensor& y = context.output(0);
  const std::int64_t n = y.n_elements();
  const bool is_periodic = node.attr_i("periodic", 1) != 0;
  const double period = static_cast<double>(is_periodic ? n : std::max<std::int64_t>(n - 1, 1));
  for (std::int64_t i = 0; i < n; ++i) {
    const double angle = kTwoPi * static_cast<double>(i) / period;
    const double value = a0 - a1 * f64::cos(angle) + a2 * f64::cos(2.0 * angle);
    write_elements(y, i, std::span<const double>(&value, 1));
  }
}

struct Complex {
  double re = 0.0;
  double im = 0.0;
};

Complex product(Complex a, Complex b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }

/// exp(turns * 2 pi i).
Complex root_of_unity(double turns) { return {f64::cos(kTwoPi * turns), f64::sin(kTwoPi * turns)}; }

/// Unscaled discrete Fourier transforms of one length that is a power of two.
class Radix2 {
 public:
  explicit Radix2(std::size_t n) : roots_(n) {
    for (std::size_t k = 0; k < n; ++k) roots_[k] = root_of_unity(static_cast<double>(k) / static_cast<double>(n));
  }

  [[nodiscard]] std::size_t length() const { return roots_.size(); }

  void in_place(std::vector<Complex>& x, bool is_inverse) const {
    const std::size_t n = length();
    const double sign = is_inverse ? 1.0 : -1.0;
    for (std::size_t i = 1, j = 0; i < n; ++i) {
      std::size_t bit = n >> 1;
      for (; (j & bit) != 0; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i < j) std::swap(x[i], x[j]);
    }
    for (std::size_t length = 2; length <= n; length <<= 1)
      for (std::size_t first = 0; first < n; first += length)
        for (std::size_t k = 0; k < length / 2; ++k) {
          const Complex root = roots_[k * (n / length)];
          const Complex a = x[first + k];
          const Complex b = product(x[first + k + length / 2], {root.re, sign * root.im});
          x[first + k] = {a.re + b.re, a.im + b.im};
          x[first + k + length / 2] = {a.re - b.re, a.im - b.im};
        }
  }

 private:
  std::vector<Complex> roots_;
};

/// Unscaled discrete Fourier transforms of one length and direction, whose tables are made once. Other lengths than powers of
/// two by Bluestein's convolution with a chirp (Bluestein, "A linear filtering approach to the computation of discrete Fourier
/// transform", 1970), so that none takes time in its square.
class Transform {
 public:
  Transform(std::size_t n, bool is_inverse)
      : is_inverse_(is_inverse), radix_2_(std::has_single_bit(n) ? n : std::bit_ceil(2 * n)) {
    const std::size_t padded = radix_2_.length();
    if (padded == n) return;
    const double sign = is_inverse ? 1.0 : -1.0;
    chirp_.resize(n);
    filter_.resize(padded);
    for (std::size_t k = 0; k < n; ++k) {
      const auto phase = static_cast<double>(std::uint64_t{k} * k % (2 * n));
      chirp_[k] = root_of_unity(sign * phase / static_cast<double>(2 * n));
      filter_[k] = filter_[(padded - k) % padded] = {chirp_[k].re, -chirp_[k].im};
    }
    radix_2_.in_place(filter_, false);
  }

  /// `x` is as long as the transform.
  void in_place(std::vector<Complex>& x) const {
    if (chirp_.empty()) return radix_2_.in_place(x, is_inverse_);
    const std::size_t n = chirp_.size();
    const std::size_t padded = radix_2_.length();
    for (std::size_t k = 0; k < n; ++k) x[k] = product(x[k], chirp_[k]);
    x.resize(padded);
    radix_2_.in_place(x, false);
    for (std::size_t k = 0; k < padded; ++k) x[k] = product(x[k], filter_[k]);
    radix_2_.in_place(x, true);
    x.resize(n);
    const auto scale = static_cast<double>(padded);
    for (std::size_t k = 0; k < n; ++k) {
      const Complex value = product(x[k], chirp_[k]);
      x[k] = {value.re / scale, value.im / scale};
    }
  }

 private:
  bool is_inverse_;
  Radix2 radix_2_;
  std::vector<Complex> chirp_;   // of a length that is no power of two
  std::vector<Complex> filter_;  // its convolution, transformed
};

void check_length(const Node& node, std::int64_t n) {
  if (n < 1 || n > kMaxTransform)
    refuse(node, {"a transform of length ", n, " is not between 1 and ", kMaxTransform}, ErrorCode::limit_exceeded);
}

/// The transformed axis: an attribute before opset 20, then an input. nullopt where it is not known yet.
std::optional<std::size_t> dft_axis(const Node& node, std::int64_t opset, std::size_t rank, bool has_axis, const Tensor* axis) {
  if (rank < 2) refuse(node, "an input of rank 2 or more is needed", ErrorCode::shape_mismatch);
  std::int64_t wanted = -2;
  if (opset < 20)
    wanted = node.attr_i("axis", 1);
  else if (has_axis && axis == nullptr)
    return std::nullopt;
  else if (has_axis)
    wanted = scalar_of(node, *axis, "the axis");
  const auto i = static_cast<std::size_t>(normalized_axis(wanted, rank));
  if (i == rank - 1) refuse(node, "the last axis holds real and imaginary parts and cannot be transformed");
  return i;
}

void infer_dft(InferContext& context) {
  if (lacks_rank(context)) return;
  const Node& node = context.node();
  Shape shape = context.shape(0);
  const auto axis = dft_axis(node, context.opset(), shape.size(), context.has_input(2), context.value(2));
  if (!axis) return context.set_output(0, context.dtype(0), unknown_shape(static_cast<std::int64_t>(shape.size())));
  const bool is_onesided = node.attr_i("onesided", 0) != 0;
  const bool is_inverse = node.attr_i("inverse", 0) != 0;
  std::int64_t n = is_onesided && is_inverse && shape[*axis] > 0 ? 2 * (shape[*axis] - 1) : shape[*axis];
  if (context.has_input(1)) n = context.value(1) == nullptr ? kUnknownDim : scalar_of(node, *context.value(1), "the length");
  if (n != kUnknownDim) check_length(node, n);
  shape[*axis] = n < 0 ? kUnknownDim : is_onesided && !is_inverse ? n / 2 + 1 : n;
  shape.back() = is_onesided && is_inverse ? 1 : 2;
  context.set_output(0, context.dtype(0), shape);
}

void run_dft(RunContext& context) {
  const Node& node = context.node();
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  const std::size_t axis =
      *dft_axis(node, context.opset(), x.rank(), context.has_input(2), context.has_input(2) ? &context.input(2) : nullptr);
  const bool is_onesided = node.attr_i("onesided", 0) != 0;
  const bool is_inverse = node.attr_i("inverse", 0) != 0;
  const std::int64_t n_parts = x.extent(x.rank() - 1);
  const std::int64_t y_parts = y.extent(y.rank() - 1);
  if (n_parts != 1 && n_parts != 2) refuse(node, "the last axis must be 1 (real) or 2 (complex)", ErrorCode::shape_mismatch);
  std::int64_t n = is_onesided && is_inverse ? y.extent(axis) : x.extent(axis);
  if (context.has_input(1)) n = scalar_of(node, context.input(1), "the length");
  check_length(node, n);
  AxisView from = around_axis(x.shape(), axis);
  AxisView to = around_axis(y.shape(), axis);
  from.inner /= n_parts;
  to.inner /= y_parts;
  std::vector<Complex> line(static_cast<std::size_t>(n));
  const Transform transform(line.size(), is_inverse);
  const double scale = is_inverse ? 1.0 / static_cast<double>(n) : 1.0;
  for (std::int64_t outer = 0; outer < from.outer; ++outer)
    for (std::int64_t inner = 0; inner < from.inner; ++inner) {
      for (std::int64_t i = 0; i < n; ++i) {
        Complex& value = line[static_cast<std::size_t>(i)];
        value = {};
        const bool is_mirrored = is_onesided && is_inverse && i >= n / 2 + 1;
        const std::int64_t at = is_mirrored ? n - i : i;
        if (at >= from.extent) continue;
        const std::int64_t place = ((outer * from.extent + at) * from.inner + inner) * n_parts;
        value.re = element_f64(x, place);
        if (n_parts == 2) value.im = is_mirrored ? -element_f64(x, place + 1) : element_f64(x, place + 1);
      }
      transform.in_place(line);
      for (std::int64_t i = 0; i < to.extent; ++i) {
        const Complex value = line[static_cast<std::size_t>(i)];
        const double parts[2] = {value.re * scale, value.im * scale};
        write_elements(y, ((outer * to.extent + i) * to.inner + inner) * y_parts,
                       std::span<const double>(parts, static_cast<std::size_t>(y_parts)));
      }
    }
}

struct Frames {
  std::int64_t step = 0;
  std::int64_t length = 0;
  std::int64_t n = 0;
};

Frames frames_of(const Node& node, const Shape& signal, const Tensor& step, const Shape* window, const Tensor* length) {
  if (signal.size() < 2) refuse(node, "a signal [batch, length, 1] is needed", ErrorCode::shape_mismatch);
  Frames frames;
  frames.step = scalar_of(node, step, "the step");
  if (length != nullptr)
    frames.length = scalar_of(node, *length, "the frame length");
  else if (window != nullptr && window->size() == 1)
    frames.length = (*window)[0];
  check_length(node, frames.length);
  if (window != nullptr && *window != Shape{frames.length})
    refuse(node, "the window is not as long as a frame", ErrorCode::shape_mismatch);
  if (frames.step < 1 || frames.length > signal[1])
    refuse(node, {"steps of ", frames.step, " and frames of ", frames.length, " do not fit the signal"},
           ErrorCode::shape_mismatch);
  frames.n = (signal[1] - frames.length) / frames.step + 1;
  return frames;
}

void infer_stft(InferContext& context) {
  if (lacks_rank(context)) return;
  const bool has_window = context.has_shape(2);
  const bool is_ready = is_known(context.shape(0)) && context.value(1) != nullptr && (!context.has_input(2) || has_window) &&
                        (!context.has_input(3) || context.value(3) != nullptr);
  if (!is_ready || (has_window && !is_known(context.shape(2)))) return context.set_output(0, context.dtype(0), unknown_shape(4));
  const Frames frames =
      frames_of(context.node(), context.shape(0), *context.value(1), has_window ? &context.shape(2) : nullptr, context.value(3));
  const bool is_onesided = context.node().attr_i("onesided", 1) != 0;
  context.set_output(0, context.dtype(0),
                     Shape{context.shape(0)[0], frames.n, is_onesided ? frames.length / 2 + 1 : frames.length, 2});
}

void run_stft(RunContext& context) {
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  const Frames frames =
      frames_of(context.node(), x.shape(), context.input(1), context.has_input(2) ? &context.input(2).shape() : nullptr,
                context.has_input(3) ? &context.input(3) : nullptr);
  const std::int64_t n_parts = x.rank() > 2 ? x.extent(2) : 1;
  if (x.rank() > 3 || n_parts < 1 || n_parts > 2)
    refuse(context.node(), "a signal [batch, length, 1 or 2] is needed", ErrorCode::shape_mismatch);
  std::vector<Complex> line(static_cast<std::size_t>(frames.length));
  const Transform transform(line.size(), false);
  std::int64_t to = 0;
  for (std::int64_t batch = 0; batch < x.extent(0); ++batch)
    for (std::int64_t frame = 0; frame < frames.n; ++frame) {
      for (std::int64_t i = 0; i < frames.length; ++i) {
        const std::int64_t place = (batch * x.extent(1) + frame * frames.step + i) * n_parts;
        const double weight = context.has_input(2) ? element_f64(context.input(2), i) : 1.0;
        line[static_cast<std::size_t>(i)] = {weight * element_f64(x, place),
                                             n_parts == 2 ? weight * element_f64(x, place + 1) : 0.0};
      }
      transform.in_place(line);
      for (std::int64_t i = 0; i < y.extent(2); ++i, to += 2) {
        const double parts[2] = {line[static_cast<std::size_t>(i)].re, line[static_cast<std::size_t>(i)].im};
        write_elements(y, to, std::span<const double>(parts, 2));
      }
    }
}

constexpr std::int64_t kSince17[] = {17};
constexpr std::int64_t kDftSince[] = {17, 20};

constexpr Op kOps[] = {
    {"HannWindow", "", kSince17, infer_window, run_window},
    {"HammingWindow", "", kSince17, infer_window, run_window},
    {"BlackmanWindow", "", kSince17, infer_window, run_window},
    {"DFT", "", kDftSince, infer_dft, run_dft},
    {"STFT", "", kSince17, infer_stft, run_stft},
};

}  // namespace

extern const OpFamily signal_family;
const OpFamily signal_family{"signal", kOps};

}  // namespace bitwright
