#include <limits>
#include <vector>

#include "base/math.h"
#include "kernels/reduce_f32/reduce_f32.h"
#include "kernels/softmax_f32/softmax_f32.h"

namespace bitwright {

void softmax_f32__reference(const SoftmaxF32& s) {
  for (std::ptrdiff_t column = 0; column < s.columns; ++column) {
    const float* x = s.x + column;
    float* y = s.y + column;
    float largest = -std::numeric_limits<float>::infinity();
    for (std::ptrdiff_t i = 0; i < s.n; ++i)
      if (x[i * s.stride] > largest) largest = x[i * s.stride];
    std::vector<float> powers(static_cast<std::size_t>(s.n));
    for (std::ptrdiff_t i = 0; i < s.n; ++i) powers[static_cast<std::size_t>(i)] = exp(x[i * s.stride] - largest);
    float sum = 0.0f;
    if (s.stride == 1) {
      sum = reference::sum_f32(powers.data(), s.n);
    } else {
      for (const float power : powers) sum += power;
    }
    for (std::ptrdiff_t i = 0; i < s.n; ++i)
      y[i * s.stride] = s.is_log ? (x[i * s.stride] - largest) - log(sum) : powers[static_cast<std::size_t>(i)] / sum;
  }
}

}  // namespace bitwright
