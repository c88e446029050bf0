// Rows that are in the tables already, for the engine's snapshots: chunks between two places of the
// stream, and tables without a key whole. Writes nothing to the server; see README.md for when it
// locks.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "mysql/connection.h"
#include "mysql/mysql_config.h"
#include "mysql/server_facts.h"
#include "mysql/stream_marks.h"
#include "support/wakeup.h"
#include "tailwater/registry.h"
#include "tailwater/snapshot.h"

namespace tailwater::mysql {

// Threads: one at a time. What it is given outlives it.
class MysqlSnapshotReader : public SnapshotReader {
 public:
  static Result<std::unique_ptr<SnapshotReader>> Open(const MysqlConfig& config,
                                                      const SourceContext& context,
                                                      StreamMarks& marks, std::stop_token stop);
  ~MysqlSnapshotReader() override;

  Result<std::vector<SnapshotTable>> Tables() override;
  Status Settle(const std::function<void(const std::string&)>& waiting) override;
  Result<SnapshotKey> NextBound(const std::string& table, const std::string& where,
                                const SnapshotKey& after, size_t rows) override;
  Result<Chunk> Read(const ChunkRequest& request) override;
  Status Finish(const std::string& chunk_id) override;
  Status CopyWhole(const ChunkRequest& request, const std::function<Status(Chunk)>& rows) override;

 protected:
  MysqlSnapshotReader(const MysqlConfig& config, const SourceContext& context, StreamMarks& marks,
                      std::stop_token stop);
  Status Connect();

  // Whether a SELECT of this session (MariaDB: of its open transaction) shows all that the stream
  // had shown there: a commit is in the log, and streamed, before it is visible. Waits a little.
  // Tests take it away.
  virtual Result<bool> Shows(const StreamMarks::Place& place);

 private:
  // A table as it is while it cannot change: what to select, in which order.
  struct Shape;
  enum class View : uint8_t {
    kSet,       // MySQL with GTIDs: a snapshot of its own, judged by sets
    kSnapshot,  // MariaDB: a consistent snapshot, whose place in the log is known
    kLatest,    // no transactions (MyISAM): what is there
    kLocking,   // MySQL without GTIDs: rows are locked for sharing while they are read
  };

  // The session; opened anew if the end of a reading before its time has broken it.
  Result<Connection*> Session();
  Result<TableEntryFacts> Find(const std::string& table);
  static View ViewFor(const StreamMarks::Place& place, const TableEntryFacts& table);
  // Begins the transaction that reads, once it shows all that `place` names.
  Status OpenView(View view, const StreamMarks::Place& place);
  Result<bool> CoversSnapshot(const StreamMarks::Place& place);
  // The place of the open snapshot in the log.
  Result<FilePosition> SnapshotPlace();
  // Nobody alters the table from here until the transaction's end.
  Status Pin(const TableEntryFacts& table);
  Result<std::unique_ptr<Shape>> Look(const TableEntryFacts& table);
  // Values of a place; none: the beginning or the end.
  Result<std::vector<std::string>> Unpack(const Shape& shape, const SnapshotKey& key) const;
  Result<Chunk> ReadChunk(const ChunkRequest& request, const TableEntryFacts& table,
                          const StreamMarks::Place& place);
  Status CheckSameServer(const StreamMarks::Place& place);
  void RollBack();
  Connection::Wait CopyWait() const;
  // The statement with a time limit of its own.
  std::string Limited(const std::string& select, std::chrono::milliseconds limit) const;
  // What an error of the server means for the copy of this table; with the SQL that helps.
  Error Judge(Error error, const TableEntryFacts& table);
  Error JudgeCondition(Error error, const std::string& where) const;
  Status Pause(std::chrono::milliseconds time);

  // Of CopyWhole().
  class Hold;
  Status HoldAtSnapshot(const ChunkRequest& request, Hold& hold);
  Status HoldUnderLock(const ChunkRequest& request, const TableEntryFacts& table);
  Status LockForRead(Connection& sql, const TableEntryFacts& table);
  Status CopyRows(const ChunkRequest& request, const TableEntryFacts& table,
                  const std::function<Status(Chunk)>& rows);

  const MysqlConfig& config_;
  const SourceContext& context_;
  StreamMarks& marks_;
  const std::stop_token stop_;
  const Wakeup wakeup_;
  const std::stop_callback<std::function<void()>> wake_;
  const std::string purpose_;
  std::unique_ptr<Connection> connection_;
  Connection* sql_ = nullptr;
  std::string server_;
  // What the stream has to cover before a chunk is shown; nothing: it was not read to its end.
  std::map<std::string, std::optional<LogPosition>> highs_;
  std::set<std::string> refused_;  // tables that cannot be described or seen, told once
  // MariaDB: the last snapshot's place as a set, which is costly to ask for.
  std::optional<FilePosition> known_place_;
  std::optional<LogPosition> known_state_;
};

}  // namespace tailwater::mysql
