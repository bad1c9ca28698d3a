#include "engine/frozen_plan.h"

#include <algorithm>

#include "base/sorted_order.h"
#include "engine/gaps.h"

namespace bitwright {

namespace {

constexpr std::uint64_t kPlaceBytes = 64;
constexpr std::size_t kNever = ~std::size_t{0};
/// More are kept to the end of the run, so that long chains are laid out in linear time.
constexpr std::size_t kMaxSharedRoots = 32;

std::uint64_t whole_bytes(const TypeInfo& type) {
  return (packed_bytes(type.dtype, static_cast<std::uint64_t>(n_elements(*type.shape))) + kSlackBytes + kPlaceBytes - 1) /
         kPlaceBytes * kPlaceBytes;
}

/// A value that lies in the slab, or a view of one.
struct Place {
  bool is_bound = false;
  int root = Step::kAbsent;       // of views: whose bytes it shares
  std::size_t last_use = kNever;  // of roots: the move after which nobody reads it
  std::uint64_t offset = 0;
};

}  // namespace

FrozenPlan::FrozenPlan(GraphPlan& plan, const std::vector<TypeInfo>& input_types, const RunSetting& setting) : plan_(plan) {
  lay_out(input_types);
  bind(setting);
}

FrozenPlan::~FrozenPlan() {
  for (Step& step : plan_.steps) {
    step.call = {};
    for (Tensor& tensor : step.output_tensors) tensor = Tensor();
  }
  for (std::size_t value = 0; value < plan_.values.size(); ++value)
    if (plan_.is_constant[value] == 0) plan_.values[value] = Tensor();
}

void FrozenPlan::lay_out(const std::vector<TypeInfo>& input_types) {
  std::vector<Place> places(plan_.values.size());
  const auto place_of = [&](int value) -> Place& { return places[static_cast<std::size_t>(value)]; };
  const auto root_of = [&](int value) { return place_of(value).root == Step::kAbsent ? value : place_of(value).root; };
  const auto is_fixed = [&](int value) { return plan_.notes[static_cast<std::size_t>(value)].fixed.is_defined(); };
  std::vector<TypeInfo> types(plan_.values.size());
  const auto is_fed = [&](int value) { return plan_.is_constant[static_cast<std::size_t>(value)] == 0; };
  for (std::size_t i = 0; i < plan_.inputs.size(); ++i) {
    const int input = plan_.inputs[i];
    is_bound_.push_back(is_fed(input) && dtype_bits(input_types[i].dtype) >= 8);
    if (is_bound_.back() == 0) continue;
    place_of(input).is_bound = true;
    types[static_cast<std::size_t>(input)] = input_types[i];
  }
  // What each step does, and who reads what how long.
  std::vector<std::vector<int>> made;
  for (Step& step : plan_.steps) {
    if (step.is_folded) continue;
    const bool makes_fixed = std::all_of(step.outputs.begin(), step.outputs.end(),
                                         [&](int output) { return output == Step::kAbsent || is_fixed(output); });
    if (step.is_steady && makes_fixed) continue;
    bool is_view_only = step.is_steady;
    made.emplace_back();
    for (std::size_t o = 0; o < step.outputs.size(); ++o) {
      const int output = step.outputs[o];
      if (output == Step::kAbsent) continue;
      const int view = step.output_views.empty() ? Step::kAbsent : step.output_views[o];
      if (!step.is_steady || is_fixed(output)) continue;
      types[static_cast<std::size_t>(output)] = step.output_types[o];
      Place& place = place_of(output);
      place.is_bound = true;
      if (view != Step::kAbsent && place_of(step.inputs[static_cast<std::size_t>(view)]).is_bound) {
        place.root = root_of(step.inputs[static_cast<std::size_t>(view)]);
        continue;
      }
      is_view_only = false;
      made.back().push_back(output);
    }
    if (is_view_only) {
      made.pop_back();
      // Readers of the view read its root: nothing runs here.
      continue;
    }
    moves_.push_back({&step, step.is_steady, {}});
  }
  std::vector<std::uint8_t> is_output(plan_.values.size(), 0);
  for (const int output : plan_.outputs) is_output[static_cast<std::size_t>(root_of(output))] = 1;  // kept to the end
  std::vector<std::size_t> unbound_last(plan_.values.size(), kNever);
  // What an unbound step makes may be a view of anything it reads, in one run and not in the next.
  std::vector<std::vector<int>> shared_roots(plan_.values.size());
  for (std::size_t m = 0; m < moves_.size(); ++m) {
    std::vector<int> roots;
    const auto use = [&](int value) {
      if (value == Step::kAbsent) return;
      if (place_of(value).is_bound) {
        roots.push_back(root_of(value));
      } else if (is_fed(value) && !is_fixed(value)) {
        unbound_last[static_cast<std::size_t>(value)] = m;
        const std::vector<int>& shared = shared_roots[static_cast<std::size_t>(value)];
        roots.insert(roots.end(), shared.begin(), shared.end());
      }
    };
    const Step& step = *moves_[m].step;
    for (const int input : step.inputs) use(input);
    for (const int output : step.outputs) use(output);
    for (const auto& [attribute, subgraph] : step.subgraphs)
      for (const GraphPlan::Capture& capture : subgraph->captures) use(capture.outer);
    for (const int root : roots) place_of(root).last_use = m;
    if (moves_[m].is_bound) continue;
    sort_list(roots);
    if (roots.size() > kMaxSharedRoots) {
      for (const int root : roots) is_output[static_cast<std::size_t>(root)] = 1;
      roots.clear();
    }
    for (const int output : step.outputs)
      if (output != Step::kAbsent) shared_roots[static_cast<std::size_t>(output)] = roots;
  }
  for (const int output : plan_.outputs)
    for (const int root : shared_roots[static_cast<std::size_t>(output)]) is_output[static_cast<std::size_t>(root)] = 1;
  for (std::size_t value = 0; value < unbound_last.size(); ++value)
    if (unbound_last[value] != kNever && is_output[value] == 0)
      moves_[unbound_last[value]].releases.push_back(static_cast<int>(value));

  Gaps gaps;
  const auto place = [&](int value) { place_of(value).offset = gaps.place(whole_bytes(types[static_cast<std::size_t>(value)])); };
  for (const int input : plan_.inputs)
    if (place_of(input).is_bound) place(input);
  std::vector<std::vector<int>> ending(moves_.size());
  for (std::size_t value = 0; value < places.size(); ++value)
    if (places[value].is_bound && places[value].root == Step::kAbsent && places[value].last_use != kNever &&
        is_output[value] == 0)
      ending[places[value].last_use].push_back(static_cast<int>(value));
  for (std::size_t m = 0; m < moves_.size(); ++m) {
    for (const int output : made[m]) place(output);
    for (const int value : ending[m]) gaps.release(place_of(value).offset, whole_bytes(types[static_cast<std::size_t>(value)]));
  }
  slab_ = allocate_buffer(gaps.highest());
  for (std::size_t value = 0; value < places.size(); ++value) {
    if (plan_.is_constant[value] != 0) continue;
    const TypeInfo& type = types[value];
    if (places[value].is_bound)
      plan_.values[value] =
          Tensor(type.dtype, *type.shape, slab_, static_cast<std::size_t>(place_of(root_of(static_cast<int>(value))).offset));
    else
      plan_.values[value] = plan_.notes[value].fixed;
  }
}

void FrozenPlan::bind(const RunSetting& setting) {
  for (Move& move : moves_) {
    if (!move.is_bound) continue;
    Step& step = *move.step;
    for (std::size_t i = 0; i < step.inputs.size(); ++i)
      if (step.inputs[i] != Step::kAbsent) step.input_tensors[i] = &plan_.values[static_cast<std::size_t>(step.inputs[i])];
    for (std::size_t o = 0; o < step.outputs.size(); ++o)
      step.output_tensors[o] =
          step.outputs[o] == Step::kAbsent ? Tensor() : plan_.values[static_cast<std::size_t>(step.outputs[o])];
    if (step.op->prepare != nullptr) prepare_step(plan_, step, setting);
  }
}

void FrozenPlan::run(const RunSetting& setting) {
  for (const Move& move : moves_) {
    run_frozen_step(plan_, *move.step, move.is_bound, setting);
    for (const int value : move.releases) plan_.values[static_cast<std::size_t>(value)] = Tensor();
  }
}

}  // namespace bitwright
