// Rows that are in the tables already, for the engine's snapshots: chunks between watermarks, and
// tables without a key whole. Reads in short transactions; what it waits for has a time limit.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "postgres/commit_fence.h"
#include "postgres/connection.h"
#include "postgres/copy_gate.h"
#include "postgres/copy_rows.h"
#include "postgres/key_order.h"
#include "postgres/mark_writer.h"
#include "postgres/postgres_config.h"
#include "postgres/setup.h"
#include "postgres/sql_session.h"
#include "support/wakeup.h"
#include "tailwater/registry.h"
#include "tailwater/snapshot.h"

namespace tailwater::postgres {

// Threads: one at a time. What it is given outlives it.
class PostgresSnapshotReader final : public SnapshotReader {
 public:
  // kNeedsOperator "snapshot_on_standby"; what MarkWriter::Prepare() and Connection say.
  static Result<std::unique_ptr<SnapshotReader>> Open(const PostgresConfig& config,
                                                      const SourceContext& context,
                                                      CommitFence& fence, CopyGate& gate,
                                                      std::stop_token stop);
  ~PostgresSnapshotReader() override;

  Result<std::vector<SnapshotTable>> Tables() override;
  Status Settle(const std::function<void(const std::string&)>& waiting) override;
  Result<SnapshotKey> NextBound(const std::string& table, const std::string& where,
                                const SnapshotKey& after, size_t rows) override;
  Result<Chunk> Read(const ChunkRequest& request) override;
  Status Finish(const std::string& chunk_id) override;
  Status CopyWhole(const ChunkRequest& request, const std::function<Status(Chunk)>& rows) override;

 private:
  // A table as it is at one look: under a lock, or inside of the transaction that reads it.
  struct Shape;

  PostgresSnapshotReader(const PostgresConfig& config, const SourceContext& context,
                         CommitFence& fence, CopyGate& gate, std::stop_token stop);
  Status Connect();
  Result<TableFacts> Find(const std::string& table);
  Result<TableFacts> FindAgain(const TableFacts& known);
  // Columns, key and row filter.
  Result<std::unique_ptr<Shape>> Look(const TableFacts& table);
  // Values of a place; none: the beginning or the end.
  Result<std::vector<std::string>> Unpack(const Shape& shape, const TableFacts& table,
                                          const SnapshotKey& key) const;
  Result<std::string> Behind(const Shape& shape, const TableFacts& table,
                             const SnapshotKey& after) const;
  // `snapshot`: the name of an exported one; empty: one of its own.
  Status Begin(const TableFacts& table, std::string_view snapshot);
  void RollBack();
  Result<Chunk> ReadChunk(const ChunkRequest& request, const TableFacts& known);
  Result<VisibleTransactions> LookAtTransactions();
  Status SetTimeout(std::chrono::milliseconds timeout);
  Connection::Wait CopyWait() const;
  // What an error of the server means for the copy of this table; with the SQL that helps.
  Error Judge(Error error, const TableFacts& table);
  Error JudgeCondition(Error error, const std::string& where);
  Status Pause(std::chrono::milliseconds time);
  // Of CopyWhole().
  Status MakeSnapshot(const std::string& chunk_id, std::unique_ptr<Connection>& replication,
                      std::string& snapshot);
  Status CopyFrom(const std::string& snapshot, const ChunkRequest& request, const TableFacts& known,
                  const std::function<Status(Chunk)>& rows);

  const PostgresConfig& config_;
  const SourceContext& context_;
  const OwnNames names_;
  CommitFence& fence_;
  CopyGate& gate_;
  const std::stop_token stop_;
  const Wakeup wakeup_;
  const std::stop_callback<std::function<void()>> wake_;
  SqlSession session_;
  Connection* sql_ = nullptr;
  MarkWriter marks_;
  std::set<std::string> open_chunks_;
  std::set<std::string> refused_;  // tables that cannot be followed, told once
};

}  // namespace tailwater::postgres
