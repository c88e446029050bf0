// What an answer of the server means for an insert, or for a request of another kind: one table by
// the server's own error codes, and one by HTTP status for what answers in its place.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "support/http_client.h"
#include "tailwater/result.h"
#include "tailwater/sink.h"

namespace tailwater::clickhouse {

// The code of a table that is not as its rows need it.
inline constexpr std::string_view kTableUnfit = "clickhouse_table_unfit";

enum class Outcome : uint8_t {
  kDone,
  kRetry,          // down, busy, or nobody knows whether it was done: the same again is harmless
  kNeedsOperator,  // it will not heal alone
  kTable,          // the same, and it concerns this table alone
  kChanged,        // the table is not what it was: look again; if it is, a row of the insert is
                   // the reason
  kRow,            // a row of the insert is the reason
};

struct Rule {
  int number;             // of the server's error
  std::string_view name;  // as the server calls it
  Outcome outcome;
  std::string_view code;
  std::string_view advice;  // what it means, and what to do
};
std::span<const Rule> Rules();
// Null: nobody here knows it.
const Rule* FindRule(int number);

struct Judgement {
  Outcome outcome = Outcome::kDone;
  int number = 0;  // the server's, if it was one
  std::string_view code;
  std::string reason;  // for people; without row values
  std::chrono::milliseconds after{0};
  // The request was sent, and what became of it is not known.
  bool unknown = false;
  bool good() const { return outcome == Outcome::kDone; }
};

// The number of "Code: 60, e.displayText() = …" and "Code: 60. DB::Exception: …", wherever it
// stands; 0: there is none.
int ErrorNumber(std::string_view body);

// `quote`: the statement holds no row values, so the server's words are repeated.
Judgement Judge(const HttpAnswer& answer, std::string_view label, bool quote);

// Of an insert: a server that has stored rows answers 200 and nothing. What says more has an
// exception to tell behind its 200, or is no ClickHouse.
Judgement JudgeInsert(HttpAnswer answer, std::string_view label, bool quote);

// Of what is not done: for the target as a whole.
Error ToError(const Judgement& judgement);
Verdict ToVerdict(const Judgement& judgement);

}  // namespace tailwater::clickhouse
