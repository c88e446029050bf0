#include "snapshot/chunk_window.h"

#include <algorithm>
#include <utility>

#include "support/text.h"

namespace tailwater {
namespace {

constexpr size_t kEntryBytes = 80;  // of the index, per key

bool IsPartial(Row row) {
  return std::any_of(row.begin(), row.end(), [](const Value& v) { return v.is_unchanged(); });
}

}  // namespace

void ChunkWindow::NoteOwn(const Change& change, std::string_view key) {
  if (change.schema != nullptr) {
    const uint64_t fingerprint = change.schema->fingerprint();
    if (fingerprint_ && *fingerprint_ != fingerprint) {
      Spoil("the table's columns changed while it was read");
      return;
    }
    fingerprint_ = fingerprint;
  }
  switch (change.operation) {
    case Operation::kInsert:
    case Operation::kDelete:
      NoteKey(key, {});
      break;
    case Operation::kUpdate:
      NoteKey(key, IsPartial(change.after) ? change.after : Row());
      break;
    case Operation::kTruncate:
      Spoil("the table was truncated while it was read");
      break;
    case Operation::kRead:  // none of the stream's
    case Operation::kSchema:
    case Operation::kMessage:
    case Operation::kFrontier:
    case Operation::kSweep:
      break;
  }
}

void ChunkWindow::NoteKey(std::string_view key, Row partial) {
  auto known = changed_.find(key);
  if (known == changed_.end()) {
    bytes_ += key.size() + kEntryBytes;
    known = changed_.emplace(kept_.arena().Copy(key), Overlay()).first;
    if (!partial.empty()) {
      bytes_ += partial.size() * sizeof(Value);
      known->second = kept_.NewRow(partial.size());
      std::transform(partial.begin(), partial.end(), known->second.begin(),
                     [this](const Value& value) { return Keep(value); });
    }
  } else if (partial.empty()) {
    known->second = {};
  } else if (!known->second.empty()) {
    for (size_t i = 0; i < known->second.size() && i < partial.size(); ++i) {
      if (!partial[i].is_unchanged()) known->second[i] = Keep(partial[i]);
    }
  }
  if (bytes_ > most_bytes_) Spoil("too much of the table changed while it was read");
}

Value ChunkWindow::Keep(const Value& value) {
  if (!value.has_value() || !Value::IsBytes(value.type())) return value;
  bytes_ += value.bytes().size();
  switch (value.type()) {
    case ValueType::kInterval:
      return Value::OfInterval(kept_.NewInterval(value.as_interval()));
    case ValueType::kDecimal:
      return Value::Decimal(kept_.arena().Copy(value.bytes()));
    case ValueType::kText:
      return Value::Text(kept_.arena().Copy(value.bytes()));
    case ValueType::kBytes:
      return Value::Blob(kept_.arena().Copy(value.bytes()));
    case ValueType::kUuid:
      return Value::Uuid(kept_.arena().Copy(value.bytes()));
    case ValueType::kJson:
      return Value::Json(kept_.arena().Copy(value.bytes()));
    case ValueType::kArray:
      return Value::Array(kept_.arena().Copy(value.bytes()));
    case ValueType::kEnum:
      return Value::Enum(kept_.arena().Copy(value.bytes()));
    case ValueType::kOther:
      return Value::Other(kept_.arena().Copy(value.bytes()));
    case ValueType::kBool:  // numbers, handled above
    case ValueType::kInt64:
    case ValueType::kUint64:
    case ValueType::kFloat64:
    case ValueType::kDate:
    case ValueType::kTime:
    case ValueType::kTimestamp:
    case ValueType::kTimestampTz:
      break;
  }
  return value;
}

void ChunkWindow::Spoil(std::string why) {
  why_ = std::move(why);
  changed_ = {};
  kept_ = {};
  bytes_ = 0;
}

std::string ChunkWindow::WhyNot(const TableSchema& schema) const {
  if (!why_.empty()) return why_;
  if (schema.table() != table_) {
    return fmt::format("its rows are of table {}, not of {}", schema.table(), table_);
  }
  if (fingerprint_ && *fingerprint_ != schema.fingerprint()) {
    return "it was read with other columns than the stream has";
  }
  return {};
}

std::optional<Row> ChunkWindow::Resolve(std::string_view key, Row row) {
  const auto known = changed_.find(key);
  if (known == changed_.end()) return row;
  const Overlay overlay = known->second;
  if (overlay.size() != row.size() || row.empty()) return std::nullopt;
  resolved_.Clear();
  const std::span<Value> merged = resolved_.NewRow(row.size());
  for (size_t i = 0; i < row.size(); ++i) {
    merged[i] = overlay[i].is_unchanged() ? row[i] : overlay[i];
  }
  return Row(merged);
}

}  // namespace tailwater
