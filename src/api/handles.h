#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"

namespace bitwright {

/// Numbers for objects that live on this side of the border. Numbers are never used again.
template <typename T>
class Handles {
 public:
  explicit Handles(std::string what) : what_(std::move(what)) {}

  std::int32_t add(std::shared_ptr<T> object) {
    objects_.emplace(next_, std::move(object));
    return next_++;
  }
  /// Throws Error{disposed} for a number that is not (or no longer) taken.
  std::shared_ptr<T> get(std::int32_t handle) const {
    const auto found = objects_.find(handle);
    if (found == objects_.end()) throw_error(ErrorCode::disposed, {"this ", what_, " was disposed before"});
    return found->second;
  }
  void remove(std::int32_t handle) { objects_.erase(handle); }
  std::size_t size() const { return objects_.size(); }

 private:
  std::string what_;
  std::int32_t next_ = 1;
  std::map<std::int32_t, std::shared_ptr<T>> objects_;
};

}  // namespace bitwright
