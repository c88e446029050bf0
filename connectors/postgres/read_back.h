// Reads columns that the log left out of a key change back from the source.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/result.h"
#include "tailwater/schema.h"

namespace tailwater::postgres {

// The value of a key column as the stream had it: the server's text, or its binary form.
struct KeyField {
  std::string_view bytes;
  bool binary = false;
};

struct ReadBackRequest {
  uint32_t relation_oid = 0;
  const TableSchema* schema = nullptr;
  std::span<const KeyField> key;      // parallel to schema->key_columns()
  std::span<const uint32_t> columns;  // wanted: indexes into schema->columns()
  uint32_t xid = 0;                   // the snapshot must see this transaction
};

struct ReadBackAnswer {
  bool found = false;  // false: row or table gone; the columns become omitted
  // Parallel to `columns`, text form under the stream's session settings; no value: NULL. A column
  // that is gone by now: `gone` holds true at its place.
  std::vector<std::optional<std::string>> values;
  std::vector<bool> gone;  // empty: none
};

// Called from ChangeDecoder::Decode(), on the thread of Source::Run(). Waits until a snapshot sees
// the transaction. Errors are returned as they are.
class ReadBack {
 public:
  virtual ~ReadBack() = default;
  virtual Result<ReadBackAnswer> Read(const ReadBackRequest& request) = 0;
};

}  // namespace tailwater::postgres
