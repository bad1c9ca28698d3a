// The test program: doctest, plus a count of passed, failed and skipped test cases that scripts can read.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "host.h"

namespace bitwright::tests {
namespace {

struct Tally {
  int n_passed = 0;
  int n_failed = 0;
  std::vector<std::string> skipped;
  std::string running;
  std::string skip_reason;
};

Tally& tally() {
  static Tally instance;
  return instance;
}

struct CountingListener : doctest::IReporter {
  explicit CountingListener(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_start(const doctest::TestCaseData& test) override {
    tally().running = test.m_name;
    tally().skip_reason.clear();
  }
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    if (!stats.testCaseSuccess) {
      ++tally().n_failed;
    } else if (!tally().skip_reason.empty()) {
      tally().skipped.push_back(tally().running + ": " + tally().skip_reason);
    } else {
      ++tally().n_passed;
    }
  }
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};

REGISTER_LISTENER("count", 1, CountingListener);

}  // namespace

void skip(std::string_view reason) { tally().skip_reason = reason; }

std::optional<std::filesystem::path> shared_folder() {
#ifdef __EMSCRIPTEN__
  return std::nullopt;
#else
  const char* named = std::getenv("BITWRIGHT_SHARED");
  const std::filesystem::path folder =
      named != nullptr ? std::filesystem::path(named) : std::filesystem::path(BITWRIGHT_SOURCE_DIR) / ".." / "shared";
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) return std::nullopt;
  return std::filesystem::weakly_canonical(folder, error);
#endif
}

}  // namespace bitwright::tests

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  const int status = context.run();
  if (context.shouldExit()) return status;
  const auto& tally = bitwright::tests::tally();
  for (const std::string& name : tally.skipped) std::printf("SKIPPED %s\n", name.c_str());
  std::printf("doctest: %d passed, %d failed, %zu skipped\n", tally.n_passed, tally.n_failed, tally.skipped.size());
  return status;
}
