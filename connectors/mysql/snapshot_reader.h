// Rows that are in the tables already, for the engine's snapshots: chunks between two places of the
// stream, and tables without a key whole. Writes nothing to the server; see README.md for when it
// locks.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "mysql/connection.h"
#include "mysql/mysql_config.h"
#include "mysql/stream_marks.h"
#include "support/wakeup.h"
#include "tailwater/registry.h"
#include "tailwater/snapshot.h"

namespace tailwater::mysql {

// Which server a session is on, for StreamMarks::Begin(): places in files are compared only if
// reader and stream are on the same one.
Result<std::string> ReadServerIdentity(Connection& sql);

// Threads: one at a time. What it is given outlives it.
class MysqlSnapshotReader final : public SnapshotReader {
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

 private:
  MysqlSnapshotReader(const MysqlConfig& config, const SourceContext& context, StreamMarks& marks,
                      std::stop_token stop);

  const MysqlConfig& config_;
  const SourceContext& context_;
  StreamMarks& marks_;
  const std::stop_token stop_;
};

}  // namespace tailwater::mysql
