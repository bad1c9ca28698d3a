#include "tensor/indexed_copy.h"

#include <cstring>
#include <numeric>

#include "base/error.h"

namespace bitwright {

namespace {

/// Consecutive entries of a table: n blocks from src_first on, or n blocks of fill where src_first is -1.
struct Run {
  std::int64_t src_first;
  std::int64_t n;
};

std::vector<Run> runs_of(const std::vector<std::int64_t>& table, std::int64_t extent) {
  std::vector<Run> runs;
  for (const std::int64_t index : table) {
    BITWRIGHT_ASSERT(index >= -1 && index < extent);
    if (!runs.empty() && (index == -1 ? runs.back().src_first == -1
                                      : runs.back().src_first >= 0 && index == runs.back().src_first + runs.back().n))
      ++runs.back().n;
    else
      runs.push_back({index, 1});
  }
  return runs;
}

bool is_whole(const std::vector<std::int64_t>& table, std::int64_t extent) {
  if (static_cast<std::int64_t>(table.size()) != extent) return false;
  for (std::int64_t i = 0; i < extent; ++i)
    if (table[static_cast<std::size_t>(i)] != i) return false;
  return true;
}

void fill_bytes(std::uint8_t* dst, std::size_t n_bytes, const std::uint8_t* fill, std::size_t element_bytes) {
  if (n_bytes == 0) return;
  BITWRIGHT_ASSERT(fill != nullptr);
  std::memcpy(dst, fill, element_bytes);
  for (std::size_t done = element_bytes; done < n_bytes;) {
    const std::size_t n = std::min(done, n_bytes - done);
    std::memcpy(dst + done, dst, n);
    done += n;
  }
}

}  // namespace

std::vector<std::int64_t> whole_axis(std::int64_t n) {
  std::vector<std::int64_t> table(static_cast<std::size_t>(n));
  std::iota(table.begin(), table.end(), std::int64_t{0});
  return table;
}

void indexed_copy(std::size_t element_bytes, const Shape& src_shape, const std::uint8_t* src,
                  std::span<const std::vector<std::int64_t>> tables, const std::uint8_t* fill, std::uint8_t* dst) {
  BITWRIGHT_ASSERT(tables.size() == src_shape.size());
  for (const auto& table : tables)
    if (table.empty()) return;
  // The innermost axes taken whole make one block.
  std::size_t n_axes = src_shape.size();
  std::size_t block_bytes = element_bytes;
  while (n_axes > 0 && is_whole(tables[n_axes - 1], src_shape[n_axes - 1]))
    block_bytes *= static_cast<std::size_t>(src_shape[--n_axes]);
  if (n_axes == 0) {
    std::memcpy(dst, src, block_bytes);
    return;
  }
  const std::size_t inner = n_axes - 1;
  const std::vector<Run> runs = runs_of(tables[inner], src_shape[inner]);
  const std::size_t dst_row_bytes = tables[inner].size() * block_bytes;
  std::vector<std::size_t> src_strides(n_axes, block_bytes);
  for (std::size_t axis = inner; axis-- > 0;) {
    src_strides[axis] = src_strides[axis + 1] * static_cast<std::size_t>(src_shape[axis + 1]);
    for (const std::int64_t index : tables[axis]) BITWRIGHT_ASSERT(index >= -1 && index < src_shape[axis]);
  }

  std::vector<std::size_t> place(inner, 0);
  while (true) {
    std::size_t src_offset = 0;
    bool is_filled = false;
    for (std::size_t axis = 0; axis < inner; ++axis) {
      const std::int64_t index = tables[axis][place[axis]];
      is_filled = is_filled || index < 0;
      src_offset += static_cast<std::size_t>(std::max<std::int64_t>(index, 0)) * src_strides[axis];
    }
    if (is_filled) {
      fill_bytes(dst, dst_row_bytes, fill, element_bytes);
      dst += dst_row_bytes;
    } else {
      for (const Run& run : runs) {
        const std::size_t n_bytes = static_cast<std::size_t>(run.n) * block_bytes;
        if (run.src_first < 0)
          fill_bytes(dst, n_bytes, fill, element_bytes);
        else
          std::memcpy(dst, src + src_offset + static_cast<std::size_t>(run.src_first) * block_bytes, n_bytes);
        dst += n_bytes;
      }
    }
    std::size_t axis = inner;
    while (axis > 0 && ++place[axis - 1] == tables[axis - 1].size()) place[--axis] = 0;
    if (axis == 0) return;
  }
}

}  // namespace bitwright
