#pragma once

#include <cstdint>
#include <memory>

#include "base/function_ref.h"

namespace bitwright {

/// Calls body(begin, end) for pieces that cover [0, n) once. Pieces are multiples of `grain` long (the last may be shorter)
/// and may run at the same time on the threads of the current ThreadPoolScope; without one, or inside a piece, or where
/// n <= grain, body(0, n) runs in place. The first exception of a piece is thrown again here, after all pieces ended.
/// Results must not depend on where pieces begin: share out output rows, never the terms of a sum.
void parallel_for(std::int64_t n, std::int64_t grain, FunctionRef<void(std::int64_t begin, std::int64_t end)> body);

/// Threads that wait for pieces of one loop at a time. Builds without threads have a pool of one.
/// A thread that cannot be had is done without: the caller takes its pieces.
class ThreadPool {
 public:
  /// `n_threads` counts the caller's own; 1 to kMaxThreads, others are brought into that range.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  int n_threads() const;
  static constexpr int kMaxThreads = 64;

 private:
  friend void parallel_for(std::int64_t, std::int64_t, FunctionRef<void(std::int64_t, std::int64_t)>);
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// While it lives, parallel_for on this thread uses the pool.
class ThreadPoolScope {
 public:
  explicit ThreadPoolScope(ThreadPool* pool);
  ~ThreadPoolScope();
  ThreadPoolScope(const ThreadPoolScope&) = delete;
  ThreadPoolScope& operator=(const ThreadPoolScope&) = delete;

 private:
  ThreadPool* previous_;
};

}  // namespace bitwright
