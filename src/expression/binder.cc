#include "expression/binder.h"

#include <algorithm>
#include <charconv>

#include "expression/column_name.h"
#include "expression/decimal.h"
#include "sdk/suggest.h"
#include "support/text.h"

namespace tailwater::expression {
namespace {

// Larger ones come only from lists and CASEs that no person writes.
constexpr size_t kMaxSqlBytes = 512 * 1024;

// SQLite nests a AND b AND c to the left; halving keeps long chains flat, and their order.
std::string JoinBalanced(std::span<const std::string> parts, std::string_view word) {
  if (parts.size() == 1) return parts[0];
  const size_t half = parts.size() / 2;
  return fmt::format("({} {} {})", JoinBalanced(parts.first(half), word), word,
                     JoinBalanced(parts.subspan(half), word));
}

std::string FoldCase(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

}  // namespace

SqlType SqlTypeOf(const Column& column) {
  switch (column.type) {
    case ValueType::kBool:
      return SqlType::kBool;
    case ValueType::kInt64:
      return SqlType::kInt;
    case ValueType::kUint64:
    case ValueType::kDecimal:
      return SqlType::kExact;
    case ValueType::kFloat64:
      return SqlType::kReal;
    case ValueType::kText:
      return column.type_name == "citext" || column.type_name.ends_with(".citext")
                 ? SqlType::kCitext
                 : SqlType::kText;
    case ValueType::kBytes:
      return SqlType::kBytes;
    case ValueType::kDate:
      return SqlType::kDate;
    case ValueType::kTime:
      return SqlType::kTime;
    case ValueType::kTimestamp:
      return SqlType::kTimestamp;
    case ValueType::kTimestampTz:
      return SqlType::kTimestampTz;
    case ValueType::kInterval:
      return SqlType::kInterval;
    case ValueType::kUuid:
      return SqlType::kUuid;
    case ValueType::kJson:
      return SqlType::kJson;
    case ValueType::kArray:
      return SqlType::kArray;
    case ValueType::kEnum:
      return SqlType::kEnum;
    case ValueType::kOther:
      return SqlType::kOther;
  }
  return SqlType::kUnknown;
}

bool IgnoresBlanksAtEnd(const Column& column) {
  return column.type == ValueType::kText &&
         (column.type_name.starts_with("character(") || column.type_name == "character" ||
          column.type_name == "bpchar");
}

std::string Quote(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    out += c;
    if (c == '\'') out += c;
  }
  return out += '\'';
}

Typed Binder::Make(SqlType type, const Expression& node, std::string sql) {
  Typed out;
  out.type = type;
  if (sql.size() > kMaxSqlBytes) {
    if (!too_large_) Add("it is too large; split it over several entries of `tables`");
    too_large_ = true;
    sql = "NULL";
  }
  out.sql = std::move(sql);
  out.node = &node;
  return out;
}

Typed Binder::Constant(const Expression& node, Truth truth) {
  Typed out = Make(SqlType::kBool, node,
                   truth == Truth::kTrue    ? "1"
                   : truth == Truth::kFalse ? "0"
                                            : "NULL");
  out.truth = truth;
  out.never_true = truth != Truth::kTrue;
  return out;
}

Typed Binder::Bind(const Expression& node) {
  switch (node.kind) {
    case ExpressionKind::kNull: {
      Typed out = Make(SqlType::kNull, node, "NULL");
      out.truth = Truth::kNull;
      return out;
    }
    case ExpressionKind::kBool:
      return Constant(node, node.text == "1" ? Truth::kTrue : Truth::kFalse);
    case ExpressionKind::kNumber:
      return Literal(node);
    case ExpressionKind::kText:
      return Make(SqlType::kText, node, Quote(node.text));
    case ExpressionKind::kBlob:
      return Make(SqlType::kBytes, node, "x'" + node.text + "'");
    case ExpressionKind::kColumn:
      return BindColumn(node);
    case ExpressionKind::kOp:
      return Make(SqlType::kText, node,
                  Quote(OperationName(operation_.value_or(Operation::kUpdate))));
    case ExpressionKind::kAnd:
    case ExpressionKind::kOr:
      return BindLogic(node);
    case ExpressionKind::kNot:
      return BindNot(node);
    case ExpressionKind::kCompare:
      return BindCompare(node);
    case ExpressionKind::kIs:
      return BindIs(node);
    case ExpressionKind::kIsNull:
      return BindIsNull(node);
    case ExpressionKind::kIn:
      return BindIn(node);
    case ExpressionKind::kBetween:
      return BindBetween(node);
    case ExpressionKind::kLike:
    case ExpressionKind::kGlob:
    case ExpressionKind::kRegexp:
      return BindMatch(node);
    case ExpressionKind::kArithmetic:
      return BindArithmetic(node);
    case ExpressionKind::kNegate:
      return BindNegate(node);
    case ExpressionKind::kConcat:
      return BindConcat(node);
    case ExpressionKind::kArrow:
      return BindArrow(node);
    case ExpressionKind::kCase:
      return BindCase(node);
    case ExpressionKind::kCast:
      return BindCast(node);
    case ExpressionKind::kCall:
      return BindCall(node);
  }
  return Unknown(node);
}

Typed Binder::BindBool(const Expression& node) {
  Typed out = Bind(node);
  switch (out.type) {
    case SqlType::kUnknown:
    case SqlType::kNull:
    case SqlType::kBool:
      return out;
    case SqlType::kInt:
    case SqlType::kNumber:
    case SqlType::kReal:
    case SqlType::kExact:
      Add(fmt::format("{} and no condition: write {} <> 0", Subject(out), Source(out)));
      break;
    case SqlType::kDynamic:
      Add(fmt::format("{} and no condition: write {} = TRUE", Subject(out), Source(out)));
      break;
    default:
      Add(fmt::format("{} and no condition: compare it with something", Subject(out)));
  }
  return Unknown(node);
}

Typed Binder::Literal(const Expression& node) {
  Typed out = Make(SqlType::kNumber, node, "(" + node.text + ")");
  int64_t number = 0;
  const char* const end = node.text.data() + node.text.size();
  const auto result = std::from_chars(node.text.data(), end, number);
  if (result.ec == std::errc() && result.ptr == end) out.type = SqlType::kInt;
  // The text was checked at load.
  out.exact = Quote(CanonicalDecimal(node.text).value_or(node.text));
  return out;
}

bool Binder::RowIsAbsent(bool before) const {
  if (schema_ == nullptr) return true;
  if (!operation_) return false;
  switch (*operation_) {
    case Operation::kUpdate:
      return false;
    case Operation::kInsert:
    case Operation::kRead:
      return before;
    case Operation::kDelete:
      return !before;
    default:
      return true;
  }
}

std::optional<size_t> Binder::ColumnIndex(const Expression& node) {
  const FoundColumn found = FindColumn(*schema_, node.text);
  if (found.match == ColumnMatch::kFound) return found.index;
  if (found.match == ColumnMatch::kAmbiguous) {
    Add(
        fmt::format("{} has several columns that are '{}' but for case: write the one you mean as "
                    "it is, {}.\"{}\"",
                    schema_->table(), node.text, node.before ? "OLD" : "NEW",
                    schema_->columns()[found.index].name));
    return std::nullopt;
  }
  std::vector<std::string> folded;
  for (const Column& column : schema_->columns()) folded.push_back(FoldCase(column.name));
  const std::vector<std::string_view> names(folded.begin(), folded.end());
  const std::string_view nearest = Nearest(FoldCase(node.text), names);
  std::string suggestion;
  for (size_t i = 0; i < names.size() && suggestion.empty(); ++i) {
    if (names[i].data() != nearest.data()) continue;
    suggestion = fmt::format(" (did you mean '{}'?)", schema_->columns()[i].name);
  }
  Add(fmt::format("{} has no column '{}'{}", schema_->table(), node.text, suggestion));
  return std::nullopt;
}

Typed Binder::BindColumn(const Expression& node) {
  if (schema_ == nullptr) {
    Typed out = Make(SqlType::kNull, node, "NULL");
    out.truth = Truth::kNull;
    return out;
  }
  const std::optional<size_t> index = ColumnIndex(node);
  if (!index) return Unknown(node);
  const Column& column = schema_->columns()[*index];
  Typed out = Make(SqlTypeOf(column), node, "NULL");
  out.column = &column;
  if (RowIsAbsent(node.before)) {
    out.truth = Truth::kNull;
  } else {
    out.sql = fmt::format("{}({})", node.before ? "old_value" : "new_value", *index);
  }
  if (out.type == SqlType::kInt) {
    out.exact = out.truth == Truth::kNull ? "NULL" : fmt::format("to_exact({})", out.sql);
  }
  return out;
}

// Three-valued, and whatever is known beforehand is left out: on an insert, `op = 'update' AND …`
// is false before SQLite is asked.
Typed Binder::BindLogic(const Expression& node) {
  const bool is_and = node.kind == ExpressionKind::kAnd;
  const Truth decides = is_and ? Truth::kFalse : Truth::kTrue;
  const Truth neutral = is_and ? Truth::kTrue : Truth::kFalse;
  bool known = true, decided = false, has_null = false;
  bool never_true = !is_and;
  std::vector<std::string> parts;
  for (const ExpressionPtr& operand : node.operands) {
    Typed part = BindBool(*operand);
    known &= part.type != SqlType::kUnknown;
    decided |= part.truth == decides;
    has_null |= part.truth == Truth::kNull;
    const bool part_never_true = part.never_true || part.truth == Truth::kNull;
    never_true = is_and ? never_true || part_never_true : never_true && part_never_true;
    if (part.truth != neutral) parts.push_back(std::move(part.sql));
  }
  if (!known) return Unknown(node);
  if (decided) return Constant(node, decides);
  if (parts.empty()) return Constant(node, neutral);
  if (has_null && std::all_of(parts.begin(), parts.end(),
                              [](const std::string& part) { return part == "NULL"; })) {
    return Constant(node, Truth::kNull);
  }
  Typed out = Make(SqlType::kBool, node, JoinBalanced(parts, is_and ? "AND" : "OR"));
  out.never_true = never_true;
  return out;
}

Typed Binder::BindNot(const Expression& node) {
  const Typed operand = BindBool(*node.operands[0]);
  if (operand.type == SqlType::kUnknown) return Unknown(node);
  switch (operand.truth) {
    case Truth::kTrue:
      return Constant(node, Truth::kFalse);
    case Truth::kFalse:
      return Constant(node, Truth::kTrue);
    case Truth::kNull:
      return Constant(node, Truth::kNull);
    case Truth::kOpen:
      break;
  }
  return Make(SqlType::kBool, node, fmt::format("(NOT {})", operand.sql));
}

Typed Binder::BindIsNull(const Expression& node) {
  const Typed operand = Bind(*node.operands[0]);
  if (operand.type == SqlType::kUnknown) return Unknown(node);
  if (operand.truth != Truth::kOpen) {
    const bool is_null = operand.truth == Truth::kNull;
    return Constant(node, is_null != node.negated ? Truth::kTrue : Truth::kFalse);
  }
  return Make(SqlType::kBool, node,
              fmt::format("({} IS {}NULL)", operand.sql, node.negated ? "NOT " : ""));
}

std::vector<Typed> Binder::BindAll(const Expression& node, bool& known) {
  std::vector<Typed> out;
  for (const ExpressionPtr& operand : node.operands) {
    out.push_back(Bind(*operand));
    known &= out.back().type != SqlType::kUnknown;
  }
  return out;
}

Typed Binder::BindCase(const Expression& node) {
  std::vector<Typed> tests, results;
  std::optional<Typed> base;
  size_t next = 0;
  bool known = true;
  const auto keep = [&](Typed typed) {
    known &= typed.type != SqlType::kUnknown;
    return typed;
  };
  if (node.has_base) base = keep(Bind(*node.operands[next++]));
  const size_t end = node.operands.size() - (node.has_else ? 1 : 0);
  while (next < end) {
    tests.push_back(keep(base ? Bind(*node.operands[next]) : BindBool(*node.operands[next])));
    results.push_back(keep(Bind(*node.operands[next + 1])));
    next += 2;
  }
  if (node.has_else) results.push_back(keep(Bind(*node.operands[next])));
  if (!known) return Unknown(node);

  SqlType base_type = SqlType::kBool;
  if (base) {
    std::vector<Typed*> compared = {&*base};
    for (Typed& test : tests) compared.push_back(&test);
    base_type = Unify(compared, Use::kEquality);
    if (base_type == SqlType::kUnknown) return Unknown(node);
  }
  std::vector<Typed*> values;
  for (Typed& result : results) values.push_back(&result);
  const SqlType type = Unify(values, Use::kValue);
  if (type == SqlType::kUnknown) return Unknown(node);

  const auto write = [&](SqlType as) {
    std::string sql = "(CASE";
    if (base) sql += " " + As(*base, base_type);
    for (size_t i = 0; i < tests.size(); ++i) {
      sql += fmt::format(" WHEN {} THEN {}", base ? As(tests[i], base_type) : tests[i].sql,
                         As(results[i], as));
    }
    if (node.has_else) sql += " ELSE " + As(results.back(), as);
    return sql + " END)";
  };
  Typed out = Make(type, node, write(type));
  if (type == SqlType::kInt || type == SqlType::kNumber) out.exact = write(SqlType::kExact);
  return out;
}

BoundCondition BindCondition(const Expression& tree, std::string_view text,
                             const TableSchema* schema, std::optional<Operation> operation) {
  BoundCondition out;
  Typed typed = Binder(text, schema, operation, out).BindBool(tree);
  if (!out.problems.empty()) return out;
  out.truth = typed.never_true && typed.truth == Truth::kOpen ? Truth::kNull : typed.truth;
  out.sql = std::move(typed.sql);
  return out;
}

}  // namespace tailwater::expression
