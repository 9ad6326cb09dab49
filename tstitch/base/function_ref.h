#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace tstitch {

template <class Signature>
class FunctionRef;

// A reference to a callable: two pointers, nothing owned, nothing allocated. For parameters that are called
// before the function returns; the callable must outlive the reference.
template <class Result, class... Args>
class FunctionRef<Result(Args...)> {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef> &&
           std::is_object_v<std::remove_reference_t<F>> && std::is_invocable_r_v<Result, F&, Args...>)
      FunctionRef(F&& callable)  // implicit, so that a lambda can be passed as it is
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(callable)))),
        call_([](void* object, Args... args) -> Result {
          return (*static_cast<std::remove_reference_t<F>*>(object))(std::forward<Args>(args)...);
        }) {}

  Result operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  Result (*call_)(void*, Args...);
};

}  // namespace tstitch
