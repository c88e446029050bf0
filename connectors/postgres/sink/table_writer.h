// Writes the rows of one origin, in one schema, into their target: COPY into a stage, then one
// statement per kind of row.
//
// Keyed tables: guarded by the version. Tables without a key: a multiset; a delete removes one row
// that equals the old image. A row that the target refuses is found by halves and answered for by
// itself; nothing of it stays. Any other error leaves the transaction as it was before the call.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "postgres/sink/origin_catalog.h"
#include "postgres/sink/stage_pool.h"
#include "postgres/sink/target_session.h"
#include "postgres/sink/target_table.h"
#include "tailwater/collapse.h"
#include "tailwater/schema.h"
#include "tailwater/sink.h"

namespace tailwater::postgres {

class TableWriter {
 public:
  // As PrepareTarget() found the target to fit. The others outlive this.
  static Result<std::unique_ptr<TableWriter>> Open(TargetSession& session, StagePool& stages,
                                                   const std::string& state_schema, Origin& origin,
                                                   const TableSchema& schema, TargetFit fit);

  struct Item {
    const CollapsedChange* change = nullptr;
    Verdict verdict;
  };
  // Inserts, updates, deletes and snapshot rows of this schema; of a keyed table one per key.
  // kNeedsOperator with ConcernsTheTable(): nothing of the table can be written. Without an error
  // each item has its verdict.
  Status Write(std::span<Item> items);

  // Columns written as NULL because the record lacked them.
  uint64_t TakeOmitted() { return std::exchange(omitted_, 0); }
  // Values that were left out because the target lacks their column.
  uint64_t TakeLeftOut() { return std::exchange(left_out_, 0); }

 private:
  // What a line of the stage is for; part of its text.
  enum class Kind : int { kPut = 0, kRemove = 1, kPatch = 2 };
  // A line of the stage; empty: there is none.
  struct Line {
    size_t begin = 0, end = 0;  // in text_
    size_t row = 0;             // where its values begin
    explicit operator bool() const { return end > begin; }
  };
  // What has to be written for one item; comes and goes as one.
  struct Unit {
    size_t item = 0;
    Line put;  // or patch
    Line remove;
    int patch = -1;  // index into patches_
    int64_t version = 0;
  };
  // Rows of which the same columns did not change.
  struct Patch {
    std::string mask;
    std::string update;  // statement
  };

  TableWriter(TargetSession& session, StagePool& stages, const std::string& state_schema,
              Origin& origin, const TableSchema& schema, TargetFit fit);
  Status MakeStage();
  void MakeKeyed(const std::string& names, const std::string& staged);
  void MakeKeyless(const std::string& names, const std::string& staged);

  Status Build(Item& item, size_t number);
  Status BuildKeyed(Item& item, Unit& unit);
  Status BuildKeyless(Item& item, Unit& unit);
  // The row to write: what did not change is taken from the old row where that holds it. Sets
  // partial_ if something stays unknown.
  Row Image(Row after, Row before);
  Status AppendLine(Kind kind, const Unit& unit, std::string_view key, Row row, Line& line);
  int PatchOf(Row row);

  Status WriteUnits(std::span<Item> items, size_t first, size_t last);
  Status Apply(std::span<Item> items, size_t first, size_t last);
  Status Remove(std::span<Item> items, int64_t count);
  Status Put(std::span<Item> items, int64_t count, bool late);
  Status PutPatches(std::span<Item> items, size_t first, size_t last);
  Status RemoveKeyless(int64_t count);
  // Runs a query whose first column numbers units: the target holds something newer, or, where the
  // second column is true, `otherwise` is why they did not come in.
  Status Supersede(std::span<Item> items, const std::string& query, const Verdict& otherwise);
  Verdict LeftOut() const;
  Verdict Refused(const Error& error) const;

  TargetSession& session_;
  StagePool& stages_;
  Origin& origin_;
  const TargetFit fit_;
  const std::string target_;      // quoted
  const std::string tombstones_;  // quoted
  const std::vector<Column> columns_;
  const std::vector<uint32_t> keys_;
  std::vector<char> separators_;  // of arrays, per column

  std::shared_ptr<Stage> stage_;
  std::string copy_;       // COPY … FROM STDIN
  std::string key_match_;  // t."k" = s."k" AND …
  std::string put_, put_late_, not_put_;
  std::string remove_, not_removed_, bury_;
  std::string not_patched_;
  std::string remove_by_scan_;  // of tables without a key

  // Of the call in progress.
  std::string text_;   // all lines
  std::string lines_;  // those that are sent
  std::vector<Unit> units_;
  std::unordered_map<int64_t, std::vector<size_t>> puts_by_hash_;  // units, of tables without a key
  std::vector<Value> image_;
  bool partial_ = false;

  std::vector<Patch> patches_;
  std::string mask_;
  uint64_t omitted_ = 0;
  uint64_t left_out_ = 0;
};

}  // namespace tailwater::postgres
