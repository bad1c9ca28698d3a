#include <algorithm>
#include <cstring>

#include "kernels/gemm_i8_nbits/gemm_i8_nbits.h"

namespace bitwright {

namespace {

/// A group's 4 codes, one a byte, into their bits of an item.
void put(std::uint8_t* part, int bits, int g, std::ptrdiff_t c, std::uint32_t codes) {
  const NBitsPlace place = nbits_place(bits, g, static_cast<int>(c) / 4, static_cast<int>(c) % 4 * 4);
  std::uint32_t word;
  std::memcpy(&word, part + place.byte, sizeof(word));
  word |= codes << place.shift;
  std::memcpy(part + place.byte, &word, sizeof(word));
}

/// Each of their bits into the four of a group.
void put_bits(std::uint8_t* strip, int bits, int g, std::ptrdiff_t c, std::uint32_t codes) {
  for (int bit = 0; bit < bits; ++bit, codes >>= 1)
    strip[(bit * 4 + g % 4) * 8 + c] |= static_cast<std::uint8_t>((codes & 0x01010101) * 0x01020408u >> 24 << g / 4 * 4);
}

}  // namespace

void pack_nbits(const NBitsLayout& layout, const StoredCodes& codes, std::ptrdiff_t first_panel, std::ptrdiff_t last_panel,
                std::uint8_t* packed) {
  const std::uint32_t mask = (1u << layout.bits) - 1;
  const std::ptrdiff_t strip_bytes = 32 * layout.bits, per_byte = 8 / codes.stored_bits;
  for (std::ptrdiff_t panel = first_panel; panel < last_panel; ++panel) {
    std::uint8_t* const to = packed + panel * layout.panel_bytes();
    std::fill_n(to, layout.panel_bytes(), std::uint8_t{0});
    for (std::ptrdiff_t c = 0; c < std::min<std::ptrdiff_t>(8, layout.n - panel * 8); ++c) {
      std::uint8_t* strip = to;
      for (std::ptrdiff_t block = 0; block < layout.k; block += layout.block_size) {
        const std::ptrdiff_t end = std::min(block + layout.block_size, layout.k);
        std::ptrdiff_t at = (panel * 8 + c) * codes.column_stride + block * codes.k_stride;
        for (std::ptrdiff_t s = 0; s < layout.strips_per_block(); ++s, strip += strip_bytes)
          for (int g = 0; g < 8; ++g) {
            std::uint32_t word = 0;
            const std::ptrdiff_t left = std::min<std::ptrdiff_t>(4, end - block - s * 32 - g * 4);
            for (int i = 0; i < left; ++i, at += codes.k_stride)
              word |= (((codes.bytes[at / per_byte] >> at % per_byte * codes.stored_bits) ^ codes.flip) & mask) << 8 * i;
            layout.is_by_table ? put_bits(strip, layout.bits, g, c, word) : put(strip, layout.bits, g, c, word);
          }
      }
    }
  }
}

}  // namespace bitwright
