#include "passes/insert_qdq.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "passes/clean_graph.h"
#include "passes/dequantize_node.h"
#include "passes/graph_edit.h"
#include "passes/weight_only.h"
#include "quant/quantize.h"
#include "quant/rounding.h"

namespace bitwright {

namespace {

/// Weight codes up to this many bytes in all are made at once; beyond, each is made when it is written.
constexpr std::uint64_t kMaxHeldBytes = 64u << 20;

/// What names derived from this one start with: exporters write paths of 100 bytes and more, and each name stands in the file
/// several times. The last part of the path, at most 24 bytes of it.
std::string stem_of(const std::string& value) {
  constexpr std::size_t kMaxStem = 24;
  if (value.size() <= kMaxStem) return value;
  const std::size_t slash = value.rfind('/');
  const std::string last = slash == std::string::npos ? value : value.substr(slash + 1);
  return last.size() <= kMaxStem ? last : last.substr(last.size() - kMaxStem);
}

class QdqInserter {
 public:
  QdqInserter(Model& model, const QuantPlan& plan, const Recipe& recipe)
      : model_(model), graph_(model.graph), plan_(plan), recipe_(recipe), index_(model.graph), names_(model) {}

  PassResult run() {
    if (plan_.tensors.empty()) return {};
    const bool is_wide = dequantize_opset(recipe_.activation, recipe_.target) > dequantize_opset(recipe_.weight, recipe_.target);
    domain_ = dequantize_domain(model_, is_wide ? recipe_.activation : recipe_.weight, recipe_.target);
    const std::size_t n = graph_.nodes.size();
    before_.resize(n);
    after_.resize(n);
    for (std::size_t i = 0; i < n; ++i) by_key_[node_key(graph_.nodes[i])].push_back(i);
    for (const TensorPlan& tensor : plan_.tensors) {
      if (tensor.role == TensorRole::activation)
        insert_pair(tensor);
      else
        insert_constant(tensor);
      ++result_.n_changes;
    }
    write_nodes();
    for (TensorRecord& record : records_) graph_.initializers.push_back(std::move(record));
    remove_unused(model_);
    if (!domain_.empty())
      result_.messages.push_back(
          concat({"opset ", model_.opset(), " kept: quantization uses com.microsoft operators, which onnxruntime runs"}));
    return std::move(result_);
  }

 private:
  /// The name of an initializer with these values; equal ones are stored once.
  std::string parameter(const std::string& wish, Tensor values) {
    const auto bytes = values.bytes();
    auto key = std::make_tuple(values.dtype(), values.shape(), std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
    const auto found = parameters_.find(key);
    if (found != parameters_.end()) return found->second;
    std::string name = names_.fresh(wish);
    records_.push_back(TensorRecord::of(name, std::move(values)));
    parameters_.emplace(std::move(key), name);
    return name;
  }

  Node make_node(const std::string& op_type, std::vector<std::string> inputs, std::string output) {
    Node node;
    node.op_type = op_type;
    node.domain = domain_;
    node.inputs = std::move(inputs);
    node.outputs = {std::move(output)};
    return node;
  }

  void read_from(const TensorPlan& tensor, const std::string& dequantized, std::size_t& first) {
    first = graph_.nodes.size();
    for (const NodeInput& consumer : tensor.consumers)
      for (const std::size_t i : by_key_[consumer.node]) {
        if (tensor.role != TensorRole::activation && graph_.nodes[i].op_type == "Gather") continue;
        std::vector<std::string>& inputs = graph_.nodes[i].inputs;
        const auto k = static_cast<std::size_t>(consumer.input);
        if (k >= inputs.size() || inputs[k] != tensor.value) continue;
        inputs[k] = dequantized;
        first = std::min(first, i);
      }
  }

  void insert_pair(const TensorPlan& tensor) {
    const std::int64_t producer = index_.producer(tensor.value);
    const bool is_output =
        std::any_of(tensor.consumers.begin(), tensor.consumers.end(), [](const NodeInput& c) { return c.node.empty(); });
    const std::string stem = stem_of(tensor.value);
    std::string source = tensor.value;
    std::string dequantized = tensor.value;
    if (is_output) {
      // The pair's result takes the name of the graph output, and so every reader reads it.
      BITWRIGHT_ASSERT(producer >= 0);
      source = names_.fresh(concat({stem, "_float"}));
      for (std::string& output : graph_.nodes[static_cast<std::size_t>(producer)].outputs)
        if (output == tensor.value) output = source;
    } else {
      dequantized = names_.fresh(concat({stem, "_dequantized"}));
      std::size_t first = 0;
      read_from(tensor, dequantized, first);
    }
    const std::string scale = parameter(concat({stem, "_scale"}), scale_tensor(tensor.params, {}));
    const std::string zero_point = parameter(concat({stem, "_zero_point"}), zero_point_tensor(tensor.params, {}));
    const std::string codes = names_.fresh(concat({stem, "_quantized"}));
    std::vector<Node>& place = producer >= 0 ? after_[static_cast<std::size_t>(producer)] : front_;
    place.push_back(make_node("QuantizeLinear", {source, scale, zero_point}, codes));
    place.push_back(make_node("DequantizeLinear", {codes, scale, zero_point}, dequantized));
  }

  void insert_constant(const TensorPlan& tensor) {
    const TensorRecord& record = *index_.initializer(tensor.value);
    const std::string stem = stem_of(tensor.value);
    const bool is_bias = tensor.role == TensorRole::bias;
    const std::vector<std::size_t> gathers = gathers_of(tensor);
    const std::string dequantized = names_.fresh(concat({stem, "_dequantized"}));
    std::size_t first = graph_.nodes.size();
    if (gathers.size() < tensor.consumers.size()) read_from(tensor, dequantized, first);
    if (first == graph_.nodes.size() && gathers.empty()) return;

    TensorRecord coded;
    coded.name = names_.fresh(concat({stem, "_quantized"}));
    coded.dtype = tensor.params.dtype;
    coded.shape = is_bias ? Shape{static_cast<std::int64_t>(n_bias_codes(tensor, record))} : record.shape;
    if (is_bias) {
      coded.values = bias_codes(tensor, record);
    } else if (coded.size_bytes() <= kMaxHeldBytes - held_bytes_) {
      held_bytes_ += coded.size_bytes();
      coded.values = quantize(record.load(), tensor.params);
    } else {
      coded.values = Generated{[record, params = tensor.params] { return quantize(record.load(), params); }};
    }
    std::vector<std::string> inputs{coded.name, parameter(concat({stem, "_scale"}), scale_tensor(tensor.params, coded.shape))};
    // A bias has zero point 0, the default; onnxruntime's Gemm wants the weight's to be there.
    if (!is_bias) inputs.push_back(parameter(concat({stem, "_zero_point"}), zero_point_tensor(tensor.params, coded.shape)));
    records_.push_back(std::move(coded));
    const auto* channel = std::get_if<PerChannel>(&tensor.params.granularity);
    for (const std::size_t i : gathers) {
      Node& gather = graph_.nodes[i];
      const std::string picked = names_.fresh(concat({stem, "_gathered"}));
      Node node = make_node("DequantizeLinear", {picked, inputs[1], inputs[2]}, gather.outputs[0]);
      if (channel != nullptr) node.set(Attribute::of_int("axis", -1));  // the table's last axis, wherever it comes to stand
      gather.inputs[0] = inputs[0];
      gather.outputs[0] = picked;
      after_[i].insert(after_[i].begin(), std::move(node));
    }
    if (first == graph_.nodes.size()) return;
    Node node = make_node("DequantizeLinear", std::move(inputs), dequantized);
    if (channel != nullptr) node.set(Attribute::of_int("axis", channel->axis));
    before_[first].push_back(std::move(node));
  }

  /// Tables stay codes until Gather has picked its rows: dequantizing the whole table on every run would cost more than it saves.
  std::vector<std::size_t> gathers_of(const TensorPlan& tensor) {
    std::vector<std::size_t> gathers;
    for (const NodeInput& consumer : tensor.consumers)
      for (const std::size_t i : by_key_[consumer.node]) {
        const Node& node = graph_.nodes[i];
        if (node.op_type == "Gather" && consumer.input == 0 && node.inputs[0] == tensor.value) gathers.push_back(i);
      }
    return gathers;
  }

  static std::size_t n_bias_codes(const TensorPlan& tensor, const TensorRecord& record) {
    return std::max(static_cast<std::size_t>(n_elements(record.shape)), tensor.params.scales.size());
  }

  /// One int32 code per output channel.
  static Tensor bias_codes(const TensorPlan& tensor, const TensorRecord& record) {
    const std::vector<float> bias = to_f32_vector(record.load());
    const std::vector<float>& scales = tensor.params.scales;
    const std::size_t n = n_bias_codes(tensor, record);
    Tensor codes(DType::i32, {static_cast<std::int64_t>(n)});
    for (std::size_t i = 0; i < n; ++i) {
      const double real = bias[bias.size() == 1 ? 0 : i];
      const double code = round_half_even(real / scales[scales.size() == 1 ? 0 : i]);
      codes.data<std::int32_t>()[i] = static_cast<std::int32_t>(
          std::clamp(code, double{tensor.params.range.qmin * 1.0}, double{tensor.params.range.qmax * 1.0}));
    }
    return codes;
  }

  void write_nodes() {
    std::vector<Node> nodes = std::move(front_);
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      std::move(before_[i].begin(), before_[i].end(), std::back_inserter(nodes));
      nodes.push_back(std::move(graph_.nodes[i]));
      std::move(after_[i].begin(), after_[i].end(), std::back_inserter(nodes));
    }
    graph_.nodes = std::move(nodes);
  }

  Model& model_;
  Graph& graph_;
  const QuantPlan& plan_;
  const Recipe& recipe_;
  const GraphIndex index_;
  NameAllocator names_;
  std::string domain_;
  std::map<std::string, std::vector<std::size_t>> by_key_;
  std::vector<Node> front_;
  std::vector<std::vector<Node>> before_;
  std::vector<std::vector<Node>> after_;
  std::vector<TensorRecord> records_;
  std::map<std::tuple<DType, Shape, std::vector<std::uint8_t>>, std::string> parameters_;
  std::uint64_t held_bytes_ = 0;
  PassResult result_;
};

}  // namespace

PassResult insert_qdq(Model& model, const QuantPlan& plan, const Recipe& recipe) {
  return QdqInserter(model, plan, recipe).run();
}

}  // namespace bitwright
