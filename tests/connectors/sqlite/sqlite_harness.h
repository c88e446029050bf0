// A mirror file in a folder of its own, and a second connection that looks into it.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "conformance/sink_harness.h"
#include "sqlite/sqlite_sink.h"
#include "support/matchers.h"
#include "support/sqlite.h"
#include "support/stub_metrics.h"

namespace tailwater {

class SqliteHarness final : public SinkHarness {
 public:
  SqliteHarness() {
    std::string folder = std::filesystem::temp_directory_path() / "tailwater-sqlite-XXXXXX";
    folder_ = mkdtemp(folder.data());
  }
  ~SqliteHarness() override {
    blocker_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::string path() const { return folder_ + "/copy.db"; }
  void set_options(SqliteTableOptions options) { options_ = std::move(options); }

  std::unique_ptr<Sink> NewSink() override { return NewSink("copy"); }
  std::unique_ptr<Sink> NewSink(const std::string& name) {
    Problems problems;
    TableRules<SqliteTableOptions> rules;
    rules.selection = TableSelection::Parse(nullptr, problems);
    rules.options.assign(rules.selection.entries().size(), options_);
    return std::make_unique<SqliteSink>(
        SqliteSinkConfig{path()}, rules,
        SinkContext{"pipe", name, rules.selection, Logger("test"), metrics_, {}, schema_changes_});
  }

  std::optional<std::vector<std::string>> Orders() override {
    return Query("SELECT id, note FROM orders ORDER BY id");
  }

  // One line per row, values parted by |. No such table: no rows.
  std::vector<std::string> Query(const std::string& sql) {
    std::vector<std::string> lines;
    auto database = sqlite::Database::Open(path(), sqlite::OpenMode::kReadOnly);
    if (!database) return lines;
    auto statement = database->Prepare(sql);
    if (!statement) return lines;
    for (;;) {
      const auto row = statement->Step();
      EXPECT_OK(row);
      if (!row || !*row) return lines;
      std::string& line = lines.emplace_back();
      for (int i = 0; i < statement->columns(); ++i) {
        if (i > 0) line += '|';
        line += statement->IsNull(i) ? "NULL" : std::string(statement->Text(i));
      }
    }
  }

  bool stops_tables() const override { return true; }
  void set_schema_changes(SchemaChanges policy) { schema_changes_ = policy; }
  // As a person would, in the file.
  void Run(const std::string& sql) {
    auto database = sqlite::Database::Open(path(), sqlite::OpenMode::kReadWrite);
    ASSERT_OK(database);
    ASSERT_OK(database->Execute(sql));
  }

  bool Block() override {
    blocker_ = std::make_unique<sqlite::Database>(
        *sqlite::Database::Open(path(), sqlite::OpenMode::kReadWrite));
    return blocker_->Execute("BEGIN IMMEDIATE").has_value();
  }
  void Unblock() override { blocker_.reset(); }
  StubMetrics& metrics() { return metrics_; }

 private:
  std::string folder_;
  SqliteTableOptions options_;
  SchemaChanges schema_changes_ = SchemaChanges::kApply;
  std::unique_ptr<sqlite::Database> blocker_;
  StubMetrics metrics_;
};

}  // namespace tailwater
