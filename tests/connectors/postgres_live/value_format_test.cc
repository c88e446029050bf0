// Streams in binary form, and what makes them text.
#include "connectors/postgres_live/live_fixture.h"

namespace tailwater::postgres {
namespace {

using ::testing::ElementsAre;

class ValueFormatTest : public LiveTest {
 protected:
  void SetUp() override {
    if (version() < 14) GTEST_SKIP() << "binary needs 14";
    Run("create table t (id int primary key, note text)");
  }
};

TEST_F(ValueFormatTest, AColumnThatNeedsTextAppearsInARunningStream) {
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("insert into t values (1, 'a')");
  ASSERT_TRUE(writer_.WaitForChanges(1));
  Run("alter table t add column at point");
  Run("insert into t values (2, 'b', '(1,2)')");
  EXPECT_THAT(Join(), IsErrorWith("pg_text_needed"));
  EXPECT_OK(RunUntil([](RecordingWriter& writer) { return writer.changes().size() == 2; }));
  EXPECT_THAT(writer_.changes(), ElementsAre("insert public.t after{id=1, note=a}",
                                             "insert public.t after{id=2, note=b, at=(1,2)}"));
}

// The catalogs of now know nothing of a column that the log still has.
TEST_F(ValueFormatTest, AColumnThatNeedsTextCameAndWentBeforeItWasRead) {
  Start();
  ASSERT_TRUE(WaitForStreaming());
  EXPECT_OK(Stop());
  Run("alter table t add column at point");
  Run("insert into t values (1, 'a', '(1,2)')");
  Run("alter table t drop column at");
  Run("insert into t values (2, 'b')");
  source_.reset();
  EXPECT_THAT(RunOnce(), IsErrorWith("pg_text_needed"));
  EXPECT_OK(RunUntil([](RecordingWriter& writer) { return writer.changes().size() == 2; }));
  EXPECT_THAT(writer_.changes(), ElementsAre("insert public.t after{id=1, note=a, at=(1,2)}",
                                             "insert public.t after{id=2, note=b}"));
}

// A type without a send function inside of an array: the server itself gives up, also in a table
// that nobody selected.
TEST_F(ValueFormatTest, TheServerHasNoBinaryFormEither) {
  tables_ = Tables({"public.t"});
  Run("create table other (id int primary key, a aclitem[])");
  Run("create publication pub for all tables");
  config_.publication = {"pub", false};
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("insert into other values (1, '{=r/postgres}')");
  Run("insert into t values (1, 'a')");
  EXPECT_THAT(Join(), IsErrorWith("pg_text_needed"));
  EXPECT_OK(RunUntil([](RecordingWriter& writer) { return writer.changes().size() == 1; }));
}

TEST_F(ValueFormatTest, AValueThatOnlyItsTextTells) {
  if (version() < 17) GTEST_SKIP() << "no infinite interval";
  Run("create table i (id int primary key, v interval)");
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("insert into i values (1, 'infinity')");
  EXPECT_THAT(Join(), IsErrorWith("pg_text_needed"));
  EXPECT_OK(RunUntil([](RecordingWriter& writer) { return writer.changes().size() == 1; }));
  EXPECT_THAT(writer_.changes(), ElementsAre("insert public.i after{id=1, v=infinity}"));
}

}  // namespace
}  // namespace tailwater::postgres
