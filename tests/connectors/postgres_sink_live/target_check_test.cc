// What is said of a target before the first record comes.
#include "postgres/sink/target_check.h"

#include "connectors/postgres_sink_live/postgres_sink_harness.h"

namespace tailwater::postgres {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TargetCheck : public ::testing::Test {
 protected:
  // One line per finding; of what is in the way with the SQL.
  std::vector<std::string> Look(const TableName& table, bool fires_triggers = true) {
    TargetSession session(harness_.config(), "test");
    EXPECT_OK(session.Connect());
    std::vector<TargetFinding> findings;
    EXPECT_OK(CheckTable(session, table, fires_triggers, findings));
    std::vector<std::string> lines;
    sql_.clear();
    for (const TargetFinding& finding : findings) {
      lines.push_back(fmt::format("{}: {}", finding.subject, finding.what));
      if (finding.in_the_way && !finding.sql.empty()) sql_ += finding.sql + ";";
    }
    return lines;
  }
  void MakeRole() {
    harness_.Run(
        "do $$ begin create role checked login; exception when duplicate_object then null; end $$");
    harness_.config().server.user = "checked";
  }

  PostgresSinkHarness harness_;
  std::string sql_;
};

TEST_F(TargetCheck, NamesEveryDifferenceAtOnceWithWhatDoesAwayWithIt) {
  MakeRole();
  harness_.Run(
      "create schema s; create table s.t (id int, note text); alter table s.t enable row level "
      "security; revoke create on schema public from public");
  EXPECT_THAT(Look({"s", "t"}),
              ElementsAre(AllOf(HasSubstr("s.t: it lacks column '_tailwater_version'"),
                                HasSubstr("no unique index"), HasSubstr("may not use its schema"),
                                HasSubstr("lacks SELECT, INSERT, UPDATE, DELETE"),
                                HasSubstr("row level security"))));
  harness_.Run(sql_ + "create unique index on s.t (id)");  // which columns, nobody knows yet
  EXPECT_THAT(Look({"s", "t"}), IsEmpty());
  harness_.Run("alter role checked nobypassrls");
  EXPECT_THAT(Look({"s", "new"}), ElementsAre(HasSubstr("may not make it")));
  EXPECT_THAT(Look({"elsewhere", "new"}), ElementsAre(HasSubstr("nor its schema is there")));
  harness_.Run(sql_);
  EXPECT_THAT(Look({"elsewhere", "new"}), IsEmpty());
}

TEST_F(TargetCheck, TellsWhatElseHappensToRows) {
  harness_.Run(
      "create table parent (id int primary key); create table t (id int primary key references "
      "parent, twice int generated always as (id * 2) stored, _tailwater_version bigint not null "
      "default 0); create function f() returns trigger language plpgsql as 'begin return new; "
      "end'; create trigger \"My trigger\" before insert on t for each row execute function f()");
  EXPECT_THAT(Look({"public", "t"}),
              ElementsAre(AllOf(HasSubstr("\"My trigger\""), HasSubstr("t_id_fkey"),
                                HasSubstr("computes columns (twice)"))));
  EXPECT_THAT(Look({"public", "t"}, false), ElementsAre("public.t: the target computes columns "
                                                        "(twice): values of the source for them "
                                                        "are left out"));
  harness_.Run("create rule r as on insert to t do nothing; create view v as select 1 as id");
  EXPECT_THAT(Look({"public", "t"}, false).at(0), HasSubstr("rules rewrite"));
  EXPECT_THAT(Look({"public", "v"}), ElementsAre(HasSubstr("not a table")));
}

TEST_F(TargetCheck, WithoutTemporaryTablesNothingIsOpened) {
  MakeRole();
  harness_.Run("create schema tailwater authorization checked; revoke temporary on database " +
               harness_.database() + " from public");
  const Status refused = harness_.NewSink()->Open();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, "pg_privilege_missing");
  EXPECT_EQ(refused.error().disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(refused.error().message, HasSubstr("GRANT TEMPORARY ON DATABASE"));
}

TEST_F(TargetCheck, AnEncodingThatLacksCharactersIsNamed) {
  Sql(harness_.server().Config("postgres"))
      .Run("create database latin" + harness_.database() +
           " encoding 'LATIN1' locale 'C' template template0");
  harness_.config().server.database = "latin" + harness_.database();
  {
    TargetSession session(harness_.config(), "test");
    ASSERT_OK(session.Connect());
    std::vector<TargetFinding> findings;
    ASSERT_OK(CheckDatabase(session, "postgres", findings));
    ASSERT_EQ(findings.size(), 1u);
    EXPECT_THAT(findings[0].what, HasSubstr("LATIN1"));
  }
  Sql(harness_.server().Config("postgres"))
      .Run("drop database latin" + harness_.database() + " with (force)");
}

}  // namespace
}  // namespace tailwater::postgres
