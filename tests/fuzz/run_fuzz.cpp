// Whatever is accepted is run in any arithmetic, within limits on work: outputs, or a typed error. A second run gives the same bytes.
#include <cstring>

#include "fuzz/fuzz_model.h"

using namespace bitwright;

namespace {

bool is_same(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  if (a.dtype() == DType::string) return a.strings() == b.strings();
  return a.size_bytes() == 0 || std::memcmp(a.bytes().data(), b.bytes().data(), a.size_bytes()) == 0;
}

bool is_random(const Model& model) {
  bool is_any = false;
  const std::function<void(const std::vector<Node>&)> look = [&](const std::vector<Node>& nodes) {
    for (const Node& node : nodes) {
      is_any = is_any || node.op_type.rfind("Random", 0) == 0 || node.op_type == "Bernoulli" || node.op_type == "Multinomial" ||
               node.op_type == "Dropout";
      for (const Attribute& attribute : node.attributes) {
        if (attribute.g) look(attribute.g->nodes);
        for (const auto& graph : attribute.graphs) look(graph->nodes);
      }
    }
  };
  look(model.graph.nodes);
  for (const Function& function : model.functions) look(function.nodes);
  return is_any;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n_bytes) {
  const std::span<const std::uint8_t> bytes(data, n_bytes);
  try {
    const std::shared_ptr<const Model> model = fuzz::read(bytes);
    fuzz::Draw draw(bytes);
    Session session(model, fuzz::draw_session(draw));
    const std::map<std::string, Tensor> feeds = fuzz::draw_feeds(session.inputs(), draw);
    const std::map<std::string, Tensor> once = session.run(feeds);
    const std::map<std::string, Tensor> again = session.run(feeds);
    if (is_random(*model)) return 0;
    for (const auto& [name, tensor] : once)
      if (!is_same(tensor, again.at(name))) std::abort();
  } catch (const Error& error) {
    fuzz::expect_typed(error);
  }
  return 0;
}
