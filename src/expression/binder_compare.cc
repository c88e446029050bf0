// What may be compared with what, and how.
#include <algorithm>

#include "expression/binder.h"
#include "expression/decimal.h"
#include "expression/temporal_text.h"
#include "support/text.h"

namespace tailwater::expression {
namespace {

bool IsLiteral(const Typed& operand) {
  const ExpressionKind kind = operand.node->kind;
  return kind == ExpressionKind::kText || kind == ExpressionKind::kNumber ||
         kind == ExpressionKind::kBool || kind == ExpressionKind::kBlob ||
         kind == ExpressionKind::kNull;
}
bool IsFixedText(const Typed& operand) {
  return operand.node->kind == ExpressionKind::kText || operand.node->kind == ExpressionKind::kOp;
}

// Hyphens where people write them, any case; nothing if it is no uuid.
std::optional<std::string> CanonicalUuid(std::string_view text) {
  if (text.starts_with('{') && text.ends_with('}')) text = text.substr(1, text.size() - 2);
  std::string out;
  for (const char c : text) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    if (c == '-') continue;
    if (!((lower >= '0' && lower <= '9') || (lower >= 'a' && lower <= 'f'))) return std::nullopt;
    if (out.size() == 8 || out.size() == 13 || out.size() == 18 || out.size() == 23) out += '-';
    out += lower;
  }
  if (out.size() != 36) return std::nullopt;
  if (text.find('-') != std::string_view::npos && text.size() != 36) return std::nullopt;
  return out;
}

std::string_view MomentWord(std::string_view text) {
  static constexpr std::string_view kWords[] = {"now",       "today",    "tomorrow",
                                                "yesterday", "allballs", "epoch"};
  for (const std::string_view word : kWords) {
    if (text == word) return word;
  }
  return {};
}

}  // namespace

const std::string& Binder::As(const Typed& operand, SqlType type) {
  return type == SqlType::kExact && !operand.exact.empty() ? operand.exact : operand.sql;
}

// A text literal takes the type of what it is compared with.
bool Binder::Coerce(Typed& literal, const Typed& to) {
  const std::string& text = literal.node->text;
  const auto refuse = [&](std::string_view advice) {
    Add(fmt::format("{}, and {} is none: {}", Subject(to), Source(literal), advice));
    return false;
  };
  switch (to.type) {
    case SqlType::kText:
      if (to.column != nullptr && IgnoresBlanksAtEnd(*to.column) && text.ends_with(' ')) {
        Add(fmt::format("{}, whose blanks at the end do not count: write {} without them",
                        Subject(to), Source(literal)));
        return false;
      }
      return true;
    case SqlType::kUuid: {
      const std::optional<std::string> uuid = CanonicalUuid(text);
      if (!uuid) return refuse("write 32 hexadecimal digits, 8-4-4-4-12");
      literal.sql = Quote(*uuid);
      literal.type = to.type;
      return true;
    }
    case SqlType::kDate:
    case SqlType::kTime:
    case SqlType::kTimestamp:
    case SqlType::kTimestampTz:
      break;
    default:
      literal.type = to.type;
      return true;
  }
  if (!MomentWord(text).empty()) {
    Add(
        fmt::format("{} is another value at each moment, and a replay must give the same answer; "
                    "compare with a column or a fixed date",
                    Source(literal)));
    return false;
  }
  const std::optional<TemporalValue> parsed = ParseTemporal(text);
  const bool date = parsed && parsed->has_date && !parsed->has_time;
  const bool time = parsed && parsed->has_time && !parsed->has_date;
  const bool timestamp = parsed && parsed->has_date && parsed->has_time;
  const bool infinite = parsed && parsed->infinite;
  int64_t value = parsed ? parsed->value : 0;
  if (to.type == SqlType::kDate && !date && !infinite) return refuse("write '2026-01-31'");
  if (to.type == SqlType::kTime) {
    if (!time) return refuse("write '12:30:00'");
    if (parsed->has_zone) return refuse("it has no zone; leave the offset out");
  }
  if (to.type == SqlType::kTimestamp && !infinite) {
    if (date && __builtin_mul_overflow(value, int64_t{86'400'000'000}, &value)) {
      return refuse("it is out of range");
    }
    if (!date && !timestamp) return refuse("write '2026-01-31 12:30:00'");
    if (parsed->has_zone) {
      return refuse("the column has no zone, so leave the offset out");
    }
  }
  if (to.type == SqlType::kTimestampTz && !infinite) {
    if (!timestamp && !date) return refuse("write '2026-01-31 12:30:00+00'");
    if (!parsed->has_zone) {
      return refuse(fmt::format("it names no instant without a zone; write '{}{}+00'", text,
                                date ? " 00:00" : ""));
    }
  }
  literal.sql = fmt::format("({})", value);
  if (value == kMinusInfinity) literal.sql = "(-9223372036854775807 - 1)";
  literal.type = to.type;
  return true;
}

bool Binder::Allows(const Typed& operand, Use use) {
  if (use == Use::kValue) return true;
  switch (operand.type) {
    case SqlType::kJson:
      Add(
          fmt::format("{}: only IS NULL and changed() see it whole; take a value out of it, {} ->> "
                      "'$.key'",
                      Subject(operand), Source(operand)));
      return false;
    case SqlType::kArray:
    case SqlType::kInterval:
      Add(fmt::format("{}: only IS NULL and changed() work on it", Subject(operand)));
      return false;
    case SqlType::kCitext:
      Add(fmt::format("{}, which ignores case: write lower({}) = '…'", Subject(operand),
                      Source(operand)));
      return false;
    case SqlType::kBool:
    case SqlType::kUuid:
    case SqlType::kEnum:
    case SqlType::kOther:
      if (use == Use::kEquality) return true;
      Add(fmt::format("{}: it has no order here; only =, <>, IN and IS work on it",
                      Subject(operand)));
      return false;
    default:
      return true;
  }
}

// Neither is NULL, and text literals have their type.
bool Binder::Fits(const Typed& a, const Typed& b, Use use) {
  const auto either = [&](SqlType type) { return a.type == type || b.type == type; };
  const auto other_than = [&](SqlType type) { return a.type == type ? b.type : a.type; };
  const bool by_name = a.type == b.type && (a.type == SqlType::kEnum || a.type == SqlType::kOther);
  if (by_name && a.column != nullptr && b.column != nullptr) {
    return a.column->type_name == b.column->type_name;
  }
  if (a.type == b.type || (IsNumber(a.type) && IsNumber(b.type))) return true;
  if (use == Use::kValue) return false;
  if (either(SqlType::kDynamic)) {
    const SqlType type = other_than(SqlType::kDynamic);
    return type == SqlType::kText || type == SqlType::kInt || type == SqlType::kNumber ||
           type == SqlType::kReal || type == SqlType::kBool;
  }
  if (either(SqlType::kText)) {
    const SqlType type = other_than(SqlType::kText);
    return type == SqlType::kEnum || type == SqlType::kOther;
  }
  return false;
}

SqlType Binder::UnifyNumbers(std::span<Typed*> operands) {
  const Typed *real = nullptr, *exact = nullptr;
  bool number = false, dynamic = false;
  for (const Typed* operand : operands) {
    if (operand->type == SqlType::kReal) real = operand;
    if (operand->type == SqlType::kExact) exact = operand;
    number |= operand->type == SqlType::kNumber;
    dynamic |= operand->type == SqlType::kDynamic;
  }
  if (real != nullptr && exact != nullptr) {
    Add(Mismatch(*exact, *real));
    return SqlType::kUnknown;
  }
  if (dynamic) return SqlType::kDynamic;
  if (exact != nullptr) return SqlType::kExact;
  if (real != nullptr) return SqlType::kReal;
  return number ? SqlType::kNumber : SqlType::kInt;
}

SqlType Binder::Unify(std::span<Typed*> operands, Use use) {
  // The one whose type the others must fit: no literal, if there is such.
  Typed* lead = nullptr;
  for (Typed* operand : operands) {
    if (operand->type == SqlType::kNull) continue;
    if (lead == nullptr || (IsLiteral(*lead) && !IsLiteral(*operand))) lead = operand;
  }
  if (lead == nullptr) return SqlType::kNull;
  for (Typed* operand : operands) {
    if (!IsTextLiteral(*operand)) continue;
    const bool takes_type = lead->type == SqlType::kText || lead->type == SqlType::kUuid ||
                            lead->type == SqlType::kEnum || lead->type == SqlType::kOther ||
                            IsTemporal(lead->type);
    if (takes_type && !Coerce(*operand, *lead)) return SqlType::kUnknown;
  }
  for (Typed* operand : operands) {
    if (operand->type != SqlType::kNull && !Allows(*operand, use)) return SqlType::kUnknown;
  }
  bool all_numbers = true;
  for (Typed* operand : operands) {
    if (operand->type == SqlType::kNull) continue;
    if (!Fits(*lead, *operand, use)) {
      Add(Mismatch(*lead, *operand));
      return SqlType::kUnknown;
    }
    all_numbers &= IsNumber(operand->type) || operand->type == SqlType::kDynamic;
  }
  if (!all_numbers) return lead->type;
  const SqlType type = UnifyNumbers(operands);
  // Integers beside a fraction compare exactly, not as doubles.
  if (type == SqlType::kNumber && use != Use::kValue) return SqlType::kExact;
  return type;
}

Typed Binder::BindCompare(const Expression& node) {
  Typed left = Bind(*node.operands[0]);
  Typed right = Bind(*node.operands[1]);
  if (left.type == SqlType::kUnknown || right.type == SqlType::kUnknown) return Unknown(node);
  for (const Typed* operand : {&left, &right}) {
    if (operand->node->kind != ExpressionKind::kNull) continue;
    Add(fmt::format("a comparison {} NULL is never true: write IS {}NULL", node.text,
                    node.text == "<>" ? "NOT " : ""));
    return Unknown(node);
  }
  const bool order = node.text != "=" && node.text != "<>";
  Typed* operands[] = {&left, &right};
  const SqlType type = Unify(operands, order ? Use::kOrder : Use::kEquality);
  if (type == SqlType::kUnknown) return Unknown(node);
  if (left.truth == Truth::kNull || right.truth == Truth::kNull) {
    return Constant(node, Truth::kNull);
  }
  if (!order && operation_ && IsFixedText(left) && IsFixedText(right)) {
    const bool equal = left.sql == right.sql;
    return Constant(node, equal == (node.text == "=") ? Truth::kTrue : Truth::kFalse);
  }
  if (order && type == SqlType::kExact) {
    return Make(
        SqlType::kBool, node,
        fmt::format("(compare_exact({}, {}) {} 0)", As(left, type), As(right, type), node.text));
  }
  return Make(SqlType::kBool, node,
              fmt::format("({} {} {})", As(left, type), node.text, As(right, type)));
}

Typed Binder::BindIs(const Expression& node) {
  Typed left = Bind(*node.operands[0]);
  Typed right = Bind(*node.operands[1]);
  if (left.type == SqlType::kUnknown || right.type == SqlType::kUnknown) return Unknown(node);
  if ((left.type == SqlType::kJson || left.type == SqlType::kArray ||
       left.type == SqlType::kInterval) &&
      left.column != nullptr && right.column == left.column) {
    Add(fmt::format("{}: write {}changed({})", Subject(left), node.negated ? "" : "NOT ",
                    left.column->name));
    return Unknown(node);
  }
  Typed* operands[] = {&left, &right};
  const SqlType type = Unify(operands, Use::kEquality);
  if (type == SqlType::kUnknown) return Unknown(node);
  if (operation_ && IsFixedText(left) && IsFixedText(right)) {
    const bool equal = left.sql == right.sql;
    return Constant(node, equal != node.negated ? Truth::kTrue : Truth::kFalse);
  }
  if (left.truth == Truth::kNull && right.truth == Truth::kNull) {
    return Constant(node, node.negated ? Truth::kFalse : Truth::kTrue);
  }
  return Make(
      SqlType::kBool, node,
      fmt::format("({} IS {}{})", As(left, type), node.negated ? "NOT " : "", As(right, type)));
}

Typed Binder::BindIn(const Expression& node) {
  bool known = true;
  std::vector<Typed> operands = BindAll(node, known);
  if (!known) return Unknown(node);
  for (size_t i = 1; i < operands.size(); ++i) {
    if (operands[i].node->kind == ExpressionKind::kNull) {
      Add("NULL in a list of IN never matches: write OR … IS NULL");
      return Unknown(node);
    }
  }
  std::vector<Typed*> pointers;
  for (Typed& operand : operands) pointers.push_back(&operand);
  const SqlType type = Unify(pointers, Use::kEquality);
  if (type == SqlType::kUnknown) return Unknown(node);
  if (operands[0].truth == Truth::kNull) return Constant(node, Truth::kNull);
  const bool fixed = std::all_of(operands.begin(), operands.end(), IsFixedText);
  if (operation_ && fixed) {
    const bool found = std::any_of(operands.begin() + 1, operands.end(),
                                   [&](const Typed& item) { return item.sql == operands[0].sql; });
    return Constant(node, found != node.negated ? Truth::kTrue : Truth::kFalse);
  }
  std::string list;
  for (size_t i = 1; i < operands.size(); ++i) {
    if (i != 1) list += ", ";
    list += As(operands[i], type);
  }
  return Make(
      SqlType::kBool, node,
      fmt::format("({} {}IN ({}))", As(operands[0], type), node.negated ? "NOT " : "", list));
}

Typed Binder::BindBetween(const Expression& node) {
  bool known = true;
  std::vector<Typed> operands = BindAll(node, known);
  if (!known) return Unknown(node);
  std::vector<Typed*> pointers;
  for (Typed& operand : operands) {
    if (operand.node->kind == ExpressionKind::kNull) {
      Add("BETWEEN and NULL is never true: write IS NULL");
      return Unknown(node);
    }
    pointers.push_back(&operand);
  }
  const SqlType type = Unify(pointers, Use::kOrder);
  if (type == SqlType::kUnknown) return Unknown(node);
  if (operands[0].truth == Truth::kNull) return Constant(node, Truth::kNull);
  const std::string& value = As(operands[0], type);
  const std::string& low = As(operands[1], type);
  const std::string& high = As(operands[2], type);
  if (type == SqlType::kExact) {
    return Make(
        SqlType::kBool, node,
        fmt::format("({}exact_between({}, {}, {}))", node.negated ? "NOT " : "", value, low, high));
  }
  return Make(
      SqlType::kBool, node,
      fmt::format("({} {}BETWEEN {} AND {})", value, node.negated ? "NOT " : "", low, high));
}

}  // namespace tailwater::expression
