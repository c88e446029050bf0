// A source that streams, and readers beside it: the smallest engine that copies tables.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "connectors/postgres_live/live_fixture.h"

namespace tailwater::postgres {

class SnapshotTest : public LiveTest {
 protected:
  ~SnapshotTest() override { reader_.reset(); }

  // Streams, with a reader that has settled.
  void StartWithReader() {
    Start();
    ASSERT_TRUE(WaitForStreaming());
    OpenReader();
  }
  void OpenReader() {
    auto opened = source_->OpenSnapshotReader(reader_stop_.get_token());
    if (!opened) throw std::runtime_error(opened.error().message);
    reader_ = *std::move(opened);
    ASSERT_OK(reader_->Settle(nullptr));
  }
  ChunkRequest Request(const std::string& table, std::string where = "") {
    return {.id = "run/" + std::to_string(++chunks_), .table = table, .where = std::move(where)};
  }
  // The whole table in chunks of `rows`, each finished and met by the stream; rows as text.
  std::vector<std::string> CopyInChunks(const std::string& table, size_t rows,
                                        const std::string& where = "", size_t max_bytes = 0) {
    std::vector<std::string> all;
    SnapshotKey after;
    for (bool more = true; more;) {
      ChunkRequest request = Request(table, where);
      request.after = after;
      request.max_bytes = max_bytes;
      auto bound = reader_->NextBound(table, where, after, rows);
      EXPECT_OK(bound);
      if (!bound) return all;
      request.upto = *bound;
      auto chunk = reader_->Read(request);
      EXPECT_OK(chunk);
      if (!chunk) return all;
      EXPECT_OK(reader_->Finish(request.id));
      EXPECT_TRUE(writer_.WaitForMark("high " + request.id + " @"));
      for (const Change& change : chunk->rows.changes()) {
        EXPECT_EQ(change.operation, Operation::kRead);
        EXPECT_EQ(change.schema, chunk->schema.get());
        all.push_back(Describe(change));
      }
      EXPECT_LE(chunk->rows.changes().size(), rows);
      EXPECT_GT(chunk->read_at_micros, 1'600'000'000'000'000);
      schema_ = chunk->schema;
      after = chunk->complete ? *bound : chunk->last;
      more = !chunk->complete || !bound->empty();
      chunks_read_++;
    }
    return all;
  }
  // Another source, another reader.
  void StartAgainIn(ValueFormat format) {
    reader_.reset();
    EXPECT_OK(Stop());
    source_.reset();
    config_.format = format;
    StartWithReader();
  }
  // What the stream shows when each row is written once more, as reads.
  std::vector<std::string> StreamAgain(const std::string& table, size_t rows) {
    const size_t before = writer_.changes().size();
    Run("begin; create temp table again on commit drop as select * from " + table +
        "; delete from " + table + "; insert into " + table + " select * from again; commit");
    EXPECT_TRUE(writer_.WaitForChanges(before + 2 * rows));
    std::vector<std::string> all;
    for (const std::string& change : writer_.changes()) {
      if (change.rfind("insert ", 0) == 0) all.push_back("read " + change.substr(7));
    }
    return all;
  }
  static std::vector<std::string> Sorted(std::vector<std::string> rows) {
    std::sort(rows.begin(), rows.end());
    return rows;
  }

  std::stop_source reader_stop_;
  std::unique_ptr<SnapshotReader> reader_;
  SchemaPtr schema_;
  int chunks_ = 0;
  int chunks_read_ = 0;
};

}  // namespace tailwater::postgres
