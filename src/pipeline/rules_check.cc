#include "pipeline/rules_check.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "expression/column_name.h"
#include "sdk/suggest.h"
#include "support/text.h"

namespace tailwater {
namespace {

using Severity = Finding::Severity;

std::string OneLine(std::string_view text) {
  std::string line(text);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

std::string Listed(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  }
  return text;
}

// A large value of such a column may be left out of an update that does not change it.
bool MayBeLarge(const Column& column) {
  switch (column.type) {
    case ValueType::kText:
    case ValueType::kBytes:
    case ValueType::kJson:
    case ValueType::kArray:
    case ValueType::kOther:
      return !column.key;
    default:
      return false;
  }
}

class Checker {
 public:
  Checker(const SinkConfig& sink, const DescribedTables& tables, size_t sources)
      : sink_(sink),
        tables_(tables),
        sources_(sources),
        entries_(sink.rules.tables.entries()),
        uses_(sink.type->column_uses(sink.config)) {}

  std::vector<RuleFinding> Run() {
    for (size_t entry = 0; entry < entries_.size(); ++entry) CheckEntry(entry);
    return std::move(findings_);
  }

 private:
  void Add(Severity severity, std::string code, const Location& location, const std::string& path,
           std::string message, std::string remedy) {
    findings_.push_back(
        {{severity, std::move(code), subject_, std::move(message), std::move(remedy)},
         location,
         path});
  }

  void CheckEntry(size_t entry) {
    bool decides = false;
    for (const auto& [source, descriptions] : tables_) {
      for (const TableDescription& table : descriptions) {
        if (sink_.rules.tables.Find(source, table.schema->table()) != entry) continue;
        decides = true;
        subject_ = sources_ > 1 ? source + ":" + table.schema->table() : table.schema->table();
        if (entry < sink_.rules.conditions.size() &&
            sink_.rules.conditions[entry].when != nullptr) {
          CheckCondition(sink_.rules.conditions[entry], table);
        }
        CheckUses(entry, table);
      }
    }
    if (!decides && tables_.size() == sources_) CheckWhyUnused(entry);
  }

  void CheckWhyUnused(size_t entry) {
    const ConfigNode& node = entries_[entry].options;
    const TablePattern& pattern = entries_[entry].match;
    if (node.path.empty()) return;  // no `tables:` at all: whatever is captured
    subject_ = pattern.ToString();
    std::vector<std::string_view> names;
    bool matches = false;
    for (const auto& [source, descriptions] : tables_) {
      for (const TableDescription& table : descriptions) {
        names.push_back(table.schema->table());
        matches = matches || pattern.Matches(source, table.schema->table());
      }
    }
    if (matches) {
      Add(Severity::kWarning, "table_entry_overridden", node.location, node.path,
          fmt::format("'{}' decides for no table: later entries match all of its tables, or it "
                      "excludes them",
                      pattern.ToString()),
          "remove the entry, or move it behind the others");
    } else {
      Add(Severity::kWarning, "table_entry_unused", node.location, node.path,
          fmt::format("'{}' matches no captured table that exists now{}", pattern.ToString(),
                      DidYouMean(pattern.glob, names)),
          "correct the name, or create the table");
    }
  }

  void CheckCondition(const TableCondition& condition, const TableDescription& table) {
    const ConfigNode& node = condition.when->node();
    const std::vector<std::string> problems = condition.when->Check(*table.schema);
    for (const std::string& problem : problems) {
      Add(Severity::kError, "condition_does_not_fit", node.location, node.path, problem, "");
    }
    if (!problems.empty()) return;
    const bool skips = condition.on_missing_before == OnMissing::kSkip;
    std::vector<std::string> never_sent, large;
    bool reads_what_is_sent = false;
    for (const ExpressionColumn& read : condition.when->columns()) {
      const expression::FoundColumn found = expression::FindColumn(*table.schema, read.name);
      const Column& column = table.schema->columns()[found.index];  // there is one: it fits
      const bool old_is_missing = read.before && !column.key && !table.whole_before;
      if (old_is_missing) never_sent.push_back("OLD." + column.name);
      reads_what_is_sent = reads_what_is_sent || read.after || (read.before && !old_is_missing);
      if (read.after && MayBeLarge(column) && !table.whole_before)
        large.push_back("NEW." + column.name);
    }
    if (!never_sent.empty()) {
      const std::string what =
          fmt::format("reads {}, but the log carries only the key of an old row of {}",
                      Listed(never_sent), table.schema->table());
      if (!skips) {
        Add(Severity::kError, "condition_column_missing", node.location, node.path,
            what + ": the sink would stop in front of the first update or delete that needs it",
            Remedy(table, true));
      } else if (!reads_what_is_sent && NeverTrue(condition, table)) {
        Add(Severity::kError, "condition_never_true", node.location, node.path,
            what + ", and without it the condition is never true", Remedy(table, false));
      } else {
        Add(Severity::kWarning, "condition_column_missing", node.location, node.path,
            what + ": on_missing_before: skip leaves out updates and deletes that need it",
            Remedy(table, false));
      }
    }
    if (!large.empty()) {
      Add(Severity::kInfo, "condition_large_value", node.location, node.path,
          fmt::format("reads {}: an update that does not change a large value leaves it out of the "
                      "log, then the {}",
                      Listed(large), skips ? "change does not match" : "sink stops in front of it"),
          never_sent.empty() ? table.whole_before_remedy : std::string());
    }
  }

  // Of a condition that reads nothing but what is never sent: its value depends on `op` alone.
  static bool NeverTrue(const TableCondition& condition, const TableDescription& table) {
    const auto evaluator = ConditionEvaluator::Create(condition.when, OnMissing::kSkip);
    if (!evaluator) return false;
    ChangeBatch batch;
    const Row row = batch.NewRow(table.schema->columns().size());
    for (const Operation operation : {Operation::kInsert, Operation::kUpdate, Operation::kDelete,
                                      Operation::kRead, Operation::kTruncate}) {
      Change change{.operation = operation, .table = table.schema->table()};
      change.schema = table.schema.get();
      if (operation == Operation::kDelete) {
        change.before = row;
      } else if (operation != Operation::kTruncate) {
        change.after = row;
      }
      const Result<bool> matches = (*evaluator)->Matches(change);
      if (!matches || *matches) return false;
    }
    return true;
  }

  void CheckUses(size_t entry, const TableDescription& table) {
    for (const ColumnUse& use : uses_) {
      if (use.entry != entry && use.entry != ColumnUse::kEveryEntry) continue;
      const std::vector<Column>& columns = table.schema->columns();
      const auto found = std::find_if(columns.begin(), columns.end(), [&](const Column& column) {
        return column.name == use.column;
      });
      if (found == table.schema->columns().end()) {
        std::vector<std::string_view> names;
        for (const Column& column : table.schema->columns()) names.push_back(column.name);
        Add(Severity::kError, "mapping_column_unknown", use.location, use.path,
            fmt::format("{} has no column '{}'{}", table.schema->table(), use.column,
                        DidYouMean(use.column, names)),
            "");
      } else if (use.before && !found->key && !table.whole_before) {
        Add(Severity::kError, "mapping_column_missing", use.location, use.path,
            fmt::format("reads OLD.{}, but the log carries only the key of an old row of {}",
                        use.column, table.schema->table()),
            Remedy(table, false));
      } else if (!use.before && MayBeLarge(*found) && !table.whole_before) {
        Add(Severity::kInfo, "mapping_large_value", use.location, use.path,
            fmt::format("reads NEW.{}: an update that does not change a large value leaves it out "
                        "of the log",
                        use.column),
            table.whole_before_remedy);
      }
    }
  }

  static std::string Remedy(const TableDescription& table, bool may_skip) {
    if (!table.whole_before_remedy.empty()) {
      return table.whole_before_remedy +
             (may_skip ? "\n-- Or leave such changes out: on_missing_before: skip" : "");
    }
    return may_skip ? "read NEW instead, or leave such changes out: on_missing_before: skip"
                    : "read NEW instead";
  }

  const SinkConfig& sink_;
  const DescribedTables& tables_;
  const size_t sources_;
  const std::vector<TableEntry>& entries_;
  const std::vector<ColumnUse> uses_;
  std::string subject_;
  std::vector<RuleFinding> findings_;
};

}  // namespace

std::string RuleFinding::ToString() const {
  std::string text = fmt::format("{}: {}: {}", location.ToString(), path, finding.message);
  if (!finding.remedy.empty()) text += ": " + OneLine(finding.remedy);
  return text;
}

bool NeedsTables(const SinkConfig& sink) {
  return !sink.rules.conditions.empty() || !sink.type->column_uses(sink.config).empty();
}

std::vector<RuleFinding> CheckRules(const SinkConfig& sink, const DescribedTables& tables,
                                    size_t sources) {
  return Checker(sink, tables, sources).Run();
}

}  // namespace tailwater
