// Matchers that print the whole error.
#pragma once

#include <gmock/gmock.h>

#include <string>

#include "tailwater/result.h"

namespace tailwater {

template <class R>
std::string DescribeResult(const R& result) {
  if (result.has_value()) return "an OK result";
  return "error " + std::string(result.error().code) + " (" + std::string(DispositionName(result.error().disposition)) +
         "): " + result.error().message;
}

MATCHER(IsOk, "is OK") {
  *result_listener << DescribeResult(arg);
  return arg.has_value();
}

MATCHER_P(IsErrorWith, code, "is an error with code " + std::string(code)) {
  *result_listener << DescribeResult(arg);
  return !arg.has_value() && arg.error().code == code;
}

}  // namespace tailwater

#define ASSERT_OK(expr) ASSERT_THAT((expr), ::tailwater::IsOk())
#define EXPECT_OK(expr) EXPECT_THAT((expr), ::tailwater::IsOk())
