// How the Binder says what is wrong: with the column, its type and the way out.
#include <algorithm>

#include "expression/binder.h"
#include "expression/decimal.h"
#include "support/text.h"

namespace tailwater::expression {
namespace {

std::string_view TypeNoun(SqlType type) {
  switch (type) {
    case SqlType::kUnknown:
    case SqlType::kNull:
      return "NULL";
    case SqlType::kBool:
      return "true or false";
    case SqlType::kInt:
    case SqlType::kNumber:
      return "a number";
    case SqlType::kReal:
      return "a floating-point number";
    case SqlType::kExact:
      return "a decimal number";
    case SqlType::kText:
    case SqlType::kCitext:
      return "text";
    case SqlType::kBytes:
      return "bytes";
    case SqlType::kDate:
      return "a date";
    case SqlType::kTime:
      return "a time";
    case SqlType::kTimestamp:
      return "a timestamp without zone";
    case SqlType::kTimestampTz:
      return "a timestamp with zone";
    case SqlType::kInterval:
      return "an interval";
    case SqlType::kUuid:
      return "a uuid";
    case SqlType::kJson:
      return "JSON";
    case SqlType::kArray:
      return "an array";
    case SqlType::kEnum:
      return "an enum";
    case SqlType::kOther:
      return "another type's text";
    case SqlType::kDynamic:
      return "a value out of JSON";
  }
  return "";
}

}  // namespace

void Binder::Add(std::string problem) {
  auto& problems = out_.problems;
  if (std::find(problems.begin(), problems.end(), problem) == problems.end()) {
    problems.push_back(std::move(problem));
  }
}

std::string Binder::Source(const Typed& operand) const {
  const Expression& node = *operand.node;
  switch (node.kind) {
    case ExpressionKind::kCall:
      return node.text + "(…)";
    case ExpressionKind::kCast:
      return fmt::format("CAST(… AS {})", node.text);
    case ExpressionKind::kCase:
      return "CASE …";
    case ExpressionKind::kNumber:
      return node.text;
    case ExpressionKind::kText:
    case ExpressionKind::kBlob:
    case ExpressionKind::kColumn:
    case ExpressionKind::kBool:
    case ExpressionKind::kNull:
    case ExpressionKind::kOp:
      return std::string(text_.substr(node.offset, node.size));
    default:
      return fmt::format("(… {} …)", text_.substr(node.offset, node.size));
  }
}

std::string Binder::Subject(const Typed& operand) const {
  if (operand.column == nullptr) {
    return fmt::format("{} is {}", Source(operand), TypeNoun(operand.type));
  }
  return fmt::format("{}.{} is {}", schema_->table(), operand.column->name,
                     operand.column->type_name.empty() ? ValueTypeName(operand.column->type)
                                                       : operand.column->type_name);
}

// Both have a type, and the two do not compare.
std::string Binder::Mismatch(const Typed& a, const Typed& b) const {
  // What is said about a column helps more than what is said about a literal.
  const bool swap = a.column == nullptr && (b.column != nullptr || IsTextLiteral(a));
  const Typed& one = swap ? b : a;
  const Typed& other = swap ? a : b;
  const std::string both = fmt::format("{}, {}", Subject(one), Subject(other));
  const bool other_is_number_literal = other.node->kind == ExpressionKind::kNumber;
  if (one.type == SqlType::kBool || other.type == SqlType::kBool) {
    const Typed& boolean = one.type == SqlType::kBool ? one : other;
    return fmt::format("{}: compare {} with TRUE or FALSE", both, Source(boolean));
  }
  if (one.type == SqlType::kText && IsNumber(other.type)) {
    if (other_is_number_literal) return fmt::format("{}: write '{}'", both, other.node->text);
    return fmt::format("{}: write CAST({} AS numeric) to compare numbers", both, Source(one));
  }
  if (IsNumber(one.type) && other.type == SqlType::kText) {
    if (IsTextLiteral(other) && CanonicalDecimal(other.node->text)) {
      return fmt::format("{}: write {} without quotes", both, other.node->text);
    }
    if (IsTextLiteral(other)) return fmt::format("{}: compare it with a number", both);
    return fmt::format("{}: write CAST({} AS numeric) to compare numbers", both, Source(other));
  }
  const auto is_pair = [&](SqlType x, SqlType y) {
    return (one.type == x && other.type == y) || (one.type == y && other.type == x);
  };
  if (is_pair(SqlType::kExact, SqlType::kReal)) {
    const Typed& exact = one.type == SqlType::kExact ? one : other;
    return fmt::format("{}: a floating-point number is no exact one; write CAST({} AS real)", both,
                       Source(exact));
  }
  if (one.type == SqlType::kDynamic || other.type == SqlType::kDynamic) {
    const Typed& dynamic = one.type == SqlType::kDynamic ? one : other;
    const Typed& typed = one.type == SqlType::kDynamic ? other : one;
    if (typed.type == SqlType::kExact) {
      return fmt::format("{}: write CAST({} AS numeric)", both, Source(dynamic));
    }
    if (!IsTemporal(typed.type)) {
      return fmt::format("{}: write CAST({} AS text)", both, Source(typed));
    }
  }
  if (IsTemporal(one.type) || IsTemporal(other.type)) {
    const Typed& time = IsTemporal(one.type) ? one : other;
    const Typed& rest = IsTemporal(one.type) ? other : one;
    if (IsNumber(rest.type)) {
      return fmt::format("{}: write epoch({}) for its seconds", both, Source(time));
    }
    return fmt::format("{}: it compares with a column of the same type or with text in quotes",
                       both);
  }
  if (one.type == SqlType::kBytes || other.type == SqlType::kBytes) {
    return fmt::format("{}: bytes are written x'00ff'", both);
  }
  const auto is_label = [](SqlType type) {
    return type == SqlType::kUuid || type == SqlType::kEnum || type == SqlType::kOther;
  };
  if (is_label(one.type) && (other.type == SqlType::kText || is_label(other.type))) {
    return fmt::format("{}: write CAST({} AS text) to compare their texts", both, Source(one));
  }
  if (is_label(other.type) && one.type == SqlType::kText) {
    return fmt::format("{}: write CAST({} AS text) to compare their texts", both, Source(other));
  }
  if (is_label(one.type)) return fmt::format("{}: compare it with text in quotes", both);
  return fmt::format("{}: the two cannot be compared", both);
}

}  // namespace tailwater::expression
