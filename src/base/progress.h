#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace bitwright {

/// What a long piece of work says between its bounded steps. `done` never falls within a stage; times are the host's to estimate.
struct Progress {
  std::string stage;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};

/// Called between bounded steps of long work; throws Error{aborted} (or lets the host throw it) to cancel.
using OnProgress = std::function<void(const Progress&)>;

/// Where somebody listens.
inline void tell_progress(const OnProgress& on_progress, const char* stage, std::uint64_t done, std::uint64_t total) {
  if (on_progress) on_progress({stage, done, total});
}

}  // namespace bitwright
