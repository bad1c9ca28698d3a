#include "engine/arena.h"

#include <algorithm>
#include <new>

#include "base/checked.h"
#include "base/error.h"
#include "engine/gaps.h"

namespace bitwright {

namespace {

/// Blocks begin at multiples of this: a cache line.
constexpr std::uint64_t kPlaceBytes = 64;

struct FreeMemory {
  void operator()(std::uint8_t* data) const { ::operator delete (data, std::align_val_t{kPlaceBytes}); }
};
using Memory = std::unique_ptr<std::uint8_t, FreeMemory>;

/// Null where it cannot be had.
Memory take_memory(std::uint64_t n_bytes) {
  return Memory(static_cast<std::uint8_t*>(::operator new (addressable(n_bytes), std::align_val_t{kPlaceBytes}, std::nothrow)));
}

}  // namespace

/// Places are handed out as if the slab had no end, so that a larger slab would have given the same ones.
class Arena::Slab {
 public:
  /// Once, before anything is placed. Where the memory cannot be had, blocks get their own.
  void hold(std::uint64_t capacity) {
    memory_ = take_memory(capacity);
    capacity_ = memory_ ? capacity : 0;
    held_bytes = capacity_;
  }

  std::uint64_t place(std::uint64_t n_bytes) { return places_.place(n_bytes); }
  void release(std::uint64_t offset, std::uint64_t n_bytes) { places_.release(offset, n_bytes); }
  std::uint8_t* at(std::uint64_t offset, std::uint64_t n_bytes) const {
    return is_inside(offset, n_bytes, capacity_) ? memory_.get() + offset : nullptr;
  }
  std::uint64_t highest() const { return places_.highest(); }
  std::uint64_t capacity() const { return capacity_; }

  std::uint64_t live_bytes = 0;
  std::uint64_t peak_bytes = 0;
  std::uint64_t held_bytes = 0;

 private:
  Memory memory_;
  std::uint64_t capacity_ = 0;
  Gaps places_;
};

namespace {

template <typename Slab>
class Block final : public Buffer {
 public:
  Block(std::shared_ptr<Slab> slab, std::uint64_t n_bytes, std::uint64_t whole_bytes)
      : slab_(std::move(slab)), whole_bytes_(whole_bytes) {
    size_bytes_ = addressable(n_bytes);
    offset_ = slab_->place(whole_bytes_);
    data_ = slab_->at(offset_, whole_bytes_);
    if (data_ == nullptr) {
      outside_ = take_memory(whole_bytes_);
      data_ = outside_.get();
      if (data_ == nullptr) {
        slab_->release(offset_, whole_bytes_);
        throw_error(ErrorCode::out_of_memory,
                    {"a block of ", n_bytes, " bytes for activations cannot be had; use smaller inputs"});
      }
      slab_->held_bytes += whole_bytes_;
    }
    slab_->live_bytes += n_bytes;
    slab_->peak_bytes = std::max(slab_->peak_bytes, slab_->live_bytes);
  }
  ~Block() override {
    slab_->live_bytes -= size_bytes_;
    if (outside_) slab_->held_bytes -= whole_bytes_;
    slab_->release(offset_, whole_bytes_);
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

 private:
  std::shared_ptr<Slab> slab_;
  std::uint64_t whole_bytes_;
  std::uint64_t offset_ = 0;
  Memory outside_;
};

}  // namespace

Arena::Arena() : slab_(std::make_shared<Slab>()) {}
Arena::~Arena() = default;

void Arena::begin_run() {
  if (slab_->highest() > slab_->capacity()) {
    const std::uint64_t capacity = slab_->highest();
    slab_ = std::make_shared<Slab>();  // the old memory goes before the new is taken: both at once may not fit
    slab_->hold(capacity);
  }
  slab_->peak_bytes = slab_->live_bytes;
}

std::shared_ptr<Buffer> Arena::allocate(std::uint64_t n_bytes) {
  const auto whole = checked_add(n_bytes, kSlackBytes + kPlaceBytes - 1);
  if (!whole) throw_error(ErrorCode::out_of_memory, {"a block of ", n_bytes, " bytes cannot be had"});
  return std::make_shared<Block<Slab>>(slab_, n_bytes, *whole / kPlaceBytes * kPlaceBytes);
}

std::uint64_t Arena::live_bytes() const { return slab_->live_bytes; }
std::uint64_t Arena::peak_bytes() const { return slab_->peak_bytes; }
std::uint64_t Arena::held_bytes() const { return slab_->held_bytes; }

}  // namespace bitwright
