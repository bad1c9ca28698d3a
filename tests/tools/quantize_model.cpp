// Quantizes a model: `quantize_model MODEL OUT [options]`, calibrated on SAMPLES/0/input_K.pb, SAMPLES/1/input_K.pb ... or on
// seeded normal noise, and compares float and quantized on the same samples.
//   --samples DIR  --seeded N  --mode static|weight_only|float16|dynamic  --target onnxruntime-web|onnxruntime|portable
//   --input NAME=1x32 (a shape), NAME=1x32:0-511 (uniform integers), NAME=:16000 (a constant); repeated per input
//   --method min_max|moving_average|percentile|entropy|mse  --include PATTERN  --exclude PATTERN  --nodes  --tensors  --no-compare
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <random>

#include "api/calibration_run.h"
#include "api/quantize.h"
#include "report/comparison.h"
#include "tools/model_files.h"

namespace {

namespace fs = std::filesystem;
using namespace bitwright;
using Feeds = std::map<std::string, Tensor>;

/// What a seeded input is made of, where the model does not say or normal noise would not do.
struct InputSpec {
  Shape shape;
  bool has_bounds = false;
  std::int64_t lowest = 0;
  std::int64_t highest = 0;
};

struct Options {
  fs::path model;
  fs::path out;
  fs::path samples;
  int n_seeded = 8;
  Recipe recipe;
  std::map<std::string, InputSpec> inputs;
  bool shows_nodes = false;
  bool shows_tensors = false;
  bool compares = true;
};

const std::map<std::string, QuantMode> kModes = {{"static", QuantMode::static_},
                                                 {"weight_only", QuantMode::weight_only},
                                                 {"float16", QuantMode::float16},
                                                 {"dynamic", QuantMode::dynamic}};
const std::map<std::string, Target> kTargets = {
    {"onnxruntime-web", Target::onnxruntime_web}, {"onnxruntime", Target::onnxruntime}, {"portable", Target::portable}};
const std::map<std::string, CalibrationMethod> kMethods = {{"min_max", CalibrationMethod::min_max},
                                                           {"moving_average", CalibrationMethod::moving_average},
                                                           {"percentile", CalibrationMethod::percentile},
                                                           {"entropy", CalibrationMethod::entropy},
                                                           {"mse", CalibrationMethod::mse}};

void add_input(Options& options, const std::string& text) {
  const std::size_t equals = text.rfind('=');
  const std::size_t colon = std::min(text.find(':', equals + 1), text.size());
  InputSpec spec;
  for (std::size_t at = equals + 1; at < colon; at = std::min(text.find('x', at), colon) + 1)
    spec.shape.push_back(std::stoll(text.substr(at)));
  if (colon < text.size()) {
    const std::size_t dash = text.find('-', colon);
    spec.has_bounds = true;
    spec.lowest = std::stoll(text.substr(colon + 1));
    spec.highest = dash == std::string::npos ? spec.lowest : std::stoll(text.substr(dash + 1));
  }
  options.inputs[text.substr(0, equals)] = spec;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::string value = i + 1 < argc ? argv[i + 1] : "";
    if (argument == "--nodes")
      options.shows_nodes = true;
    else if (argument == "--tensors")
      options.shows_tensors = true;
    else if (argument == "--no-compare")
      options.compares = false;
    else if (!argument.starts_with("--"))
      (options.model.empty() ? options.model : options.out) = argument;
    else
      ++i;
    if (argument == "--samples") options.samples = value;
    if (argument == "--seeded") options.n_seeded = std::stoi(value);
    if (argument == "--mode") options.recipe.mode = kModes.at(value);
    if (argument == "--target") options.recipe.target = kTargets.at(value);
    if (argument == "--input") add_input(options, value);
    if (argument == "--method") options.recipe.calibration.method = kMethods.at(value);
    if (argument == "--include") options.recipe.include.push_back(value);
    if (argument == "--exclude") options.recipe.exclude.push_back(value);
  }
  return options;
}

template <typename T>
void fill_uniform(Tensor& tensor, const InputSpec& spec, std::mt19937& random) {
  std::uniform_int_distribution<std::int64_t> uniform(spec.lowest, spec.highest);
  for (T& value : tensor.data<T>()) value = static_cast<T>(uniform(random));
}

/// As the option --input says; else normal noise for floats, zeros for everything else, open extents 1.
Tensor noise(const ValueInfo& input, const Options& options, std::mt19937& random) {
  const auto spec = options.inputs.find(input.name);
  Shape shape = spec == options.inputs.end() ? input.shape : spec->second.shape;
  for (std::int64_t& extent : shape)
    if (extent == kUnknownDim) extent = 1;
  Tensor tensor(input.dtype, shape);
  if (spec != options.inputs.end() && spec->second.has_bounds) {
    if (input.dtype == DType::f32) fill_uniform<float>(tensor, spec->second, random);
    if (input.dtype == DType::i32) fill_uniform<std::int32_t>(tensor, spec->second, random);
    if (input.dtype == DType::i64) fill_uniform<std::int64_t>(tensor, spec->second, random);
    return tensor;
  }
  std::normal_distribution<float> normal;
  if (input.dtype == DType::f32)
    for (float& value : tensor.data<float>()) value = normal(random);
  return tensor;
}

std::vector<Feeds> samples_of(const Options& options, const std::vector<ValueInfo>& inputs) {
  std::vector<Feeds> samples;
  std::mt19937 random(7);
  const auto folder = [&](std::size_t k) { return options.samples / std::to_string(k); };
  while (options.samples.empty() ? samples.size() < static_cast<std::size_t>(options.n_seeded)
                                 : fs::exists(folder(samples.size()))) {
    Feeds feeds;
    const std::vector<fs::path> files =
        options.samples.empty() ? std::vector<fs::path>{} : tools::numbered(folder(samples.size()), "input_");
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (options.samples.empty() || i < files.size())
        feeds.insert_or_assign(inputs[i].name,
                               options.samples.empty() ? noise(inputs[i], options, random) : tools::read_tensor(files[i]));
    samples.push_back(std::move(feeds));
  }
  return samples;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void run(const Options& options) {
  const std::shared_ptr<const Model> model = tools::read_model(options.model);
  std::vector<Feeds> samples;
  Statistics statistics;
  std::vector<ValueInfo> inputs;
  for (const ValueInfo& input : model->graph.inputs)
    if (model->graph.find_initializer(input.name) == nullptr) inputs.push_back(input);
  if (options.recipe.mode == QuantMode::static_ || options.compares) samples = samples_of(options, inputs);
  const auto start = std::chrono::steady_clock::now();
  // Mode float16 can do without samples; with them it keeps nodes in float32 whose values would overflow.
  const bool checks_float16 = options.recipe.mode == QuantMode::float16 && options.compares;
  if (options.recipe.mode == QuantMode::static_ || checks_float16) {
    CalibrationRun calibration(model, options.recipe, false);
    for (const Feeds& sample : samples) calibration.feed(sample);
    statistics = calibration.statistics();
  }
  const double calibrated = seconds_since(start);
  const QuantizeResult result = quantize(*model, options.recipe, &statistics);
  std::size_t n_quantized = 0;
  for (const NodeDecision& node : result.nodes) n_quantized += node.is_quantized;
  std::printf("%zu of %zu nodes quantized, %zu tensors, %llu to %llu bytes (%.2fx), calibrate %.2f s, quantize %.2f s\n",
              n_quantized, result.nodes.size(), result.tensors.size(), static_cast<unsigned long long>(result.bytes_before),
              static_cast<unsigned long long>(result.bytes_after),
              static_cast<double>(result.bytes_before) / static_cast<double>(result.bytes_after), calibrated,
              seconds_since(start) - calibrated);
  for (const std::string& message : result.messages) std::printf("  %s\n", message.c_str());
  for (const LintRow& row : result.lint) std::printf("  %s\n", to_string(row).c_str());
  if (options.shows_nodes)
    for (const NodeDecision& node : result.nodes) std::printf("  %s\n", to_string(node).c_str());
  if (options.shows_tensors)
    for (const TensorReport& tensor : result.tensors)
      std::printf("  %s %s %s [%g, %g] scale %g zero_point %d sqnr %.1f dB\n", tensor.tensor.c_str(),
                  std::string(tensor_role_name(tensor.role)).c_str(), tensor.granularity.c_str(), tensor.rmin, tensor.rmax,
                  tensor.scale, tensor.zero_point, tensor.sqnr_db);
  MemorySink sink;
  write_onnx(*result.model, sink, nullptr);
  std::ofstream(options.out, std::ios::binary)
      .write(reinterpret_cast<const char*>(sink.bytes().data()), static_cast<std::streamsize>(sink.bytes().size()));
  if (!options.compares) return;
  Comparison comparison(model, tools::read_model(options.out));
  for (const Feeds& sample : samples) comparison.feed(sample, -1);
  for (const OutputComparison& output : comparison.finish().outputs)
    std::printf("output %s: sqnr %.2f dB, cosine %.6f, top-1 agreement %llu of %llu\n", output.whole.value.c_str(),
                output.whole.sqnr_db, output.whole.cosine, static_cast<unsigned long long>(output.top1_agreement.count),
                static_cast<unsigned long long>(output.top1_agreement.total));
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (options.out.empty()) {
    std::fputs(
        "quantize_model MODEL OUT [--samples DIR | --seeded N] [--mode M] [--target T] [--method M] [--include P] [--exclude P] "
        "[--nodes] [--tensors] [--no-compare]\n",
        stderr);
    return 2;
  }
  try {
    run(options);
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", std::string(error_code_name(error.code())).c_str(), error.what());
    return 1;
  }
}
