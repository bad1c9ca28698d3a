#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "quant/store_codes.h"

namespace bitwright {

/// Appends codes of 1 to 8 bits to packed bytes, low bits first and without gaps.
class Packer {
 public:
  Packer(std::uint8_t* out, int bits) : out_(out), bits_(static_cast<unsigned>(bits)), mask_((1u << bits) - 1) {}

  void append(const std::uint8_t* codes, std::size_t n) {
    if (n == 0) return;  // there may be no array at all
    std::size_t i = 0;
    if (bits_ == 8) {
      std::memcpy(out_, codes, n);
      out_ += n;
      return;
    }
    while (i < n && n_held_ != 0) push(codes[i++]);
    if (bits_ == 4) {
      for (; i + 32 <= n; i += 32, out_ += 16) {
        // Two codes of a 16-bit lane come together by a shift.
        const auto pair = [&](std::size_t at) {
          const auto v = load_lanes<u16x8>(codes + at) & 0x0f0f;
          return (i16x8)((v | v >> 4) & 0x00ff);
        };
        store_lanes(out_, narrow(pair(i), pair(i + 16)));
      }
      for (; i + 2 <= n; i += 2) *out_++ = static_cast<std::uint8_t>((codes[i] & 15u) | (codes[i + 1] << 4));
    } else if (bits_ == 2) {
      for (; i + 4 <= n; i += 4)
        *out_++ =
            static_cast<std::uint8_t>((codes[i] & 3u) | (codes[i + 1] & 3u) << 2 | (codes[i + 2] & 3u) << 4 | codes[i + 3] << 6);
    }
    while (i < n) push(codes[i++]);
  }
  /// Where n codes belong that the caller packs itself; nullptr where they would not fill whole bytes.
  std::uint8_t* place(std::size_t n) {
    const std::size_t n_bits = n * bits_;
    if (n_held_ != 0 || n_bits % 8 != 0) return nullptr;
    std::uint8_t* const at = out_;
    out_ += n_bits / 8;
    return at;
  }
  void finish() {
    if (n_held_ != 0) *out_ = static_cast<std::uint8_t>(held_);
  }

 private:
  void push(std::uint8_t code) {
    held_ |= (code & mask_) << n_held_;
    n_held_ += bits_;
    if (n_held_ < 8) return;
    *out_++ = static_cast<std::uint8_t>(held_);
    held_ >>= 8;
    n_held_ -= 8;
  }

  std::uint8_t* out_;
  unsigned bits_;
  unsigned mask_;
  unsigned held_ = 0;
  unsigned n_held_ = 0;  // bits
};

/// Where a code of packed bytes lies. The byte is found first: 64 bits would overflow size_t in wasm beyond 2^29 elements.
struct CodePlace {
  std::size_t byte;
  unsigned shift;
  unsigned mask;
  CodePlace(int bits, std::size_t index) {
    const auto width = static_cast<unsigned>(bits);
    byte = index / 8 * width + index % 8 * width / 8;
    shift = static_cast<unsigned>(index % 8 * width % 8);
    mask = (1u << width) - 1;
  }
  bool has_second_byte() const { return mask << shift > 255; }
};

inline std::uint8_t code_in(const std::uint8_t* bytes, int bits, std::size_t index) {
  const CodePlace at(bits, index);
  unsigned window = bytes[at.byte];
  if (at.has_second_byte()) window |= static_cast<unsigned>(bytes[at.byte + 1]) << 8;
  return static_cast<std::uint8_t>((window >> at.shift) & at.mask);
}

inline void set_code(std::uint8_t* bytes, int bits, std::size_t index, std::uint8_t code) {
  const CodePlace at(bits, index);
  const unsigned kept = ~(at.mask << at.shift), set = (code & at.mask) << at.shift;
  bytes[at.byte] = static_cast<std::uint8_t>((bytes[at.byte] & kept) | set);
  if (at.has_second_byte()) bytes[at.byte + 1] = static_cast<std::uint8_t>((bytes[at.byte + 1] & kept >> 8) | set >> 8);
}

/// Sets codes first .. first + n of packed bytes; others may share bytes with them.
inline void set_codes(std::uint8_t* bytes, int bits, std::size_t first, std::size_t n, const std::uint8_t* codes) {
  for (; n != 0 && first % 8 != 0; --n) set_code(bytes, bits, first++, *codes++);
  const std::size_t n_whole = n / 8 * 8;
  Packer(bytes + first / 8 * static_cast<unsigned>(bits), bits).append(codes, n_whole);
  for (std::size_t i = n_whole; i < n; ++i) set_code(bytes, bits, first + i, codes[i]);
}

/// Codes first .. first + n of packed bytes; `bytes` is where code 0 begins. Not sign extended.
inline void unpack(const std::uint8_t* bytes, int bits, std::size_t first, std::size_t n, std::uint8_t* codes) {
  if (n == 0) return;  // there may be no array at all
  if (bits == 8) {
    std::memcpy(codes, bytes + first, n);
    return;
  }
  std::size_t i = 0;
  const auto one = [&](std::size_t at) { return code_in(bytes, bits, at); };
  if (bits == 4) {
    if (n != 0 && first % 2 != 0) codes[i++] = one(first);
    const std::uint8_t* in = bytes + (first + i) / 2;
    for (; i + 32 <= n; i += 32, in += 16) {
      u8x16 both;
      std::memcpy(&both, in, sizeof(both));
      const u8x16 low = both & 0x0f;
      const auto high = std::bit_cast<u8x16>(std::bit_cast<u16x8>(both) >> 4) & 0x0f;
      const u8x16 a = __builtin_shufflevector(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const u8x16 b = __builtin_shufflevector(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      std::memcpy(codes + i, &a, sizeof(a));
      std::memcpy(codes + i + 16, &b, sizeof(b));
    }
    for (; i + 2 <= n; i += 2, ++in) {
      codes[i] = *in & 15u;
      codes[i + 1] = *in >> 4;
    }
  }
  for (; i < n; ++i) codes[i] = one(first + i);
}

}  // namespace bitwright
