#include "support/sqlite.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "support/matchers.h"

namespace tailwater::sqlite {
namespace {

class SqliteTest : public ::testing::Test {
 protected:
  SqliteTest() {
    std::string name = (std::filesystem::temp_directory_path() / "tw_sqlite_XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~SqliteTest() override { std::filesystem::remove_all(folder_); }
  std::string Path() const { return (folder_ / "test.db").string(); }
  Database Create() {
    auto database = Database::Open(Path(), OpenMode::kCreate, std::chrono::milliseconds(0));
    EXPECT_OK(database);
    EXPECT_OK(database->Execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b, c BLOB)"));
    return std::move(*database);
  }
  std::filesystem::path folder_;
};

TEST_F(SqliteTest, BindsAndReadsEveryKindOfValue) {
  Database database = Create();
  auto insert = database.Prepare("INSERT INTO t VALUES (?, ?, ?)");
  ASSERT_OK(insert);
  insert->Bind(1, 1).BindText(2, "text").BindBlob(3, std::string_view("a\0b", 3));
  ASSERT_OK(insert->Run());
  insert->Bind(1, 2).BindDouble(2, 0.5).BindNull(3);
  ASSERT_OK(insert->Run());
  insert->Bind(1, 3).BindText(2, {}).BindBlob(3, {});
  ASSERT_OK(insert->Run());
  EXPECT_EQ(database.changes(), 1);

  auto select = database.Prepare("SELECT b, c FROM t ORDER BY a");
  ASSERT_OK(select);
  ASSERT_TRUE(*select->Step());
  EXPECT_EQ(select->Text(0), "text");
  EXPECT_EQ(select->Blob(1), std::string_view("a\0b", 3));
  EXPECT_EQ(select->column_name(1), "c");
  ASSERT_TRUE(*select->Step());
  EXPECT_EQ(select->Double(0), 0.5);
  EXPECT_TRUE(select->IsNull(1));
  ASSERT_TRUE(*select->Step());
  EXPECT_FALSE(select->IsNull(0));
  EXPECT_FALSE(select->IsNull(1));
  EXPECT_FALSE(*select->Step());
}

TEST_F(SqliteTest, AnswersABindErrorAtTheStep) {
  Database database = Create();
  auto insert = database.Prepare("INSERT INTO t (a) VALUES (?)");
  ASSERT_OK(insert);
  insert->Bind(2, 1);
  EXPECT_THAT(insert->Run(), IsErrorWith("sqlite_error"));
  insert->Bind(1, 1);
  EXPECT_OK(insert->Run());
}

TEST_F(SqliteTest, RollsBackWhatWasNotCommitted) {
  Database database = Create();
  {
    auto transaction = Transaction::Begin(database, Transaction::Kind::kWrite);
    ASSERT_OK(transaction);
    ASSERT_OK(database.Execute("INSERT INTO t (a) VALUES (1)"));
  }
  {
    auto transaction = Transaction::Begin(database, Transaction::Kind::kWrite);
    ASSERT_OK(transaction);
    ASSERT_OK(database.Execute("INSERT INTO t (a) VALUES (2)"));
    ASSERT_OK(transaction->Commit());
  }
  EXPECT_EQ(database.QueryInt64("SELECT group_concat(a) FROM t").value(), 2);
}

TEST_F(SqliteTest, MapsABusyFileToRetry) {
  Database database = Create();
  auto other = Database::Open(Path(), OpenMode::kReadWrite, std::chrono::milliseconds(0));
  ASSERT_OK(other);
  auto transaction = Transaction::Begin(database, Transaction::Kind::kWrite);
  ASSERT_OK(transaction);
  const auto second = Transaction::Begin(*other, Transaction::Kind::kWrite);
  ASSERT_THAT(second, IsErrorWith("sqlite_busy"));
  EXPECT_EQ(second.error().disposition, Disposition::kRetry);
}

TEST_F(SqliteTest, MapsAFullFileToAnOperatorsTask) {
  Database database = Create();
  ASSERT_OK(database.Execute("PRAGMA max_page_count = 10"));
  const Status status = database.Execute("INSERT INTO t VALUES (1, zeroblob(1000000), NULL)");
  ASSERT_THAT(status, IsErrorWith("sqlite_disk_full"));
  EXPECT_EQ(status.error().disposition, Disposition::kNeedsOperator);
  EXPECT_EQ(MakeError(10, ENOSPC, "").code, "sqlite_disk_full");
  EXPECT_EQ(MakeError(10, EIO, "").code, "sqlite_io_error");
}

TEST_F(SqliteTest, MapsADamagedFileToFatal) {
  FILE* file = fopen(Path().c_str(), "w");
  for (int i = 0; i < 1000; ++i) fputs("this is no database ", file);
  fclose(file);
  auto database = Database::Open(Path(), OpenMode::kReadWrite);
  ASSERT_OK(database);
  const Status status = database->Execute("SELECT * FROM sqlite_master");
  ASSERT_THAT(status, IsErrorWith("sqlite_corrupt"));
  EXPECT_EQ(status.error().disposition, Disposition::kFatal);
}

TEST_F(SqliteTest, SaysWhatToDoWhenAFileCannotBeOpened) {
  const auto database = Database::Open(Path(), OpenMode::kReadOnly);
  ASSERT_THAT(database, IsErrorWith("sqlite_cannot_open"));
  EXPECT_THAT(database.error().message, ::testing::HasSubstr(Path()));
  EXPECT_THAT(database.error().message, ::testing::HasSubstr("check that the folder exists"));
}

}  // namespace
}  // namespace tailwater::sqlite
