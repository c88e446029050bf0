// The bytes of one column's values, as they stand in a row image, to typed values: the only place
// that knows what a MySQL type is in the change model. The snapshot reader uses the same table of
// types, so that a row is the same however it came.
//
//   BOOL, TINYINT … BIGINT, YEAR    int64; BIGINT UNSIGNED: uint64
//   DECIMAL                         decimal
//   FLOAT, DOUBLE                   float64; FLOAT by its shortest text: 0.1 stays 0.1
//   BIT                             uint64
//   CHAR, VARCHAR, TEXT             text;  BINARY, VARBINARY, BLOB: bytes (BINARY padded again)
//   DATE, DATETIME, TIMESTAMP       date, timestamp, timestamptz; zero and partial ones: as
//                                   `zero_dates` says, by default the server's text (other)
//   TIME                            time within a day; else the server's text (other)
//   ENUM; SET                       enum label ('' for the invalid value); text "a,b"
//   JSON, MariaDB's JSON alias      json, text equal to the server's
//   GEOMETRY                        bytes: SRID and WKB as the server stores them
//   VECTOR                          array of float64
//   MariaDB UUID; INET4, INET6      uuid; other
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mysql/charset.h"
#include "mysql/mysql_config.h"
#include "tailwater/change.h"
#include "tailwater/result.h"
#include "tailwater/value.h"

namespace tailwater::mysql {

struct MapColumn;
struct ColumnFacts;

struct ValueOptions {
  ZeroDates zero_dates = ZeroDates::kText;
  InvalidText invalid_text = InvalidText::kHalt;
};

// Small and copyable; a table has one per column.
class ValueReader {
 public:
  // `facts`: of the column of that name; null: none. kFatal "mysql_type_unknown",
  // "mysql_charset_unknown".
  static Result<ValueReader> Make(const MapColumn& column, const ColumnFacts* facts,
                                  std::string_view charset, const ValueOptions& options);

  ValueType type() const { return type_; }
  const std::string& type_name() const { return *type_name_; }

  // Takes one value from the front of `rest`. Views point into the packet or the batch's arena.
  // kFatal "mysql_value_malformed" (names nothing of the value), "mysql_text_invalid".
  Result<Value> Read(std::string_view& rest, ChangeBatch& batch) const;
  // The same value from the text that a SELECT of it in utf8mb4 gives (time_zone +00:00; see
  // SelectExpression()).
  Result<Value> ReadText(std::string_view text, ChangeBatch& batch) const;
  // What a copy selects for a column with this (quoted) name, so that ReadText() loses nothing.
  std::string SelectExpression(const std::string& quoted_name) const;

 private:
  enum class Kind : uint8_t;
  Kind kind_{};
  ValueType type_ = ValueType::kText;
  uint8_t size_ = 0;     // bytes, or of the length
  uint8_t scale_ = 0;    // of decimals; fsp of times
  uint16_t length_ = 0;  // of fixed ones
  bool unsigned_ = false;
  ValueOptions options_;
  const Charset* charset_ = nullptr;  // null: bytes
  std::shared_ptr<const std::string> type_name_;
  std::shared_ptr<const std::vector<std::string>> labels_;  // in UTF-8
};

}  // namespace tailwater::mysql
