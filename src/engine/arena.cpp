#include "engine/arena.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <vector>

#include "base/checked.h"
#include "base/error.h"

namespace bitwright {

namespace {

constexpr std::uint64_t kMinBlockBytes = 64;
constexpr int kStepsPerDoubling = 4;
constexpr std::size_t kClasses = 64 * kStepsPerDoubling;
/// A request may take a free block up to this many classes above its own, that is less than twice its size.
constexpr std::size_t kClassesAbove = kStepsPerDoubling - 1;

/// The smallest class whose blocks hold n bytes: sizes 2^k * (4, 5, 6, 7) / 4.
std::size_t size_class(std::uint64_t n_bytes) {
  const std::uint64_t n = std::max(n_bytes, kMinBlockBytes);
  const int power = 63 - std::countl_zero(n);
  const std::uint64_t step = (std::uint64_t{1} << power) / kStepsPerDoubling;
  const std::uint64_t steps_above = (n - (std::uint64_t{1} << power) + step - 1) / step;
  return static_cast<std::size_t>(power) * kStepsPerDoubling + static_cast<std::size_t>(steps_above);
}

std::uint64_t class_bytes(std::size_t index) {
  const std::uint64_t power = std::uint64_t{1} << (index / kStepsPerDoubling);
  return power + power / kStepsPerDoubling * (index % kStepsPerDoubling);
}

class Block final : public Buffer {
 public:
  Block(std::uint8_t* data, std::size_t index) : index_(index) { data_ = data; }
  ~Block() override { std::free(data_); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  void use(std::size_t n_bytes) { size_bytes_ = n_bytes; }
  std::size_t index() const { return index_; }

 private:
  std::size_t index_;
};

std::unique_ptr<Block> new_block(std::size_t index) {
  const std::uint64_t whole = class_bytes(index) + kSlackBytes;
  auto* data = static_cast<std::uint8_t*>(
      std::aligned_alloc(kBufferAlignment, addressable((whole + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment)));
  return data == nullptr ? nullptr : std::make_unique<Block>(data, index);
}

}  // namespace

struct Arena::Pool {
  std::array<std::vector<std::unique_ptr<Block>>, kClasses> free_blocks;
  std::uint64_t live_bytes = 0;
  std::uint64_t peak_bytes = 0;
  std::uint64_t held_bytes = 0;

  std::unique_ptr<Block> take(std::size_t index) {
    for (std::size_t i = index; i < std::min(index + 1 + kClassesAbove, kClasses); ++i) {
      if (free_blocks[i].empty()) continue;
      std::unique_ptr<Block> block = std::move(free_blocks[i].back());
      free_blocks[i].pop_back();
      return block;
    }
    return nullptr;
  }

  void give_back_unused() {
    for (std::size_t i = 0; i < kClasses; ++i) {
      held_bytes -= class_bytes(i) * free_blocks[i].size();
      free_blocks[i].clear();
    }
  }
};

Arena::Arena() : pool_(std::make_shared<Pool>()) {}
Arena::~Arena() { pool_->give_back_unused(); }

std::shared_ptr<Buffer> Arena::allocate(std::uint64_t n_bytes) {
  const std::size_t n = addressable(n_bytes);
  const std::size_t index = size_class(n_bytes);
  std::unique_ptr<Block> block = pool_->take(index);
  if (!block) {
    block = new_block(index);
    if (!block) {
      pool_->give_back_unused();
      block = new_block(index);
    }
    if (!block)
      throw Error(ErrorCode::out_of_memory,
                  "a block of " + std::to_string(n_bytes) + " bytes for activations cannot be had; use smaller inputs");
    pool_->held_bytes += class_bytes(index);
  }
  block->use(n);
  pool_->live_bytes += n_bytes;
  pool_->peak_bytes = std::max(pool_->peak_bytes, pool_->live_bytes);
  Block* const raw = block.release();
  return std::shared_ptr<Buffer>(raw, [pool = std::weak_ptr<Pool>(pool_)](Buffer* buffer) {
    std::unique_ptr<Block> returned(static_cast<Block*>(buffer));
    const std::shared_ptr<Pool> owner = pool.lock();
    if (!owner) return;
    owner->live_bytes -= returned->size_bytes();
    owner->free_blocks[returned->index()].push_back(std::move(returned));
  });
}

bool Arena::is_block(const Buffer* buffer) { return dynamic_cast<const Block*>(buffer) != nullptr; }

std::uint64_t Arena::live_bytes() const { return pool_->live_bytes; }
std::uint64_t Arena::peak_bytes() const { return pool_->peak_bytes; }
std::uint64_t Arena::held_bytes() const { return pool_->held_bytes; }
void Arena::reset_peak() { pool_->peak_bytes = pool_->live_bytes; }

}  // namespace bitwright
