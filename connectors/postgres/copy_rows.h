// The rows of COPY … TO STDOUT, as the stream would show them: kRead changes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "postgres/postgres_config.h"
#include "postgres/relation.h"
#include "tailwater/change.h"
#include "tailwater/result.h"

namespace tailwater::postgres {

// One statement's rows. `relation` outlives it; its schema has to be kept by whoever keeps the
// rows.
class CopyRows {
 public:
  virtual ~CopyRows() = default;

  // What to ask for: COPY (SELECT `select` …) TO STDOUT `options`. Its names are the relation's
  // columns, and others that no key column has: ORDER BY takes those of a SELECT first.
  virtual const std::string& select() const = 0;
  virtual std::string_view options() const = 0;

  // One message of the copy: at most one row. Its values live in the batch's arena. kFatal
  // "pg_tuple_mismatch", "pg_value_malformed": no message holds a value.
  virtual Status Add(std::string_view message, ChangeBatch& batch) = 0;

  // Of the row that came last, whose batch still lives: the server's text of its key columns, in
  // the key's own order.
  virtual std::vector<std::string> key() const = 0;
};

// `quoted`: the names of the relation's columns for SQL. `key`: columns of the relation.
struct CopyShape {
  const Relation& relation;
  std::vector<std::string> quoted;
  std::vector<uint32_t> key;
};

// One row per message, all of it text.
std::unique_ptr<CopyRows> MakeTextCopyRows(CopyShape shape);

// Columns in binary where we read all that the type can hold, the server's text elsewhere, in the
// same copy.
std::unique_ptr<CopyRows> MakeBinaryCopyRows(CopyShape shape);

// kAuto: binary where more columns gain from it than lose; kBinary: where any gains.
std::unique_ptr<CopyRows> MakeCopyRows(ValueFormat format, CopyShape shape);

}  // namespace tailwater::postgres
