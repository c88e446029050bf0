// A stream of a real server, readers beside it, and the smallest engine that copies tables. The
// stream is one of the parts alone, so that tests can hold it up.
#pragma once

#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "connectors/mysql_live/live_server.h"
#include "connectors/mysql_live/model_writer.h"
#include "mysql/binlog_stream.h"
#include "mysql/catalog.h"
#include "mysql/change_decoder.h"
#include "mysql/snapshot_reader.h"
#include "mysql/stream_marks.h"
#include "support/matchers.h"
#include "support/stub_metrics.h"
#include "support/text.h"

namespace tailwater::mysql {

inline TableSelection Selection(const std::vector<std::string>& patterns) {
  ConfigNode list;
  list.kind = ConfigNode::Kind::kList;
  for (const std::string& pattern : patterns) {
    ConfigNode item;
    item.kind = ConfigNode::Kind::kScalar;
    item.scalar = pattern;
    list.items.push_back(item);
  }
  Problems problems;
  return TableSelection::Parse(&list, problems);
}

// Reads the log as the source does, and shows marks where it stands.
class TestStream final : public DecodedChanges {
 public:
  TestStream(const MysqlConfig& config, const std::string& database, ModelWriter& writer)
      : config_(config), writer_(writer), session_(config, "test catalog"), catalog_(session_) {
    ChangeDecoder::Options options;
    options.selects_table = [database](const TableName& table) { return table.schema == database; };
    options.scratch_dir = "/tmp";
    decoder_ = std::make_unique<ChangeDecoder>(std::move(options), catalog_);
  }
  ~TestStream() override { Stop(); }

  // From the log's end.
  void Start(LogPosition::Form form) {
    session_.Use({stop_.get_token(), &wakeup_});
    auto connection = Opened("test stream");
    auto server = ReadServerIdentity(*connection);
    auto end = ReadLogEnd(*connection, form);
    if (!server || !end) throw std::runtime_error("the server cannot be asked");
    decoder_->Reset(*end);
    static std::atomic<uint32_t> id{4000};
    auto stream =
        BinlogStream::Start(std::move(connection), {.from = *end,
                                                    .server_id = ++id,
                                                    .replica_uuid = {},
                                                    .heartbeat = std::chrono::milliseconds(200)});
    if (!stream) throw std::runtime_error(stream.error().message);
    marks_.Begin(*server);
    thread_ = std::async(std::launch::async, [this, stream = *std::move(stream)]() mutable {
      Status status = Run(*stream);
      marks_.End();
      stream->Finish();
      return status;
    });
  }
  void Stop() {
    if (!thread_.valid()) return;
    stop_.request_stop();
    wakeup_.Wake();
    const Status status = thread_.get();
    // It may be in the middle of a transaction.
    if (!status) {
      EXPECT_EQ(status.error().disposition, Disposition::kCancelled) << status.error().message;
    }
  }
  StreamMarks& marks() { return marks_; }

  Status Begin(const Transaction& transaction) override { return writer_.Begin(transaction); }
  Status Append(std::span<const Change> parts) override {
    for (const Change& change : parts) TW_TRY(writer_.Append(change));
    return {};
  }
  Status Commit(const LogPosition&) override { return {}; }
  Status Passed(const LogPosition&) override { return {}; }
  Status RowsReplaced(const TableName&, std::string_view) override { return {}; }

 private:
  std::unique_ptr<Connection> Opened(const std::string& purpose) {
    auto opened = Connection::Open(config_, purpose, {stop_.get_token(), &wakeup_});
    if (!opened) throw std::runtime_error(opened.error().message);
    return *std::move(opened);
  }
  Status Run(BinlogStream& stream) {
    while (!stop_.stop_requested()) {
      if (decoder_->between_groups()) {
        TW_ASSIGN_OR_RETURN(const bool go_on,
                            marks_.Show(decoder_->position(), decoder_->place(), writer_));
        if (!go_on) continue;
      }
      std::string_view packet;
      TW_ASSIGN_OR_RETURN(const bool there, stream.Next(packet));
      if (there) {
        TW_TRY(decoder_->Decode(packet, *this));
      } else {
        TW_TRY(stream.Wait(std::chrono::milliseconds(1000), wakeup_));
      }
    }
    return {};
  }

  const MysqlConfig config_;
  ModelWriter& writer_;
  Wakeup wakeup_;
  std::stop_source stop_;
  StreamMarks marks_{wakeup_};
  SqlSession session_;
  Catalog catalog_;
  std::unique_ptr<ChangeDecoder> decoder_;
  std::future<Status> thread_;
};

class CopyTest : public ::testing::TestWithParam<Flavour> {
 protected:
  explicit CopyTest(LiveServer& server) : server_(server) {
    static std::atomic<int> count{0};
    database_ = fmt::format("copy{}_{}", getpid(), ++count);
    Sql(server_.Config()).Run("create database " + database_ + " character set utf8mb4");
    config_ = server_.Config(database_);
    sql_ = std::make_unique<Sql>(config_);
    context_ = std::make_unique<SourceContext>(SourceContext{
        "p", "shop", Selection({database_ + ".*"}), "/tmp", Logger("test"), metrics_});
  }
  CopyTest() : CopyTest(LiveServer::Shared(GetParam())) {}
  ~CopyTest() override {
    reader_stop_.request_stop();
    reader_.reset();
    stream_.reset();
    Run("drop database " + database_);
  }

  Rows Run(const std::string& sql) { return sql_->Run(sql); }
  bool is_mariadb() const { return server_.is_mariadb(); }
  LogPosition::Form form() const { return is_mariadb() ? LogPosition::Form::kMariadbGtid : form_; }
  std::string Name(const std::string& table) const { return database_ + "." + table; }

  void Start() {
    stream_ = std::make_unique<TestStream>(config_, database_, writer_);
    stream_->Start(form());
    reader_ = OpenReader();
    ASSERT_OK(reader_->Settle(nullptr));
  }
  std::unique_ptr<SnapshotReader> OpenReader() {
    auto opened =
        MysqlSnapshotReader::Open(config_, *context_, stream_->marks(), reader_stop_.get_token());
    if (!opened) throw std::runtime_error(opened.error().message);
    return *std::move(opened);
  }
  // One chunk, shown by the stream and in the model. The next one's place; nothing: it failed.
  std::optional<SnapshotKey> CopyChunk(SnapshotReader& reader, const std::string& table,
                                       const SnapshotKey& after, size_t rows, bool& more,
                                       const std::string& where = "", size_t max_bytes = 0) {
    ChunkRequest request;
    request.id = "run/" + std::to_string(++chunks_);
    request.table = table;
    request.where = where;
    request.after = after;
    request.max_bytes = max_bytes;
    auto bound = reader.NextBound(table, where, after, rows);
    EXPECT_OK(bound);
    if (!bound) return std::nullopt;
    request.upto = *bound;
    auto chunk = reader.Read(request);
    EXPECT_OK(chunk);
    if (!chunk) return std::nullopt;
    EXPECT_GT(chunk->read_at_micros, 1'600'000'000'000'000);
    {
      std::lock_guard lock(copied_mutex_);
      for (const Change& row : chunk->rows.changes()) copied_.push_back(RowText(row.after));
    }
    const SnapshotKey last = chunk->complete ? *bound : chunk->last;
    more = !chunk->complete || !bound->empty();
    if (!chunk->complete) ++cut_;
    writer_.Hand(request.id, *std::move(chunk));
    EXPECT_OK(reader.Finish(request.id));
    const auto outcome = writer_.WaitForOutcome(request.id);
    EXPECT_TRUE(outcome && outcome->sound);
    return last;
  }
  void CopyInChunks(SnapshotReader& reader, const std::string& table, size_t rows,
                    const std::string& where = "", size_t max_bytes = 0) {
    SnapshotKey after;
    for (bool more = true; more;) {
      auto next = CopyChunk(reader, table, after, rows, more, where, max_bytes);
      if (!next) return;
      after = *next;
    }
  }
  Status CopyWhole(SnapshotReader& reader, const std::string& table, size_t max_bytes = 4096) {
    ChunkRequest request;
    request.id = "run/" + std::to_string(++chunks_);
    request.table = table;
    request.max_bytes = max_bytes;
    writer_.BeginCopy();
    Status copied = reader.CopyWhole(
        request, [&](Chunk chunk) { return writer_.HandCopied(std::move(chunk)); });
    writer_.EndCopy(copied.has_value());
    return copied;
  }
  // The stream has read all that was committed until now.
  void CatchUp() {
    auto end = ReadLogEnd(sql_->connection(), form());
    ASSERT_OK(end);
    ASSERT_OK(stream_->marks().WaitFor(*end, reader_stop_.get_token()));
  }
  // As the model has rows, out of numbers and plain text.
  std::vector<std::string> Actual(const std::string& table) {
    const Rows rows = Run("select * from " + table);
    std::vector<std::string> all;
    for (int i = 0; i < rows.size(); ++i) {
      std::string text;
      for (size_t j = 0; j < rows.names().size(); ++j) {
        const int column = static_cast<int>(j);
        text += (j == 0 ? "" : "|") +
                (rows.IsNull(i, column) ? std::string("NULL") : rows.String(i, column));
      }
      all.push_back(text);
    }
    std::sort(all.begin(), all.end());
    return all;
  }
  std::vector<std::string> Model(const std::string& table) {
    const ModelWriter::Table model = writer_.table(Name(table));
    std::vector<std::string> all;
    for (const auto& [unused, row] : model.rows) all.push_back(row);
    for (const auto& [row, count] : model.keyless) {
      for (int i = 0; i < count; ++i) all.push_back(row);
    }
    std::sort(all.begin(), all.end());
    return all;
  }

  LiveServer& server_;
  LogPosition::Form form_ = LogPosition::Form::kMysqlGtid;  // of MySQL
  std::string database_;
  MysqlConfig config_;
  StubMetrics metrics_;
  std::unique_ptr<SourceContext> context_;
  std::unique_ptr<Sql> sql_;
  ModelWriter writer_;
  std::unique_ptr<TestStream> stream_;
  std::stop_source reader_stop_;
  std::unique_ptr<SnapshotReader> reader_;
  std::mutex copied_mutex_;          // readers copy side by side
  std::vector<std::string> copied_;  // rows of chunks, as they were read
  std::atomic<int> chunks_{0};
  std::atomic<int> cut_{0};
};

}  // namespace tailwater::mysql
