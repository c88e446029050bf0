// Tables without a key: whole, at one place of the stream, each row once.
#include <thread>

#include "connectors/postgres_live/snapshot_fixture.h"
#include "postgres/postgres_tools.h"

namespace tailwater::postgres {
namespace {

class WholeCopyTest : public SnapshotTest {
 protected:
  // Copies in a thread of its own and lets the stream serve the rows, as the engine does.
  Status Copy(const std::string& table, const std::string& where = "") {
    ChunkRequest request = Request(table, where);
    request.max_bytes = 500;
    ended_ = told_ = false;
    writer_.serve = [&](std::string_view, std::chrono::milliseconds) -> Result<bool> {
      const bool ended = ended_;
      std::lock_guard lock(mutex_);
      if (!place_) place_ = writer_.changes().size();
      copied_.insert(copied_.end(), queue_.begin(), queue_.end());
      queue_.clear();
      if (ended) told_ = true;
      return ended;
    };
    const Status copied = reader_->CopyWhole(request, [&](Chunk chunk) -> Status {
      std::lock_guard lock(mutex_);
      for (const Change& change : chunk.rows.changes()) queue_.push_back(Describe(change));
      ++parts_;
      complete_ = chunk.complete;
      return fail_ ? Error{Disposition::kCancelled, "stopped", "the run ends"} : Status();
    });
    ended_ = true;
    if (copied) {
      EXPECT_TRUE(writer_.WaitUntil([&](RecordingWriter&) { return told_.load(); }));
    }
    return copied;
  }

  std::mutex mutex_;
  std::vector<std::string> queue_, copied_;
  std::optional<size_t> place_;  // changes that the stream had shown when the copy was served
  int parts_ = 0;
  bool complete_ = false;
  std::atomic<bool> fail_ = false;
  std::atomic<bool> ended_ = false;  // CopyWhole() has returned
  std::atomic<bool> told_ = false;   // and the stream knows
};

TEST_F(WholeCopyTest, WithWritersRunningEachRowIsThereExactlyAsOften) {
  Run("create table bag (a int, b text); alter table bag replica identity full");
  Run("insert into bag select i % 50, 'x' from generate_series(1, 500) i");
  StartWithReader();
  std::atomic<bool> stop = false;
  std::vector<std::thread> writers;
  for (int n = 0; n < 3; ++n) {
    writers.emplace_back([&, n] {
      Sql sql(config_);
      for (int i = 0; !stop; ++i) {
        sql.Run(fmt::format("begin; insert into bag select {}, 'w' from generate_series(1, 3)", n));
        sql.Run(
            fmt::format("delete from bag where ctid in (select ctid from bag where a = {} "
                        "limit 2 for update skip locked)",
                        i % 50));
        sql.Run(i % 3 == 0 ? "rollback" : "commit");
      }
    });
  }
  EXPECT_TRUE(writer_.WaitForChanges(20));
  EXPECT_OK(Copy("public.bag"));
  const size_t then = writer_.changes().size();
  EXPECT_TRUE(writer_.WaitForChanges(then + 20));
  stop = true;
  for (std::thread& writer : writers) writer.join();
  Run("insert into bag values (-1, 'last')");
  EXPECT_TRUE(writer_.WaitUntil([](RecordingWriter& self) {
    const auto changes = self.changes();
    return !changes.empty() && changes.back() == "insert public.bag after{a=-1, b=last}";
  }));
  EXPECT_OK(Stop());

  // The copy, and what the stream showed behind its place.
  std::map<std::string, int> rows;
  for (const std::string& row : copied_) ++rows[row.substr(row.find('{'))];
  const auto changes = writer_.changes();
  ASSERT_TRUE(place_);
  for (size_t i = *place_; i < changes.size(); ++i)
    rows[changes[i].substr(changes[i].find('{'))] += changes[i].rfind("insert", 0) == 0 ? 1 : -1;
  std::erase_if(rows, [](const auto& row) { return row.second == 0; });
  std::map<std::string, int> expected;
  const Rows now = Run("select a, b, count(*) from bag group by a, b");
  for (int i = 0; i < now.size(); ++i) {
    expected[fmt::format("{{a={}, b={}}}", now.Text(i, 0), now.Text(i, 1))] =
        static_cast<int>(now.Number(i, 2));
  }
  EXPECT_EQ(rows, expected);
  EXPECT_GT(parts_, 2);
  EXPECT_TRUE(complete_);
}

TEST_F(WholeCopyTest, AQuietTableIsCopiedAtOnceAndTheStreamGoesOn) {
  Run("create table bag (a int); alter table bag replica identity full; insert into bag values "
      "(1), (1), (2)");
  StartWithReader();
  ASSERT_OK(Copy("public.bag"));
  EXPECT_EQ(copied_.size(), 3u);
  ASSERT_OK(Copy("public.bag", "a = 2"));
  EXPECT_EQ(copied_.size(), 4u);
  Run("insert into bag values (3)");
  EXPECT_TRUE(writer_.WaitForChanges(1));
  // The server drops it when it notices that the session ended.
  EXPECT_TRUE(WaitForSql("select count(*) from pg_replication_slots where temporary", "0"));
}

TEST_F(WholeCopyTest, ACopyThatBreaksOffHoldsNobodyUp) {
  Run("create table bag (a int); alter table bag replica identity full; insert into bag values "
      "(1)");
  StartWithReader();
  fail_ = true;
  EXPECT_THAT(Copy("public.bag"), IsErrorWith("stopped"));
  Run("insert into bag values (3)");
  EXPECT_TRUE(writer_.WaitForChanges(1));
  fail_ = false;
  EXPECT_OK(Copy("public.bag"));
  EXPECT_THAT(Copy("public.nowhere"), IsErrorWith("table_gone"));
}

// The server waits for a writer before it can make the snapshot: the stream does not.
TEST_F(WholeCopyTest, WhileTheServerWaitsForAWriterTheStreamGoesOn) {
  Run("create table bag (a int); alter table bag replica identity full; insert into bag values "
      "(1)");
  StartWithReader();
  Sql open(config_);
  open.Run("begin; insert into bag values (2)");
  auto copied = std::async(std::launch::async, [&] { return Copy("public.bag"); });
  ASSERT_TRUE(WaitForSql("select count(*) from pg_replication_slots where temporary", "1"));
  Run("insert into bag values (3)");
  EXPECT_TRUE(writer_.WaitForChanges(1));
  open.Run("commit");
  EXPECT_OK(copied.get());
  EXPECT_EQ(copied_.size(), 3u);
}

TEST_F(WholeCopyTest, CheckSaysWhatACopyNeeds) {
  Run("create table bag (a int); alter table bag replica identity full; insert into bag values "
      "(1)");
  Run("create table t (id int primary key, x int); alter table t enable row level security");
  const std::string role = "checker_" + database_;
  Run(fmt::format("create role {0} login replication; grant select on t to {0}", role));
  Run(version() >= 15 ? "create publication p for table bag, t (id) where (id > 3)"
                      : "create publication p for table bag, t");
  config_.publication = {"p", false};
  config_.user = role;
  const auto findings = PostgresTools(config_, Context()).Check();
  ASSERT_OK(findings);
  std::vector<std::string> said;
  for (const Finding& finding : *findings) {
    if (finding.code.rfind("pg_copy", 0) == 0 || finding.code == "pg_row_filter" ||
        finding.code == "pg_column_list")
      said.push_back(finding.code + " " + finding.subject + " " + finding.remedy);
  }
  std::vector<std::string> expected = {
      "pg_copy_privilege public.bag GRANT SELECT ON public.bag TO " + role + ";",
      "pg_copy_whole public.bag ",
      "pg_copy_privilege public.t ALTER ROLE " + role + " BYPASSRLS;",
  };
  if (version() >= 15) {
    expected.push_back("pg_column_list public.t ");
    expected.push_back("pg_row_filter public.t ");
  }
  EXPECT_EQ(said, expected);
  Run(fmt::format("drop owned by {0}; drop role {0}", role));
}

TEST_F(WholeCopyTest, AStopEndsTheWaiting) {
  Run("create table bag (a int); alter table bag replica identity full; insert into bag values "
      "(1)");
  StartWithReader();
  Sql open(config_);
  open.Run("begin; insert into bag values (2)");
  auto copied = std::async(std::launch::async, [&] { return Copy("public.bag"); });
  ASSERT_TRUE(WaitForSql("select count(*) from pg_replication_slots where temporary", "1"));
  EXPECT_OK(Stop());
  reader_stop_.request_stop();
  EXPECT_THAT(copied.get(), IsErrorWith("stopped"));
}

}  // namespace
}  // namespace tailwater::postgres
