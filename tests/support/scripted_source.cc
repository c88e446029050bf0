#include "support/scripted_source.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "support/text.h"

namespace tailwater {
namespace {

const SchemaPtr& Orders() {
  static const SchemaPtr kOrders = TableSchema::Make(
      {"public", "orders"},
      {{"id", ValueType::kInt64, "int8", true}, {"note", ValueType::kText, "text"}});
  return kOrders;
}

// "0/<n>": all before the n-th transaction is read.
std::string FrontierOf(size_t transactions) { return fmt::format("0/{}", transactions); }
size_t TransactionsOf(const Position& frontier) { return std::stoul(frontier.text.substr(2)); }

}  // namespace

class ScriptedSource final : public Source {
 public:
  explicit ScriptedSource(ScriptedServer& server) : server_(server) {}

  Result<std::unique_ptr<SnapshotReader>> OpenSnapshotReader(std::stop_token stop) override;

  Status Run(const ResumePoint& resume, ChangeWriter& out, std::stop_token stop) override {
    std::unique_lock lock(server_.mutex_);
    ++server_.connections_;
    server_.changed_.notify_all();
    if (server_.throw_) throw std::runtime_error("scripted");
    if (server_.refuse_) return *server_.refuse_;
    const uint64_t session = server_.session_;
    size_t next = 0;
    lock.unlock();
    if (resume.identity.empty()) TW_TRY(out.Establish({{"system", "1"}}, std::nullopt));
    if (resume.frontier) {
      next = TransactionsOf(*resume.frontier);
    } else {
      if (resume.after_gap) {
        lock.lock();
        next = server_.log_.size();
        lock.unlock();
      }
      TW_TRY(out.Establish({{"system", "1"}, {"slot", "orders"}}, Position{FrontierOf(next)}));
    }
    lock.lock();
    if (next < std::max(server_.released_, server_.lost_)) {
      return Error{Disposition::kGap, "log_discarded", "the server has discarded what we need"};
    }
    while (!stop.stop_requested()) {
      if (server_.session_ != session) {
        return Error{Disposition::kRetry, "connection_lost", "the server dropped the session"};
      }
      if (next == server_.log_.size()) {
        lock.unlock();
        TW_TRY(out.Flush());
        TW_TRY(out.AdvanceIdle(FrontierOf(next)));
        lock.lock();
        // A server sends keepalives even when nothing changes.
        server_.changed_.wait_for(lock, stop, std::chrono::milliseconds(20), [&] {
          return next < server_.log_.size() || server_.session_ != session;
        });
        continue;
      }
      const ScriptedServer::Entry entry = server_.log_[next];
      lock.unlock();
      if (entry.replaced) {
        TW_TRY(out.RowsReplaced(Orders()->table(), "the test put other rows in their place"));
      } else if (entry.chunk_id.empty()) {
        TW_TRY(Send(next, entry.rows, out, stop));
      } else {
        TW_TRY(out.OnWatermark({entry.mark, entry.chunk_id, true}));
      }
      lock.lock();
      ++next;
    }
    return {};
  }

  void Release(DurableFrontier frontier) override {
    std::lock_guard lock(server_.mutex_);
    server_.released_ = std::max(server_.released_, TransactionsOf(frontier.position()));
    server_.changed_.notify_all();
  }

 private:
  Status Send(size_t number, const std::vector<ScriptedServer::Row>& rows, ChangeWriter& out,
              const std::stop_token& stop) {
    TW_TRY(out.Begin({fmt::format("0/{}b", number), fmt::format("{}", number), 1}));
    for (size_t i = 0; i < rows.size(); ++i) {
      while (!out.WaitForRoom(std::chrono::milliseconds(10))) {
        if (stop.stop_requested()) return {};
      }
      if (stop.stop_requested()) return {};
      const bool unchanged = rows[i].note == ScriptedServer::kUnchanged;
      const Value row[] = {Value::Int64(rows[i].id),
                           unchanged ? Value::Unchanged() : Value::Text(rows[i].note)};
      Change change;
      change.operation = rows[i].operation;
      change.table = Orders()->table();
      change.schema = Orders().get();
      change.ordinal = i;
      (change.operation == Operation::kDelete ? change.before : change.after) = row;
      TW_TRY(out.Append(change));
    }
    return out.Commit(FrontierOf(number + 1));
  }

  ScriptedServer& server_;
};

// Keys are ten digits: their order as text is theirs.
class ScriptedReader final : public SnapshotReader {
 public:
  ScriptedReader(ScriptedServer& server, uint64_t session, std::stop_token stop)
      : server_(server), session_(session), stop_(std::move(stop)) {}

  Result<std::vector<SnapshotTable>> Tables() override {
    std::lock_guard lock(server_.mutex_);
    TW_TRY(Check());
    return std::vector<SnapshotTable>{
        {Orders()->table(), Orders(), server_.table_.size(), std::nullopt}};
  }
  Status Settle(const std::function<void(const std::string&)>&) override { return {}; }
  Result<SnapshotKey> NextBound(const std::string&, const std::string&, const SnapshotKey& after,
                                size_t rows) override {
    std::lock_guard lock(server_.mutex_);
    TW_TRY(Check());
    auto at = Behind(after);
    for (size_t i = 1; i < rows && at != server_.table_.end(); ++i) ++at;
    return at == server_.table_.end() ? SnapshotKey() : KeyOf(at->first);
  }
  Result<Chunk> Read(const ChunkRequest& request) override {
    TW_TRY(Mark(Watermark::Kind::kLow, request.id));
    std::this_thread::yield();  // to whoever writes
    std::lock_guard lock(server_.mutex_);
    TW_TRY(Check());
    ++server_.chunks_read_;
    Chunk chunk;
    chunk.schema = Orders();
    chunk.read_at_micros = 1;
    for (auto at = Behind(request.after); at != server_.table_.end(); ++at) {
      if (!request.upto.empty() && KeyOf(at->first) > request.upto) break;
      const auto row = chunk.rows.NewRow(2);
      row[0] = Value::Int64(at->first);
      row[1] = Value::Text(chunk.rows.arena().Copy(at->second));
      Change& change = chunk.rows.Append();
      change.operation = Operation::kRead;
      change.table = Orders()->table();
      change.schema = Orders().get();
      change.after = row;
      chunk.last = KeyOf(at->first);
      chunk.bytes += 10 + at->second.size();
      if (chunk.bytes >= request.max_bytes) {
        chunk.complete = false;
        break;
      }
    }
    if (server_.disturb_) Disturb(chunk);
    return chunk;
  }
  Status Finish(const std::string& chunk_id) override {
    return Mark(Watermark::Kind::kHigh, chunk_id);
  }
  Status CopyWhole(const ChunkRequest& request, const std::function<Status(Chunk)>&) override {
    return Error{Disposition::kFatal, "not_scripted", request.table + " has a key"};
  }

 private:
  void Disturb(const Chunk& chunk) {
    const auto rows = chunk.rows.changes();
    if (rows.size() < 3) return;
    const auto id = [&](size_t row) { return rows[row].after[0].as_int64(); };
    server_.CommitLocked(
        {{id(0), fmt::format("behind chunk {}", server_.chunks_read_), Operation::kUpdate},
         {id(1), std::string(ScriptedServer::kUnchanged), Operation::kUpdate}});
    if (server_.chunks_read_ % 3 == 0) server_.CommitLocked({{id(2), "", Operation::kDelete}});
  }
  static SnapshotKey KeyOf(int64_t id) { return fmt::format("{:010}", id); }
  std::map<int64_t, std::string>::iterator Behind(const SnapshotKey& after) {
    return after.empty() ? server_.table_.begin() : server_.table_.upper_bound(std::stoll(after));
  }
  Status Check() {
    if (stop_.stop_requested()) return Error{Disposition::kCancelled, "stopped", "stopped"};
    if (server_.session_ != session_) {
      return Error{Disposition::kRetry, "connection_lost", "the server dropped the session"};
    }
    return {};
  }
  Status Mark(Watermark::Kind kind, const std::string& chunk_id) {
    std::lock_guard lock(server_.mutex_);
    TW_TRY(Check());
    server_.log_.push_back({{}, chunk_id, kind, false});
    server_.changed_.notify_all();
    return {};
  }

  ScriptedServer& server_;
  const uint64_t session_;
  const std::stop_token stop_;
};

Result<std::unique_ptr<SnapshotReader>> ScriptedSource::OpenSnapshotReader(std::stop_token stop) {
  std::lock_guard lock(server_.mutex_);
  if (!server_.snapshots_) return Source::OpenSnapshotReader(std::move(stop));
  return std::unique_ptr<SnapshotReader>(
      std::make_unique<ScriptedReader>(server_, server_.session_, std::move(stop)));
}

void ScriptedServer::Preload(int64_t first_id, int count) {
  std::lock_guard lock(mutex_);
  for (int i = 0; i < count; ++i) table_[first_id + i] = "preloaded";
}

void ScriptedServer::Replace(int64_t first_id, int count) {
  std::lock_guard lock(mutex_);
  table_.clear();
  for (int i = 0; i < count; ++i) table_[first_id + i] = "put in its place";
  log_.push_back({{}, {}, {}, true});
  changed_.notify_all();
}

void ScriptedServer::AllowSnapshots() {
  std::lock_guard lock(mutex_);
  snapshots_ = true;
}

void ScriptedServer::DisturbReads() {
  std::lock_guard lock(mutex_);
  disturb_ = true;
}

void ScriptedServer::LoseLog() {
  std::lock_guard lock(mutex_);
  lost_ = log_.size();
  ++session_;
  changed_.notify_all();
}

std::map<int64_t, std::string> ScriptedServer::Table() const {
  std::lock_guard lock(mutex_);
  return table_;
}

size_t ScriptedServer::chunks_read() const {
  std::lock_guard lock(mutex_);
  return chunks_read_;
}

void ScriptedServer::Commit(std::vector<Row> rows) {
  std::lock_guard lock(mutex_);
  CommitLocked(std::move(rows));
}

void ScriptedServer::CommitLocked(std::vector<Row> rows) {
  for (const Row& row : rows) {
    if (row.operation == Operation::kDelete) {
      table_.erase(row.id);
    } else if (row.note != kUnchanged) {
      table_[row.id] = row.note;
    }
  }
  log_.push_back({std::move(rows), {}, {}, false});
  changed_.notify_all();
}

void ScriptedServer::CommitIds(int64_t first_id, int count, size_t note_bytes) {
  std::vector<Row> rows;
  for (int i = 0; i < count; ++i) rows.push_back({first_id + i, std::string(note_bytes, 'x')});
  Commit(std::move(rows));
}

void ScriptedServer::Interrupt() {
  std::lock_guard lock(mutex_);
  ++session_;
  changed_.notify_all();
}

void ScriptedServer::Refuse(std::optional<Error> error) {
  std::lock_guard lock(mutex_);
  refuse_ = std::move(error);
  ++session_;
  changed_.notify_all();
}

void ScriptedServer::ThrowOnConnect() {
  std::lock_guard lock(mutex_);
  throw_ = true;
  ++session_;
  changed_.notify_all();
}

size_t ScriptedServer::released() const {
  std::lock_guard lock(mutex_);
  return released_;
}

uint64_t ScriptedServer::connections() const {
  std::lock_guard lock(mutex_);
  return connections_;
}

std::unique_ptr<Source> ScriptedServer::Connect() {
  return std::make_unique<ScriptedSource>(*this);
}

}  // namespace tailwater
