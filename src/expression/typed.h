// An expression with its type and its SQL.
#pragma once

#include <cstdint>
#include <string>

#include "expression/ast.h"
#include "tailwater/schema.h"

namespace tailwater::expression {

enum class SqlType : uint8_t {
  kUnknown,  // a problem was reported
  kNull,
  kBool,
  kInt,
  kNumber,  // a number with a fraction or beyond int64, of literals and integers alone: exact or
            // real, as its neighbour needs
  kReal,
  kExact,  // decimal and uint64: canonical text, see decimal.h
  kText,
  kCitext,
  kBytes,
  kDate,
  kTime,
  kTimestamp,
  kTimestampTz,
  kInterval,
  kUuid,
  kJson,
  kArray,
  kEnum,
  kOther,
  kDynamic,  // out of a JSON value: its type is known only at the row
};

inline bool IsNumber(SqlType type) {
  return type == SqlType::kInt || type == SqlType::kNumber || type == SqlType::kReal ||
         type == SqlType::kExact;
}
inline bool IsTemporal(SqlType type) {
  return type == SqlType::kDate || type == SqlType::kTime || type == SqlType::kTimestamp ||
         type == SqlType::kTimestampTz;
}

// What is known without looking at a row.
enum class Truth : uint8_t { kOpen, kTrue, kFalse, kNull };

struct Typed {
  SqlType type = SqlType::kUnknown;
  std::string sql;
  std::string exact;  // kInt, kNumber: the same as canonical text
  const Expression* node = nullptr;
  const Column* column = nullptr;  // if it is one
  Truth truth = Truth::kOpen;
  bool never_true = false;  // false or NULL, whatever the row is
};

inline bool IsTextLiteral(const Typed& operand) {
  return operand.node->kind == ExpressionKind::kText;
}

}  // namespace tailwater::expression
