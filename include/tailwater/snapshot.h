// What a source connector does for snapshots: rows that are in its tables already, brought into the
// running stream.
//
// The engine plans (src/snapshot/), the connector reads. A chunk is a range of one table in the
// order of its key; around the reading of it lie two marks in the server's own log. The stream,
// which never pauses, meets them: what changed between low and high watermark is newer than what
// the chunk may have read, so those rows of the chunk are dropped, and the rest is published where
// the high watermark lies. Keys are compared for equality only; their order is the server's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "tailwater/change.h"
#include "tailwater/result.h"
#include "tailwater/schema.h"

namespace tailwater {

// A captured table, as its server describes it now.
struct SnapshotTable {
  std::string table;  // TableName::ToString()
  SchemaPtr schema;   // as the stream will describe it; keyless(): one unit, see CopyWhole()
  std::optional<uint64_t> rows;  // estimates of the server's statistics; absent if there are none
  std::optional<uint64_t> bytes;
  // Tells a table from another one of the same name that was made later (Postgres: its oid). Empty:
  // the source cannot tell.
  std::string identity = {};
};

// A place in a table, by its key: made and read by the source alone. Empty: the beginning or the
// end of the table.
using SnapshotKey = std::string;

struct ChunkRequest {
  std::string id;  // names its watermarks; never used twice: a restart may show old ones again
  std::string table;
  std::string where;     // the user's SQL condition; empty: all rows
  SnapshotKey after;     // rows strictly behind it
  SnapshotKey upto;      // and not behind this one
  size_t max_bytes = 0;  // reading stops at the first row beyond it
};

struct Chunk {
  SchemaPtr schema;      // of the rows
  ChangeBatch rows;      // kRead changes with table, schema and `after`, in the order of the key
  uint64_t bytes = 0;    // that the server sent for them
  bool complete = true;  // false: stopped at max_bytes; the rest begins behind `last`
  SnapshotKey last;      // of the last row; empty if there is none
  int64_t read_at_micros = 0;  // Unix time: source time of the rows
};

// Reads beside the stream of the same Source, on a session of its own. Threads: one at a time.
// Ownership: the Source outlives its readers. Every call ends soon after the stop that Open gave.
// Errors, from any call: kRetry: the session was lost; throw the reader away and open another.
// kNeedsOperator: of this table (privilege, key is gone); the message holds the SQL to run.
// kReject "table_gone": there is no such table any more. kCancelled: stopped.
class SnapshotReader {
 public:
  virtual ~SnapshotReader() = default;

  // The tables that are captured now. Adds to a publication of ours what `tables:` selects and it
  // lacks; waits for nobody.
  virtual Result<std::vector<SnapshotTable>> Tables() = 0;

  // Once before the first chunk of a run, and again after Tables() named a new table: returns when
  // every transaction has ended that was open at the call. Until then a chunk may miss rows that
  // the stream will not bring. `waiting` is called every second with whom it waits for ("pid 4711
  // (open for 00:05:00, idle in transaction): UPDATE …").
  virtual Status Settle(const std::function<void(const std::string&)>& waiting) = 0;

  // The key `rows` rows behind `after`, read from the index; empty: the table ends before. Cheap,
  // and only a proposal: rows may come and go. `where` as in ChunkRequest.
  virtual Result<SnapshotKey> NextBound(const std::string& table, const std::string& where,
                                        const SnapshotKey& after, size_t rows) = 0;

  // Writes the low watermark, then reads, in one short transaction that began behind it.
  virtual Result<Chunk> Read(const ChunkRequest& request) = 0;
  // Writes the high watermark. The chunk lies where the stream's thread will look for it.
  virtual Status Finish(const std::string& chunk_id) = 0;

  // A table without a key, whole: from a snapshot of the log's own, while the stream is held at
  // exactly that place (ChangeWriter::ServeCopy). `rows` takes the next rows, waits for room, and
  // fails when the run ends. Nothing of the table is streamed between the first and the last row.
  virtual Status CopyWhole(const ChunkRequest& request,
                           const std::function<Status(Chunk)>& rows) = 0;
};

// A watermark as the stream meets it.
struct Watermark {
  enum class Kind : uint8_t { kLow, kHigh };
  Kind kind = Kind::kLow;
  std::string_view chunk_id;
  // kHigh: the chunk's transaction saw all that the stream had shown before the low watermark. A
  // commit is in the log before others see it; false: the chunk has to be read again.
  bool sound = true;
};

}  // namespace tailwater
