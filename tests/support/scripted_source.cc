#include "support/scripted_source.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>

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
      TW_TRY(out.Establish({{"system", "1"}, {"slot", "orders"}}, Position{FrontierOf(0)}));
    }
    lock.lock();
    if (next < server_.released_) {
      return Error{Disposition::kGap, "log_discarded", "the server has discarded what we need"};
    }
    while (!stop.stop_requested()) {
      if (server_.session_ != session) {
        return Error{Disposition::kRetry, "connection_lost", "the server dropped the session"};
      }
      if (next == server_.transactions_.size()) {
        lock.unlock();
        TW_TRY(out.Flush());
        TW_TRY(out.AdvanceIdle(FrontierOf(next)));
        lock.lock();
        // A server sends keepalives even when nothing changes.
        server_.changed_.wait_for(lock, stop, std::chrono::milliseconds(20), [&] {
          return next < server_.transactions_.size() || server_.session_ != session;
        });
        continue;
      }
      const std::vector<ScriptedServer::Row> rows = server_.transactions_[next];
      lock.unlock();
      TW_TRY(Send(next, rows, out, stop));
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
      const Value row[] = {Value::Int64(rows[i].id), Value::Text(rows[i].note)};
      Change change;
      change.operation = Operation::kInsert;
      change.table = Orders()->table();
      change.schema = Orders().get();
      change.ordinal = i;
      change.after = row;
      TW_TRY(out.Append(change));
    }
    return out.Commit(FrontierOf(number + 1));
  }

  ScriptedServer& server_;
};

void ScriptedServer::Commit(std::vector<Row> rows) {
  std::lock_guard lock(mutex_);
  transactions_.push_back(std::move(rows));
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
