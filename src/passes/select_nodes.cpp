#include "passes/select_nodes.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/sorted_order.h"
#include "passes/graph_edit.h"

namespace bitwright {

namespace {

constexpr std::string_view kOpPrefix = "op:";
/// Names longer than this are compared by their ends only; exporters write up to about 150 bytes.
constexpr std::size_t kMaxCompared = 256;

/// Levenshtein distance, two rows.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  a = a.substr(0, kMaxCompared);
  b = b.substr(0, kMaxCompared);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string closest_names(std::string_view pattern, const std::set<std::string>& names) {
  std::vector<std::pair<std::size_t, std::string>> ranked;
  ranked.reserve(names.size());
  for (const std::string& name : names) ranked.emplace_back(edit_distance(pattern, name), name);
  sort_list(ranked);
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, ranked.size()); ++i)
    text += concat({(i == 0 ? "" : ", "), in_quotes(ranked[i].second)});
  return text;
}

void check_pattern(const Model& model, const std::string& pattern) {
  bool is_matched = false;
  std::set<std::string> names;
  const bool is_op = pattern.starts_with(kOpPrefix);
  visit_nodes(model, [&](const Node& node, const std::string&) {
    is_matched = is_matched || matches_pattern(pattern, node);
    names.insert(is_op ? concat({kOpPrefix, node.op_type}) : node_key(node));
  });
  if (is_matched) return;
  const std::string closest = closest_names(pattern, names);
  throw_error(ErrorCode::pattern_unmatched,
              {"pattern ", in_quotes(pattern), " matches no node of the model",
               (closest.empty() ? "" : concat({"; the closest are ", closest}))},
              pattern);
}

}  // namespace

bool matches_pattern(std::string_view pattern, const Node& node) {
  if (pattern.starts_with(kOpPrefix)) return matches_glob(pattern.substr(kOpPrefix.size()), node.op_type);
  const std::string key = node_key(node);
  return pattern == key || matches_glob(pattern, key);
}

Selection::Selection(const Model& model, const Recipe& recipe) : include_(recipe.include), exclude_(recipe.exclude) {
  for (const std::string& pattern : include_) check_pattern(model, pattern);
  for (const std::string& pattern : exclude_) check_pattern(model, pattern);
}

std::string Selection::refusal(const Node& node) const {
  for (const std::string& pattern : exclude_)
    if (matches_pattern(pattern, node)) return concat({"excluded by ", in_quotes(pattern)});
  return include_.empty() || is_asked_for(node) ? "" : "not included";
}

bool Selection::is_asked_for(const Node& node) const {
  return std::any_of(include_.begin(), include_.end(),
                     [&](const std::string& pattern) { return matches_pattern(pattern, node); });
}

NodeDecision undecided(const Node& node, const std::string& graph, const Selection& selection) {
  NodeDecision row{node_key(node), node.op_type, node.domain, graph, false, "float", selection.refusal(node)};
  if (row.reason.empty()) row.reason = graph.starts_with("function ") ? "stands in a local function" : "no large constant weight";
  return row;
}

}  // namespace bitwright
