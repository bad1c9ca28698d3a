#include "kernels/warm_up.h"

#include <vector>

#include "kernels/conv_u8_i8/conv_u8_i8.h"
#include "kernels/depthwise_u8_i8/depthwise_u8_i8.h"

namespace bitwright {

void warm_up_integer_kernels(KernelFamily family, Arithmetic arithmetic) {
  const ConvU8I8Kernel conv_kernel =
      choose_conv_u8_i8(family, arithmetic == Arithmetic::fast ? AccResult::fast : AccResult::integer_only);
  if (conv_kernel == nullptr) return;  // a family that this build does not have
  constexpr std::ptrdiff_t kSize = 32, kChannels = 256;
  std::vector<std::byte> zeros(static_cast<std::size_t>(kSize * kSize * kChannels + kOverReadBytes), std::byte{0});
  std::vector<std::uint8_t> y(static_cast<std::size_t>(kSize * kSize * kChannels));
  const Requantize requantize{.multipliers = reinterpret_cast<const float*>(zeros.data()),
                              .fixed_multipliers = reinterpret_cast<const std::int32_t*>(zeros.data())};
  ConvGeometry geometry{.input = {1, 1, kSize},
                        .output = {1, 1, kSize},
                        .kernel = {1, 1, 1},
                        .stride = {1, 1, 1},
                        .dilation = {1, 1, 1},
                        .pad_begin = {0, 0, 0}};
  ConvU8I8 conv{.geometry = geometry, .channels = kChannels, .out_channels = kChannels};
  conv.x = reinterpret_cast<const std::uint8_t*>(zeros.data());
  conv.x_pixel_stride = kChannels;
  conv.packed = zeros.data();
  conv.y = y.data();
  conv.y_image_stride = kSize * kChannels;
  conv.y_strides = {0, 0, kChannels};
  conv.requantize = requantize;
  conv_u8_i8_blocked(conv, conv_kernel);
  geometry.input = geometry.output = {1, kSize, kSize};
  geometry.kernel = {1, 3, 3};
  geometry.pad_begin = {0, 1, 1};
  DepthwiseU8I8 depthwise{.geometry = geometry, .channels = kChannels};
  depthwise.x = reinterpret_cast<const std::uint8_t*>(zeros.data());
  depthwise.x_pixel_stride = kChannels;
  depthwise.packed = zeros.data();
  depthwise.y = y.data();
  depthwise.y_pixel_stride = kChannels;
  depthwise.requantize = requantize;
  depthwise_u8_i8_blocked(depthwise, choose_depthwise_u8_i8(family, arithmetic));
}

}  // namespace bitwright
