// The Source of `type: postgres`: one slot, read once.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "postgres/catalog.h"
#include "postgres/change_decoder.h"
#include "postgres/commit_fence.h"
#include "postgres/connection.h"
#include "postgres/copy_gate.h"
#include "postgres/lsn.h"
#include "postgres/postgres_config.h"
#include "postgres/replication_stream.h"
#include "postgres/sql_read_back.h"
#include "postgres/sql_session.h"
#include "support/wakeup.h"
#include "tailwater/registry.h"
#include "tailwater/source.h"

namespace tailwater::postgres {

// Threads: Run() owns both sessions and the decoder. Release() touches the released frontier and
// the wakeup alone. Snapshot readers, each with a session of its own, share the fence with Run().
class PostgresSource final : public Source {
 public:
  PostgresSource(PostgresConfig config, SourceContext context);

  Status Run(const ResumePoint& resume, ChangeWriter& out, std::stop_token stop) override;
  void Release(DurableFrontier frontier) override;
  Result<std::unique_ptr<SnapshotReader>> OpenSnapshotReader(std::stop_token stop) override;

 private:
  using Clock = std::chrono::steady_clock;

  // From sessions to a running stream; what the server lacks is created, what it lost is a gap.
  Status Prepare(const ResumePoint& resume, ChangeWriter& out, const Interrupt& interrupt);
  // What has to be true before anything is created, and what is created on a first start.
  std::string SessionName() const { return "tailwater " + context_.pipeline + "/" + context_.name; }
  Status EndFormerSession(Connection& sql, const std::string& slot);
  Result<Lsn> Establish(const ResumePoint& resume, ChangeWriter& out, Connection& sql,
                        Connection& replication);
  Status Stream(ChangeWriter& out, const std::stop_token& stop);
  Status Handle(const StreamMessage& message, ChangeWriter& out);
  Status HandleData(const StreamMessage& message, ChangeWriter& out);
  Status Begin(ChangeWriter& out);
  // Before a transaction is taken in: what is copied at this place comes first.
  Status HoldForCopy(Lsn commit, ChangeWriter& out);
  Status HandleCommit(const CommitMessage& commit, ChangeWriter& out);
  Status HandleKeepalive(const StreamMessage& message, ChangeWriter& out);

  // Sends a status if one is due, asked for, or worth it because a frontier was released.
  Status KeepServerInformed();
  Status SendStatus();
  Clock::duration UntilNextStatus() const;
  Error Judge(Error error);
  // Whether the next stream is to carry values in binary form.
  Result<bool> ChooseBinary(Connection& sql);

  const PostgresConfig config_;
  const SourceContext context_;
  Counter& received_bytes_;
  Counter& skipped_transactions_;

  Wakeup wakeup_;
  std::atomic<uint64_t> released_{0};
  CommitFence fence_;
  CopyGate gate_;

  SqlSession session_;
  Catalog catalog_;
  SqlReadBack read_back_;
  ChangeDecoder decoder_;
  ChangeBatch batch_;
  std::stop_token stop_;
  std::unique_ptr<ReplicationStream> stream_;

  Lsn resume_frontier_;     // where this session resumed
  Lsn frontier_;            // behind the last thing handed to the writer
  Lsn received_;            // highest position that the server has shown us
  Lsn server_end_;          // of its log when this session began
  uint64_t confirmed_ = 0;  // flushed, as sent last
  bool reply_requested_ = false;
  bool unflushed_ = false;             // committed something since the last Flush()
  bool server_has_caught_up_ = false;  // since the start, it has decoded up to our frontier
  bool catching_up_ = false;
  BeginMessage begin_;              // the open transaction
  std::vector<std::string> marks_;  // watermarks in it
  bool begun_ = false;              // and the writer knows of it
  bool skipping_ = false;           // the open transaction is durable already
  int64_t commit_time_micros_ = 0;  // of the transaction that came last
  uint64_t received_bytes_pending_ = 0;
  int since_clock_ = 0;
  Clock::time_point last_loop_;
  Clock::time_point last_status_;
  Clock::time_point last_heard_;

  bool binary_ = false;     // the stream's values are in binary form
  bool text_only_ = false;  // a stream met what only text can tell

  Lsn troubled_at_;  // where the server failed internally, and how often in a row
  int troubles_ = 0;
};

}  // namespace tailwater::postgres
