// apply_pass PASS IN.onnx OUT.onnx: runs one pass that needs no calibration and prints what became of each node.
// PASS: weight_only, weight_only_i4 (opset 21), float16, float16_weights, dynamic, dynamic_ort (target onnxruntime).
#include <cstdio>
#include <fstream>
#include <string>

#include "engine/session.h"
#include "model_files.h"
#include "passes/dynamic.h"
#include "passes/float16.h"
#include "passes/weight_only.h"

namespace {

using namespace bitwright;

PlannedEdit apply(const std::string& pass, Model& model) {
  Recipe recipe;
  if (pass == "weight_only") return weight_only(model, recipe);
  if (pass == "weight_only_i4") {
    recipe.weight = {DType::i4, true, false, TensorScheme::Grain::per_block, 32};
    return weight_only(model, recipe);
  }
  if (pass == "dynamic_ort") recipe.target = Target::onnxruntime;
  if (pass == "dynamic" || pass == "dynamic_ort") return quantize_dynamic(model, recipe);
  recipe.float16_weights_only = pass == "float16_weights";
  if (pass == "float16" || pass == "float16_weights")
    return float16(model, recipe, recipe.float16_weights_only ? ValueTypes{} : infer_types(model));
  throw Error(ErrorCode::invalid_argument, "no pass is called " + bitwright::quoted(pass));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: apply_pass PASS IN.onnx OUT.onnx\n", stderr);
    return 2;
  }
  try {
    Model model = *tools::read_model(argv[2]);
    const PlannedEdit edit = apply(argv[1], model);
    validate(model);
    for (const NodeDecision& row : edit.plan.nodes) std::printf("%s\n", to_string(row).c_str());
    for (const std::string& message : edit.result.messages) std::printf("%s\n", message.c_str());
    MemorySink sink;
    write_onnx(model, sink, nullptr);
    std::ofstream out(argv[3], std::ios::binary);
    out.write(reinterpret_cast<const char*>(sink.bytes().data()), static_cast<std::streamsize>(sink.bytes().size()));
    return out ? 0 : 1;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", std::string(error_code_name(error.code())).c_str(), error.what());
    return 1;
  }
}
