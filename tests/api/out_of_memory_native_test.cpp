// Every allocation of a job fails in turn: the job ends with out_of_memory, holds nothing afterwards, and goes well again.
#include <doctest/doctest.h>

#include <functional>
#include <new>

#include "allocations.h"
#include "api/calibration_run.h"
#include "api/quantize.h"
#include "api/small_network.h"
#include "base/error.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

/// A job that ends in bytes. Failing at each allocation, once or for good.
/// `keeps_nothing`: false where what the job uses grows with it.
void check_every_failure(const std::function<std::vector<std::uint8_t>()>& job, bool keeps_nothing = true) {
  const std::vector<std::uint8_t> wanted = job();
  using Then = FailingAllocation::Then;
  std::uint64_t n_failures = 0;
  for (const Then then : {Then::goes_on, Then::all_fail}) {
    for (std::uint64_t n = 0;; ++n) {
      const std::uint64_t before = live_bytes();
      bool has_failed = false;
      bool is_refused = false;
      std::vector<std::uint8_t> found;
      {
        const FailingAllocation failing(n, then);
        try {
          found = job();
        } catch (const std::bad_alloc&) {  // guard.h makes the typed error of it at the border
          is_refused = true;
        } catch (const Error& error) {
          is_refused = error.code() == ErrorCode::out_of_memory;
          if (!is_refused) FAIL_CHECK("allocation ", n, ": ", error.what());
        }
        has_failed = failing.has_failed();
      }
      if (!is_refused && found != wanted) FAIL_CHECK("allocation ", n, ": another result");
      std::vector<std::uint8_t>().swap(found);
      if (keeps_nothing && live_bytes() != before) FAIL_CHECK("allocation ", n, ": ", live_bytes() - before, " bytes were left");
      if (!has_failed) break;
      ++n_failures;
    }
  }
  CHECK(n_failures > 10);
  CHECK(job() == wanted);
}

}  // namespace

TEST_CASE("out of memory: reading and writing a model, at every allocation") {
  const std::vector<std::uint8_t> bytes = file_of(small_network());
  check_every_failure([&] { return file_of(read_bytes(bytes)); });
}

TEST_CASE("out of memory: planning and running a model, at every allocation") {
  const auto model = std::make_shared<const Model>(read_bytes(file_of(small_network())));
  check_every_failure([&] {
    Session session(model);
    const Tensor y = session.run(small_network_feeds()).at("y");
    return std::vector<std::uint8_t>(y.bytes().begin(), y.bytes().end());
  });
}

TEST_CASE("out of memory: a session whose run failed runs again with the same result") {
  const auto model = std::make_shared<const Model>(read_bytes(file_of(small_network())));
  const std::uint64_t before = live_bytes();
  {
    Session session(model);
    check_every_failure(
        [&] {
          const Tensor y = session.run(small_network_feeds()).at("y");
          return std::vector<std::uint8_t>(y.bytes().begin(), y.bytes().end());
        },
        false);
  }
  CHECK(live_bytes() == before);
}

TEST_CASE("out of memory: quantizing in every mode, at every allocation") {
  const auto model = std::make_shared<const Model>(read_bytes(file_of(small_network())));
  for (const QuantMode mode : {QuantMode::weight_only, QuantMode::dynamic, QuantMode::float16}) {
    CAPTURE(static_cast<int>(mode));
    Recipe recipe;
    recipe.mode = mode;
    check_every_failure([&] { return file_of(*quantize(*model, recipe, nullptr, "", {}, {.allows_larger = true}).model); });
  }
}

TEST_CASE("out of memory: calibrating and quantizing statically, at every allocation") {
  const auto model = std::make_shared<const Model>(read_bytes(file_of(small_network())));
  Recipe recipe;
  check_every_failure([&] {
    CalibrationRun run(model, recipe, false);
    run.feed(small_network_feeds());
    const Statistics statistics = run.statistics();
    return file_of(*quantize(*model, recipe, &statistics, "", {}, {.allows_larger = true}).model);
  });
}
