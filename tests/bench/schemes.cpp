// Times the schemes on one core against a plain copy of the same floats in the same run: 1 is the speed of the copy.
// Built for wasm by tests/bench/schemes.bench.mjs, which prints the table and says what is wanted.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "quant/encodings/encoding.h"
#include "quant/encodings/groups.h"
#include "quant/encodings/levels.h"
#include "quant/observers/histogram.h"
#include "quant/quantize.h"

using namespace bitwright;

namespace {

constexpr std::int64_t kRows = 4096;  // 64 MB of floats: larger than any cache
constexpr std::int64_t kColumns = 4096;
constexpr int kRounds = 9;
constexpr double kWarmMs = 500.0;  // until engines have compiled a loop for speed

double time_ms(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

double best(const std::vector<double>& times) { return *std::min_element(times.begin(), times.end()); }

/// Rounds of copy and work in turn, so that both see the same neighbours on the machine.
void row(const char* name, const std::vector<float>& x, std::vector<float>& copy, const std::function<void()>& work,
         int passes = 1) {
  std::vector<double> copies;
  std::vector<double> works;
  for (double warm = 0.0; warm < kWarmMs;) warm += time_ms(work);
  for (int round = 0; round < kRounds; ++round) {
    const double c = time_ms([&] { std::memcpy(copy.data(), x.data(), x.size() * sizeof(float)); });
    const double w = time_ms(work) / passes;
    copies.push_back(c);
    works.push_back(w);
  }
  const double giga = static_cast<double>(x.size()) * 1e-6;
  std::printf("%-28s %8.2f ms  %6.3f G/s   copy %8.2f ms   ratio %.2f\n", name, best(works), giga / best(works), best(copies),
              best(copies) / best(works));
}

}  // namespace

/// Without an argument on kRows rows; another number says what the caches make of it.
int main(int argc, char** argv) {
  const std::int64_t rows = argc > 1 ? std::atoi(argv[1]) : kRows;
  std::vector<float> x(static_cast<std::size_t>(rows * kColumns));
  std::mt19937 bits(1);
  for (float& v : x) {
    const std::uint32_t b = bits();
    v = (static_cast<float>(b & 0xffff) + static_cast<float>(b >> 16) - 65535.0f) * 1e-6f;
  }
  std::vector<float> copy(x.size());
  const Shape shape = {rows, kColumns};

  row("scan_min_max", x, copy, [&] { (void)scan_min_max(x); });
  WideningHistogram histogram(2048);
  row("histogram, 2048 bins", x, copy, [&] { histogram.add(x, -0.07f, 0.07f, true); });
  for (const char* name : {"i8", "u8", "i8_b32", "i4_b32", "u4_b32", "i3_b32", "k4", "f8e4m3fn", "f8e5m2", "nf4", "fp4", "mxfp4",
                           "nvfp4", "apot4", "ternary", "binary"}) {
    const TensorScheme& scheme = find_scheme(name)->scheme;
    const std::int64_t axis = scheme.grain == TensorScheme::Grain::per_channel ? 0 : 1;
    EncodedTensor encoded;
    row(name, x, copy, [&] { encoded = encode_tensor(x, shape, scheme, axis); });
    char label[64];
    std::snprintf(label, sizeof(label), "  %s, decode", name);
    row(label, x, copy, [&] { decode_tensor(encoded, copy); });
  }
  // One pass of k-means over the same values, and the whole of it over a million weights.
  std::vector<float> levels(16);
  for (int i = 0; i < 16; ++i) levels[static_cast<std::size_t>(i)] = (static_cast<float>(i) - 7.5f) * 0.008f;
  const LevelTable table = sorted_levels(levels);
  row("k-means pass, 16 entries", x, copy, [&] { (void)sum_by_code(table, Group(x)); });
  std::vector<float> million(1'000'000);
  for (std::size_t i = 0; i < million.size(); ++i) million[i] = x[i % x.size()];
  std::vector<float> million_copy(million.size());
  row("k-means, 1 M weights, all", million, million_copy,
      [&] { (void)encode_tensor(million, {1'000'000}, {.encoding = Encoding::kmeans, .bits = 4}, 0); });
  return 0;
}
