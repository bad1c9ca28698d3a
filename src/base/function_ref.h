#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace bitwright {

template <typename Signature>
class FunctionRef;

/// Something to call, lent for the length of one call: two pointers. std::function makes eight functions for each lambda, which
/// is most of what a small module would consist of. It never outlives what it was made from, so it is a parameter, never a member.
template <typename Result, typename... Args>
class FunctionRef<Result(Args...)> {
 public:
  template <typename Callable>
  requires(!std::is_same_v<std::remove_cvref_t<Callable>, FunctionRef> && std::is_invocable_r_v<Result, Callable&, Args...>)
      // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): the first requirement leaves copies alone
      FunctionRef(Callable&& callable)
      : callable_(const_cast<void*>(static_cast<const void*>(std::addressof(callable)))),
        call_([](void* object, Args... args) -> Result {
          return (*static_cast<std::remove_reference_t<Callable>*>(object))(std::forward<Args>(args)...);
        }) {}

  Result operator()(Args... args) const { return call_(callable_, std::forward<Args>(args)...); }

 private:
  void* callable_;
  Result (*call_)(void*, Args...);
};

}  // namespace bitwright
