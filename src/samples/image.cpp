#include "samples/image.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"

namespace bitwright {

namespace {

// Pillow's 8-bit resampling works in fixed point with this many fractional bits (Resample.c).
constexpr int kPrecisionBits = 32 - 8 - 2;

double triangle(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

/// For one axis: for each output position the first input position and its weights in fixed point.
struct Filter {
  std::int64_t n_taps = 0;
  std::vector<std::int64_t> first;
  std::vector<std::int64_t> count;
  std::vector<std::int32_t> weights;  // [n_out][n_taps]
};

Filter make_filter(std::int64_t n_in, std::int64_t n_out, Resampling resampling) {
  const double scale = static_cast<double>(n_in) / static_cast<double>(n_out);
  const double filter_scale = std::max(scale, 1.0);
  const double support = (resampling == Resampling::bicubic ? 2.0 : 1.0) * filter_scale;
  Filter filter;
  filter.n_taps = static_cast<std::int64_t>(std::ceil(support)) * 2 + 1;
  filter.first.resize(static_cast<std::size_t>(n_out));
  filter.count.resize(static_cast<std::size_t>(n_out));
  filter.weights.assign(static_cast<std::size_t>(n_out * filter.n_taps), 0);
  std::vector<double> weights(static_cast<std::size_t>(filter.n_taps));
  for (std::int64_t out = 0; out < n_out; ++out) {
    const double center = (static_cast<double>(out) + 0.5) * scale;
    const auto begin = std::max<std::int64_t>(static_cast<std::int64_t>(center - support + 0.5), 0);
    const auto end = std::min<std::int64_t>(static_cast<std::int64_t>(center + support + 0.5), n_in);
    double sum = 0.0;
    for (std::int64_t i = begin; i < end; ++i) {
      const double x = (static_cast<double>(i) - center + 0.5) * (1.0 / filter_scale);
      const double weight = resampling == Resampling::bicubic ? cubic(x) : triangle(x);
      weights[static_cast<std::size_t>(i - begin)] = weight;
      sum += weight;
    }
    const auto at = static_cast<std::size_t>(out);
    filter.first[at] = begin;
    filter.count[at] = end - begin;
    for (std::int64_t i = 0; i < end - begin; ++i) {
      const double weight = sum != 0.0 ? weights[static_cast<std::size_t>(i)] / sum : 0.0;
      const double fixed = weight * static_cast<double>(1 << kPrecisionBits);
      filter.weights[at * static_cast<std::size_t>(filter.n_taps) + static_cast<std::size_t>(i)] =
          static_cast<std::int32_t>(fixed < 0.0 ? fixed - 0.5 : fixed + 0.5);
    }
  }
  return filter;
}

std::uint8_t to_byte(std::int64_t fixed) {
  return static_cast<std::uint8_t>(std::clamp<std::int64_t>(fixed >> kPrecisionBits, 0, 255));
}

constexpr std::int64_t kHalf = std::int64_t{1} << (kPrecisionBits - 1);

void check_image(std::span<const std::uint8_t> rgb, std::int64_t width, std::int64_t height) {
  if (width <= 0 || height <= 0 || width > kMaxImagePixels || height > kMaxImagePixels / width)
    throw_error(ErrorCode::bad_data,
                {"an image of ", width, " x ", height, " pixels is empty or passes the limit of ", kMaxImagePixels, " pixels"});
  if (rgb.size() != static_cast<std::size_t>(width * height * 3))
    throw_error(ErrorCode::bad_data, {"the image has ", rgb.size(), " bytes, ", width * height * 3, " were expected"});
}

}  // namespace

Tensor resize_rgb(std::span<const std::uint8_t> rgb, std::int64_t width, std::int64_t height, std::int64_t new_width,
                  std::int64_t new_height, Resampling resampling) {
  check_image(rgb, width, height);
  if (new_width <= 0 || new_height <= 0 || new_width > kMaxImagePixels || new_height > kMaxImagePixels / new_width)
    throw_error(ErrorCode::bad_data, {"an image cannot be resized to ", new_width, " x ", new_height, " pixels"});
  const std::uint8_t* source = rgb.data();
  Tensor narrowed;
  if (new_width != width) {
    narrowed = Tensor(DType::u8, {height, new_width, 3});
    const Filter filter = make_filter(width, new_width, resampling);
    std::uint8_t* out = narrowed.data<std::uint8_t>().data();
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < new_width; ++x) {
        const auto at = static_cast<std::size_t>(x);
        const std::int32_t* weights = filter.weights.data() + at * static_cast<std::size_t>(filter.n_taps);
        const std::uint8_t* in = source + (y * width + filter.first[at]) * 3;
        std::int64_t r = kHalf, g = kHalf, b = kHalf;
        for (std::int64_t i = 0; i < filter.count[at]; ++i, in += 3) {
          r += weights[i] * std::int64_t{in[0]};
          g += weights[i] * std::int64_t{in[1]};
          b += weights[i] * std::int64_t{in[2]};
        }
        *out++ = to_byte(r);
        *out++ = to_byte(g);
        *out++ = to_byte(b);
      }
    }
    source = narrowed.data<std::uint8_t>().data();
  }
  Tensor resized(DType::u8, {new_height, new_width, 3});
  std::uint8_t* out = resized.data<std::uint8_t>().data();
  const std::int64_t row = new_width * 3;
  if (new_height == height) {
    std::copy(source, source + height * row, out);
    return resized;
  }
  const Filter filter = make_filter(height, new_height, resampling);
  for (std::int64_t y = 0; y < new_height; ++y) {
    const auto at = static_cast<std::size_t>(y);
    const std::int32_t* weights = filter.weights.data() + at * static_cast<std::size_t>(filter.n_taps);
    for (std::int64_t x = 0; x < row; ++x) {
      std::int64_t sum = kHalf;
      const std::uint8_t* in = source + filter.first[at] * row + x;
      for (std::int64_t i = 0; i < filter.count[at]; ++i) sum += weights[i] * std::int64_t{in[i * row]};
      *out++ = to_byte(sum);
    }
  }
  return resized;
}

Tensor preprocess_image(std::span<const std::uint8_t> rgb, std::int64_t width, std::int64_t height, const ImageSpec& spec) {
  check_image(rgb, width, height);
  if (spec.crop_height <= 0 || spec.crop_width <= 0) throw_error(ErrorCode::invalid_argument, {"the crop size must be positive"});
  std::int64_t new_width = spec.crop_width;
  std::int64_t new_height = spec.crop_height;
  if (spec.resize_shorter > 0) {
    const double factor = static_cast<double>(spec.resize_shorter) / static_cast<double>(std::min(width, height));
    new_width = width <= height ? spec.resize_shorter : static_cast<std::int64_t>(static_cast<double>(width) * factor + 0.5);
    new_height = height <= width ? spec.resize_shorter : static_cast<std::int64_t>(static_cast<double>(height) * factor + 0.5);
  }
  if (new_width < spec.crop_width || new_height < spec.crop_height)
    throw_error(ErrorCode::invalid_argument,
                {"the crop of ", spec.crop_width, " x ", spec.crop_height, " is larger than the resized image of ", new_width,
                 " x ", new_height, "; give a larger resize"});
  const Tensor resized = resize_rgb(rgb, width, height, new_width, new_height, spec.resampling);
  const std::uint8_t* pixels = resized.data<std::uint8_t>().data();
  const std::int64_t left = (new_width - spec.crop_width) / 2;
  const std::int64_t top = (new_height - spec.crop_height) / 2;
  const std::int64_t n_channels = spec.color == ColorOrder::grey ? 1 : 3;
  const bool is_nchw = spec.layout == ImageLayout::nchw;
  const Shape shape =
      is_nchw ? Shape{1, n_channels, spec.crop_height, spec.crop_width} : Shape{1, spec.crop_height, spec.crop_width, n_channels};
  Tensor input(DType::f32, shape);
  float* out = input.data<float>().data();
  // Each channel has 256 possible values: one table a channel, computed in double and rounded once.
  std::array<std::array<float, 256>, 3> table;
  for (std::size_t c = 0; c < 3; ++c) {
    if (!(std::abs(spec.std[c]) > 0.0)) throw_error(ErrorCode::invalid_argument, {"std must not be 0"});
    for (int v = 0; v < 256; ++v)
      table[c][static_cast<std::size_t>(v)] = static_cast<float>((v / 255.0 * spec.scale - spec.mean[c]) / spec.std[c]);
  }
  const std::int64_t n_pixels = spec.crop_height * spec.crop_width;
  for (std::int64_t y = 0; y < spec.crop_height; ++y) {
    for (std::int64_t x = 0; x < spec.crop_width; ++x) {
      const std::uint8_t* pixel = pixels + ((y + top) * new_width + x + left) * 3;
      const std::int64_t place = y * spec.crop_width + x;
      for (std::int64_t c = 0; c < n_channels; ++c) {
        std::uint8_t value;
        if (spec.color == ColorOrder::grey)
          value = static_cast<std::uint8_t>((pixel[0] * 19595 + pixel[1] * 38470 + pixel[2] * 7471 + 0x8000) >> 16);
        else
          value = pixel[spec.color == ColorOrder::bgr ? 2 - c : c];
        out[is_nchw ? c * n_pixels + place : place * n_channels + c] = table[static_cast<std::size_t>(c)][value];
      }
    }
  }
  return input;
}

}  // namespace bitwright
