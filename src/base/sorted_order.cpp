#include "base/sorted_order.h"

#include <algorithm>
#include <numeric>

namespace bitwright {

// Merges runs of 1, 2, 4 ... neighbours, to and fro between two lists.
std::vector<std::size_t> sorted_order(std::size_t n, ComesBefore comes_before) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<std::size_t> merged(n);
  for (std::size_t width = 1; width < n; width *= 2) {
    for (std::size_t begin = 0; begin < n; begin += std::min(2 * width, n - begin)) {
      const std::size_t middle = begin + std::min(width, n - begin);
      const std::size_t end = middle + std::min(width, n - middle);
      std::size_t left = begin;
      std::size_t right = middle;
      for (std::size_t to = begin; to < end; ++to) {
        const bool takes_right = left == middle || (right < end && comes_before(order[right], order[left]));
        merged[to] = order[takes_right ? right++ : left++];
      }
    }
    order.swap(merged);
  }
  return order;
}

void sort_floats(std::span<float> values) {
  std::make_heap(values.begin(), values.end());
  std::sort_heap(values.begin(), values.end());
}

}  // namespace bitwright
