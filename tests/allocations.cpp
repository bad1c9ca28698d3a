// The test program's own operator new and delete: they count, fill and fail on demand. Everything the library takes goes through
// them, tensors included.
#ifndef __EMSCRIPTEN__
#include "allocations.h"

#include <doctest/doctest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "tensor/tensor.h"

namespace bitwright::tests {

namespace {

std::atomic<std::uint64_t> made{0};
std::atomic<std::uint64_t> live{0};
std::atomic<std::uint64_t> peak{0};
std::atomic<int> fill{-1};

constexpr std::uint64_t kNever = ~std::uint64_t{0};
thread_local std::uint64_t left_until_failure = kNever;
thread_local bool all_fail = false;
thread_local bool failed = false;

bool fails_now() {
  if (left_until_failure == kNever) return false;
  if (left_until_failure > 0) {
    --left_until_failure;
    return false;
  }
  failed = true;
  if (!all_fail) left_until_failure = kNever;
  return true;
}

void* take(std::size_t n_bytes, std::size_t alignment) {
  if (fails_now()) return nullptr;
  void* memory = alignment <= alignof(std::max_align_t)
                     ? std::malloc(n_bytes == 0 ? 1 : n_bytes)
                     : std::aligned_alloc(alignment, (n_bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) return nullptr;
  made.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t now = live.fetch_add(malloc_usable_size(memory), std::memory_order_relaxed) + malloc_usable_size(memory);
  for (std::uint64_t old = peak.load(std::memory_order_relaxed);
       now > old && !peak.compare_exchange_weak(old, now, std::memory_order_relaxed);) {
  }
  if (const int byte = fill.load(std::memory_order_relaxed); byte >= 0) std::memset(memory, byte, n_bytes);
  return memory;
}

void* take_or_throw(std::size_t n_bytes, std::size_t alignment) {
  void* memory = take(n_bytes, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void give_back(void* memory) {
  if (memory == nullptr) return;
  live.fetch_sub(malloc_usable_size(memory), std::memory_order_relaxed);
  std::free(memory);
}

}  // namespace

std::uint64_t n_allocations() { return made.load(); }
std::uint64_t live_bytes() { return live.load(); }
std::uint64_t peak_bytes() { return peak.load(); }
void reset_peak() { peak.store(live.load()); }

FilledMemory::FilledMemory(std::uint8_t byte) { fill.store(byte); }
FilledMemory::~FilledMemory() { fill.store(-1); }

FailingAllocation::FailingAllocation(std::uint64_t n, Then then) {
  failed = false;
  all_fail = then == Then::all_fail;
  left_until_failure = n;
}
FailingAllocation::~FailingAllocation() { left_until_failure = kNever; }
bool FailingAllocation::has_failed() const { return failed; }

}  // namespace bitwright::tests

using namespace bitwright::tests;

void* operator new(std::size_t n) { return take_or_throw(n, 1); }
void* operator new[](std::size_t n) { return take_or_throw(n, 1); }
void* operator new(std::size_t n, std::align_val_t alignment) { return take_or_throw(n, static_cast<std::size_t>(alignment)); }
void* operator new[](std::size_t n, std::align_val_t alignment) { return take_or_throw(n, static_cast<std::size_t>(alignment)); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return take(n, 1); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return take(n, 1); }
void* operator new(std::size_t n, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return take(n, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t n, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return take(n, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { give_back(memory); }
void operator delete[](void* memory) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t) noexcept { give_back(memory); }
void operator delete[](void* memory, std::size_t) noexcept { give_back(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { give_back(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { give_back(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { give_back(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { give_back(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { give_back(memory); }
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept { give_back(memory); }
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept { give_back(memory); }

TEST_CASE("operator new of the tests: counts, fills, and fails where it is told, tensors included") {
  const std::uint64_t before = live_bytes();
  const std::uint64_t n_before = n_allocations();
  {
    const std::vector<int> values(1000);
    CHECK(live_bytes() >= before + 4000);
    CHECK(n_allocations() == n_before + 1);
  }
  CHECK(live_bytes() == before);
  {
    const FilledMemory filled(0xa5);
    const bitwright::Tensor raw(bitwright::DType::u8, {3}, bitwright::heap_allocator());
    CHECK(raw.bytes()[0] == 0);  // zeroed by its allocator
    const std::unique_ptr<std::uint8_t[]> bytes(new std::uint8_t[3]);
    CHECK(bytes[2] == 0xa5);
  }
  std::uint64_t n = 0;
  for (bool has_failed = true; has_failed; ++n) {
    const FailingAllocation failing(n);
    bool is_thrown = false;
    try {
      const bitwright::Tensor tensor(bitwright::DType::f32, {100});
    } catch (const std::exception&) {
      is_thrown = true;
    }
    has_failed = failing.has_failed();
    if (is_thrown != has_failed) FAIL_CHECK("allocation ", n);
  }
  CHECK(n >= 3);  // the shape, the bytes, the block that counts their users
}
#endif
