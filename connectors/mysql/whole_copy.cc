// Tables without a key: whole, while the stream is held at exactly the place in the log that the
// copy reads from.
//
// MariaDB's snapshot knows its place: the stream pauses, so that it cannot pass it, and goes on to
// there. MySQL's does not: while the table is locked against writers for a moment, nothing of it is
// in the log that is not in the set of what was executed, and the other way round; whatever else
// the stream passes meanwhile is not of this table. A table without transactions stays locked until
// it is read.
#include <optional>
#include <utility>

#include "mysql/copy_rows.h"
#include "mysql/snapshot_reader.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

using std::chrono::milliseconds;

// The stream is paused so long for a snapshot that shows what it has shown already: the server may
// be waiting for a replica.
constexpr auto kHold = milliseconds(3000);
constexpr auto kPoll = milliseconds(20);
constexpr auto kBetweenLocks = milliseconds(1000);

}  // namespace

// A copy that does not come about, or breaks off, holds nobody up.
class MysqlSnapshotReader::Hold {
 public:
  Hold(StreamMarks& marks, std::string id) : marks_(marks), id_(std::move(id)) {}
  ~Hold() { Leave(); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  void Leave() {
    if (!std::exchange(taken_, false)) return;
    marks_.Leave(id_);
  }
  Status Take(MysqlSnapshotReader& reader) {
    while (!marks_.Take(id_)) TW_TRY(reader.Pause(kPoll));
    taken_ = true;
    return {};
  }
  // The stream goes on by itself once it has taken the last row.
  void HandOver() { taken_ = false; }

 private:
  StreamMarks& marks_;
  const std::string id_;
  bool taken_ = false;
};

Status MysqlSnapshotReader::CopyWhole(const ChunkRequest& request,
                                      const std::function<Status(Chunk)>& rows) {
  TW_ASSIGN_OR_RETURN(const TableEntryFacts table, Find(request.table));
  Hold hold(marks_, request.id);
  TW_TRY(hold.Take(*this));
  const Status copied = [&]() -> Status {
    TW_TRY(Session());
    if (sql_->flavour() == Flavour::kMariadb && table.transactional()) {
      TW_TRY(HoldAtSnapshot(request, hold));
    } else {
      TW_TRY(HoldUnderLock(request, table));
    }
    return CopyRows(request, table, rows);
  }();
  if (copied) {
    hold.HandOver();
    return {};
  }
  Error error = copied.error();
  if (sql_ != nullptr && !sql_->broken()) {
    static_cast<void>(sql_->Query("ROLLBACK"));
    static_cast<void>(sql_->Query("UNLOCK TABLES"));
  }
  return Judge(std::move(error), table);
}

Status MysqlSnapshotReader::HoldAtSnapshot(const ChunkRequest& request, Hold& hold) {
  for (int attempt = 1;; ++attempt) {
    // In a backlog the snapshot would grow old before the stream gets there.
    TW_ASSIGN_OR_RETURN(const LogPosition now, ReadLogEnd(*sql_, LogPosition::Form::kMariadbGtid));
    TW_TRY(marks_.WaitFor(now, stop_));
    TW_ASSIGN_OR_RETURN(const StreamMarks::Place place, marks_.Pause(request.id, stop_));
    TW_TRY(CheckSameServer(place));
    const auto until = std::chrono::steady_clock::now() + kHold;
    do {
      TW_TRY(sql_->Query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"));
      TW_ASSIGN_OR_RETURN(const bool shows, Shows(place));
      if (shows) {
        TW_ASSIGN_OR_RETURN(FilePosition snapshot, SnapshotPlace());
        marks_.HoldAt(request.id, LogPosition(std::move(snapshot)));
        return {};
      }
      TW_TRY(sql_->Query("ROLLBACK"));
      TW_TRY(Pause(kPoll));
    } while (std::chrono::steady_clock::now() < until);
    // Others go on meanwhile.
    hold.Leave();
    context_.logger.Info(
        "waiting until what was committed is visible, before a table can be copied whole",
        {{"table", request.table}, {"attempt", attempt}});
    TW_TRY(Pause(kBetweenLocks));
    TW_TRY(hold.Take(*this));
  }
}

Status MysqlSnapshotReader::LockForRead(Connection& sql, const TableEntryFacts& table) {
  for (int attempt = 1;; ++attempt) {
    const Result<Rows> locked =
        sql.Query(fmt::format("LOCK TABLES {} READ", table.quoted), CopyWait());
    if (locked) return {};
    if (locked.error().code != "mysql_lock_timeout" || sql.broken()) return locked.error();
    // Writers that came behind us go first.
    if (attempt % 10 == 1) {
      context_.logger.Info("waiting for writers of a table before it can be copied whole",
                           {{"table", table.name.ToString()}, {"attempt", attempt}});
    }
    TW_TRY(Pause(kBetweenLocks));
  }
}

Status MysqlSnapshotReader::HoldUnderLock(const ChunkRequest& request,
                                          const TableEntryFacts& table) {
  const bool mariadb = sql_->flavour() == Flavour::kMariadb;
  // The form of positions is the stream's.
  TW_ASSIGN_OR_RETURN(const StreamMarks::Place place, marks_.Where(stop_));
  const LogPosition::Form form = place.position.form();
  if (form == LogPosition::Form::kFile) TW_TRY(CheckSameServer(place));
  // In a backlog the copy would grow old before the stream gets there.
  TW_ASSIGN_OR_RETURN(const LogPosition now, ReadLogEnd(*sql_, form));
  TW_TRY(marks_.WaitFor(now, stop_));

  if (mariadb || !table.transactional()) {
    TW_TRY(LockForRead(*sql_, table));
    TW_ASSIGN_OR_RETURN(LogPosition locked, ReadLogEnd(*sql_, form));
    marks_.HoldAt(request.id, std::move(locked));
    return {};
  }
  // START TRANSACTION gives up what the session has locked: another one locks.
  TW_ASSIGN_OR_RETURN(std::unique_ptr<Connection> locker,
                      Connection::Open(config_, purpose_ + " lock", {stop_, &wakeup_}));
  TW_TRY(locker->Query(fmt::format("SET SESSION lock_wait_timeout = 2")));
  TW_TRY(LockForRead(*locker, table));
  TW_TRY(sql_->Query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"));
  TW_TRY(Pin(table));
  TW_ASSIGN_OR_RETURN(LogPosition executed, ReadLogEnd(*sql_, form));
  marks_.HoldAt(request.id, std::move(executed));
  TW_TRY(locker->Query("UNLOCK TABLES"));
  return {};
}

Status MysqlSnapshotReader::CopyRows(const ChunkRequest& request, const TableEntryFacts& table,
                                     const std::function<Status(Chunk)>& rows) {
  TW_TRY(Pin(table));
  TW_ASSIGN_OR_RETURN(std::unique_ptr<Shape> shape, Look(table));
  shape->order = KeyOrder();  // a key that came meanwhile plays no part
  TW_ASSIGN_OR_RETURN(const Rows now,
                      sql_->Query("SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS UNSIGNED)"));
  // As long as the stream's thread takes.
  TW_TRY(sql_->Query(sql_->flavour() == Flavour::kMariadb ? "SET SESSION max_statement_time = 0"
                                                          : "SET SESSION max_execution_time = 0"));
  CopiedRows decoder(*shape->table, shape->order);
  Chunk chunk;
  const auto renew = [&] {
    chunk = {};
    chunk.schema = shape->table->schema;
    chunk.rows.Keep(shape->table);
    chunk.rows.Keep(chunk.schema);
    chunk.read_at_micros = now.MaybeNumber(0, 0).value_or(0);
    chunk.complete = false;
  };
  renew();
  Connection::Wait wait;
  wait.timeout = {};  // `rows` waits for the stream
  Result<bool> whole =
      sql_->Stream(shape->Query(decoder.select(), {request.where}, false), wait,
                   [&](Connection::Cells cells) -> Result<bool> {
                     for (const std::string_view cell : cells) chunk.bytes += cell.size();
                     TW_TRY(decoder.Add(cells, chunk.rows));
                     if (request.max_bytes == 0 || chunk.bytes <= request.max_bytes) return true;
                     TW_TRY(rows(std::move(chunk)));
                     renew();
                     return true;
                   });
  if (!whole) return JudgeCondition(std::move(whole).error(), request.where);
  chunk.complete = true;
  TW_TRY(sql_->Query("COMMIT"));
  TW_TRY(sql_->Query("UNLOCK TABLES"));
  // The time limit of chunks again.
  connection_.reset();
  sql_ = nullptr;
  return rows(std::move(chunk));
}

}  // namespace tailwater::mysql
