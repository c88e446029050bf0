// A `when:` of a table entry: a SQL expression over NEW, OLD and op, evaluated by SQLite.
//
//   op = 'update' AND NEW.plan = 'free' AND OLD.plan <> 'free'
//
// Three steps: Parse() at load (syntax, functions, literals), Check() against a table's columns (at
// `check`, at start, and again for each schema that a change brings), Matches() per change. How a
// column's value becomes an SQL value, what each type may be compared with, and which functions
// exist: README.md of this folder. A comparison that would not mean what it says is refused by name.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/change.h"
#include "tailwater/config.h"
#include "tailwater/result.h"
#include "tailwater/schema.h"

namespace tailwater {

// What to do with a change that lacks a column which its condition reads.
enum class OnMissing : uint8_t {
  kHalt,  // the sink stops in front of the change
  kSkip,  // the change does not match
};

// A column that an expression reads.
struct ExpressionColumn {
  std::string name;
  bool before = false;  // OLD.name
  bool after = false;   // NEW.name; changed(name) reads both
};

// Parsed, immutable; any thread.
class Condition {
 public:
  // Problems point into the text, where YAML allows it: file:line:column of the word at fault.
  // Null if there is any.
  static std::shared_ptr<const Condition> Parse(const ConfigNode& node, Problems& problems);
  ~Condition();

  const std::string& text() const;
  const ConfigNode& node() const;  // where it stands
  // Sorted by name, each once.
  const std::vector<ExpressionColumn>& columns() const;

  // Everything that is wrong with it for a table of this schema, one text each: columns that do not
  // exist (with a suggestion), comparisons and functions that their types do not allow. Empty: fits.
  std::vector<std::string> Check(const TableSchema& schema) const;

  struct Parsed;

 private:
  explicit Condition(std::unique_ptr<const Parsed> parsed);
  friend class ConditionEvaluator;
  std::unique_ptr<const Parsed> parsed_;
};

// Evaluates one condition; owns a SQLite connection without any database, and one prepared statement
// per schema. Not thread-safe: one per sink.
class ConditionEvaluator {
 public:
  static Result<std::unique_ptr<ConditionEvaluator>> Create(
      std::shared_ptr<const Condition> condition, OnMissing on_missing);
  ~ConditionEvaluator();

  // Whether the change is meant: true only, neither false nor NULL. On an insert and a snapshot row
  // OLD is NULL, on a delete NEW is; TRUNCATE and messages have neither.
  // kNeedsOperator "condition_column_missing": the log did not send a column that was read (OLD
  // without REPLICA IDENTITY FULL, an unchanged TOAST value), under OnMissing::kHalt.
  // kNeedsOperator "condition_does_not_fit": the table changed, Check() says how.
  // kNeedsOperator "condition_limit": it took too long or too much memory for this row.
  Result<bool> Matches(const Change& change);

 private:
  struct State;
  explicit ConditionEvaluator(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tailwater
