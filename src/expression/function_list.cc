#include "expression/function_list.h"

#include <algorithm>
#include <vector>

#include "sdk/suggest.h"
#include "support/text.h"

namespace tailwater::expression {
namespace {

constexpr FunctionSpec kFunctions[] = {
    {"abs", Function::kAbs, 1, 1},
    {"changed", Function::kChanged, 1, 1},
    {"coalesce", Function::kCoalesce, 2, kMostArguments},
    {"epoch", Function::kEpoch, 1, 1},
    {"glob", Function::kGlob, 2, 2},
    {"hex", Function::kHex, 1, 1},
    {"ifnull", Function::kCoalesce, 2, 2},
    {"iif", Function::kIif, 3, 3},
    {"instr", Function::kInstr, 2, 2},
    {"json_array_length", Function::kJsonArrayLength, 1, 2},
    {"json_extract", Function::kJsonExtract, 2, 2},
    {"json_type", Function::kJsonType, 1, 2},
    {"json_valid", Function::kJsonValid, 1, 1},
    {"length", Function::kLength, 1, 1},
    {"like", Function::kLike, 2, 3},
    {"lower", Function::kLower, 1, 1},
    {"ltrim", Function::kLtrim, 1, 2},
    {"max", Function::kMax, 2, kMostArguments},
    {"min", Function::kMin, 2, kMostArguments},
    {"nullif", Function::kNullif, 2, 2},
    {"regexp", Function::kRegexp, 2, 2},
    {"replace", Function::kReplace, 3, 3},
    {"round", Function::kRound, 1, 2},
    {"rtrim", Function::kRtrim, 1, 2},
    {"substr", Function::kSubstr, 2, 3},
    {"substring", Function::kSubstr, 2, 3},
    {"trim", Function::kTrim, 1, 2},
    {"upper", Function::kUpper, 1, 1},
};

constexpr std::string_view kMoments[] = {
    "clock_timestamp",
    "curdate",
    "current_date",
    "current_time",
    "current_timestamp",
    "curtime",
    "date",
    "datetime",
    "gen_random_uuid",
    "getdate",
    "julianday",
    "localtime",
    "localtimestamp",
    "now",
    "rand",
    "random",
    "randomblob",
    "statement_timestamp",
    "strftime",
    "sysdate",
    "time",
    "timeofday",
    "transaction_timestamp",
    "unix_timestamp",
    "unixepoch",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "uuid",
};

}  // namespace

const FunctionSpec* FindFunction(std::string_view name) {
  for (const FunctionSpec& spec : kFunctions) {
    if (spec.name == name) return &spec;
  }
  return nullptr;
}

bool DependsOnTheMoment(std::string_view name) {
  return std::find(std::begin(kMoments), std::end(kMoments), name) != std::end(kMoments);
}

std::string UnknownFunction(std::string_view name) {
  std::vector<std::string_view> names;
  std::string list;
  for (const FunctionSpec& spec : kFunctions) {
    names.push_back(spec.name);
    if (!list.empty()) list += ", ";
    list += spec.name;
  }
  return fmt::format("unknown function '{}'{}; there are {}", name, DidYouMean(name, names), list);
}

}  // namespace tailwater::expression
