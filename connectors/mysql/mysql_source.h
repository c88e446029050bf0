// The Source of `type: mysql`: one binlog, read once.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "mysql/binlog_stream.h"
#include "mysql/catalog.h"
#include "mysql/change_decoder.h"
#include "mysql/log_position.h"
#include "mysql/mysql_config.h"
#include "mysql/setup.h"
#include "mysql/sql_session.h"
#include "mysql/stream_marks.h"
#include "support/wakeup.h"
#include "tailwater/registry.h"
#include "tailwater/source.h"

namespace tailwater::mysql {

// Threads: Run() owns the sessions and the decoder. Release() does nothing: a binlog is kept by the
// server's own rules. Snapshot readers, each with a session of its own, share the marks with Run().
class MysqlSource final : public Source, private DecodedChanges {
 public:
  MysqlSource(MysqlConfig config, SourceContext context);

  Status Run(const ResumePoint& resume, ChangeWriter& out, std::stop_token stop) override;
  void Release(DurableFrontier) override {}
  Result<std::unique_ptr<SnapshotReader>> OpenSnapshotReader(std::stop_token stop) override;

 private:
  using Clock = std::chrono::steady_clock;

  // From sessions to a running stream; what the server lost is a gap.
  Status Prepare(const ResumePoint& resume, ChangeWriter& out, const Interrupt& interrupt);
  Result<LogPosition> Establish(const ResumePoint& resume, ChangeWriter& out, Setup& setup);
  Status Stream(ChangeWriter& out, const std::stop_token& stop);
  // Between groups: marks of snapshots. False: the stream is held.
  Result<bool> ShowMarks();
  Status WhenDry();
  // A RESET under a running dump is not told to us. The dump brings nothing more, until it goes on
  // in what bears the next file's name now.
  Status LookAtEnd();
  Status WhenFileBegins(int64_t began);
  // `--until-caught-up` waits for them on MySQL, and nobody else may know.
  void TellUndecided();
  Status Advance(const LogPosition& position);
  Status WaitForRoom();
  void CountReceived();
  Error Judge(Error error);

  // What the decoder hands on.
  Status Begin(const Transaction& transaction) override;
  Status Append(std::span<const Change> parts) override;
  Status Commit(const LogPosition& position) override;
  Status Passed(const LogPosition& position) override;
  Status RowsReplaced(const TableName& table, std::string_view why) override;

  const MysqlConfig config_;
  const SourceContext context_;
  Counter& received_bytes_;

  Wakeup wakeup_;
  StreamMarks marks_;
  SqlSession session_;
  Catalog catalog_;
  ChangeDecoder decoder_;
  std::unique_ptr<BinlogStream> stream_;
  ChangeWriter* out_ = nullptr;  // of the run
  std::stop_token stop_;

  std::optional<LogPosition> resume_position_;  // where this session resumed
  std::string advanced_;    // behind the last group that was passed over, as the writer knows it
  bool passed_ = false;     // groups that the writer does not know of
  bool unflushed_ = false;  // committed something since the last Flush()
  uint64_t counted_bytes_ = 0;
  int since_room_ = 0;
  Clock::time_point last_advance_;

  struct Undecided {
    Clock::time_point since;
    bool told = false;
  };
  std::map<std::string, Undecided, std::less<>> undecided_;  // by xid, as of the last idle moment

  std::string server_;  // of this session
  std::string file_;    // that is read, and when it was begun
  int64_t began_ = 0;
  std::optional<FilePosition> last_end_;  // of the server's log, at the last look
  int unheard_looks_ = 0;                 // at which it had moved while nothing came
  bool heard_ = false;                    // more than heartbeats, since the last look
  Clock::time_point last_look_;

  std::string troubled_at_;  // where an event was damaged, and how often in a row
  int troubles_ = 0;
};

}  // namespace tailwater::mysql
