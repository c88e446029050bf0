// What a decoder hands on, one line each.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "mysql/change_decoder.h"
#include "mysql/table_facts.h"
#include "support/text.h"

namespace tailwater::mysql {

class RecordedChanges final : public DecodedChanges {
 public:
  Status Begin(const Transaction& transaction) override {
    position_ = transaction.position;
    times.push_back(transaction.commit_time_micros);
    return Line("begin " + position_);
  }
  Status Append(std::span<const Change> parts) override {
    std::string line;
    for (const Change& change : parts) {
      if (!line.empty()) line += " + ";
      line +=
          fmt::format("{} {} {}", change.ordinal, OperationName(change.operation), change.table);
      if (change.part != 0) line += fmt::format(" part {}", change.part);
      if (!change.before.empty()) line += " old" + Row(change.before);
      if (!change.after.empty()) line += " new" + Row(change.after);
    }
    if (fail_appends) return Error{Disposition::kRetry, "topic_failed", "no room"};
    return Line(std::move(line));
  }
  Status Commit(const LogPosition& position) override {
    return Line("commit " + position.ToString());
  }
  Status Passed(const LogPosition& position) override {
    return Line("passed " + position.ToString());
  }
  Status RowsReplaced(const TableName& table, std::string_view why) override {
    return Line(fmt::format("replaced {} ({})", table.ToString(), why));
  }

  std::vector<std::string> Take() { return std::exchange(lines, {}); }

  std::vector<std::string> lines;
  std::vector<int64_t> times;
  bool fail_appends = false;

 private:
  static std::string Row(tailwater::Row row) {
    std::string text = "(";
    for (const Value& value : row) {
      if (text.size() > 1) text += ", ";
      AppendReadable(value, text);
    }
    return text + ")";
  }
  Status Line(std::string line) {
    lines.push_back(std::move(line));
    return {};
  }
  std::string position_;
};

// A catalog that knows every table, and that of two names more than others.
class TestCatalog final : public CatalogFacts {
 public:
  Result<TableFacts> Table(const TableName& table) override {
    ++asked;
    TableFacts facts{.found = true};
    facts.system_versioned = table.name == "versioned";
    facts.sequence = table.name == "sequence";
    return facts;
  }
  Result<std::string> Charset(uint32_t collation) override {
    return std::string(collation == 8 ? "latin1" : "utf8mb4");
  }
  int asked = 0;
};

}  // namespace tailwater::mysql
