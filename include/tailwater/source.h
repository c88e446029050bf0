// The contracts of a source connector: Source reads one log, ChangeWriter takes its changes,
// SourceTools looks at the server.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/change.h"
#include "tailwater/position.h"
#include "tailwater/result.h"
#include "tailwater/snapshot.h"

namespace tailwater {

struct Transaction {
  std::string_view
      position;         // names the transaction: Postgres Begin.final_lsn, MySQL/MariaDB the GTID
  std::string_view id;  // the server's transaction id; may be empty
  int64_t commit_time_micros = 0;  // since 1970-01-01 UTC
};

// Takes a source's changes in commit order. The engine encodes each change before Append() returns,
// assigns epoch, version and partition, and publishes records and checkpoint together. A
// transaction may be published in parts; after a restart the source sends that transaction again
// whole, and the writer drops what is already durable. Threads: all calls from the thread that runs
// Source::Run(). No call but Establish() waits for the disk or the network. Errors, from any call:
// return them from Run() as they are. kRetry: the topic failed, start again from the checkpoint.
// kGap "transaction_changed": the server sent something else than what is already published.
// kCancelled: stop.
class ChangeWriter {
 public:
  virtual ~ChangeWriter() = default;

  // Stores the identity, and the frontier if there is one, durably before it returns. A first start
  // calls it twice: with the identity alone before anything is created on the server (the intent),
  // and with the frontier that creation gave.
  virtual Status Establish(const SourceIdentity& identity,
                           const std::optional<Position>& frontier) = 0;

  // Waits until the queue in front of the topic has room, at most `timeout`. While it answers false
  // the source reads no more from its server, but goes on answering the server's keepalives.
  virtual bool WaitForRoom(std::chrono::milliseconds timeout) = 0;

  // A transaction is Begin, any number of Append, Commit. The source sets operation, table, schema,
  // ordinal, part, rows (and message fields); position, transaction id and time are taken from the
  // transaction, the rest is the engine's. Records of one ordinal (parts 0, 1, …) are appended one
  // after the other and are never torn apart.
  virtual Status Begin(const Transaction& transaction) = 0;
  virtual Status Append(const Change& change) = 0;
  // `frontier`: where to resume once this transaction is durable (Postgres Commit.end_lsn; a GTID
  // set).
  virtual Status Commit(std::string_view frontier) = 0;

  // A change outside of any transaction (a non-transactional message), complete in itself, with the
  // frontier behind it. Never between Begin and Commit.
  virtual Status AppendAlone(const Change& change, std::string_view frontier) = 0;

  // The stream meets a watermark of a snapshot chunk. Only while no transaction is open. At the
  // high one the chunk's rows are published, before the next event. Marks that nobody waits for,
  // of an earlier run, mean nothing.
  virtual Status OnWatermark(const Watermark& mark) = 0;

  // The stream stands at the place that SnapshotReader::CopyWhole() reads from: takes rows of that
  // copy for at most `timeout`; true once it has ended. Between two calls the source answers its
  // server's keepalives; it reads on only when this is true.
  virtual Result<bool> ServeCopy(std::string_view chunk_id, std::chrono::milliseconds timeout) = 0;

  // The server's log holds nothing for us up to `frontier`. Only while no transaction is open.
  // Throttled by the engine, and made durable in the topic before it comes back through
  // Source::Release().
  virtual Status AdvanceIdle(std::string_view frontier) = 0;

  // What the table holds now is not what the log told: rows came or went by a statement that the
  // log holds without them (a table put in its place, a partition exchanged or dropped). It is
  // copied again, and what that does not meet is swept; where nothing is copied by itself, it is
  // named as stale until somebody asks for a copy. Durable with the next frontier, at the latest; a
  // source that reads the statement again says so again. Only while no transaction is open. `why`
  // for people, without values.
  virtual Status RowsReplaced(std::string_view table, std::string_view why) = 0;

  // No more input is waiting at this moment: what was committed should be published without waiting
  // for more.
  virtual Status Flush() = 0;
};

// Reads one database's change log and hands its changes to the pipeline in commit order.
// Threads:   Run() owns the connection and one thread; Release() comes from another thread at any
// time during Run(). Ownership: the engine owns the Source and joins Run() before destroying it;
// `out` outlives Run().
class Source {
 public:
  virtual ~Source() = default;

  // Streams what follows `resume` until `stop` is requested; then confirms the last released
  // frontier, ends the session cleanly and returns an OK status. It is called again, on the same
  // object, after a kRetry.
  //   identity empty: a first start. Establish the intent, create what is ours on the server,
  //   establish the frontier. identity, no frontier: a first start was cut short: go on with what
  //   exists, else create it. identity and frontier: verify that the server still is what the
  //   identity says, else kGap.
  // kRetry: connection lost. kNeedsOperator: password, privilege, setting; the message holds the
  // SQL to run. kGap: the log no longer holds the position: a named code, nothing was appended.
  // kFatal: unknown input, position frozen.
  virtual Status Run(const ResumePoint& resume, ChangeWriter& out, std::stop_token stop) = 0;

  // The frontier is durable in the topic; the server may discard its log up to there. Must not
  // block.
  virtual void Release(DurableFrontier frontier) = 0;

  // A reader for snapshots, on a session of its own; from any thread, while Run() streams. It is
  // gone before Run() is called again. Its calls end soon after `stop`.
  virtual Result<std::unique_ptr<SnapshotReader>> OpenSnapshotReader(std::stop_token stop) {
    static_cast<void>(stop);
    return Error{Disposition::kNeedsOperator, "snapshot_not_supported",
                 "this kind of source cannot copy rows that are there already: set `snapshot: "
                 "{mode: never}`"};
  }
};

// One line of `tailwater check`.
struct Finding {
  enum class Severity : uint8_t { kOk, kInfo, kWarning, kError };
  Severity severity = Severity::kOk;
  std::string code;     // snake_case, as Error::code
  std::string subject;  // "wal_level", "public.orders", "public.orders.total"
  std::string message;  // what was found and what it means
  std::string remedy;   // the exact SQL or setting to run; empty if nothing is to be done
};

// Something on the server that this pipeline created and tagged as its own.
struct OwnedObject {
  std::string kind;  // "slot", "publication"
  std::string name;
  std::string detail;   // "holds 12 MB of WAL", "3 tables"
  bool orphan = false;  // tagged as Tailwater's, but no source of the given configuration uses it
};

// One look at the server's log and at our place in it. What could not be learned is absent, never
// 0.
struct LogHealth {
  std::optional<Position> server_end;
  std::optional<uint64_t> server_end_bytes;     // the log position as a number, for rates
  std::optional<uint64_t> received_bytes;       // position sent to us, as a number
  std::optional<uint64_t> confirmed_bytes;      // position that we confirmed, as a number
  std::optional<uint64_t> retained_bytes;       // log kept on the server's disk because of us
  std::optional<uint64_t> confirmed_lag_bytes;  // server end minus confirmed
  std::optional<uint64_t>
      restart_lag_bytes;  // server end minus the oldest log that a restart of decoding needs
  std::optional<uint64_t>
      safe_bytes;  // log that may still be written before ours is discarded; absent = no limit
  // Of servers that discard their log by rules of their own, whoever still reads it: what they have
  // in front of our place, and until such a rule reaches it (absent: none does).
  std::optional<uint64_t> headroom_bytes;
  std::optional<double> headroom_seconds;
  std::optional<double> safe_seconds;
  std::optional<bool> active;  // a session is reading
  std::string state;  // Postgres wal_status: reserved, extended, unreserved, lost; or "missing"
  std::string explanation;  // what holds the log back, in words with pid and query; may be empty
};

// A captured table as the server describes it now: what conditions and mappings are checked against
// before any change of it was read.
struct TableDescription {
  SchemaPtr schema;
  // The log carries the whole old row of updates and deletes.
  bool whole_before = false;
  // The statement that would make it so, and what it costs; empty if nothing can.
  std::string whole_before_remedy;
};

struct TableDigest {
  uint64_t rows = 0;
  std::string digest;  // over all rows, whatever their order
  bool operator==(const TableDigest&) const = default;
};

// Looks at the same server on connections of its own; Watch() may keep its session for the next
// call, the others close theirs. Reads catalogs only; Drop() alone changes anything. Threads: one
// call at a time; any thread, also while the Source runs.
class SourceTools {
 public:
  virtual ~SourceTools() = default;
  virtual Result<std::vector<Finding>>
  Check() = 0;  // an unreachable server is a finding with severity kError, too
  // The tables that `tables:` selects, as they are now.
  virtual Result<std::vector<TableDescription>> DescribeTables() = 0;
  // Told before Watch(): where our source resumes, and when that was committed (Unix time; 0:
  // unknown). For servers that keep no place of ours.
  virtual void Follow(const std::optional<Position>& frontier, int64_t commit_time_micros) {
    static_cast<void>(frontier);
    static_cast<void>(commit_time_micros);
  }
  virtual Result<LogHealth> Watch() = 0;
  virtual Result<Position> LogEnd() = 0;  // the server's flushed end of log, for --until-caught-up
  // Whether a source that resumes at `frontier` has seen everything up to `target`.
  virtual Result<bool> HasReached(const Position& frontier, const Position& target) = 0;
  virtual Result<std::vector<OwnedObject>> ListOwned() = 0;
  virtual Status Drop(const OwnedObject& object) = 0;  // and verifies that it is gone

  // What the captured table holds at this moment, to be compared with the same table on another
  // server: equal digests, equal rows. Reads all of it.
  virtual Result<TableDigest> Digest(const std::string& table) {
    return Error{Disposition::kNeedsOperator, "digest_not_supported",
                 "this kind of source cannot compare table " + table};
  }
};

}  // namespace tailwater
