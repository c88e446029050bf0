#include "model/sqlite_model.h"

#include <utility>

#include "sqlite/column_values.h"
#include "sqlite/sqlite_sink.h"
#include "sqlite/target_schema.h"
#include "support/sqlite.h"
#include "support/text.h"

namespace tailwater::model {
namespace {

Error Down() {
  return {Disposition::kRetry, "model_target_down", "the model's target is down, on purpose"};
}

class TroubledMirror final : public Sink, public TransactionalSink {
 public:
  TroubledMirror(std::unique_ptr<SqliteSink> mirror, Trouble& trouble, const bool* dying)
      : mirror_(std::move(mirror)), trouble_(trouble), dying_(dying) {}

  Status Open() override {
    if (trouble_.one_in(10)) return Down();
    return mirror_->Open();
  }
  Result<std::vector<Verdict>> Write(const DeliveryBatch& batch) override {
    if (trouble_.one_in(20)) return Down();
    auto verdicts = mirror_->Write(batch);
    if (trouble_.one_in(20)) return Down();
    if (verdicts && !verdicts->empty() && trouble_.one_in(20)) {
      verdicts->back() = Verdict::Retry("model_key_busy", "this key is busy, on purpose");
    }
    return verdicts;
  }
  Status Sweep(const SweepRequest& request) override {
    if (trouble_.one_in(10)) return Down();
    TW_TRY(mirror_->Sweep(request));
    trouble_.Count("sqlite table swept");
    if (trouble_.one_in(10)) return Down();
    return {};
  }
  TransactionalSink* transactional() override { return this; }
  Result<Stored> StoredOffsets() override { return mirror_->StoredOffsets(); }
  Result<CommitOutcome> Commit(std::string_view log_id, const Offsets& expected,
                               const Offsets& next) override {
    if (*dying_ || trouble_.one_in(20)) {
      mirror_->Rollback();
      return Down();
    }
    auto outcome = mirror_->Commit(log_id, expected, next);
    trouble_.Count("sqlite commit");
    if (trouble_.one_in(20)) return Down();  // it was stored, the answer is lost
    return outcome;
  }
  void Rollback() override { mirror_->Rollback(); }

 private:
  std::unique_ptr<SqliteSink> mirror_;
  Trouble& trouble_;
  const bool* dying_;
};

// The text that a typed value has in the model.
std::string TypedCell(ValueType type, std::string_view text) {
  std::string cell = fmt::format("{}:{}", ValueTypeName(type), text);
  if (type == ValueType::kTimestampTz) cell.resize(cell.size() - 3);  // "+00:00" in SQLite
  return cell;
}

}  // namespace

std::unique_ptr<Sink> NewTroubledSqliteMirror(const std::string& path, const std::string& sink,
                                              Trouble& trouble, const bool* dying,
                                              Metrics& metrics) {
  TableRules<SqliteTableOptions> rules;
  Problems problems;
  rules.selection = TableSelection::Parse(nullptr, problems);
  rules.options.resize(rules.selection.entries().size());
  return std::make_unique<TroubledMirror>(
      std::make_unique<SqliteSink>(
          SqliteSinkConfig{path}, rules,
          SinkContext{"model", sink, rules.selection, Logger("model"), metrics}),
      trouble, dying);
}

Tables ReadSqliteMirror(const std::string& path, const History& history,
                        std::vector<std::string>& violations) {
  Tables tables;
  auto database = sqlite::Database::Open(path, sqlite::OpenMode::kReadOnly);
  if (!database) {
    violations.push_back("the mirror cannot be read: " + database.error().message);
    return tables;
  }
  for (const auto& [name, schema] : history.schemas()) {
    std::map<std::string_view, ValueType> types;
    for (const Column& column : schema->columns()) types[column.name] = column.type;
    // All columns: SQLite takes the quoted name of one that is missing for a text.
    auto rows = database->Prepare("SELECT * FROM " + Quoted(DefaultTarget(schema->name())));
    if (!rows) continue;  // no row of it ever came
    for (;;) {
      const auto row = rows->Step();
      if (!row) violations.push_back(row.error().message);
      if (!row || !*row) break;
      ReadableRow readable;
      for (int i = 0; i < rows->columns(); ++i) {
        const auto type = types.find(rows->column_name(i));
        if (type == types.end() || rows->IsNull(i)) continue;
        readable[std::string(type->first)] = TypedCell(type->second, rows->Text(i));
      }
      tables[{history.source(), name}].insert(std::move(readable));
    }
  }
  return tables;
}

Offsets ReadSqliteOffsets(const std::string& path) {
  Offsets offsets;
  auto database = sqlite::Database::Open(path, sqlite::OpenMode::kReadOnly);
  if (!database) return offsets;
  auto rows = database->Prepare("SELECT partition, next_offset FROM _tailwater_offsets");
  if (!rows) return offsets;
  for (;;) {
    const auto row = rows->Step();
    if (!row || !*row) return offsets;
    offsets[static_cast<int32_t>(rows->Int64(0))] = rows->Int64(1);
  }
}

}  // namespace tailwater::model
