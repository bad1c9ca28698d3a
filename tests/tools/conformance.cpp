// Runs ONNX backend tests: `conformance [--failing] DIR...`, each DIR a test or a folder of tests. A test is a folder with
// model.onnx and test_data_set_*/input_K.pb, output_K.pb. Prints `name<TAB>pass|fail|unsupported|refused<TAB>reason` for each
// (with --failing: `name,"reason"` for those that do not pass), and a line that counts them. Every test runs in a process of
// its own, so that a crash or a hang costs one test only.
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <cstdio>
#include <iostream>
#include <map>
#include <new>

#include "engine/session.h"
#include "tools/compare_tensors.h"
#include "tools/model_files.h"

namespace {

namespace fs = std::filesystem;
using namespace bitwright;

constexpr unsigned kTimeLimitSeconds = 20;

struct Outcome {
  std::string verdict;
  std::string reason;
};

std::string check_data_set(Session& session, const fs::path& folder) {
  const std::vector<ValueInfo> inputs = session.inputs();
  const std::vector<ValueInfo> outputs = session.outputs();
  std::map<std::string, Tensor> feeds;
  const std::vector<fs::path> input_paths = tools::numbered(folder, "input_");
  for (std::size_t i = 0; i < input_paths.size(); ++i) {
    std::string name;
    Tensor tensor = read_tensor_proto(tools::read_file(input_paths[i]), &name);
    if (i >= inputs.size()) return "the test has more inputs than the model";
    feeds.insert_or_assign(inputs[i].name, std::move(tensor));
  }
  const std::map<std::string, Tensor> results = session.run(feeds);
  const std::vector<fs::path> output_paths = tools::numbered(folder, "output_");
  for (std::size_t i = 0; i < output_paths.size(); ++i) {
    const Tensor wanted = tools::read_tensor(output_paths[i]);
    if (i >= outputs.size()) return "the test has more outputs than the model";
    const std::string finding = tools::difference(results.at(outputs[i].name), wanted);
    if (!finding.empty()) return "output " + outputs[i].name + ": " + finding;
  }
  return {};
}

Outcome run_test(const fs::path& folder) {
  try {
    std::vector<fs::path> data_sets;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder))
      if (entry.is_directory() && entry.path().filename().string().rfind("test_data_set_", 0) == 0)
        data_sets.push_back(entry.path());
    const std::shared_ptr<const Model> model = tools::read_model(folder / "model.onnx");
    infer_types(*model);
    Session session(model);
    for (const fs::path& data_set : data_sets)
      if (const std::string finding = check_data_set(session, data_set); !finding.empty()) return {"fail", finding};
    return {"pass", ""};
  } catch (const Error& error) {
    const std::string reason = std::string(error_code_name(error.code())) + ": " + error.what();
    return {error.code() == ErrorCode::unsupported ? "unsupported" : "refused", reason};
  } catch (const std::exception& error) {
    return {"fail", std::string("exception: ") + error.what()};
  }
}

Outcome run_in_child(const fs::path& folder) {
  int ends[2];
  if (pipe(ends) != 0) return {"fail", "no pipe"};
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    alarm(kTimeLimitSeconds);
    Outcome outcome = run_test(folder);
    std::replace(outcome.reason.begin(), outcome.reason.end(), '\n', ' ');
    std::replace(outcome.reason.begin(), outcome.reason.end(), '\t', ' ');
    const std::string line = outcome.verdict + '\t' + outcome.reason;
    const bool is_written = write(ends[1], line.data(), line.size()) == static_cast<ssize_t>(line.size());
    _exit(is_written ? 0 : 1);
  }
  close(ends[1]);
  std::string line;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) line.append(buffer, static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status))
    return {"fail", WTERMSIG(status) == SIGALRM ? "took more than 20 s" : "crashed: signal " + std::to_string(WTERMSIG(status))};
  const std::size_t tab = line.find('\t');
  if (tab == std::string::npos) return {"fail", "ended without an answer"};
  return {line.substr(0, tab), line.substr(tab + 1)};
}

std::vector<fs::path> find_tests(const fs::path& root) {
  if (fs::exists(root / "model.onnx")) return {root};
  std::vector<fs::path> tests;
  for (const fs::directory_entry& entry : fs::directory_iterator(root))
    if (entry.is_directory() && fs::exists(entry.path() / "model.onnx")) tests.push_back(entry.path());
  std::sort(tests.begin(), tests.end());
  return tests;
}

}  // namespace

int main(int argc, char** argv) {
  bool is_failing_list = false;
  std::vector<fs::path> tests;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--failing") {
      is_failing_list = true;
      continue;
    }
    const std::vector<fs::path> found = find_tests(argument);
    tests.insert(tests.end(), found.begin(), found.end());
  }
  if (tests.empty()) {
    std::cerr << "conformance [--failing] DIR...: no folder with a model.onnx was given\n";
    return 2;
  }
  std::map<std::string, int> counts;
  if (is_failing_list) std::cout << "test,verdict,reason\n";
  for (const fs::path& test : tests) {
    const Outcome outcome = run_in_child(test);
    ++counts[outcome.verdict];
    const std::string name = test.filename().string();
    if (!is_failing_list) {
      std::cout << name << '\t' << outcome.verdict << '\t' << outcome.reason << std::endl;
    } else if (outcome.verdict != "pass") {
      std::string reason = outcome.reason;
      std::replace(reason.begin(), reason.end(), '"', '\'');
      std::cout << name << ',' << outcome.verdict << ",\"" << reason << "\"\n";
    }
  }
  std::ostream& counting = is_failing_list ? std::cerr : std::cout;
  counting << tests.size() << " tests: " << counts["pass"] << " pass, " << counts["fail"] << " fail, " << counts["unsupported"]
           << " unsupported, " << counts["refused"] << " refused\n";
  return 0;
}
