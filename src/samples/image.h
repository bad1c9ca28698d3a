#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace bitwright {

enum class ColorOrder { rgb, bgr, grey };
enum class ImageLayout { nchw, nhwc };
enum class Resampling { bilinear, bicubic };

/// From the decoded picture to the model's input, the same on every host:
/// shorter side resized to `resize_shorter` (0: straight to the crop size, without keeping the aspect ratio), centre crop of
/// `crop_height` x `crop_width`, then (value / 255 * scale - mean[c]) / std[c] with value 0..255 where `scale` is 1 or 255.
struct ImageSpec {
  std::int64_t resize_shorter = 0;
  std::int64_t crop_height = 224;
  std::int64_t crop_width = 224;
  Resampling resampling = Resampling::bicubic;
  ColorOrder color = ColorOrder::rgb;
  ImageLayout layout = ImageLayout::nchw;
  double scale = 1.0;  // of the pixel before normalization: 1 gives 0..1, 255 gives 0..255
  std::array<double, 3> mean{0.0, 0.0, 0.0};
  std::array<double, 3> std{1.0, 1.0, 1.0};
};

/// The most pixels a decoded image may have: 2^26 (8192 x 8192). Cameras of 2026 stay below 2^28, which are refused by name.
inline constexpr std::int64_t kMaxImagePixels = std::int64_t{1} << 26;

/// Resizes 8-bit RGB with the antialiased filters of Pillow (bilinear: triangle; bicubic: a = -0.5; support scaled when
/// shrinking), horizontally then vertically, each pass rounded to 8 bits as Pillow does.
///   rgb      height * width * 3 bytes, interleaved
///   throws   Error{bad_data} for sizes that do not fit
Tensor resize_rgb(std::span<const std::uint8_t> rgb, std::int64_t width, std::int64_t height, std::int64_t new_width,
                  std::int64_t new_height, Resampling resampling);

/// One input of shape [1,c,h,w] or [1,h,w,c], f32, c = 1 for grey (ITU-R 601 luma, rounded as Pillow's convert('L')) or 3.
Tensor preprocess_image(std::span<const std::uint8_t> rgb, std::int64_t width, std::int64_t height, const ImageSpec& spec);

}  // namespace bitwright
