// Arithmetic, CAST, abs and round.
#include <string_view>

#include "expression/binder.h"
#include "support/text.h"

namespace tailwater::expression {
namespace {

std::string_view ExactFunction(char symbol) {
  return symbol == '+' ? "add_exact" : symbol == '-' ? "subtract_exact" : "multiply_exact";
}

}  // namespace

// NaN is kept as text beside numbers, where it sorts last; in arithmetic it is NULL.
std::string Binder::Finite(const Typed& operand) {
  if (operand.type != SqlType::kReal || operand.node->kind == ExpressionKind::kArithmetic) {
    return operand.sql;
  }
  return fmt::format("finite({})", operand.sql);
}

Typed Binder::BindArithmetic(const Expression& node) {
  Typed left = Bind(*node.operands[0]);
  Typed right = Bind(*node.operands[1]);
  if (left.type == SqlType::kUnknown || right.type == SqlType::kUnknown) return Unknown(node);
  for (const Typed* operand : {&left, &right}) {
    if (IsNumber(operand->type) || operand->type == SqlType::kNull) continue;
    if (IsTemporal(operand->type)) {
      Add(fmt::format("{}: there is no arithmetic on it; write epoch({}) for its seconds",
                      Subject(*operand), Source(*operand)));
    } else if (operand->type == SqlType::kText && node.text == "+") {
      Add(fmt::format("{}: write || to join texts, or CAST({} AS numeric)", Subject(*operand),
                      Source(*operand)));
    } else {
      Add(fmt::format("{} and no number: write CAST({} AS numeric)", Subject(*operand),
                      Source(*operand)));
    }
    return Unknown(node);
  }
  const char symbol = node.text[0];
  Typed* operands[] = {&left, &right};
  SqlType type = UnifyNumbers(operands);
  if (type == SqlType::kUnknown) return Unknown(node);
  if (symbol == '%' && type != SqlType::kInt) {
    Add(fmt::format("{}: % takes integers only",
                    Subject(left.type == SqlType::kInt ? right : left)));
    return Unknown(node);
  }
  if (symbol == '/' && type == SqlType::kExact) {
    const Typed& exact = left.type == SqlType::kExact ? left : right;
    Add(fmt::format("{}: a quotient of exact numbers has no end; write CAST({} AS real)",
                    Subject(exact), Source(exact)));
    return Unknown(node);
  }
  if (symbol == '/' && type == SqlType::kNumber) type = SqlType::kReal;
  Typed out = Make(type, node, "");
  if (left.truth == Truth::kNull || right.truth == Truth::kNull) {
    out.sql = "NULL";
    out.truth = Truth::kNull;
    return out;
  }
  const auto exact = [&] {
    return fmt::format("{}({}, {})", ExactFunction(symbol), As(left, SqlType::kExact),
                       As(right, SqlType::kExact));
  };
  if (type == SqlType::kExact) return Make(type, node, exact());
  out = Make(type, node, fmt::format("({} {} {})", Finite(left), node.text, Finite(right)));
  if (type == SqlType::kInt && (symbol == '/' || symbol == '%')) {
    out.exact = fmt::format("to_exact({})", out.sql);
  } else if (type != SqlType::kReal) {
    out.exact = exact();
  }
  return out;
}

Typed Binder::BindNegate(const Expression& node) {
  const Typed operand = Bind(*node.operands[0]);
  if (operand.type == SqlType::kUnknown) return Unknown(node);
  if (!IsNumber(operand.type) && operand.type != SqlType::kNull) {
    Add(fmt::format("{}: only numbers have a sign", Subject(operand)));
    return Unknown(node);
  }
  if (operand.type == SqlType::kExact) {
    return Make(operand.type, node, fmt::format("negate_exact({})", operand.sql));
  }
  Typed out = Make(operand.type, node, fmt::format("(- {})", Finite(operand)));
  out.truth = operand.truth;
  if (!operand.exact.empty()) out.exact = fmt::format("negate_exact({})", operand.exact);
  return out;
}

Typed Binder::BindAbs(const Expression& node, const Typed& operand) {
  if (operand.type == SqlType::kExact) {
    return Make(operand.type, node, fmt::format("abs_exact({})", operand.sql));
  }
  Typed out = Make(operand.type, node, fmt::format("abs({})", Finite(operand)));
  if (!operand.exact.empty()) out.exact = fmt::format("abs_exact({})", operand.exact);
  return out;
}

Typed Binder::BindRound(const Expression& node, std::span<const Typed> operands) {
  const Typed& value = operands[0];
  std::string places = "0";
  if (operands.size() == 2) {
    const Expression& literal = *operands[1].node;
    if (literal.kind != ExpressionKind::kNumber || operands[1].type != SqlType::kInt ||
        literal.text.size() > 3) {
      Add("round(value, places): places must be a whole number such as 2");
      return Unknown(node);
    }
    places = literal.text;
  }
  if (value.type == SqlType::kExact) {
    return Make(value.type, node, fmt::format("round_exact({}, {})", value.sql, places));
  }
  if (value.type == SqlType::kReal && places[0] == '-') {
    Add(fmt::format("{}: round takes no negative number of places on it", Subject(value)));
    return Unknown(node);
  }
  if (value.type == SqlType::kReal) {
    return Make(value.type, node, fmt::format("round({}, {})", Finite(value), places));
  }
  return Make(SqlType::kExact, node, fmt::format("round_exact({}, {})", value.exact, places));
}

Typed Binder::BindCast(const Expression& node) {
  const Typed operand = Bind(*node.operands[0]);
  if (operand.type == SqlType::kUnknown) return Unknown(node);
  const auto refuse = [&](std::string_view advice) {
    Add(fmt::format("{}: CAST AS {} is not possible{}", Subject(operand), node.text, advice));
    return Unknown(node);
  };
  const auto call = [&](SqlType type, std::string_view function) {
    Typed out = Make(type, node, fmt::format("{}({})", function, operand.sql));
    if (type == SqlType::kInt) out.exact = fmt::format("to_exact({})", out.sql);
    return out;
  };
  const auto same = [&](SqlType type, const std::string& sql) {
    Typed out = Make(type, node, sql);
    out.truth = operand.truth == Truth::kNull ? Truth::kNull : Truth::kOpen;
    return out;
  };
  const bool readable = operand.type == SqlType::kText || operand.type == SqlType::kDynamic;
  if (node.text == "integer") {
    if (operand.type == SqlType::kInt || operand.type == SqlType::kBool || readable ||
        operand.type == SqlType::kNull) {
      return call(SqlType::kInt, "to_integer");
    }
    if (IsNumber(operand.type)) {
      return refuse(
          " without a loss: leave it out (numbers of all kinds compare) or write round()");
    }
  } else if (node.text == "real") {
    if (IsNumber(operand.type) || readable || operand.type == SqlType::kNull) {
      if (operand.type == SqlType::kReal) return same(SqlType::kReal, operand.sql);
      if (operand.type == SqlType::kNumber) {
        return Make(SqlType::kReal, node, fmt::format("to_real({})", operand.exact));
      }
      return call(SqlType::kReal, "to_real");
    }
  } else if (node.text == "numeric") {
    if (operand.type == SqlType::kExact || !operand.exact.empty()) {
      return same(SqlType::kExact, As(operand, SqlType::kExact));
    }
    if (operand.type == SqlType::kReal) {
      return refuse(": a floating-point number is no exact one; compare it as real");
    }
    if (readable || operand.type == SqlType::kNull) return call(SqlType::kExact, "to_exact");
  } else {
    switch (operand.type) {
      case SqlType::kText:
      case SqlType::kCitext:
      case SqlType::kEnum:
      case SqlType::kUuid:
      case SqlType::kOther:
      case SqlType::kJson:
      case SqlType::kExact:
        return same(SqlType::kText, operand.sql);
      case SqlType::kNumber:
        return same(SqlType::kText, operand.exact);
      case SqlType::kInt:
      case SqlType::kReal:
      case SqlType::kDynamic:
      case SqlType::kNull:
        return call(SqlType::kText, "to_text");
      case SqlType::kBool:
        return Make(
            SqlType::kText, node,
            fmt::format("(CASE {} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END)", operand.sql));
      case SqlType::kDate:
      case SqlType::kTime:
      case SqlType::kTimestamp:
      case SqlType::kTimestampTz:
        return refuse(": compare it with text in quotes instead");
      default:
        break;
    }
  }
  return refuse("");
}

}  // namespace tailwater::expression
