// The rows of COPY … TO STDOUT, as the stream would show them: kRead changes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "postgres/relation.h"
#include "tailwater/change.h"
#include "tailwater/result.h"

namespace tailwater::postgres {

// One statement's rows. `relation` outlives it; its schema has to be kept by whoever keeps the
// rows.
class CopyRows {
 public:
  virtual ~CopyRows() = default;

  // Behind COPY (…) TO STDOUT.
  virtual std::string_view options() const = 0;

  // One message of the copy: at most one row. Its values live in the batch's arena. kFatal
  // "pg_tuple_mismatch", "pg_value_malformed": no message holds a value.
  virtual Status Add(std::string_view message, ChangeBatch& batch) = 0;

  // Of the row that came last: the server's text of its key columns, in the key's own order.
  virtual std::span<const std::string_view> key() const = 0;
};

// The text format: one row per message. `key`: columns of the relation.
std::unique_ptr<CopyRows> MakeTextCopyRows(const Relation& relation, std::vector<uint32_t> key);

}  // namespace tailwater::postgres
