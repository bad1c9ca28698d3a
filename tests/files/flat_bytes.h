#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace bitwright::tests {

/// A FlatBuffer laid by hand, apart from the reader under test: a tree of tables whose fields are known by number. A table that is
/// given twice is laid once, and both places lead to it.
class Flat {
 public:
  Flat& number(int index, std::uint64_t value, std::size_t width) {
    fields_[index] = {Kind::number, width, value, {}, {}, {}};
    return *this;
  }
  Flat& text(int index, std::string value) {
    fields_[index] = {Kind::text, 4, 0, std::move(value), {}, {}};
    return *this;
  }
  Flat& texts(int index, std::vector<std::string> values) {
    fields_[index] = {Kind::texts, 4, 0, {}, std::move(values), {}};
    return *this;
  }
  Flat& numbers(int index, const std::vector<std::uint64_t>& values, std::size_t width) {
    std::string packed;
    for (const std::uint64_t value : values) put(packed, value, width);
    fields_[index] = {Kind::numbers, 4, values.size(), std::move(packed), {}, {}};
    return *this;
  }
  Flat& table(int index, Flat inner) { return table(index, std::make_shared<Flat>(std::move(inner))); }
  Flat& table(int index, std::shared_ptr<Flat> inner) {
    fields_[index] = {Kind::table, 4, 0, {}, {}, {std::move(inner)}};
    return *this;
  }
  Flat& tables(int index, std::vector<Flat> inner) {
    std::vector<std::shared_ptr<Flat>> all;
    for (Flat& one : inner) all.push_back(std::make_shared<Flat>(std::move(one)));
    return tables(index, std::move(all));
  }
  Flat& tables(int index, std::vector<std::shared_ptr<Flat>> inner) {
    fields_[index] = {Kind::tables, 4, 0, {}, {}, std::move(inner)};
    return *this;
  }

  /// The whole file, this table its root: every table behind all that lead to it, since offsets lead forward.
  std::string file(const std::string& mark) const {
    std::string out(4, '\0');
    out += mark;
    std::vector<const Flat*> order;
    std::set<const Flat*> seen;
    follow(order, seen);
    std::map<const Flat*, std::size_t> places;
    Leads leads = {{0, this}};
    for (auto table = order.rbegin(); table != order.rend(); ++table) places[*table] = (*table)->lay(out, leads);
    for (const auto& [from, to] : leads) lead(out, from, places.at(to));
    return out;
  }

 private:
  enum class Kind { number, text, texts, numbers, table, tables };
  struct Value {
    Kind kind;
    std::size_t width;
    std::uint64_t number;
    std::string text;
    std::vector<std::string> texts;
    std::vector<std::shared_ptr<Flat>> tables;
  };

  using Leads = std::vector<std::pair<std::size_t, const Flat*>>;  // where the way to a table stands

  /// Children before their parents.
  void follow(std::vector<const Flat*>& order, std::set<const Flat*>& seen) const {
    if (!seen.insert(this).second) return;
    for (const auto& [index, value] : fields_)
      for (const std::shared_ptr<Flat>& inner : value.tables) inner->follow(order, seen);
    order.push_back(this);
  }

  static void put(std::string& out, std::uint64_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
  }
  static void set(std::string& out, std::size_t at, std::uint64_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i) out[at + i] = static_cast<char>(value >> (8 * i));
  }
  static void lead(std::string& out, std::size_t from, std::size_t to) { set(out, from, to - from, 4); }

  static std::size_t lay_text(std::string& out, const std::string& text, std::uint64_t n) {
    const std::size_t place = out.size();
    put(out, n, 4);
    out += text;
    return place;
  }

  std::size_t lay(std::string& out, Leads& leads) const {
    const int n_fields = fields_.empty() ? 0 : fields_.rbegin()->first + 1;
    const std::size_t list = out.size();
    put(out, 4 + 2 * static_cast<std::uint64_t>(n_fields), 2);
    put(out, 0, 2);
    out.append(2 * static_cast<std::size_t>(n_fields), '\0');
    const std::size_t place = out.size();
    put(out, place - list, 4);
    for (const auto& [index, value] : fields_) {
      set(out, list + 4 + 2 * static_cast<std::size_t>(index), out.size() - place, 2);
      put(out, value.kind == Kind::number ? value.number : 0, value.width);
    }
    set(out, list + 2, out.size() - place, 2);
    std::size_t at = place + 4;
    for (const auto& [index, value] : fields_) {
      lay_value(out, at, value, leads);
      at += value.width;
    }
    return place;
  }

  static void lay_value(std::string& out, std::size_t at, const Value& value, Leads& leads) {
    if (value.kind == Kind::table) return leads.push_back({at, value.tables[0].get()});
    if (value.kind == Kind::text) return lead(out, at, lay_text(out, value.text, value.text.size()));
    if (value.kind == Kind::numbers) return lead(out, at, lay_text(out, value.text, value.number));
    if (value.kind == Kind::number) return;
    const std::size_t n = value.kind == Kind::texts ? value.texts.size() : value.tables.size();
    const std::size_t first = lay_text(out, std::string(4 * n, '\0'), n) + 4;
    lead(out, at, first - 4);
    for (std::size_t i = 0; i < n; ++i) {
      if (value.kind == Kind::tables)
        leads.push_back({first + 4 * i, value.tables[i].get()});
      else
        lead(out, first + 4 * i, lay_text(out, value.texts[i], value.texts[i].size()));
    }
  }

  std::map<int, Value> fields_;
};

}  // namespace bitwright::tests
