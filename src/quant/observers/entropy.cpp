#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "base/math.h"
#include "quant/observers/range_search.h"

namespace bitwright {

namespace {

/// What Q holds at an end where only outliers were folded in: half a value, as Krichevsky and Trofimov count the unseen.
/// An infinite divergence instead would forbid to clip the lonely outliers that clipping is for.
constexpr double kUnseen = 0.5;

double x_log_x(double x) { return x > 0.0 ? x * f64::log(x) : 0.0; }

/// Sums over bins [0, i), so that a candidate costs one logarithm per level instead of one per bin.
struct Prefix {
  std::vector<std::uint64_t> count;
  std::vector<std::uint64_t> n_occupied;
  std::vector<double> x_log_x_of_count;

  explicit Prefix(std::span<const std::uint64_t> counts)
      : count(counts.size() + 1), n_occupied(counts.size() + 1), x_log_x_of_count(counts.size() + 1) {
    for (std::size_t i = 0; i < counts.size(); ++i) {
      count[i + 1] = count[i] + counts[i];
      n_occupied[i + 1] = n_occupied[i] + (counts[i] != 0 ? 1 : 0);
      x_log_x_of_count[i + 1] = x_log_x_of_count[i] + x_log_x(static_cast<double>(counts[i]));
    }
  }
};

/// A candidate range in bins counted from the first one; may reach past both ends, where bins are empty.
struct Candidate {
  std::int64_t first;
  std::int64_t end;
};

class Search {
 public:
  explicit Search(const Bins& bins) : bins_(bins), prefix_(bins.counts) {}

  /// N times the divergence, without terms that all candidates share; nothing where the range holds no value.
  std::optional<double> divergence(Candidate c, std::int64_t n_levels) const {
    const std::int64_t n_bins = c.end - c.first;
    const std::uint64_t below = sum(prefix_.count, 0, c.first);
    const std::uint64_t above = sum(prefix_.count, c.end, n());
    const std::uint64_t inside = sum(prefix_.count, c.first, c.end);
    if (inside == 0) return std::nullopt;
    const std::uint64_t first_count = at(c.first);
    const std::uint64_t last_count = at(c.end - 1);
    double p_log_p = prefix_.x_log_x_of_count[clamp(c.end)] - prefix_.x_log_x_of_count[clamp(c.first)];
    p_log_p += x_log_x(static_cast<double>(first_count + below)) - x_log_x(static_cast<double>(first_count));
    p_log_p += x_log_x(static_cast<double>(last_count + above)) - x_log_x(static_cast<double>(last_count));
    double p_log_q = 0.0;
    double q_total = static_cast<double>(inside);
    std::int64_t from = c.first;
    for (std::int64_t level = 0; level < n_levels; ++level) {
      const std::int64_t to = c.first + ((level + 1) * n_bins + n_levels - 1) / n_levels;
      const std::uint64_t held = sum(prefix_.count, from, to);
      std::uint64_t folded = held;
      std::uint64_t n_occupied = sum(prefix_.n_occupied, from, to);
      if (level == 0 && below != 0) {
        folded += below;
        n_occupied += first_count == 0 ? 1 : 0;
      }
      if (level == n_levels - 1 && above != 0) {
        folded += above;
        n_occupied += last_count == 0 ? 1 : 0;
      }
      if (folded != 0) {
        const double q = held != 0 ? static_cast<double>(held) : kUnseen;
        if (held == 0) q_total += kUnseen;
        p_log_q += static_cast<double>(folded) * f64::log(q / static_cast<double>(n_occupied));
      }
      from = to;
    }
    return p_log_p - p_log_q + static_cast<double>(bins_.total) * f64::log(q_total);
  }

 private:
  std::int64_t n() const { return static_cast<std::int64_t>(bins_.counts.size()); }
  std::size_t clamp(std::int64_t i) const { return static_cast<std::size_t>(std::clamp<std::int64_t>(i, 0, n())); }
  std::uint64_t sum(const std::vector<std::uint64_t>& prefix, std::int64_t from, std::int64_t to) const {
    return from < to ? prefix[clamp(to)] - prefix[clamp(from)] : 0;
  }
  std::uint64_t at(std::int64_t i) const { return i >= 0 && i < n() ? bins_.counts[static_cast<std::size_t>(i)] : 0; }

  const Bins& bins_;
  Prefix prefix_;
};

}  // namespace

RealRange entropy_range(const Bins& bins, std::int64_t n_levels, bool is_symmetric) {
  const auto zero = static_cast<std::int64_t>(bins.zero);
  const auto n_bins = static_cast<std::int64_t>(bins.counts.size());
  const std::int64_t furthest = std::max(zero, n_bins - zero);
  const Search search(bins);
  double best = std::numeric_limits<double>::infinity();
  std::int64_t threshold = furthest;
  for (std::int64_t t = 1; t <= furthest; ++t) {
    const Candidate candidate =
        is_symmetric ? Candidate{zero - t, zero + t} : Candidate{std::max<std::int64_t>(0, zero - t), std::min(n_bins, zero + t)};
    if (candidate.end - candidate.first < n_levels) continue;
    const std::optional<double> divergence = search.divergence(candidate, n_levels);
    if (!divergence || *divergence >= best) continue;
    best = *divergence;
    threshold = t;
  }
  const double real = static_cast<double>(threshold) * bins.width;
  return {static_cast<float>(std::max(-real, bins.edge(0))), static_cast<float>(std::min(real, bins.edge(bins.counts.size())))};
}

}  // namespace bitwright
