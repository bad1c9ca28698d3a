#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/float8.h"
#include "quant/scheme.h"

namespace bitwright {

/// The reals in 16 buckets of equal width: a real is compared with the boundaries of its own bucket only, which are looked up. `which`
/// counts the boundaries of a bucket.
struct RankBuckets {
  static constexpr std::size_t kMost = 8;
  float per_unit = 0.0f;     // buckets; 0: none were made, or some would have more than kMost boundaries
  std::size_t n_within = 0;  // the most boundaries of any bucket
  std::uint8_t before[16] = {};
  std::uint8_t boundaries[kMost][4][16] = {};  // [which, byte, bucket], NaN where there is none
};

/// The reals that codes of an encoding stand for at scale 1, and how a real finds its code: the nearest level, the lower one of
/// two equally near, but for small floats, which round half to even by their bits.
struct LevelTable {
  std::vector<float> levels;               // of code c
  std::vector<float> boundaries;           // ascending, between levels in order: rank = how many are less than the real
  std::vector<std::uint8_t> code_of_rank;  // empty: the rank is the code
  RankBuckets buckets;
  const SmallFloat* format = nullptr;  // the boundaries are not used
  float largest = 0.0f;                // of |levels|
};

/// Throws Error{invalid_argument} for an encoding without fixed levels.
///   power_of_two            0, +-2^-k, k = 0 .. 2^(bits-1) - 2
///   additive_power_of_two   Li, Dong, Wang 2019, arXiv 1909.13144, eq. 5, as their code has it: bits - 1 bits of magnitude make
///                           n = (bits - 1) / 2 terms, term i one of 0, 2^-(i+1), 2^-(n+i+1), 2^-(2n+i+1); an odd bit adds 0 or
///                           2^-(2n+1), and the last choices move one down; divided by the largest sum
///   nf4                     Dettmers et al. 2023, QLoRA, arXiv 2305.14314, appendix E
///   fp4                     bitsandbytes: sign, 2 exponent bits, 1 mantissa bit, in steps of 1/12, a subnormal of 1/192
///   binary, ternary         -1, 1 and -1, 0, 1; ternary divides by its threshold: the boundaries are -1 and 1
LevelTable level_table(Encoding encoding, int bits);
/// Levels of a fitted codebook, in any order. Buckets are made where so many reals are to find their codes that it pays.
inline constexpr std::size_t kManyReals = 2048;
LevelTable sorted_levels(std::vector<float> levels, std::size_t n_reals = kManyReals);

/// Codes of reals in units of the scale. NaN counts as 0. The slow twin is code_of.
void codes_of(const LevelTable& table, const float* steps, std::size_t n, std::uint8_t* codes);
std::uint8_t code_of(const LevelTable& table, float step);

}  // namespace bitwright
