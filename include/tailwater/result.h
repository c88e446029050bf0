// Result<T>, Status and Error: how every fallible call of Tailwater answers.
//
// The engine acts on Error::disposition and never on the message; metrics and the runbook are keyed
// by Error::code; Error::message is for people and ends with what to do next. The surface is that
// of C++23 std::expected.
#pragma once

#include <cassert>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace tailwater {

enum class Disposition : uint8_t {
  kRetry,          // the world may heal: back off with jitter, try again
  kNeedsOperator,  // it will not heal alone (password, grant, full disk): probe slowly, say what to
                   // do, go on when it works
  kReject,         // this record can never succeed: dead-letter it, go on
  kGap,            // the log no longer holds what we need: named state, policy on_gap
  kFatal,  // our own bug or a contract broken: stop this source or sink, keep the others running
  kCancelled,  // we were asked to stop
};

// "retry", "needs_operator", "reject", "gap", "fatal", "cancelled": the metric label.
std::string_view DispositionName(Disposition disposition);

struct [[nodiscard]] Error {
  Disposition disposition = Disposition::kFatal;
  std::string_view
      code;  // static storage, snake_case, from a closed set: metric label and runbook heading
  std::string message;  // for people; each layer adds its own noun in front on the way up

  // The same error with "noun: " in front of its message.
  Error Within(std::string_view noun) && {
    message.insert(0, ": ").insert(0, noun);
    return std::move(*this);
  }
};

template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit like std::expected
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {
  }  // NOLINT: implicit like std::unexpected

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& value() & { return assert(has_value()), *std::get_if<0>(&state_); }
  const T& value() const& { return assert(has_value()), *std::get_if<0>(&state_); }
  T&& value() && { return assert(has_value()), std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  Error& error() & { return assert(!has_value()), *std::get_if<1>(&state_); }
  const Error& error() const& { return assert(!has_value()), *std::get_if<1>(&state_); }
  Error&& error() && { return assert(!has_value()), std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error)
      : error_(std::move(error)), ok_(false) {}  // NOLINT: implicit like std::unexpected

  bool has_value() const { return ok_; }
  explicit operator bool() const { return ok_; }
  Error& error() & { return assert(!ok_), error_; }
  const Error& error() const& { return assert(!ok_), error_; }
  Error&& error() && { return assert(!ok_), std::move(error_); }

 private:
  Error error_;
  bool ok_ = true;
};

using Status = Result<void>;

}  // namespace tailwater

#define TW_CONCAT_INNER(a, b) a##b
#define TW_CONCAT(a, b) TW_CONCAT_INNER(a, b)

// Returns from the enclosing function with the error of `expr`, if it has one.
#define TW_TRY(expr)                                                              \
  do {                                                                            \
    if (auto tw_status = (expr); !tw_status) return std::move(tw_status).error(); \
  } while (false)

// Declares or assigns `lhs` from the value of `expr`, or returns its error.
#define TW_ASSIGN_OR_RETURN(lhs, expr) \
  TW_ASSIGN_OR_RETURN_INNER(TW_CONCAT(tw_result_, __LINE__), lhs, expr)
#define TW_ASSIGN_OR_RETURN_INNER(result, lhs, expr) \
  auto result = (expr);                              \
  if (!result) return std::move(result).error();     \
  lhs = *std::move(result)
