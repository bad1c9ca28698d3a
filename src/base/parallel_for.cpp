#include "base/parallel_for.h"

#include <algorithm>
#include <exception>

#ifdef BITWRIGHT_THREADS
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>
#endif

namespace bitwright {

namespace {

using Body = FunctionRef<void(std::int64_t, std::int64_t)>;

#ifdef BITWRIGHT_THREADS
thread_local ThreadPool* current_pool = nullptr;
#else
ThreadPool* current_pool = nullptr;
#endif

}  // namespace

ThreadPoolScope::ThreadPoolScope(ThreadPool* pool) : previous_(current_pool) { current_pool = pool; }
ThreadPoolScope::~ThreadPoolScope() { current_pool = previous_; }

#ifdef BITWRIGHT_THREADS

namespace {

/// One loop: pieces, as equal as grains allow, are claimed by a counter, so it ends even if no worker ever wakes. The caller takes
/// them from the front and workers from the back, loop after loop: what one wrote, it mostly reads again from its own cache.
struct Loop {
  const Body* body = nullptr;
  std::int64_t n = 0;
  std::int64_t grain = 1;
  std::int64_t n_pieces = 0;
  std::atomic<std::int64_t> n_claimed{0}, n_front{0}, n_back{0};
  std::mutex error_mutex;
  std::exception_ptr error;

  std::int64_t begin_of(std::int64_t i) const {
    const std::int64_t n_grains = (n - 1) / grain + 1;
    return std::min((n_grains / n_pieces * i + n_grains % n_pieces * i / n_pieces) * grain, n);
  }

  void work(bool is_caller) {
    while (n_claimed.fetch_add(1, std::memory_order_relaxed) < n_pieces) {
      const std::int64_t i = is_caller ? n_front.fetch_add(1, std::memory_order_relaxed)
                                       : n_pieces - 1 - n_back.fetch_add(1, std::memory_order_relaxed);
      try {
        (*body)(begin_of(i), begin_of(i + 1));
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
      }
    }
  }
};

}  // namespace

/// Waking a thread takes 1 us in Node and 13 to 18 in Chromium, and an inference has a hundred loops: workers spin from loop to
/// loop, and sleep when none has come for as long as between runs.
class ThreadPool::Impl {
 public:
  explicit Impl(int n_threads) {
    for (int i = 1; i < n_threads; ++i) {
      try {
        workers_.emplace_back([this] { serve(); });
      } catch (const std::system_error&) {
        break;
      }
    }
  }

  ~Impl() {
    is_ending_ = true;
    wake();
    for (std::thread& worker : workers_) worker.join();
  }

  int n_threads() const { return static_cast<int>(workers_.size()) + 1; }

  void run(std::int64_t n, std::int64_t grain, std::int64_t n_pieces, Body body) {
    Loop loop;
    loop.body = &body;
    loop.n = n;
    loop.grain = grain;
    loop.n_pieces = n_pieces;
    loop_ = &loop;
    ++generation_;
    if (n_asleep_ != 0) wake();
    loop.work(true);
    loop_ = nullptr;  // nobody joins from here on
    for (int spins = 0; n_busy_ != 0; ++spins)
      if (spins > kSpins) std::this_thread::yield();
    if (loop.error) std::rethrow_exception(loop.error);
  }

 private:
  static constexpr int kSpins = 20000;  // about 50 us

  void wake() {
    { const std::lock_guard lock(mutex_); }  // a worker between its last look and its sleep is waited for
    wake_.notify_all();
  }

  void serve() {
    std::uint64_t seen = 0;
    for (;;) {
      for (int spins = 0; generation_ == seen && !is_ending_; ++spins)
        if (spins > kSpins) {
          std::unique_lock lock(mutex_);
          ++n_asleep_;
          wake_.wait(lock, [&] { return is_ending_ || generation_ != seen; });
          --n_asleep_;
        }
      if (is_ending_) return;
      seen = generation_;
      // Either the caller sees this worker busy and waits for it, or the worker sees that the loop is over.
      ++n_busy_;
      if (Loop* const loop = loop_) loop->work(false);
      --n_busy_;
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<Loop*> loop_{nullptr};
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<int> n_busy_{0};
  std::atomic<int> n_asleep_{0};
  std::atomic<bool> is_ending_{false};
  std::vector<std::thread> workers_;
};

ThreadPool::ThreadPool(int n_threads) : impl_(std::make_unique<Impl>(std::clamp(n_threads, 1, kMaxThreads))) {}
ThreadPool::~ThreadPool() = default;
int ThreadPool::n_threads() const { return impl_->n_threads(); }

void parallel_for(std::int64_t n, std::int64_t grain, Body body) {
  constexpr std::int64_t kPiecesPerThread = 8;  // so that a slow thread does not hold up the rest
  if (n <= 0) return;
  grain = std::max<std::int64_t>(grain, 1);
  ThreadPool* const pool = current_pool;
  if (pool == nullptr || n <= grain || pool->n_threads() == 1) return body(0, n);
  const std::int64_t n_pieces = std::min((n - 1) / grain + 1, kPiecesPerThread * pool->n_threads());
  const ThreadPoolScope plain(nullptr);
  pool->impl_->run(n, grain, n_pieces, body);
}

#else

class ThreadPool::Impl {};

ThreadPool::ThreadPool(int) {}
ThreadPool::~ThreadPool() = default;
int ThreadPool::n_threads() const { return 1; }

void parallel_for(std::int64_t n, std::int64_t, Body body) {
  if (n > 0) body(0, n);
}

#endif

}  // namespace bitwright
