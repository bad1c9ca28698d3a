#include "base/parallel_for.h"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace bitwright::tests {
namespace {

TEST_CASE("parallel_for: every index is visited once, whatever the pool and the grain") {
  for (const int n_threads : {1, 2, 4})
    for (const std::int64_t n : {0, 1, 7, 64, 1000})
      for (const std::int64_t grain : {1, 3, 64, 5000}) {
        ThreadPool pool(n_threads);
        const ThreadPoolScope scope(&pool);
        std::vector<int> visits(static_cast<std::size_t>(n), 0);
        parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
        });
        CHECK(visits == std::vector<int>(static_cast<std::size_t>(n), 1));
      }
}

TEST_CASE("parallel_for: an exception of a piece reaches the caller and the pool lives on") {
  ThreadPool pool(3);
  const ThreadPoolScope scope(&pool);
  CHECK_THROWS_AS(parallel_for(100, 1, [](std::int64_t, std::int64_t) { throw std::runtime_error("piece"); }),
                  std::runtime_error);
  std::atomic<std::int64_t> sum{0};
  parallel_for(100, 1, [&](std::int64_t begin, std::int64_t end) { sum += end - begin; });
  CHECK(sum == 100);
}

TEST_CASE("parallel_for: a loop inside a piece runs in place") {
  ThreadPool pool(4);
  const ThreadPoolScope scope(&pool);
  std::atomic<std::int64_t> sum{0};
  parallel_for(8, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) parallel_for(10, 1, [&](std::int64_t b, std::int64_t e) { sum += e - b; });
  });
  CHECK(sum == 80);
}

}  // namespace
}  // namespace bitwright::tests
