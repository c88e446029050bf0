#include "topic/kafka/record_headers.h"

#include "codec/codec.h"
#include "support/text.h"

namespace tailwater {

std::span<const kafka::Header> RecordHeaderList::Read(std::string_view value) {
  headers_.clear();
  const auto record = PeekHeaders(value);
  if (!record) return {};
  Change change;
  change.source = record->source;
  change.epoch = record->epoch;
  change.position = record->position;
  change.ordinal = record->ordinal;
  change.part = record->part;
  id_.clear();
  AppendId(change, id_);
  version_ = std::to_string(record->version);
  headers_.emplace_back("tailwater.id", id_);
  headers_.emplace_back("tailwater.source", record->source);
  if (!record->table.empty()) headers_.emplace_back("tailwater.table", record->table);
  headers_.emplace_back("tailwater.op", OperationName(record->operation));
  headers_.emplace_back("tailwater.version", version_);
  switch (record->snapshot) {
    case SnapshotMark::kStreaming:
      break;
    case SnapshotMark::kSnapshot:
      headers_.emplace_back("tailwater.snapshot", "true");
      break;
    case SnapshotMark::kLastOfTable:
      headers_.emplace_back("tailwater.snapshot", "last");
      break;
  }
  if (IsControl(record->operation)) headers_.emplace_back("tailwater.control", "true");
  headers_.emplace_back("content-type",
                        "application/x-protobuf; messageType=\"tailwater.v1.Change\"");
  return headers_;
}

}  // namespace tailwater
