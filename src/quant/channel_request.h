#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bitwright {

/// Asks for the mean square of a value at each index of an axis, which has that extent; negative axes count from the end.
struct ChannelRequest {
  std::string value;
  std::int64_t axis = 0;
  std::int64_t extent = 0;
  /// Asks for rows of the value too: everything along the axis at one place of the other axes.
  bool wants_rows = false;
  /// Of the axes behind `axis`, all of them: a row holds for each index the window around its place, 0 where that lies outside of
  /// the value. Empty: the place alone.
  std::vector<std::int64_t> window = {};

  bool operator==(const ChannelRequest&) const = default;
  std::size_t row_length() const {
    std::int64_t length = extent;
    for (const std::int64_t width : window) length *= width;
    return static_cast<std::size_t>(length);
  }
};

/// The answer.
struct ChannelStatistics {
  ChannelRequest request;
  std::vector<double> squares;  // the mean over the finite values at each index; empty where none was seen
  double n = 0.0;               // values at each index
  std::vector<float> rows;     // [at most kMaxSampleRows, request.row_length()]: of all places, each as likely as another; finite
  std::uint64_t n_places = 0;  // that rows were drawn from
};

inline constexpr std::size_t kMaxSampleRows = 256;

}  // namespace bitwright
