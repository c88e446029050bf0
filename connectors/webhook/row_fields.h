// What templates may refer to: the columns of a change, and what is known about it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tailwater/change.h"
#include "tailwater/result.h"

namespace tailwater::webhook {

// NEW.column, OLD.column, op, id, source, table, version or time.
struct Reference {
  enum class Kind : uint8_t { kNew, kOld, kOp, kId, kSource, kTable, kVersion, kTime };
  Kind kind = Kind::kNew;
  std::string column;  // kNew, kOld

  // "NEW.plan"
  std::string ToString() const;
  // The inside of the braces; a name that is no plain word stands in double quotes. Nothing and the
  // problem in words if it is none of these.
  static std::optional<Reference> Parse(std::string_view text, std::string& problem);
};

struct FieldValue {
  // NULL where there is no such row (OLD of an insert); omitted if the row has a value that this
  // record lacks, or if its table has no such column now.
  Value value;
  bool wide_integers = true;
  bool missing() const { return !value.has_value() && !value.is_null(); }
};

// One change's fields. The change outlives it, and it outlives the fields.
class RowFields {
 public:
  explicit RowFields(const Change& change) : change_(change), id_(Id(change)) {}
  // A column that the log did not repeat is taken from the other row where that says what it was.
  FieldValue Get(const Reference& reference) const;
  const Change& change() const { return change_; }
  const std::string& id() const { return id_; }

 private:
  Value Column(size_t index, bool before) const;

  const Change& change_;
  const std::string id_;
};

// Appends a value as a text shows it: as in JSON, but without quotes; NULL as null.
// kFatal "record_malformed".
Status AppendFieldText(const Value& value, std::string& out);

}  // namespace tailwater::webhook
