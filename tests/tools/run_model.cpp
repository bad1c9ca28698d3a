// Runs a model: `run_model MODEL [--time N] [--threads N] [--fast | --integer-only] [--out DIR] [INPUT.pb ...]`, inputs in the model's order.
// Writes DIR/output_K.pb and prints the type of each output; --time runs N more times and prints the median, --profile the
// time of each operator type, --types what infer_types finds.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "engine/session.h"
#include "tools/model_files.h"

namespace {

namespace fs = std::filesystem;
using namespace bitwright;

struct Options {
  fs::path model;
  fs::path out;
  int n_timed = 0;
  int n_threads = 1;
  SessionArithmetic arithmetic = SessionArithmetic::simulated;
  bool is_profiling = false;
  bool shows_types = false;
  std::vector<fs::path> inputs;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const bool has_value = i + 1 < argc;
    if (argument == "--time" && has_value) {
      options.n_timed = std::atoi(argv[++i]);
    } else if (argument == "--threads" && has_value) {
      options.n_threads = std::atoi(argv[++i]);
    } else if (argument == "--fast") {
      options.arithmetic = SessionArithmetic::fast;
    } else if (argument == "--integer-only") {
      options.arithmetic = SessionArithmetic::integer_only;
    } else if (argument == "--out" && has_value) {
      options.out = argv[++i];
    } else if (argument == "--profile") {
      options.is_profiling = true;
    } else if (argument == "--types") {
      options.shows_types = true;
    } else if (options.model.empty()) {
      options.model = argument;
    } else {
      options.inputs.push_back(argument);
    }
  }
  return options;
}

void show_types(const Model& model) {
  std::size_t n_known = 0;
  const auto types = infer_types(model);
  for (const auto& [name, type] : types) {
    n_known += type.is_known();
    std::printf("%s: %s%s\n", name.c_str(), std::string(dtype_name(type.dtype)).c_str(),
                type.shape ? to_string(*type.shape).c_str() : "?");
  }
  std::printf("%zu of %zu values known\n", n_known, types.size());
}

void show_profile(const Session& session) {
  std::map<std::string, double> times;
  for (const NodeProfile& row : session.profile()) times[row.op_type] += row.time_ms;
  for (const auto& [op_type, time_ms] : times) std::printf("%-24s %10.3f ms\n", op_type.c_str(), time_ms);
}

void run(const Options& options) {
  const std::shared_ptr<const Model> model = tools::read_model(options.model);
  if (options.shows_types) return show_types(*model);
  Session session(model, {.arithmetic = options.arithmetic, .n_threads = options.n_threads});
  std::map<std::string, Tensor> feeds;
  const std::vector<ValueInfo> inputs = session.inputs();
  for (std::size_t i = 0; i < options.inputs.size() && i < inputs.size(); ++i)
    feeds.insert_or_assign(inputs[i].name, tools::read_tensor(options.inputs[i]));
  std::map<std::string, Tensor> results = session.run(feeds);
  const std::vector<ValueInfo> outputs = session.outputs();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Tensor& tensor = results.at(outputs[i].name);
    std::printf("%s: %s%s\n", outputs[i].name.c_str(), std::string(dtype_name(tensor.dtype())).c_str(),
                to_string(tensor.shape()).c_str());
    if (options.out.empty()) continue;
    fs::create_directories(options.out);
    const std::vector<std::uint8_t> bytes = write_tensor_proto(tensor, outputs[i].name);
    std::ofstream(options.out / ("output_" + std::to_string(i) + ".pb"), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  session.set_profiling(options.is_profiling);
  const std::uint64_t arena_before = session.arena_bytes();
  std::vector<double> times;
  for (int i = 0; i < options.n_timed; ++i) {
    const auto start = std::chrono::steady_clock::now();
    session.run(feeds);
    times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  if (!times.empty()) {
    std::sort(times.begin(), times.end());
    std::printf("median %.3f ms, activations at peak %.2f MB, arena %.2f MB (grew %.2f MB)\n", times[times.size() / 2],
                static_cast<double>(session.peak_activation_bytes()) / 1e6, static_cast<double>(session.arena_bytes()) / 1e6,
                static_cast<double>(session.arena_bytes() - arena_before) / 1e6);
  }
  if (options.is_profiling) show_profile(session);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (options.model.empty()) {
    std::fputs("run_model MODEL [--time N] [--threads N] [--profile] [--types] [--out DIR] [INPUT.pb ...]\n", stderr);
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
