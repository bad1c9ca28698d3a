#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/function_ref.h"

namespace bitwright {

using ComesBefore = FunctionRef<bool(std::size_t a, std::size_t b)>;

/// The order of 0 .. n - 1 by `comes_before`; equal ones keep their places. One function for all lists: std::sort makes an instance
/// of a few kilobytes for each.
std::vector<std::size_t> sorted_order(std::size_t n, ComesBefore comes_before);

/// Sorts a list by comes_before(item, item); equal items keep their places.
template <typename T, typename Before>
void sort_list(std::vector<T>& items, Before before) {
  std::vector<T> sorted;
  sorted.reserve(items.size());
  for (const std::size_t i : sorted_order(items.size(), [&](std::size_t a, std::size_t b) { return before(items[a], items[b]); }))
    sorted.push_back(std::move(items[i]));
  items = std::move(sorted);
}
template <typename T>
void sort_list(std::vector<T>& items) {
  sort_list(items, [](const T& a, const T& b) { return a < b; });
}

/// Ascending, in place.
void sort_floats(std::span<float> values);

}  // namespace bitwright
