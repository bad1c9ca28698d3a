#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace bitwright {

/// Leaves what it makes room for unset: writing zeros first would take as long as writing codes.
template <typename T>
struct UnsetAllocator : std::allocator<T> {
  template <typename U>
  struct rebind {
    using other = UnsetAllocator<U>;
  };
  UnsetAllocator() = default;
  template <typename U>
  UnsetAllocator(const UnsetAllocator<U>&) {}  // NOLINT(google-explicit-constructor)
  template <typename U>
  void construct(U* place) {
    ::new (static_cast<void*>(place)) U;
  }
  template <typename U, typename... Args>
  void construct(U* place, Args&&... args) {
    ::new (static_cast<void*>(place)) U(std::forward<Args>(args)...);
  }
};

/// Bytes that resize() leaves unset: for results that are written whole right away.
using UnsetBytes = std::vector<std::uint8_t, UnsetAllocator<std::uint8_t>>;

}  // namespace bitwright
