// Product codebooks against slow twins: the nearest entry one distance at a time, refinement by elimination.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "quant/encodings/encoding.h"

using namespace bitwright;

namespace {

TensorScheme product_of(int n_entries, std::int64_t sub_vector, std::int64_t column_group = 0) {
  return {.encoding = Encoding::product, .n_entries = n_entries, .sub_vector = sub_vector, .column_group = column_group};
}

/// Solves a x = b, of n unknowns, by Gauss's elimination with the largest pivot.
std::vector<double> solved(std::vector<double> a, std::vector<double> b) {
  const std::size_t n = b.size();
  for (std::size_t i = 0; i < n; ++i) {
    std::size_t pivot = i;
    for (std::size_t r = i; r < n; ++r)
      if (std::abs(a[r * n + i]) > std::abs(a[pivot * n + i])) pivot = r;
    for (std::size_t c = 0; c < n; ++c) std::swap(a[i * n + c], a[pivot * n + c]);
    std::swap(b[i], b[pivot]);
    for (std::size_t r = i + 1; r < n; ++r) {
      const double share = a[r * n + i] / a[i * n + i];
      for (std::size_t c = i; c < n; ++c) a[r * n + c] -= share * a[i * n + c];
      b[r] -= share * b[i];
    }
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t c = i + 1; c < n; ++c) b[i] -= a[i * n + c] * b[c];
    b[i] /= a[i * n + i];
  }
  return b;
}

}  // namespace

TEST_CASE("product: every sub-vector takes the first of its nearest entries, as the slow twin finds it") {
  std::mt19937 random(11);
  for (const std::int64_t sub_vector : {2, 3, 4, 5, 8})
    for (const int n_entries : {2, 3, 4, 5, 17, 100, 256})
      for (const bool is_coarse : {false, true}) {
        CAPTURE(sub_vector);
        CAPTURE(n_entries);
        const std::int64_t rows = 40, columns = 21;
        std::vector<float> w(static_cast<std::size_t>(rows * columns));
        // Coarse values have entries at equal distances.
        for (float& v : w)
          v = is_coarse ? static_cast<float>(random() % 5) - 2.0f : static_cast<float>(random() >> 8) * 0x1p-23f - 1.0f;
        const TensorScheme scheme = product_of(n_entries, sub_vector, 3);
        const EncodedTensor e = encode_tensor(w, {rows, columns}, scheme, 1);
        const std::vector<std::int32_t> codes = unpack_codes(e);
        const std::int64_t n_sub = (columns + sub_vector - 1) / sub_vector;
        REQUIRE(codes.size() == static_cast<std::size_t>(rows * n_sub));
        std::size_t n_wrong = 0;
        for (std::int64_t r = 0; r < rows; ++r)
          for (std::int64_t s = 0; s < n_sub; ++s) {
            int nearest = 0;
            float least = std::numeric_limits<float>::infinity();
            for (int c = 0; c < n_entries; ++c) {
              float distance = 0.0f;
              for (std::int64_t i = 0; i < sub_vector; ++i) {
                const std::int64_t column = s * sub_vector + i;
                const float x = column < columns ? w[static_cast<std::size_t>(r * columns + column)] : 0.0f;
                const float d = e.levels[static_cast<std::size_t>((s / 3 * n_entries + c) * sub_vector + i)] - x;
                distance += d * d;
              }
              if (distance < least) {
                least = distance;
                nearest = c;
              }
            }
            n_wrong += codes[static_cast<std::size_t>(r * n_sub + s)] != nearest ? 1 : 0;
          }
        CHECK(n_wrong == 0);
      }
}

TEST_CASE("product: refined entries are those that elimination finds, for rows and for kernels") {
  std::mt19937 random(12);
  const auto next = [&] { return static_cast<float>(random() >> 8) * 0x1p-23f - 1.0f; };
  for (const std::int64_t window : {1, 3})
    for (const std::int64_t n_samples : {5, 32}) {
      CAPTURE(window);
      CAPTURE(n_samples);
      const std::int64_t outputs = 12, extent = 4, columns = extent * window;
      const Shape shape = window == 1 ? Shape{outputs, extent} : Shape{outputs, extent, window};
      std::vector<float> w(static_cast<std::size_t>(outputs * columns));
      for (float& v : w) v = next();
      std::vector<float> samples(static_cast<std::size_t>(n_samples * columns));
      for (float& v : samples) v = next();
      const TensorScheme scheme = product_of(3, 2);
      const EncodedTensor e = encode_tensor(w, shape, scheme, 1, {.samples = samples, .sample_window = window});
      const std::vector<std::int32_t> codes = unpack_codes(e);  // [outputs, 2, window]
      // Of element (channel i, place p) of output o: which entry's which element stands for it.
      const auto level_at = [&](std::int64_t o, std::int64_t i, std::int64_t p) {
        return static_cast<std::size_t>(codes[static_cast<std::size_t>((o * 2 + i / 2) * window + p)] * 2 + i % 2);
      };
      // Least squares: (x . (w - w'))^2 over samples and outputs, and 0.01 sum x_c^2 (w_c - w'_c)^2.
      const std::size_t n = e.levels.size();
      std::vector<double> normal(n * n, 0.0), right(n, 0.0);
      for (std::int64_t o = 0; o < outputs; ++o) {
        const auto add = [&](const std::vector<double>& x) {
          std::vector<double> of_levels(n, 0.0);
          double wanted = 0.0;
          for (std::int64_t c = 0; c < columns; ++c) {
            of_levels[level_at(o, c / window, c % window)] += x[static_cast<std::size_t>(c)];
            wanted += x[static_cast<std::size_t>(c)] * static_cast<double>(w[static_cast<std::size_t>(o * columns + c)]);
          }
          for (std::size_t i = 0; i < n; ++i) {
            right[i] += of_levels[i] * wanted;
            for (std::size_t j = 0; j < n; ++j) normal[i * n + j] += of_levels[i] * of_levels[j];
          }
        };
        std::vector<double> squares(static_cast<std::size_t>(columns), 0.0);
        for (std::int64_t s = 0; s < n_samples; ++s) {
          const float* x = samples.data() + s * columns;
          add({x, x + columns});
          for (std::int64_t c = 0; c < columns; ++c)
            squares[static_cast<std::size_t>(c)] += static_cast<double>(x[c]) * static_cast<double>(x[c]);
        }
        for (std::int64_t c = 0; c < columns; ++c) {
          std::vector<double> alone(static_cast<std::size_t>(columns), 0.0);
          alone[static_cast<std::size_t>(c)] = std::sqrt(0.01 * squares[static_cast<std::size_t>(c)]);
          add(alone);
        }
      }
      const std::vector<double> wanted = solved(normal, right);
      // Products and sums of samples are floats: 24 bits, less what elimination loses of them.
      for (std::size_t i = 0; i < n; ++i)
        CHECK(static_cast<double>(e.levels[i]) == doctest::Approx(wanted[i]).epsilon(1e-3).scale(1.0));
    }
}
