// apply_pass PASS IN.onnx OUT.onnx: runs one pass that needs no calibration and prints what became of each node.
// PASS: scheme:NAME (weights by a named scheme, the opset raised as needed), weight_only, weight_only_i4 (opset 21), float16, float16_weights, dynamic, dynamic_ort (target onnxruntime), and the
// conversions dequantize, qdq, qoperator.
#include <cstdio>
#include <fstream>
#include <string>

#include "api/convert.h"
#include "engine/session.h"
#include "model_files.h"
#include "passes/dynamic.h"
#include "passes/float16.h"
#include "passes/upgrade_opset.h"
#include "passes/weight_only.h"
#include "quant/encodings/encoding.h"

namespace {

using namespace bitwright;

PlannedEdit converted(Model& model, ConvertResult result) {
  model = *result.model;
  return {{}, {result.n_changes, std::move(result.messages), {}}};
}

PlannedEdit apply(const std::string& pass, Model& model) {
  if (pass == "dequantize") return converted(model, dequantize_model(model));
  if (pass == "qdq") return converted(model, convert_model(model, QuantFormat::qdq));
  if (pass == "qoperator") return converted(model, convert_model(model, QuantFormat::qoperator));
  Recipe recipe;
  if (pass.starts_with("scheme:")) {
    const NamedScheme* named = find_scheme(pass.substr(7));
    if (named == nullptr) throw Error(ErrorCode::invalid_argument, "no scheme is called " + bitwright::quoted(pass.substr(7)));
    recipe.weight = named->scheme;
    recipe.target = Target::portable;
    if (const std::int64_t opset = dequantize_opset(recipe.weight, recipe.target); model.opset() < opset)
      upgrade_opset(model, opset);
    return weight_only(model, recipe);
  }
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
