// Functions, LIKE and its kin, ||, -> and ->>.
#include <algorithm>

#include "expression/binder.h"
#include "support/text.h"

namespace tailwater::expression {
namespace {

std::string Join(std::span<const Typed> operands) {
  std::string out;
  for (const Typed& operand : operands) {
    if (!out.empty()) out += ", ";
    out += operand.sql;
  }
  return out;
}

}  // namespace

bool Binder::RequireText(const Typed& operand, std::string_view what) {
  switch (operand.type) {
    case SqlType::kText:
    case SqlType::kDynamic:
    case SqlType::kNull:
      return true;
    case SqlType::kCitext:
      Add(fmt::format("{}, which ignores case: write lower({})", Subject(operand),
                      Source(operand)));
      return false;
    case SqlType::kDate:
    case SqlType::kTime:
    case SqlType::kTimestamp:
    case SqlType::kTimestampTz:
      Add(fmt::format("{}: {} takes text; compare it with text in quotes instead", Subject(operand),
                      what));
      return false;
    default:
      Add(fmt::format("{}: {} takes text; write CAST({} AS text)", Subject(operand), what,
                      Source(operand)));
      return false;
  }
}

bool Binder::RequireInt(const Typed& operand, std::string_view what) {
  if (operand.type == SqlType::kInt || operand.type == SqlType::kNull) return true;
  Add(fmt::format("{}: {} takes a whole number there", Subject(operand), what));
  return false;
}

Typed Binder::Regexp(const Expression& node, const Typed& text) {
  const size_t index = out_.patterns.size();
  out_.patterns.push_back(node.pattern);
  return Make(SqlType::kBool, node,
              fmt::format("({}regexp_match({}, {}))", node.negated ? "NOT " : "", index, text.sql));
}

Typed Binder::BindMatch(const Expression& node) {
  const std::string_view name = node.kind == ExpressionKind::kLike   ? "LIKE"
                                : node.kind == ExpressionKind::kGlob ? "GLOB"
                                                                     : "REGEXP";
  bool known = true;
  const std::vector<Typed> operands = BindAll(node, known);
  if (!known) return Unknown(node);
  for (const Typed& operand : operands) {
    if (!RequireText(operand, name)) return Unknown(node);
  }
  if (operands[0].truth == Truth::kNull) return Constant(node, Truth::kNull);
  const std::string_view negation = node.negated ? "NOT " : "";
  if (node.kind != ExpressionKind::kLike) return Regexp(node, operands[0]);
  return Make(SqlType::kBool, node, fmt::format("({}like_match({}))", negation, Join(operands)));
}

Typed Binder::BindConcat(const Expression& node) {
  bool known = true;
  const std::vector<Typed> operands = BindAll(node, known);
  if (!known) return Unknown(node);
  for (const Typed& operand : operands) {
    if (operand.type != SqlType::kInt && !RequireText(operand, "||")) return Unknown(node);
  }
  Typed out =
      Make(SqlType::kText, node, fmt::format("({} || {})", operands[0].sql, operands[1].sql));
  if (operands[0].truth == Truth::kNull || operands[1].truth == Truth::kNull) {
    out.truth = Truth::kNull;
  }
  return out;
}

// JSON, or a text that may hold some: one that does not counts as NULL.
std::string Binder::JsonText(const Typed& operand, std::string_view what) {
  switch (operand.type) {
    case SqlType::kJson:
    case SqlType::kNull:
      return operand.sql;
    case SqlType::kText:
    case SqlType::kDynamic:
      return fmt::format("(CASE WHEN json_valid({0}) THEN {0} END)", operand.sql);
    default:
      Add(fmt::format("{}: {} takes JSON", Subject(operand), what));
      return {};
  }
}

Typed Binder::BindArrow(const Expression& node) {
  const Typed value = Bind(*node.operands[0]);
  const Typed path = Bind(*node.operands[1]);
  if (value.type == SqlType::kUnknown || path.type == SqlType::kUnknown) return Unknown(node);
  const std::string json = JsonText(value, node.text);
  if (json.empty()) return Unknown(node);
  // SQLite would take a key that begins with a digit for an index.
  const Expression& key = *path.node;
  std::string place = path.sql;
  if (key.kind == ExpressionKind::kText && !key.text.starts_with('$')) {
    place = Quote("$.\"" + key.text + "\"");
  }
  Typed out = Make(node.text == "->" ? SqlType::kJson : SqlType::kDynamic, node,
                   fmt::format("({} {} {})", json, node.text, place));
  if (value.truth == Truth::kNull) out.truth = Truth::kNull;
  return out;
}

Typed Binder::BindJsonFunction(const Expression& node, std::span<Typed> operands,
                               Function function) {
  if (function == Function::kJsonValid) {
    if (operands[0].type != SqlType::kJson && !RequireText(operands[0], node.text)) {
      return Unknown(node);
    }
    return Make(SqlType::kBool, node, fmt::format("json_valid({})", operands[0].sql));
  }
  std::string arguments = JsonText(operands[0], node.text);
  if (arguments.empty()) return Unknown(node);
  if (operands.size() == 2) arguments += ", " + operands[1].sql;
  const SqlType type = function == Function::kJsonExtract ? SqlType::kDynamic
                       : function == Function::kJsonType  ? SqlType::kText
                                                          : SqlType::kInt;
  Typed out = Make(type, node, fmt::format("{}({})", node.text, arguments));
  if (type == SqlType::kInt) out.exact = fmt::format("to_exact({})", out.sql);
  return out;
}

Typed Binder::BindChanged(const Expression& node) {
  if (RowIsAbsent(false) && RowIsAbsent(true)) return Constant(node, Truth::kFalse);
  const std::optional<size_t> index = ColumnIndex(*node.operands[0]);
  if (!index) return Unknown(node);
  return Make(SqlType::kBool, node, fmt::format("changed_value({})", *index));
}

Typed Binder::BindEpoch(const Expression& node, const Typed& operand) {
  switch (operand.type) {
    case SqlType::kNull:
    case SqlType::kTimestamp:
    case SqlType::kTimestampTz:
      return Make(SqlType::kReal, node, fmt::format("epoch_of_micros({})", operand.sql));
    case SqlType::kDate:
      return Make(SqlType::kReal, node, fmt::format("epoch_of_days({})", operand.sql));
    default:
      Add(fmt::format("{}: epoch takes a date or a timestamp", Subject(operand)));
      return Unknown(node);
  }
}

// Functions whose arguments and result are of one type.
Typed Binder::BindSame(const Expression& node, std::span<Typed> operands, Function function) {
  const bool order = function == Function::kMin || function == Function::kMax;
  std::vector<Typed*> pointers;
  for (Typed& operand : operands) pointers.push_back(&operand);
  if (function == Function::kIif) pointers.erase(pointers.begin());
  const SqlType type = Unify(pointers, order                           ? Use::kOrder
                                       : function == Function::kNullif ? Use::kEquality
                                                                       : Use::kValue);
  if (type == SqlType::kUnknown) return Unknown(node);
  const auto write = [&](SqlType as) {
    std::string name = node.text;
    if (order && as == SqlType::kExact) name += "_exact";
    std::string sql = name + "(";
    for (Typed& operand : operands) {
      if (&operand != &operands[0]) sql += ", ";
      const bool is_condition = function == Function::kIif && &operand == &operands[0];
      sql += is_condition ? operand.sql : As(operand, as);
    }
    return sql + ")";
  };
  Typed out = Make(type, node, write(type));
  if (type == SqlType::kInt || type == SqlType::kNumber) out.exact = write(SqlType::kExact);
  return out;
}

Typed Binder::BindTextFunction(const Expression& node, std::span<Typed> operands,
                               Function function) {
  const Typed& first = operands[0];
  const bool folds = function == Function::kLower || function == Function::kUpper;
  const bool takes_bytes = function == Function::kLength || function == Function::kHex;
  const bool first_fits =
      (folds && first.type == SqlType::kCitext) || (takes_bytes && first.type == SqlType::kBytes);
  if (!first_fits && !RequireText(first, node.text)) return Unknown(node);
  for (const Typed& operand : operands.subspan(1)) {
    const bool fits = function == Function::kSubstr ? RequireInt(operand, node.text)
                                                    : RequireText(operand, node.text);
    if (!fits) return Unknown(node);
  }
  const bool counts = function == Function::kLength || function == Function::kInstr;
  const bool bytes = function == Function::kSubstr && first.type == SqlType::kBytes;
  std::string name = node.text;
  if (folds || function == Function::kReplace || function == Function::kInstr) name += "_text";
  Typed out = Make(counts  ? SqlType::kInt
                   : bytes ? SqlType::kBytes
                           : SqlType::kText,
                   node, fmt::format("{}({})", name, Join(operands)));
  if (counts) out.exact = fmt::format("to_exact({})", out.sql);
  return out;
}

Typed Binder::BindCall(const Expression& node) {
  const Function function = FindFunction(node.text)->function;
  if (function == Function::kChanged) return BindChanged(node);
  bool known = true;
  std::vector<Typed> operands;
  for (size_t i = 0; i < node.operands.size(); ++i) {
    const bool condition = function == Function::kIif && i == 0;
    operands.push_back(condition ? BindBool(*node.operands[i]) : Bind(*node.operands[i]));
    known &= operands.back().type != SqlType::kUnknown;
  }
  if (!known) return Unknown(node);
  switch (function) {
    case Function::kChanged:
      return Unknown(node);  // above
    case Function::kAbs:
    case Function::kRound:
      if (!IsNumber(operands[0].type)) {
        Add(fmt::format("{}: {} takes a number", Subject(operands[0]), node.text));
        return Unknown(node);
      }
      return function == Function::kAbs ? BindAbs(node, operands[0]) : BindRound(node, operands);
    case Function::kCoalesce:
    case Function::kIif:
    case Function::kMax:
    case Function::kMin:
    case Function::kNullif:
      return BindSame(node, operands, function);
    case Function::kEpoch:
      return BindEpoch(node, operands[0]);
    case Function::kGlob:
    case Function::kLike:
    case Function::kRegexp: {
      for (const Typed& operand : operands) {
        if (!RequireText(operand, node.text)) return Unknown(node);
      }
      // The pattern comes first, as in SQLite.
      if (function != Function::kLike) return Regexp(node, operands[1]);
      std::swap(operands[0], operands[1]);
      return Make(SqlType::kBool, node, fmt::format("like_match({})", Join(operands)));
    }
    case Function::kJsonArrayLength:
    case Function::kJsonExtract:
    case Function::kJsonType:
    case Function::kJsonValid:
      return BindJsonFunction(node, operands, function);
    case Function::kHex:
    case Function::kInstr:
    case Function::kLength:
    case Function::kLower:
    case Function::kLtrim:
    case Function::kReplace:
    case Function::kRtrim:
    case Function::kSubstr:
    case Function::kTrim:
    case Function::kUpper:
      return BindTextFunction(node, operands, function);
  }
  return Unknown(node);
}

}  // namespace tailwater::expression
