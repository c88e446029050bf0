// Each way in which the server can lose what follows our checkpoint, by its name; and what is none.
#include "connectors/mysql_live/live_fixture.h"

namespace tailwater::mysql {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class GapTest : public OwnServerTest {
 protected:
  using OwnServerTest::OwnServerTest;
  void Begin() {
    Run("create table t (id int primary key auto_increment, v int)");
    Start();
    ASSERT_TRUE(WaitForPlace());
    Run("insert into t (v) values (1)");
    ASSERT_TRUE(writer_.WaitForChanges(1));
    EXPECT_OK(Stop());
  }
  void ExpectGap(const std::string& code) {
    const size_t before = writer_.changes().size();
    const Status status = RunOnce();
    ASSERT_THAT(status, IsErrorWith(code));
    EXPECT_EQ(status.error().disposition, Disposition::kGap);
    EXPECT_EQ(writer_.changes().size(), before);
    message_ = status.error().message;
    EXPECT_THAT(message_, AllOf(HasSubstr("on_gap: resnapshot"), HasSubstr("runbook.md#" + code)));
  }
  void ExpectGoesOn() {
    const size_t before = writer_.changes().size();
    Run("insert into t (v) values (7)");
    Start();
    ASSERT_TRUE(writer_.WaitForChanges(before + 1));
    EXPECT_OK(Stop());
    EXPECT_EQ(writer_.changes().size(), before + 1);
  }
  // As the engine does under `on_gap: resnapshot`.
  void BeginAnew() {
    ResumePoint resume;
    resume.after_gap = true;
    writer_.set_resume(resume);
    Start();
    ASSERT_TRUE(WaitForPlace());
    const size_t before = writer_.changes().size();
    Run("insert into t (v) values (8)");
    ASSERT_TRUE(writer_.WaitForChanges(before + 1));
    EXPECT_OK(Stop());
  }
  void Set(const std::string& key, const std::string& value) {
    ResumePoint resume = writer_.resume();
    resume.identity[key] = value;
    writer_.set_resume(resume);
  }
  void SetFrontier(const std::string& text) {
    ResumePoint resume = writer_.resume();
    resume.frontier = Position{text};
    writer_.set_resume(resume);
  }
  // All files but the one that is written.
  void Purge() {
    Run("flush binary logs");
    const Rows files = Run("show binary logs");
    // A reader that has just gone keeps its file for a moment.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    const std::string purge = "purge binary logs to '" + files.String(files.size() - 1, 0) + "'";
    for (Run(purge); Run("show binary logs").size() > 1; Run(purge)) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
  void Reset() { Run(mariadb() ? "reset master" : "reset binary logs and gtids"); }
  std::string message_;
};
INSTANTIATE_TEST_SUITE_P(Live, GapTest, BothFlavours(), FlavourName);

// One server for all of it: each gap is healed by a new start.
TEST_P(GapTest, EachIsNamedAtTheFirstConnect) {
  Begin();
  {
    SCOPED_TRACE("what was read already may go");
    Purge();
    ExpectGoesOn();
  }
  {
    SCOPED_TRACE("purged");
    const std::string last = frontier();
    Run("insert into t (v) values (2)");
    Purge();
    ExpectGap("mysql_purged");
    EXPECT_THAT(message_, HasSubstr(mariadb() ? last : "the transactions "));
    BeginAnew();
  }
  {
    SCOPED_TRACE("another kind of server");
    const ResumePoint kept = writer_.resume();
    Set("flavour", mariadb() ? "mysql" : "mariadb");
    SetFrontier(mariadb() ? "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5" : "0-1-100");
    ExpectGap("mysql_other_server");
    writer_.set_resume(kept);
  }
  {
    SCOPED_TRACE("another server");
    const ResumePoint kept = writer_.resume();
    Set("server_uuid", "3e11fa47-71ca-11e1-9e33-c80aa9429562");
    SetFrontier(mariadb() ? "77-5-100" : "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5");
    ExpectGap("mysql_other_server");
    writer_.set_resume(kept);
  }
  {
    SCOPED_TRACE("behind the checkpoint");
    const ResumePoint kept = writer_.resume();
    SetFrontier(mariadb() ? "0-1-100000" : Value("select @@server_uuid") + ":1-100000");
    ExpectGap("mysql_behind_checkpoint");
    writer_.set_resume(kept);
  }
  {
    SCOPED_TRACE("nonsense");
    const ResumePoint kept = writer_.resume();
    SetFrontier("16/B374D848");
    EXPECT_THAT(RunOnce(), IsErrorWith("mysql_checkpoint_malformed"));
    writer_.set_resume(kept);
    ExpectGoesOn();
  }
  {
    SCOPED_TRACE("reset");
    Run("flush binary logs");
    ExpectGoesOn();  // remembers the file
    Reset();
    Run("insert into t (v) values (3)");
    ExpectGap("mysql_log_reset");
    BeginAnew();
  }
}

TEST_P(GapTest, AResetUnderTheStreamIsNoticed) {
  Begin();
  Start();
  Run("insert into t (v) values (2)");
  ASSERT_TRUE(writer_.WaitForChanges(2));
  Run("flush binary logs");
  Reset();
  for (int i = 0; i < 3; ++i) Run("insert into t (v) values (3)");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  Status status = Join();
  while (!status && status.error().disposition == Disposition::kRetry &&
         std::chrono::steady_clock::now() < deadline)
    status = RunOnce();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().disposition, Disposition::kGap) << status.error().message;
  EXPECT_THAT(writer_.changes(), SizeIs(2));
}

TEST_P(GapTest, AKilledServerGoesOnWhereItWas) {
  Begin();
  Start();
  sql_.reset();
  own().Command("crash");
  EXPECT_EQ(Join().error().disposition, Disposition::kRetry);
  own().Command("start");
  Use(own());
  sql_ = std::make_unique<Sql>(own().Config(database_));
  ExpectGoesOn();
}

// Without GTIDs a place is a file and an offset of one server.
class FileGapTest : public GapTest {
 protected:
  FileGapTest()
      : GapTest(std::vector<std::string>{"--set", "gtid_mode=OFF", "--set",
                                         "enforce_gtid_consistency=OFF"}) {}
};
INSTANTIATE_TEST_SUITE_P(Live, FileGapTest, ::testing::Values(Flavour::kMysql), FlavourName);

TEST_P(FileGapTest, FilesAndOffsets) {
  Begin();
  EXPECT_EQ(writer_.resume().identity.at("positions"), "file");
  EXPECT_TRUE(FilePosition::Parse(frontier()));
  ExpectGoesOn();
  {
    SCOPED_TRACE("an idle stream follows into the next file, and the old one may go");
    const std::string before = FilePosition::Parse(frontier())->file;
    Start();
    Run("flush binary logs");
    ASSERT_TRUE(writer_.WaitUntil([&](RecordingWriter& self) {
      return FilePosition::Parse(self.resume().frontier->text)->file != before;
    }));
    EXPECT_OK(Stop());
    Purge();
    // Purge() has begun one more file, which nobody read.
    ExpectGap("mysql_purged");
    BeginAnew();
  }
  {
    SCOPED_TRACE("purged");
    const std::string last = frontier();
    Run("insert into t (v) values (2)");
    Purge();
    ExpectGap("mysql_purged");
    EXPECT_THAT(message_, HasSubstr("changes between " + last + " and "));
    BeginAnew();
  }
  {
    SCOPED_TRACE("another server");
    const ResumePoint kept = writer_.resume();
    Set("server_uuid", "3e11fa47-71ca-11e1-9e33-c80aa9429562");
    ExpectGap("mysql_other_server");
    writer_.set_resume(kept);
  }
  {
    SCOPED_TRACE("a file that is shorter than our place");
    const ResumePoint kept = writer_.resume();
    FilePosition beyond = *FilePosition::Parse(frontier());
    beyond.offset += 1'000'000;
    SetFrontier(beyond.ToString());
    ExpectGap("mysql_log_reset");
    writer_.set_resume(kept);
  }
  {
    SCOPED_TRACE("GTIDs are switched on: the files go on");
    for (const char* step : {"OFF_PERMISSIVE", "ON_PERMISSIVE"})
      Run(std::string("set global gtid_mode = ") + step);
    Run("set global enforce_gtid_consistency = ON");
    Run("set global gtid_mode = ON");
    ExpectGoesOn();
    EXPECT_EQ(writer_.resume().identity.at("positions"), "file");
  }
}

class GtidModeTest : public GapTest {};
INSTANTIATE_TEST_SUITE_P(Live, GtidModeTest, ::testing::Values(Flavour::kMysql), FlavourName);

TEST_P(GtidModeTest, SwitchedOffIsANamedStateThatHeals) {
  Begin();
  for (const char* step : {"ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF"})
    Run(std::string("set global gtid_mode = ") + step);
  const Status status = RunOnce();
  ASSERT_THAT(status, IsErrorWith("mysql_gtid_mode"));
  EXPECT_EQ(status.error().disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(status.error().message, HasSubstr("SET GLOBAL gtid_mode"));
  for (const char* step : {"OFF_PERMISSIVE", "ON_PERMISSIVE", "ON"})
    Run(std::string("set global gtid_mode = ") + step);
  ExpectGoesOn();
}

}  // namespace
}  // namespace tailwater::mysql
