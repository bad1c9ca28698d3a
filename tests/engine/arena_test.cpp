#include "engine/arena.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>

namespace bitwright::tests {
namespace {

/// Takes and drops blocks at random, checking that none overlaps another; the same for the same seed.
void churn(Arena& arena, unsigned seed) {
  std::mt19937 draw(seed);
  std::vector<std::pair<std::shared_ptr<Buffer>, std::uint8_t>> blocks;
  for (int i = 0; i < 500; ++i) {
    if (blocks.size() > 10 || (!blocks.empty() && draw() % 2 == 0)) {
      const std::size_t victim = draw() % blocks.size();
      const auto& [block, mark] = blocks[victim];
      for (std::size_t b = 0; b < block->size_bytes(); ++b) REQUIRE(block->data()[b] == mark);
      blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(victim));
    } else {
      const auto mark = static_cast<std::uint8_t>(i);
      auto block = arena.allocate(draw() % 5000);
      std::memset(block->data(), mark, block->size_bytes());
      REQUIRE(reinterpret_cast<std::uintptr_t>(block->data()) % kBufferAlignment == 0);
      blocks.emplace_back(std::move(block), mark);
    }
  }
}

TEST_CASE("Arena: blocks never overlap, and equal runs hold no more from the second on") {
  Arena arena;
  churn(arena, 1);
  CHECK(arena.held_bytes() == 0);
  arena.begin_run();
  churn(arena, 1);
  const std::uint64_t held = arena.held_bytes();
  CHECK(held >= arena.peak_bytes());
  for (int i = 0; i < 3; ++i) {
    arena.begin_run();
    churn(arena, 1);
    CHECK(arena.held_bytes() == held);
    CHECK(arena.live_bytes() == 0);
  }
}

TEST_CASE("Arena: a block outlives a larger slab and the arena itself") {
  std::shared_ptr<Buffer> kept;
  {
    Arena arena;
    kept = arena.allocate(100);
    std::memset(kept->data(), 7, 100);
    arena.allocate(10000);
    arena.begin_run();
    CHECK(arena.allocate(10000)->size_bytes() == 10000);
  }
  CHECK(kept->data()[99] == 7);
}

}  // namespace
}  // namespace bitwright::tests
