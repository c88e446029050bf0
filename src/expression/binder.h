// Types an expression for one table and writes the SQL that SQLite evaluates.
//
// A comparison either means what it says or is refused: the table is in README.md. Columns become
// calls, new_value(i) and old_value(i), so that a value is asked for only where it decides; the
// functions behind are in row_functions.h and sql_functions.h.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "expression/ast.h"
#include "expression/function_list.h"
#include "expression/typed.h"
#include "tailwater/change.h"
#include "tailwater/schema.h"

namespace tailwater::expression {

struct BoundCondition {
  std::vector<std::string> problems;                      // if any, there is no SQL
  std::string sql;                                        // an expression that is 1, 0 or NULL
  Truth truth = Truth::kOpen;                             // if not open, no SQL is needed
  std::vector<std::shared_ptr<const re2::RE2>> patterns;  // regexp_match(i, text)
};

// `schema` null: no table, all columns are NULL. Without an operation it only checks types; with
// one, `op` is a constant and the rows that the operation does not have are NULL.
BoundCondition BindCondition(const Expression& tree, std::string_view text,
                             const TableSchema* schema, std::optional<Operation> operation);

class Binder {
 public:
  Binder(std::string_view text, const TableSchema* schema, std::optional<Operation> operation,
         BoundCondition& out)
      : text_(text), schema_(schema), operation_(operation), out_(out) {}

  Typed Bind(const Expression& node);
  // A condition: bool or NULL, else a problem.
  Typed BindBool(const Expression& node);

 private:
  // What operands are put together for.
  enum class Use : uint8_t { kEquality, kOrder, kValue };

  // binder.cc
  Typed Make(SqlType type, const Expression& node, std::string sql);
  Typed Constant(const Expression& node, Truth truth);
  Typed Unknown(const Expression& node) { return Make(SqlType::kUnknown, node, ""); }
  Typed Literal(const Expression& node);
  Typed BindColumn(const Expression& node);
  Typed BindLogic(const Expression& node);
  Typed BindNot(const Expression& node);
  Typed BindIsNull(const Expression& node);
  Typed BindCase(const Expression& node);
  std::vector<Typed> BindAll(const Expression& node, bool& known);
  std::optional<size_t> ColumnIndex(const Expression& node);
  bool RowIsAbsent(bool before) const;

  // binder_compare.cc
  // The type that all operands have, after text literals took it; kUnknown: a problem was added.
  SqlType Unify(std::span<Typed*> operands, Use use);
  SqlType UnifyNumbers(std::span<Typed*> operands);
  bool Coerce(Typed& literal, const Typed& to);
  bool Allows(const Typed& operand, Use use);
  bool Fits(const Typed& a, const Typed& b, Use use);
  static const std::string& As(const Typed& operand, SqlType type);
  Typed BindCompare(const Expression& node);
  Typed BindIs(const Expression& node);
  Typed BindIn(const Expression& node);
  Typed BindBetween(const Expression& node);

  // binder_number.cc
  Typed BindArithmetic(const Expression& node);
  Typed BindNegate(const Expression& node);
  Typed BindCast(const Expression& node);
  Typed BindAbs(const Expression& node, const Typed& operand);
  Typed BindRound(const Expression& node, std::span<const Typed> operands);
  static std::string Finite(const Typed& operand);

  // binder_function.cc
  Typed BindCall(const Expression& node);
  Typed BindMatch(const Expression& node);
  Typed BindConcat(const Expression& node);
  Typed BindArrow(const Expression& node);
  Typed BindChanged(const Expression& node);
  Typed BindEpoch(const Expression& node, const Typed& operand);
  Typed BindSame(const Expression& node, std::span<Typed> operands, Function function);
  Typed BindTextFunction(const Expression& node, std::span<Typed> operands, Function function);
  Typed BindJsonFunction(const Expression& node, std::span<Typed> operands, Function function);
  bool RequireText(const Typed& operand, std::string_view what);
  bool RequireInt(const Typed& operand, std::string_view what);
  std::string JsonText(const Typed& operand, std::string_view what);
  Typed Regexp(const Expression& node, const Typed& text);

  // binder_problem.cc
  void Add(std::string problem);
  std::string Source(const Typed& operand) const;   // "NEW.total"
  std::string Subject(const Typed& operand) const;  // "public.orders.total is numeric(20,2)"
  std::string Mismatch(const Typed& a, const Typed& b) const;

  std::string_view text_;
  const TableSchema* schema_;
  std::optional<Operation> operation_;
  BoundCondition& out_;
  bool too_large_ = false;
};

// The type of a column in expressions.
SqlType SqlTypeOf(const Column& column);
// character(n): its blanks at the end do not count.
bool IgnoresBlanksAtEnd(const Column& column);
// As an SQL literal.
std::string Quote(std::string_view text);

}  // namespace tailwater::expression
