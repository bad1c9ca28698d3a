#include "base/xxh64.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace bitwright {

namespace {

constexpr std::uint64_t kPrime1 = 0x9E3779B185EBCA87u;
constexpr std::uint64_t kPrime2 = 0xC2B2AE3D27D4EB4Fu;
constexpr std::uint64_t kPrime3 = 0x165667B19E3779F9u;
constexpr std::uint64_t kPrime4 = 0x85EBCA77C2B2AE63u;
constexpr std::uint64_t kPrime5 = 0x27D4EB2F165667C5u;

static_assert(std::endian::native == std::endian::little, "files are little-endian, and so are the hosts we know");

template <typename T>
std::uint64_t load(const std::uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

inline std::uint64_t round_of(std::uint64_t lane, std::uint64_t input) { return std::rotl(lane + input * kPrime2, 31) * kPrime1; }
inline std::uint64_t merged(std::uint64_t hash, std::uint64_t lane) { return (hash ^ round_of(0, lane)) * kPrime1 + kPrime4; }

void add_stripes(std::uint64_t (&lanes)[4], const std::uint8_t* p, std::size_t n_stripes) {
  std::uint64_t a = lanes[0];
  std::uint64_t b = lanes[1];
  std::uint64_t c = lanes[2];
  std::uint64_t d = lanes[3];
  for (std::size_t i = 0; i < n_stripes; ++i, p += 32) {
    a = round_of(a, load<std::uint64_t>(p));
    b = round_of(b, load<std::uint64_t>(p + 8));
    c = round_of(c, load<std::uint64_t>(p + 16));
    d = round_of(d, load<std::uint64_t>(p + 24));
  }
  lanes[0] = a;
  lanes[1] = b;
  lanes[2] = c;
  lanes[3] = d;
}

}  // namespace

void Xxh64::add(std::span<const std::uint8_t> bytes) {
  n_bytes_ += bytes.size();
  if (n_held_ != 0) {
    const std::size_t n = std::min(kStripeBytes - n_held_, bytes.size());
    if (n != 0) std::memcpy(held_ + n_held_, bytes.data(), n);
    n_held_ += n;
    bytes = bytes.subspan(n);
    if (n_held_ < kStripeBytes) return;
    add_stripes(lanes_, held_, 1);
    n_held_ = 0;
  }
  const std::size_t n_stripes = bytes.size() / kStripeBytes;
  add_stripes(lanes_, bytes.data(), n_stripes);
  n_held_ = bytes.size() - n_stripes * kStripeBytes;
  if (n_held_ != 0) std::memcpy(held_, bytes.data() + n_stripes * kStripeBytes, n_held_);
}

std::uint64_t Xxh64::value() const {
  std::uint64_t hash = kPrime5;
  if (n_bytes_ >= kStripeBytes) {
    hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) + std::rotl(lanes_[3], 18);
    for (const std::uint64_t lane : lanes_) hash = merged(hash, lane);
  }
  hash += n_bytes_;
  std::size_t at = 0;
  for (; at + 8 <= n_held_; at += 8)
    hash = std::rotl(hash ^ round_of(0, load<std::uint64_t>(held_ + at)), 27) * kPrime1 + kPrime4;
  if (at + 4 <= n_held_) {
    hash = std::rotl(hash ^ (load<std::uint32_t>(held_ + at) * kPrime1), 23) * kPrime2 + kPrime3;
    at += 4;
  }
  for (; at < n_held_; ++at) hash = std::rotl(hash ^ (held_[at] * kPrime5), 11) * kPrime1;
  hash = (hash ^ (hash >> 33)) * kPrime2;
  hash = (hash ^ (hash >> 29)) * kPrime3;
  return hash ^ (hash >> 32);
}

std::string Xxh64::hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  const std::uint64_t hash = value();
  for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[(hash >> shift) & 15];
  return text;
}

}  // namespace bitwright
