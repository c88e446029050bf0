// Tables without a key: whole, from a snapshot that the log itself made, at exactly the place where
// the stream is held meanwhile.
#include <optional>
#include <utility>

#include "postgres/snapshot_reader.h"
#include "postgres/snapshot_shape.h"
#include "postgres/watermarks.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

using std::chrono::milliseconds;

// The stream is held so long for a snapshot that the server does not finish, because it waits for
// somebody's transaction.
constexpr auto kHold = milliseconds(3000);
constexpr auto kPoll = milliseconds(20);

// A copy that does not come about, or breaks off, holds nobody up.
class Hold {
 public:
  Hold(CopyGate& gate, std::string id) : gate_(gate), id_(std::move(id)) {}
  ~Hold() {
    if (!id_.empty()) gate_.Leave(id_);
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  // The stream goes on by itself once it has taken the last row.
  void HandOver() { id_.clear(); }

 private:
  CopyGate& gate_;
  std::string id_;
};

Result<Lsn> InsertPosition(Connection& sql) {
  TW_ASSIGN_OR_RETURN(const Rows rows, sql.Query("select pg_current_wal_insert_lsn()"));
  if (const std::optional<Lsn> lsn = Lsn::Parse(rows.Text(0, 0))) return *lsn;
  return Error{Disposition::kFatal, "pg_protocol_error",
               fmt::format("the log's end is '{}'; report this", rows.Text(0, 0))};
}

}  // namespace

Status PostgresSnapshotReader::CopyWhole(const ChunkRequest& request,
                                         const std::function<Status(Chunk)>& rows) {
  TW_ASSIGN_OR_RETURN(const TableFacts table, Find(request.table));
  while (!gate_.Take(request.id)) TW_TRY(Pause(kPoll));
  Hold hold(gate_, request.id);
  std::unique_ptr<Connection> replication;  // the snapshot lives as long as it stays idle
  std::string snapshot;
  TW_TRY(MakeSnapshot(request.id, replication, snapshot));
  Status copied = CopyFrom(snapshot, request, table, rows);
  if (!copied) {
    RollBack();
    return Judge(std::move(copied).error(), table);
  }
  hold.HandOver();
  return {};
}

Status PostgresSnapshotReader::MakeSnapshot(const std::string& chunk_id,
                                            std::unique_ptr<Connection>& replication,
                                            std::string& snapshot) {
  for (int attempt = 1;; ++attempt) {
    // In a backlog the snapshot would grow old before the stream gets there.
    TW_ASSIGN_OR_RETURN(const Lsn now, InsertPosition(*sql_));
    TW_TRY(marks_.Write(*sql_, MarkText(chunk_id, "near")));
    while (gate_.met() < now) TW_TRY(Pause(kPoll));

    TW_ASSIGN_OR_RETURN(replication, Connection::Open(config_, Connection::Kind::kReplication,
                                                      fmt::format("tailwater {}/{} copy",
                                                                  context_.pipeline, context_.name),
                                                      {stop_, &wakeup_}));
    gate_.Close();
    TW_ASSIGN_OR_RETURN(const Lsn from, InsertPosition(*sql_));
    gate_.CloseAt(from);
    const auto began = std::chrono::steady_clock::now();
    bool told = false;
    Connection::Wait wait;
    wait.moment = Moment::kCreateSlot;
    wait.timeout = {};  // as long as the oldest writer takes
    wait.tick = milliseconds(500);
    wait.on_tick = [&] {
      if (told || std::chrono::steady_clock::now() - began < kHold) return;
      told = true;
      gate_.LetPass();
      const Result<std::string> open = DescribeOpenTransactions(*sql_);
      context_.logger.Info("waiting for running transactions before a table can be copied whole",
                           {{"transactions", open ? *open : open.error().message}});
    };
    const bool new_syntax = replication->major_version() >= 15;
    TW_ASSIGN_OR_RETURN(
        const Rows made,
        replication->Query(
            fmt::format("CREATE_REPLICATION_SLOT \"tailwater_copy_{}_{}\" TEMPORARY LOGICAL "
                        "pgoutput {}",
                        replication->backend_pid(), attempt,
                        new_syntax ? "(SNAPSHOT 'export')" : "EXPORT_SNAPSHOT"),
            {}, wait));
    const std::optional<Lsn> place = Lsn::Parse(made.Text(0, 1));
    if (!place) {
      return Error{Disposition::kFatal, "pg_protocol_error",
                   fmt::format("CREATE_REPLICATION_SLOT says '{}'; report this", made.Text(0, 1))};
    }
    snapshot = made.String(0, 2);
    if (gate_.Serve(*place)) {
      // On a quiet server: so that the stream meets something behind that place.
      return marks_.Write(*sql_, MarkText(chunk_id, "held"));
    }
    context_.logger.Info("the stream has passed the place of a table's copy; making another",
                         {{"place", place->ToString()}, {"attempt", attempt}});
  }
}

Status PostgresSnapshotReader::CopyFrom(const std::string& snapshot, const ChunkRequest& request,
                                        const TableFacts& known,
                                        const std::function<Status(Chunk)>& rows) {
  if (Status begun = Begin(known, snapshot); !begun) {
    const std::string_view code = begun.error().code;
    if (code == "pg_object_missing" || code == "pg_unexpected_error") {
      return Error{
          Disposition::kRetry, "pg_snapshot_lost",
          "the snapshot of a table's copy is gone; trying again: " + begun.error().message};
    }
    return begun;
  }
  TW_ASSIGN_OR_RETURN(const TableFacts table, FindAgain(known));
  // The lock came after the snapshot: rows that were rewritten in between are not to be seen in it,
  // and nothing of that is in the log.
  TW_ASSIGN_OR_RETURN(
      const Rows rewritten,
      sql_->Query("select count(*), (extract(epoch from clock_timestamp()) * 1000000)::int8 from "
                  "pg_class c where c.relkind = 'r' and (c.oid = $1::oid or (c.relispartition and "
                  "exists (select from pg_partition_ancestors(c.oid) a where a.relid = $1::oid))) "
                  "and c.relfilenode is distinct from pg_relation_filenode(c.oid)",
                  {std::to_string(table.oid)}));
  if (rewritten.Number(0, 0) != 0) {
    return Error{Disposition::kRetry, "pg_table_changed",
                 fmt::format("table {} was rewritten or truncated meanwhile; trying again",
                             table.name.ToString())};
  }
  TW_ASSIGN_OR_RETURN(const std::unique_ptr<Shape> shape, Look(table));
  const std::unique_ptr<CopyRows> decoder = MakeCopyRows(config_.format, shape->ForCopy());
  Chunk chunk;
  const auto renew = [&] {
    chunk = {};
    chunk.schema = shape->relation->schema;
    chunk.rows.Keep(chunk.schema);
    chunk.read_at_micros = rewritten.Number(0, 1);
    chunk.complete = false;
  };
  renew();
  Connection::Wait wait;
  wait.timeout = {};  // `rows` waits for the stream
  Result<bool> whole = sql_->CopyOut(
      fmt::format("COPY ({}) TO STDOUT {}",
                  shape->Query(decoder->select(), table, {shape->filter, request.where}),
                  decoder->options()),
      wait, [&](std::string_view message) -> Result<bool> {
        chunk.bytes += message.size();
        TW_TRY(decoder->Add(message, chunk.rows));
        if (request.max_bytes == 0 || chunk.bytes <= request.max_bytes) return true;
        TW_TRY(rows(std::move(chunk)));
        renew();
        return true;
      });
  if (!whole) return JudgeCondition(std::move(whole).error(), request.where);
  chunk.complete = true;
  TW_TRY(sql_->Query("COMMIT"));
  return rows(std::move(chunk));
}

}  // namespace tailwater::postgres
