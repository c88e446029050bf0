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
#include "mysql/wire_bytes.h"
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

// How the reading of one value ended.
enum class ReadOutcome : uint8_t { kOk, kMalformed, kInvalidText, kInvalidDate };

class ValueReader;
using ReadFunction = ReadOutcome (*)(const ValueReader&, std::string_view, ChangeBatch&, Value&);

// What the functions that read values know of their column.
struct ValueForm {
  ReadFunction decode = nullptr;  // of the bytes in a row image, without their length
  ReadFunction parse = nullptr;   // of the text
  ValueType type = ValueType::kText;
  uint8_t length_bytes = 0;  // in front of the value; 0: it has `size` bytes
  uint8_t precision = 0;     // of decimals
  uint8_t scale = 0;         // of decimals; digits of the fraction of times
  bool is_unsigned = false;
  uint16_t size = 0;
  ValueOptions options;
  const Charset* charset = nullptr;  // null: bytes
};

// Small and copyable; a table has one per column.
class ValueReader {
 public:
  // `facts`: of the column of that name; null: none. kFatal "mysql_type_unknown",
  // "mysql_charset_unknown".
  static Result<ValueReader> Make(const MapColumn& column, const ColumnFacts* facts,
                                  std::string_view charset, const ValueOptions& options);

  ValueType type() const { return form_.type; }
  // As the server names it, without what only its catalogs know: "int unsigned", "varchar(20)".
  const std::string& type_name() const { return *type_name_; }

  // Takes one value from the front of `rest`. Views point into the packet or the batch's arena.
  // kFatal "mysql_value_malformed" (names nothing of the value), "mysql_text_invalid",
  // "mysql_date_invalid".
  Result<Value> Read(std::string_view& rest, ChangeBatch& batch) const;
  // The same value from what a SELECT of SelectExpression() gives in a session of ours (names
  // utf8mb4, time_zone +00:00), as the text protocol has it. The same errors.
  Result<Value> ReadText(std::string_view text, ChangeBatch& batch) const;
  // What a copy selects for a column with this (quoted) name, so that ReadText() loses nothing.
  std::string SelectExpression(const std::string& quoted_name) const;

  // Read() for whoever reads many: says why not in words only when asked.
  ReadOutcome Next(std::string_view& rest, ChangeBatch& batch, Value& out) const {
    std::string_view bytes;
    if (!Take(rest, bytes)) return ReadOutcome::kMalformed;
    return form_.decode(*this, bytes, batch, out);
  }
  // The bytes of one value off the front of `rest`; false: they are not all there.
  bool Take(std::string_view& rest, std::string_view& bytes) const {
    size_t size = form_.size;
    if (form_.length_bytes != 0) {
      if (rest.size() < form_.length_bytes) return false;
      size = LengthOf(rest.data());
      rest.remove_prefix(form_.length_bytes);
    }
    if (rest.size() < size) return false;
    bytes = rest.substr(0, size);
    rest.remove_prefix(size);
    return true;
  }
  Error Refusal(ReadOutcome outcome) const;

  const ValueForm& form() const { return form_; }
  // Of ENUM and SET, in UTF-8.
  const std::vector<std::string>& labels() const { return *labels_; }

 private:
  size_t LengthOf(const char* bytes) const {
    switch (form_.length_bytes) {
      case 1:
        return static_cast<uint8_t>(*bytes);
      case 2:
        return LoadLittle<uint16_t>(bytes);
      case 3:
        return LoadLittle(bytes, 3);
      default:
        return LoadLittle<uint32_t>(bytes);
    }
  }

  ValueForm form_;
  enum class Select : uint8_t { kAsIs, kDouble, kUnsigned, kBytes } select_ = Select::kAsIs;
  std::shared_ptr<const std::string> type_name_;
  std::shared_ptr<const std::vector<std::string>> labels_;
};

}  // namespace tailwater::mysql
