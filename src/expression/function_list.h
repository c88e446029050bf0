// The functions that an expression may call, and those that it may never call.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tailwater::expression {

enum class Function : uint8_t {
  kAbs,
  kChanged,
  kCoalesce,
  kEpoch,
  kGlob,
  kHex,
  kIif,
  kInstr,
  kJsonArrayLength,
  kJsonExtract,
  kJsonType,
  kJsonValid,
  kLength,
  kLike,
  kLower,
  kLtrim,
  kMax,
  kMin,
  kNullif,
  kRegexp,
  kReplace,
  kRound,
  kRtrim,
  kSubstr,
  kTrim,
  kUpper,
};

struct FunctionSpec {
  std::string_view name;  // lower case
  Function function;
  int least_arguments;
  int most_arguments;
};

inline constexpr int kMostArguments = 100;

// Null if there is none of this (lower-case) name.
const FunctionSpec* FindFunction(std::string_view name);

// Clocks and dice: another answer at each replay.
bool DependsOnTheMoment(std::string_view name);

// "unknown function 'lowr' (did you mean 'lower'?); there are abs, changed, …"
std::string UnknownFunction(std::string_view name);

}  // namespace tailwater::expression
