#include "base/sorted_order.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>

using bitwright::sort_list;
using bitwright::sorted_order;

TEST_CASE("sorted_order: equal items keep their places") {
  const std::vector<int> keys = {2, 1, 2, 0, 1};
  const auto order = sorted_order(keys.size(), [&](std::size_t a, std::size_t b) { return keys[a] < keys[b]; });
  CHECK(order == std::vector<std::size_t>{3, 1, 4, 0, 2});
}

TEST_CASE("sorted_order: agrees with std::stable_sort at every length") {
  std::uint32_t state = 1;
  for (std::size_t n = 0; n < 70; ++n) {
    std::vector<std::uint32_t> keys(n);
    for (auto& key : keys) key = (state = state * 1664525 + 1013904223) >> 28;
    const auto before = [&](std::size_t a, std::size_t b) { return keys[a] > keys[b]; };
    std::vector<std::size_t> expected(n);
    std::iota(expected.begin(), expected.end(), std::size_t{0});
    std::stable_sort(expected.begin(), expected.end(), before);
    CHECK(sorted_order(n, before) == expected);
  }
}

TEST_CASE("sort_list: moves what it sorts") {
  std::vector<std::string> names = {"b", "c", "a"};
  sort_list(names);
  CHECK(names == std::vector<std::string>{"a", "b", "c"});
}
