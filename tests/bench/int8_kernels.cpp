// Speed of the integer kernels against the peak of their multiplying instruction, timed in the same run (wasm only).
// Prints one JSON object a line. tests/bench/int8-kernels.bench.mjs builds and runs it in Node 24 and Chromium.
#include <emscripten.h>
#include <wasm_simd128.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/binary_u8/binary_u8.h"
#include "kernels/border_u8/border_u8.h"
#include "kernels/codes.h"
#include "kernels/conv_u8_i8/conv_u8_i8.h"
#include "kernels/depthwise_u8_i8/depthwise_u8_i8.h"
#include "kernels/gemm_i8_nbits/gemm_i8_nbits.h"
#include "kernels/gemm_ternary/gemm_ternary.h"
#include "kernels/lookup_u8/lookup_u8.h"
#include "kernels/pool_u8/pool_u8.h"
#include "kernels/probe.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

volatile std::int32_t seed = 0x01020304, sink = 0;

/// Six dots of i16 on each of four changing operands, `n` times: 4 * 6 * 8 products.
__attribute__((noinline)) void peak_dot16(int n) {
  v128_t a = wasm_i32x4_splat(seed), b[6], acc[6];
  const v128_t one = wasm_i16x8_splat(1);
  for (int i = 0; i < 6; ++i) {
    b[i] = wasm_i32x4_splat(seed * (i + 3));
    acc[i] = wasm_i32x4_splat(i);
  }
  for (int k = 0; k < n; ++k) {
#pragma GCC unroll 4
    for (int turn = 0; turn < 4; ++turn) {
      a = wasm_i16x8_add(a, one);
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i) acc[i] = wasm_i32x4_add(acc[i], wasm_i32x4_dot_i16x8(a, b[i]));
    }
    asm volatile("" ::: "memory");
  }
  for (const v128_t v : acc) sink = sink ^ wasm_i32x4_extract_lane(v, 0) ^ wasm_i32x4_extract_lane(v, 3);
}

#if defined(BITWRIGHT_RELAXED)
/// Twelve relaxed dots on each of four changing operands, `n` times: 4 * 12 * 16 products.
__attribute__((noinline, target("relaxed-simd"))) void peak_relaxed(int n) {
  v128_t a = wasm_i32x4_splat(seed), b[2], acc[12];
  const v128_t one = wasm_i8x16_splat(1);
  for (int i = 0; i < 2; ++i) b[i] = wasm_i32x4_splat(seed * (i + 3));
  for (int i = 0; i < 12; ++i) acc[i] = wasm_i32x4_splat(i);
  for (int k = 0; k < n; ++k) {
#pragma GCC unroll 4
    for (int turn = 0; turn < 4; ++turn) {
      a = wasm_i8x16_add(a, one);
#pragma GCC unroll 12
      for (int i = 0; i < 12; ++i) acc[i] = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(b[i % 2], a, acc[i]);
    }
    asm volatile("" ::: "memory");
  }
  for (const v128_t v : acc) sink = sink ^ wasm_i32x4_extract_lane(v, 0) ^ wasm_i32x4_extract_lane(v, 3);
}
#endif

struct Task {
  std::string name;
  double products;
  std::function<void()> run;
  std::string group = {};  // its tasks are summed up
  int repeats = 1;
  std::vector<double> ms = {};
};

/// Rounds of all tasks in turn; medians.
void measure(std::vector<Task>& tasks) {
  for (Task& task : tasks) {
    double took = 0;
    for (int i = 0; i < 40 && took < 60; ++i) {
      const double start = emscripten_get_now();
      task.run();
      took += emscripten_get_now() - start;
    }
    const double start = emscripten_get_now();
    for (int i = 0; i < 20; ++i) task.run();
    const double each = (emscripten_get_now() - start) / 20;
    task.repeats = std::max(1, static_cast<int>(1.0 / std::max(each, 1e-3)));
  }
  for (int round = 0; round < 25; ++round)
    for (Task& task : tasks) {
      const double start = emscripten_get_now();
      for (int i = 0; i < task.repeats; ++i) task.run();
      task.ms.push_back((emscripten_get_now() - start) / task.repeats);
    }
  for (Task& task : tasks) std::sort(task.ms.begin(), task.ms.end());
  const Task& peak = tasks[0];
  const double peak_rate = peak.products / peak.ms[0] * 1e-6;
  std::map<std::string, std::array<double, 2>> groups;
  const auto print = [&](const std::string& name, double products, double ms, double best_ms) {
    const double best = products / best_ms * 1e-6;
    std::printf("{\"name\":\"%s\",\"ms\":%.4f,\"best_ms\":%.4f,\"gmacs\":%.2f,\"of_peak\":%.3f}\n", name.c_str(), ms, best_ms,
                best, best / peak_rate);
  };
  for (const Task& task : tasks) {
    if (task.group.empty()) {
      print(task.name, task.products, task.ms[task.ms.size() / 2], task.ms[0]);
    } else {
      groups[task.group][0] += task.products;
      groups[task.group][1] += task.ms[0];
    }
  }
  for (const auto& [name, sums] : groups) print("MobileNetV2 " + name, sums[0], sums[1], sums[1]);
}

struct Tensors {
  std::vector<std::uint8_t> x, y;
  std::vector<std::int8_t> w;
  std::vector<std::byte> packed;
  std::vector<float> multipliers;
  std::vector<std::int32_t> fixed;
};

Requantize requantize(Tensors& t, std::ptrdiff_t columns, double scale) {
  t.multipliers.assign(static_cast<std::size_t>(columns + 16), static_cast<float>(scale));
  const FixedPoint fixed = fixed_point(std::vector<double>(t.multipliers.begin(), t.multipliers.end())).value();
  t.fixed = fixed.multipliers;
  return {t.multipliers.data(), t.fixed.data(), fixed.left_shift, 120, 0, 255};
}

struct Layer {
  const char* what;
  std::ptrdiff_t height, width, channels, out_channels, kernel, stride;
};

void add_conv(std::vector<Task>& tasks, std::vector<std::unique_ptr<Tensors>>& kept, const Layer& l,
              const ConvU8I8Variant& variant) {
  kept.push_back(std::make_unique<Tensors>());
  Tensors& t = *kept.back();
  const std::ptrdiff_t pad = l.kernel / 2, oh = (l.height + 2 * pad - l.kernel) / l.stride + 1,
                       ow = (l.width + 2 * pad - l.kernel) / l.stride + 1;
  ConvU8I8 conv{.geometry = {.input = {1, l.height, l.width},
                             .output = {1, oh, ow},
                             .kernel = {1, l.kernel, l.kernel},
                             .stride = {1, l.stride, l.stride},
                             .pad_begin = {0, pad, pad}},
                .channels = l.channels,
                .out_channels = l.out_channels,
                .x_pixel_stride = l.channels,
                .x_zero_point = 114};
  t.x = random_activations(l.height * l.width * l.channels, 1);
  t.w = random_codes<std::int8_t>(static_cast<std::size_t>(conv.k() * l.out_channels), 2, -127, 127);
  t.y.resize(static_cast<std::size_t>(oh * ow * l.out_channels * 4));
  const ConvWeightsU8I8 weights{.w = t.w.data(),
                                .channels = l.channels,
                                .taps = l.kernel * l.kernel,
                                .out_channels = l.out_channels,
                                .column_stride = conv.k(),
                                .channel_stride = l.kernel * l.kernel,
                                .x_zero_point = 114};
  t.packed.resize(packed_conv_u8_i8_bytes(variant.family, weights));
  pack_conv_u8_i8(variant.family, weights, t.packed.data());
  conv.x = t.x.data();
  conv.y = t.y.data();
  conv.packed = t.packed.data();
  conv.y_strides = {oh * ow * l.out_channels, ow * l.out_channels, l.out_channels};
  conv.requantize = requantize(t, l.out_channels, 0.5 / static_cast<double>(conv.k()) * 0.01);
  char name[160];
  std::snprintf(name, sizeof(name), "%s %dx%dx%d->%d k%d s%d %s", l.what, int(l.height), int(l.width), int(l.channels),
                int(l.out_channels), int(l.kernel), int(l.stride), std::string(variant.name).c_str());
  tasks.push_back({name, double(oh * ow) * double(conv.k()) * double(l.out_channels),
                   [conv, run = variant.run] { conv_u8_i8_blocked(conv, run); }});
}

void add_depthwise(std::vector<Task>& tasks, std::vector<std::unique_ptr<Tensors>>& kept, const Layer& l,
                   const DepthwiseU8I8Variant& variant) {
  kept.push_back(std::make_unique<Tensors>());
  Tensors& t = *kept.back();
  const std::ptrdiff_t pad = l.kernel / 2, oh = (l.height + 2 * pad - l.kernel) / l.stride + 1,
                       ow = (l.width + 2 * pad - l.kernel) / l.stride + 1;
  DepthwiseU8I8 d{.geometry = {.input = {1, l.height, l.width},
                               .output = {1, oh, ow},
                               .kernel = {1, l.kernel, l.kernel},
                               .stride = {1, l.stride, l.stride},
                               .pad_begin = {0, pad, pad}},
                  .channels = l.channels,
                  .x_pixel_stride = l.channels,
                  .x_zero_point = 114,
                  .y_pixel_stride = l.channels};
  const std::ptrdiff_t taps = l.kernel * l.kernel;
  t.x = random_activations(l.height * l.width * l.channels, 1);
  t.w = random_codes<std::int8_t>(static_cast<std::size_t>(taps * l.channels), 2, -127, 127);
  t.y.resize(static_cast<std::size_t>(oh * ow * l.channels));
  const DepthwiseWeightsU8I8 weights{.w = t.w.data(),
                                     .taps = taps,
                                     .kernel_width = l.kernel,
                                     .out_channels = l.channels,
                                     .channel_stride = taps,
                                     .x_zero_point = 114};
  t.packed.resize(packed_depthwise_u8_i8_bytes(weights));
  pack_depthwise_u8_i8(weights, t.packed.data());
  d.x = t.x.data();
  d.y = t.y.data();
  d.packed = t.packed.data();
  d.requantize = requantize(t, l.channels, 0.001);
  char name[160];
  std::snprintf(name, sizeof(name), "%s %dx%dx%d k%d s%d %s", l.what, int(l.height), int(l.width), int(l.channels), int(l.kernel),
                int(l.stride), std::string(variant.name).c_str());
  tasks.push_back({name, double(oh * ow * taps * l.channels), [d, run = variant.run] { depthwise_u8_i8_blocked(d, run); }});
}

/// Work on every code: `products` counts codes.
void add_codes(std::vector<Task>& tasks, std::vector<std::unique_ptr<Tensors>>& kept) {
  kept.push_back(std::make_unique<Tensors>());
  Tensors& t = *kept.back();
  constexpr std::ptrdiff_t kPixels = 56 * 56, kChannels = 24, n = kPixels * kChannels;
  t.x = random_activations(224 * 224 * 4, 1);
  t.y.resize(224 * 224 * 4);
  t.multipliers.resize(224 * 224 * 3, 0.5f);
  BinaryU8 binary{
      .n = n, .a = t.x.data(), .b = t.x.data() + n / 2, .y = t.y.data(), .a_scale = 0.02f, .b_scale = 0.03f, .y_scale = 0.04f};
  set_add_multipliers(binary, 0.5, 0.75);
  for (const BinaryU8Variant& variant : binary_u8_variants())
    tasks.push_back(
        {std::string(variant.name) + " 56x56x24", double(n), [binary, run = variant.run] { binary_u8_blocked(binary, run); }});
  const LookupU8 lookup{.n = n, .x = t.x.data(), .y = t.y.data(), .table = t.x.data() + 1000};
  tasks.push_back({"lookup_u8 56x56x24", double(n), [lookup] { lookup_u8_blocked(lookup); }});
  PoolU8 pool{.geometry = {.input = {1, 7, 7}, .kernel = {1, 7, 7}},
              .channels = 1280,
              .x = t.x.data(),
              .x_pixel_stride = 1280,
              .y = t.y.data(),
              .y_pixel_stride = 1280};
  pool.requantize = requantize(t, 224 * 224 * 3, 0.02);
  tasks.push_back({"average_pool_u8 7x7x1280", 49.0 * 1280,
                   [pool] { pool_u8_blocked(pool, choose_pool_u8(PoolOperation::average, Arithmetic::fast)); }});
  const BorderU8 border{.channels = 3, .pixels = 224 * 224, .pixel_stride = 3, .scale = 0.02f, .zero_point = 114};
  tasks.push_back({"quantize_u8 224x224x3", 224.0 * 224 * 3,
                   [border, &t] { quantize_u8(border, t.multipliers.data(), t.y.data(), 0, border.pixels); }});
  const BorderU8 wide{.channels = kChannels, .pixels = kPixels, .pixel_stride = kChannels, .scale = 0.02f, .zero_point = 114};
  tasks.push_back(
      {"quantize_u8 56x56x24", double(n), [wide, &t] { quantize_u8(wide, t.multipliers.data(), t.y.data(), 0, wide.pixels); }});
  tasks.push_back({"dequantize_u8 56x56x24", double(n),
                   [wide, &t] { dequantize_u8(wide, t.x.data(), t.multipliers.data(), 0, wide.pixels); }});
}

/// Weights of few bits in blocks of 32, by every variant that takes them.
void add_nbits(std::vector<Task>& tasks, std::vector<std::unique_ptr<Tensors>>& kept) {
  constexpr std::ptrdiff_t kColumns = 2048, kDepth = 2048;
  for (const GemmI8NBitsVariant& variant : gemm_i8_nbits_variants())
    for (const int bits : {1, 2, 3, 4})
      for (const std::ptrdiff_t m : {1, 32, 128}) {
        if (!variant.takes(bits) || variant.run == gemm_i8_nbits__reference) continue;
        kept.push_back(std::make_unique<Tensors>());
        Tensors& t = *kept.back();
        const NBitsLayout layout{bits, kColumns, kDepth, 32, variant.is_by_table};
        const std::vector<std::uint8_t> codes = random_activations(kColumns * kDepth / 8 * bits, 2);
        std::vector<std::uint8_t> wide(static_cast<std::size_t>(kColumns * kDepth));
        for (std::size_t i = 0; i < wide.size(); ++i)
          wide[i] = static_cast<std::uint8_t>(codes[i % codes.size()] & ((1 << bits) - 1));
        t.packed.resize(static_cast<std::size_t>(layout.packed_bytes()) + 16);
        pack_nbits(layout, {.bytes = wide.data(), .stored_bits = 8, .column_stride = kDepth}, 0, layout.n_panels(),
                   reinterpret_cast<std::uint8_t*>(t.packed.data()));
        t.w = random_codes<std::int8_t>(static_cast<std::size_t>(m * layout.padded_k()), 3, -127, 127);
        t.x.resize(static_cast<std::size_t>(arranged_bytes(m, layout)) + 16);
        t.y.resize(static_cast<std::size_t>(m * kColumns) * sizeof(float));
        t.multipliers.resize(static_cast<std::size_t>(layout.n_scales()), 0.5f);
        t.fixed.resize(static_cast<std::size_t>(m * layout.n_blocks()));
        const GemmI8NBits product{.layout = layout,
                                  .m = m,
                                  .a = t.x.data(),
                                  .a_scales = t.multipliers.data(),
                                  .a_sums = t.fixed.data(),
                                  .weights = reinterpret_cast<const std::uint8_t*>(t.packed.data()),
                                  .scales = t.multipliers.data(),
                                  .y = reinterpret_cast<float*>(t.y.data()),
                                  .y_row_stride = kColumns};
        char name[160];
        std::snprintf(name, sizeof(name), "%d bits %dx2048x2048 %s", bits, int(m), std::string(variant.name).c_str());
        tasks.push_back({name, double(m * kColumns) * kDepth, [product, variant, &t] {
                           variant.arrange(t.w.data(), product.m, product.layout.padded_k(), t.x.data());
                           variant.run(product, 0, product.layout.n_panels());
                         }});
      }
}

/// Codes from {-1, 0, 1} on both sides, by xor and popcount.
void add_ternary(std::vector<Task>& tasks, std::vector<std::unique_ptr<Tensors>>& kept) {
  for (const bool is_binary : {true, false})
    for (const std::array<std::ptrdiff_t, 3>& shape :
         {std::array<std::ptrdiff_t, 3>{1, 2048, 2048}, {128, 768, 768}, {196, 256, 2304}}) {
      kept.push_back(std::make_unique<Tensors>());
      Tensors& t = *kept.back();
      const TernaryLayout layout{shape[1], shape[2], is_binary};
      t.x = random_activations(shape[0] * layout.row_words() * 4, 1);
      t.w = random_codes<std::int8_t>(static_cast<std::size_t>(layout.n * layout.weight_words() * 4), 2, -127, 127);
      t.fixed.resize(static_cast<std::size_t>(shape[0]));
      t.multipliers.resize(static_cast<std::size_t>(layout.n), 0.5f);
      t.y.resize(static_cast<std::size_t>(shape[0] * layout.n) * sizeof(float));
      const GemmTernary product{.layout = layout,
                                .m = shape[0],
                                .a = reinterpret_cast<const std::uint32_t*>(t.x.data()),
                                .a_counts = t.fixed.data(),
                                .weights = reinterpret_cast<const std::uint32_t*>(t.w.data()),
                                .scales = t.multipliers.data(),
                                .y = reinterpret_cast<float*>(t.y.data()),
                                .y_row_stride = layout.n};
      char name[160];
      std::snprintf(name, sizeof(name), "%s %dx%dx%d gemm_ternary__simd128_1x4", is_binary ? "binary" : "ternary", int(shape[0]),
                    int(shape[1]), int(shape[2]));
      tasks.push_back({name, double(shape[0] * shape[1]) * double(shape[2]),
                       [product] { gemm_ternary__simd128_1x4(product, 0, product.layout.n); }});
    }
}

/// The layers of MobileNetV2 1.0 224, run in turn; by kind, and in all.
void add_network(std::vector<Task>& tasks, std::vector<std::unique_ptr<Tensors>>& kept, AccResult result, Arithmetic arithmetic) {
  const KernelFamily family = probe_kernel_family();
  const auto convolution = *std::find_if(conv_u8_i8_variants().begin(), conv_u8_i8_variants().end(),
                                         [&](const ConvU8I8Variant& v) { return v.family == family && v.result == result; });
  const auto depthwise =
      *std::find_if(depthwise_u8_i8_variants().begin(), depthwise_u8_i8_variants().end(),
                    [&](const DepthwiseU8I8Variant& v) { return v.family == family && v.arithmetic == arithmetic; });
  std::vector<Task> first, point, depth;
  add_conv(first, kept, {"first", 224, 224, 3, 32, 3, 2}, convolution);
  const std::ptrdiff_t blocks[][4] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                      {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
  std::ptrdiff_t channels = 32, size = 112;
  for (const auto& block : blocks)
    for (std::ptrdiff_t i = 0; i < block[2]; ++i) {
      const std::ptrdiff_t wide = channels * block[0], stride = i == 0 ? block[3] : 1;
      if (block[0] > 1) add_conv(point, kept, {"point", size, size, channels, wide, 1, 1}, convolution);
      add_depthwise(depth, kept, {"depth", size, size, wide, 0, 3, stride}, depthwise);
      size /= stride;
      channels = block[1];
      add_conv(point, kept, {"point", size, size, wide, channels, 1, 1}, convolution);
    }
  add_conv(point, kept, {"point", 7, 7, 320, 1280, 1, 1}, convolution);
  add_conv(point, kept, {"point", 1, 1, 1280, 1000, 1, 1}, convolution);
  const std::string name = arithmetic == Arithmetic::fast ? " fast" : " integer_only";
  const auto add = [&](const char* what, std::vector<Task>& parts) {
    for (Task& part : parts) {
      part.group = what + name;
      tasks.push_back(part);
    }
  };
  add("first convolution", first);
  add("pointwise", point);
  add("depthwise", depth);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string only = argc > 1 ? argv[1] : "";
  std::vector<std::unique_ptr<Tensors>> kept;
  std::vector<Task> tasks;
  const KernelFamily family = probe_kernel_family();
#if defined(BITWRIGHT_RELAXED)
  if (family != KernelFamily::simd128)
    tasks.push_back({"peak relaxed_dot_i8x16", 4 * 12 * 16 * 20000.0, [] { peak_relaxed(20000); }});
  else
#endif
    tasks.push_back({"peak dot_i16x8", 4 * 6 * 8 * 20000.0, [] { peak_dot16(20000); }});
  const Layer products[] = {
      {"product", 1, 512, 512, 512, 1, 1},   {"product", 1, 128, 768, 768, 1, 1},  {"product", 1, 128, 768, 3072, 1, 1},
      {"product", 1, 128, 3072, 768, 1, 1},  {"product", 1, 1, 1280, 1000, 1, 1},  {"pointwise", 112, 112, 32, 16, 1, 1},
      {"pointwise", 112, 112, 16, 96, 1, 1}, {"pointwise", 56, 56, 96, 24, 1, 1},  {"pointwise", 56, 56, 24, 144, 1, 1},
      {"pointwise", 28, 28, 192, 32, 1, 1},  {"pointwise", 28, 28, 32, 192, 1, 1}, {"pointwise", 14, 14, 384, 64, 1, 1},
      {"pointwise", 14, 14, 64, 384, 1, 1},  {"pointwise", 14, 14, 576, 96, 1, 1}, {"pointwise", 14, 14, 96, 576, 1, 1},
      {"pointwise", 7, 7, 960, 160, 1, 1},   {"pointwise", 7, 7, 160, 960, 1, 1},  {"pointwise", 7, 7, 320, 1280, 1, 1},
      {"first", 224, 224, 3, 32, 3, 2},      {"dense", 56, 56, 64, 64, 3, 1},      {"dense", 14, 14, 256, 256, 3, 1}};
  for (const Layer& layer : products)
    for (const ConvU8I8Variant& variant : conv_u8_i8_variants())
      if (variant.family == family && (variant.result == AccResult::fast || variant.result == AccResult::integer_only) &&
          (only.empty() || std::string(layer.what) == only))
        add_conv(tasks, kept, layer, variant);
  const Layer depthwise[] = {
      {"depthwise", 112, 112, 32, 0, 3, 1}, {"depthwise", 112, 112, 96, 0, 3, 2}, {"depthwise", 56, 56, 144, 0, 3, 1},
      {"depthwise", 56, 56, 144, 0, 3, 2},  {"depthwise", 28, 28, 192, 0, 3, 1},  {"depthwise", 14, 14, 576, 0, 3, 1},
      {"depthwise", 7, 7, 960, 0, 3, 1},    {"depthwise", 28, 28, 120, 0, 5, 1},  {"depthwise", 28, 28, 120, 0, 5, 2}};
  for (const Layer& layer : depthwise)
    for (const DepthwiseU8I8Variant& variant : depthwise_u8_i8_variants())
      if (variant.family == family && (only.empty() || std::string(layer.what) == only))
        add_depthwise(tasks, kept, layer, variant);
  if (only.empty() || only == "network") {
    add_network(tasks, kept, AccResult::fast, Arithmetic::fast);
    add_network(tasks, kept, AccResult::integer_only, Arithmetic::integer_only);
  }
  if (only.empty() || only == "codes") add_codes(tasks, kept);
  if (only.empty() || only == "bits") {
    add_nbits(tasks, kept);
    add_ternary(tasks, kept);
  }
  measure(tasks);
  return 0;
}
