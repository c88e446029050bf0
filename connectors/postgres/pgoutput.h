// The messages of pgoutput, protocol 1, as views into one CopyData payload (without the XLogData
// header). Pure: bytes in, views out.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "postgres/lsn.h"
#include "tailwater/result.h"

namespace tailwater::postgres {

// Microseconds between 1970-01-01 and 2000-01-01, where Postgres counts from.
inline constexpr int64_t kPostgresEpochMicros = 946'684'800'000'000;

struct BeginMessage {
  Lsn final_lsn;                   // start of the commit record: names the transaction
  int64_t commit_time_micros = 0;  // since 1970-01-01 UTC; years off where an origin set it
  uint32_t xid = 0;
};

struct CommitMessage {
  Lsn commit_lsn;  // equals Begin's final_lsn
  Lsn end_lsn;     // where to resume once the transaction is durable
  int64_t commit_time_micros = 0;
};

struct OriginMessage {
  Lsn origin_commit_lsn;
  std::string_view name;
};

enum class ReplicaIdentity : char { kDefault = 'd', kNothing = 'n', kFull = 'f', kIndex = 'i' };

struct RelationColumn {
  bool identity = false;  // part of the replica identity; FULL marks every column
  std::string_view name;
  uint32_t type_oid = 0;
  int32_t typmod = -1;
};

struct RelationMessage {
  uint32_t oid = 0;
  std::string_view schema;  // "pg_catalog" where the server leaves it out
  std::string_view name;
  ReplicaIdentity identity = ReplicaIdentity::kDefault;
  std::span<const RelationColumn> columns;
};

struct TypeMessage {
  uint32_t oid = 0;  // of a domain: the domain's oid with the base type's name
  std::string_view schema;
  std::string_view name;
};

// One column of a tuple.
struct Field {
  enum class Kind : char { kNull = 'n', kUnchanged = 'u', kText = 't', kBinary = 'b' };
  const char* data = nullptr;
  uint32_t size = 0;
  Kind kind = Kind::kNull;
  std::string_view bytes() const { return {data, size}; }
  bool has_value() const { return kind == Kind::kText || kind == Kind::kBinary; }
};
using Tuple = std::span<const Field>;

struct RowMessage {
  enum class Kind : char { kInsert = 'I', kUpdate = 'U', kDelete = 'D' };
  enum class Old : char { kNone = 0, kKey = 'K', kWhole = 'O' };
  Kind kind = Kind::kInsert;
  Old old_kind = Old::kNone;
  uint32_t relation_oid = 0;
  Tuple old_tuple;  // kKey: all columns, and kNull in every non-key position means "not sent"
  Tuple new_tuple;
};

struct TruncateMessage {
  bool cascade = false;
  bool restart_identity = false;
  std::span<const uint32_t> relation_oids;
};

struct LogicalMessage {
  bool transactional = false;
  Lsn lsn;  // end of the message's record: where to resume behind a non-transactional one
  std::string_view prefix;
  std::string_view content;
};

// A Stream Abort that PG 18 may send although streaming is off: means nothing.
struct StrayStreamAbort {};

using Message =
    std::variant<BeginMessage, CommitMessage, OriginMessage, RelationMessage, TypeMessage,
                 RowMessage, TruncateMessage, LogicalMessage, StrayStreamAbort>;

// Keeps the scratch memory that messages point into: a message is valid until the next Parse() and
// as long as its bytes. Not thread-safe.
class MessageParser {
 public:
  // kFatal "pg_message_malformed": truncated, trailing bytes, or a field that cannot be.
  // kFatal "pg_message_unknown": a type byte that protocol 1 does not have.
  Status Parse(std::string_view bytes, Message& out);

 private:
  std::vector<Field> old_fields_, new_fields_;
  std::vector<RelationColumn> columns_;
  std::vector<uint32_t> oids_;
};

}  // namespace tailwater::postgres
