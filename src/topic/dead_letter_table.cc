#include "topic/dead_letter_table.h"

#include <algorithm>
#include <limits>

#include "support/text.h"

namespace tailwater {

namespace {

// As stored; also the numbers of DeadLetter::State.
constexpr int64_t kDead = 0;
constexpr int64_t kParked = 1;
static_assert(static_cast<int64_t>(DeadLetter::State::kDead) == kDead);
static_assert(static_cast<int64_t>(DeadLetter::State::kParked) == kParked);

// In the order of ReadLetter().
constexpr std::string_view kColumns =
    "partition, \"offset\", state, blocks_key, id, source, \"table\", version, code, reason, "
    "attempts, first_seen_micros, key, value";

RecordPlace ReadPlace(const sqlite::Statement& row) {
  return {static_cast<int32_t>(row.Int64(0)), row.Int64(1)};
}

DeadLetter ReadLetter(const sqlite::Statement& row) {
  DeadLetter letter;
  letter.partition = static_cast<int32_t>(row.Int64(0));
  letter.offset = row.Int64(1);
  letter.state = static_cast<DeadLetter::State>(row.Int64(2));
  letter.blocks_key = row.Int64(3) != 0;
  letter.id = row.Text(4);
  letter.source = row.Text(5);
  letter.table = row.Text(6);
  letter.version = row.Int64(7);
  letter.code = row.Text(8);
  letter.reason = row.Text(9);
  letter.attempts = static_cast<uint32_t>(row.Int64(10));
  letter.first_seen_micros = row.Int64(11);
  letter.key = row.Blob(12);
  letter.value = row.Blob(13);
  return letter;
}

// A filter as a condition; its parameters are numbered from 1.
class Where {
 public:
  explicit Where(const DeadLetterFilter& filter) : filter_(filter) {
    if (filter.state) Add(fmt::format("state = {}", static_cast<int>(*filter.state)));
    if (!filter.source.empty()) Add(fmt::format("source = ?{}", ++parameters_));
    if (!filter.table.empty()) Add(fmt::format("\"table\" = ?{}", ++parameters_));
    if (!filter.code.empty()) Add(fmt::format("code = ?{}", ++parameters_));
    if (filter.ids.empty()) return;
    std::string ids;
    for (size_t i = 0; i < filter.ids.size(); ++i) {
      ids += fmt::format("{}?{}", i == 0 ? "" : ", ", ++parameters_);
    }
    Add(fmt::format("id IN ({})", ids));
  }

  void Bind(sqlite::Statement& statement) const {
    int parameter = 0;
    if (!filter_.source.empty()) statement.BindText(++parameter, filter_.source);
    if (!filter_.table.empty()) statement.BindText(++parameter, filter_.table);
    if (!filter_.code.empty()) statement.BindText(++parameter, filter_.code);
    for (const std::string& id : filter_.ids) statement.BindText(++parameter, id);
  }

  const std::string& text() const { return text_; }
  int parameters() const { return parameters_; }

 private:
  void Add(const std::string& condition) { text_ += " AND " + condition; }

  const DeadLetterFilter& filter_;
  std::string text_ = "1";
  int parameters_ = 0;
};

int64_t Limit(size_t limit) {
  return static_cast<int64_t>(
      std::clamp<size_t>(limit, 1, static_cast<size_t>(std::numeric_limits<int64_t>::max())));
}

}  // namespace

// `value` stands last: the other columns are read without it. Not one index more than a call above
// needs: each costs at every parked record.
const char kDeadLetterTables[] = R"(
CREATE TABLE dead_letters (
  partition INTEGER NOT NULL,
  "offset" INTEGER NOT NULL,
  state INTEGER NOT NULL,
  blocks_key INTEGER NOT NULL,
  id TEXT NOT NULL,
  source TEXT NOT NULL,
  "table" TEXT NOT NULL,
  version INTEGER NOT NULL,
  code TEXT NOT NULL,
  reason TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  first_seen_micros INTEGER NOT NULL,
  key BLOB NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (partition, "offset")
);
CREATE INDEX dead_letters_by_age ON dead_letters (first_seen_micros);
CREATE INDEX dead_letters_by_id ON dead_letters (id);
CREATE INDEX dead_letters_by_table ON dead_letters (source, "table", version, state, code);
CREATE INDEX blocking_by_key ON dead_letters (key, partition, "offset") WHERE blocks_key = 1;
CREATE INDEX blocking_by_place ON dead_letters (partition, "offset", key, state)
  WHERE blocks_key = 1;
CREATE UNIQUE INDEX base_missing_by_key ON dead_letters (key) WHERE code = 'base_missing';
CREATE TABLE dead_letter_counts (
  state INTEGER NOT NULL,
  code TEXT NOT NULL,
  records INTEGER NOT NULL,
  PRIMARY KEY (state, code)
) WITHOUT ROWID;
CREATE TRIGGER dead_letter_added AFTER INSERT ON dead_letters BEGIN
  INSERT INTO dead_letter_counts VALUES (NEW.state, NEW.code, 1)
    ON CONFLICT (state, code) DO UPDATE SET records = records + 1;
END;
CREATE TRIGGER dead_letter_removed AFTER DELETE ON dead_letters BEGIN
  UPDATE dead_letter_counts SET records = records - 1
    WHERE state = OLD.state AND code = OLD.code;
END;
CREATE TRIGGER dead_letter_changed AFTER UPDATE OF state, code ON dead_letters
  WHEN OLD.state <> NEW.state OR OLD.code <> NEW.code BEGIN
  UPDATE dead_letter_counts SET records = records - 1
    WHERE state = OLD.state AND code = OLD.code;
  INSERT INTO dead_letter_counts VALUES (NEW.state, NEW.code, 1)
    ON CONFLICT (state, code) DO UPDATE SET records = records + 1;
END;
)";

Status UpgradeDeadLettersFrom1(sqlite::Database& file) {
  TW_TRY(
      file.Execute("ALTER TABLE dead_letters RENAME TO dead_letters_1;"
                   "DROP INDEX dead_letters_by_code; DROP INDEX dead_letters_by_table;"
                   "DROP INDEX base_missing_by_key"));
  TW_TRY(file.Execute(kDeadLetterTables));
  return file.Execute(
      fmt::format("INSERT INTO dead_letters ({0}) "
                  "SELECT partition, \"offset\", 0, 0, id, source, \"table\", version, code, "
                  "reason, attempts, first_seen_micros, key, value FROM dead_letters_1;"
                  "DROP TABLE dead_letters_1",
                  kColumns));
}

Status ShowDeadLettersOf1(sqlite::Database& file) {
  // A temporary name goes before that of the file.
  return file.Execute(
      "CREATE TEMP VIEW dead_letters AS "
      "SELECT *, 0 AS state, 0 AS blocks_key FROM main.dead_letters;"
      "CREATE TEMP VIEW dead_letter_counts AS "
      "SELECT 0 AS state, code, count(*) AS records FROM main.dead_letters GROUP BY code");
}

Result<sqlite::Statement*> DeadLetterTable::Prepared(sqlite::Statement& slot,
                                                     std::string_view sql) {
  if (!slot) {
    TW_ASSIGN_OR_RETURN(slot, file_->Prepare(sql));
  }
  return &slot;
}

Result<Subscription::DeadLetterCounts> DeadLetterTable::Count() {
  TW_ASSIGN_OR_RETURN(auto look,
                      sqlite::Transaction::Begin(*file_, sqlite::Transaction::Kind::kRead));
  TW_ASSIGN_OR_RETURN(auto* count, Prepared(count_,
                                            "SELECT state, code, records FROM dead_letter_counts "
                                            "WHERE records > 0"));
  Subscription::DeadLetterCounts counts;
  while (true) {
    TW_ASSIGN_OR_RETURN(const bool row, count->Step());
    if (!row) break;
    const std::string code(count->Text(1));
    const auto records = static_cast<uint64_t>(count->Int64(2));
    counts.by_code[code] += records;
    if (count->Int64(0) == kParked) {
      counts.parked += records;
    } else if (code != kBaseMissing) {
      counts.dead += records;
    }
  }
  TW_ASSIGN_OR_RETURN(auto* oldest,
                      Prepared(oldest_, "SELECT min(first_seen_micros) FROM dead_letters"));
  TW_ASSIGN_OR_RETURN(const bool row, oldest->Step());
  if (row && !oldest->IsNull(0)) counts.oldest_micros = oldest->Int64(0);
  oldest->Reset();
  TW_TRY(look.Commit());
  return counts;
}

Result<DeadLetterPage> DeadLetterTable::List(const DeadLetterFilter& filter,
                                             std::optional<RecordPlace> from, size_t limit,
                                             size_t max_bytes) {
  const Where where(filter);
  TW_ASSIGN_OR_RETURN(auto look,
                      sqlite::Transaction::Begin(*file_, sqlite::Transaction::Kind::kRead));
  DeadLetterPage page;
  TW_ASSIGN_OR_RETURN(
      auto count,
      file_->Prepare(fmt::format("SELECT count(*) FROM dead_letters WHERE {}", where.text()),
                     false));
  where.Bind(count);
  TW_ASSIGN_OR_RETURN(const bool counted, count.Step());
  if (counted) page.matched = static_cast<uint64_t>(count.Int64(0));
  count.Reset();

  // The plus keeps the order that of the places: rows are read as far as the page goes, not all of
  // the source's to be sorted.
  std::string condition = where.text();
  if (const size_t at = condition.find(" source = ");
      at != std::string::npos && filter.ids.empty()) {
    condition.insert(at + 1, "+");
  }
  const std::string begin = from ? fmt::format(" AND (partition, \"offset\") >= (?{}, ?{})",
                                               where.parameters() + 1, where.parameters() + 2)
                                 : "";
  TW_ASSIGN_OR_RETURN(auto select,
                      file_->Prepare(fmt::format("SELECT {} FROM dead_letters WHERE {}{} "
                                                 "ORDER BY partition, \"offset\"",
                                                 kColumns, condition, begin),
                                     false));
  where.Bind(select);
  if (from) {
    select.Bind(where.parameters() + 1, from->partition).Bind(where.parameters() + 2, from->offset);
  }
  size_t bytes = 0;
  while (true) {
    TW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) break;
    const size_t more = select.Blob(12).size() + select.Blob(13).size();
    const bool full = page.letters.size() >= std::max<size_t>(limit, 1) ||
                      (!page.letters.empty() && bytes + more > max_bytes);
    if (full) {
      page.next = ReadPlace(select);
      break;
    }
    bytes += more;
    page.letters.push_back(ReadLetter(select));
  }
  select.Reset();
  TW_TRY(look.Commit());
  return page;
}

Result<std::vector<Subscription::BlockedKey>> DeadLetterTable::BlockedKeys(
    size_t limit, std::optional<RecordPlace> after) {
  TW_ASSIGN_OR_RETURN(
      auto* select,
      Prepared(blocked_keys_,
               "SELECT partition, \"offset\", key, state, (SELECT count(*) FROM dead_letters e "
               "WHERE e.blocks_key = 1 AND e.key = d.key) FROM dead_letters d "
               "WHERE blocks_key = 1 AND (partition, \"offset\") > (?1, ?2) "
               "AND NOT EXISTS (SELECT 1 FROM dead_letters e WHERE e.blocks_key = 1 "
               "AND e.key = d.key AND (e.partition, e.\"offset\") < (d.partition, d.\"offset\")) "
               "ORDER BY partition, \"offset\" LIMIT ?3"));
  const RecordPlace behind = after.value_or(RecordPlace{-1, -1});
  select->Bind(1, behind.partition).Bind(2, behind.offset).Bind(3, Limit(limit));
  std::vector<Subscription::BlockedKey> keys;
  while (true) {
    TW_ASSIGN_OR_RETURN(const bool row, select->Step());
    if (!row) return keys;
    keys.push_back({std::string(select->Blob(2)), ReadPlace(*select),
                    static_cast<DeadLetter::State>(select->Int64(3)),
                    static_cast<uint64_t>(select->Int64(4))});
  }
}

Result<std::vector<DeadLetter>> DeadLetterTable::LoadBlocked(const std::string& key,
                                                             size_t max_records, size_t max_bytes) {
  TW_ASSIGN_OR_RETURN(
      auto* select,
      Prepared(load_blocked_, fmt::format("SELECT {} FROM dead_letters WHERE blocks_key = 1 AND "
                                          "key = ?1 ORDER BY partition, \"offset\" LIMIT ?2",
                                          kColumns)));
  select->BindBlob(1, key).Bind(2, Limit(max_records));
  std::vector<DeadLetter> letters;
  size_t bytes = 0;
  while (true) {
    TW_ASSIGN_OR_RETURN(const bool row, select->Step());
    if (!row) return letters;
    bytes += select->Blob(12).size() + select->Blob(13).size();
    if (!letters.empty() && bytes > max_bytes) break;
    letters.push_back(ReadLetter(*select));
  }
  select->Reset();
  return letters;
}

Result<std::vector<DeadLetter>> DeadLetterTable::LoadPlaces(std::string_view query) {
  TW_ASSIGN_OR_RETURN(
      auto select,
      file_->Prepare(
          fmt::format("SELECT {} FROM dead_letters WHERE (partition, \"offset\") IN ({}) "
                      "ORDER BY partition, \"offset\"",
                      kColumns, query),
          false));
  std::vector<DeadLetter> letters;
  while (true) {
    TW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return letters;
    letters.push_back(ReadLetter(select));
  }
}

Result<bool> DeadLetterTable::Apply(const Subscription::Update& update) {
  TW_ASSIGN_OR_RETURN(const bool removed, Remove(update));
  TW_TRY(Add(update.add));
  return removed;
}

Result<bool> DeadLetterTable::Remove(const Subscription::Update& update) {
  bool removed = false;
  if (update.rewind) {
    TW_ASSIGN_OR_RETURN(auto* drop, Prepared(drop_behind_,
                                             "DELETE FROM dead_letters WHERE partition = ? AND "
                                             "\"offset\" >= ?"));
    for (const auto& [partition, next] : update.offsets) {
      TW_TRY(drop->Bind(1, partition).Bind(2, next).Run());
      removed |= file_->changes() > 0;
    }
  }
  if (!update.sweeps.empty()) {
    TW_ASSIGN_OR_RETURN(auto* drop, Prepared(drop_sweep_,
                                             "DELETE FROM dead_letters WHERE source = ? AND "
                                             "\"table\" = ? AND version < ?"));
    for (const SweepRequest& sweep : update.sweeps) {
      TW_TRY(drop->BindText(1, sweep.source).BindText(2, sweep.table).Bind(3, sweep.version).Run());
      removed |= file_->changes() > 0;
    }
  }
  if (!update.clear_base_missing.empty()) {
    TW_ASSIGN_OR_RETURN(auto* drop, Prepared(drop_base_missing_,
                                             "DELETE FROM dead_letters WHERE key = ? AND "
                                             "code = 'base_missing'"));
    for (const std::string& key : update.clear_base_missing) {
      TW_TRY(drop->BindBlob(1, key).Run());
      removed |= file_->changes() > 0;
    }
  }
  if (!update.remove.empty()) {
    TW_ASSIGN_OR_RETURN(auto* drop, Prepared(drop_place_,
                                             "DELETE FROM dead_letters WHERE partition = ? AND "
                                             "\"offset\" = ?"));
    for (const RecordPlace& place : update.remove) {
      TW_TRY(drop->Bind(1, place.partition).Bind(2, place.offset).Run());
      removed |= file_->changes() > 0;
    }
  }
  return removed;
}

Status DeadLetterTable::Add(const std::vector<DeadLetter>& letters) {
  if (letters.empty()) return {};
  // Not REPLACE: what that deletes, no trigger sees.
  TW_ASSIGN_OR_RETURN(
      auto* put,
      Prepared(put_, fmt::format("INSERT INTO dead_letters ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, "
                                 "?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) "
                                 "ON CONFLICT (partition, \"offset\") DO UPDATE SET "
                                 "state = ?3, blocks_key = ?4, id = ?5, source = ?6, "
                                 "\"table\" = ?7, version = ?8, code = ?9, reason = ?10, "
                                 "attempts = ?11, first_seen_micros = ?12, key = ?13, value = ?14",
                                 kColumns)));
  const auto bind = [](sqlite::Statement& statement, const DeadLetter& letter) {
    statement.Bind(1, letter.partition)
        .Bind(2, letter.offset)
        .Bind(3, static_cast<int64_t>(letter.state))
        .Bind(4, letter.blocks_key ? 1 : 0)
        .BindText(5, letter.id)
        .BindText(6, letter.source)
        .BindText(7, letter.table)
        .Bind(8, letter.version)
        .BindText(9, letter.code)
        .BindText(10, letter.reason)
        .Bind(11, letter.attempts)
        .BindBlob(13, letter.key)
        .BindBlob(14, letter.value);
  };
  for (const DeadLetter& letter : letters) {
    if (letter.code == kBaseMissing) {
      // One entry per key: the newest record, since the first time. Whatever else lies at its place
      // makes room.
      TW_ASSIGN_OR_RETURN(auto* make_room,
                          Prepared(make_room_,
                                   "DELETE FROM dead_letters WHERE partition = ?1 AND "
                                   "\"offset\" = ?2 AND (key <> ?3 OR code <> 'base_missing')"));
      TW_TRY(make_room->Bind(1, letter.partition)
                 .Bind(2, letter.offset)
                 .BindBlob(3, letter.key)
                 .Run());
      TW_ASSIGN_OR_RETURN(
          auto* replace,
          Prepared(replace_base_missing_,
                   "UPDATE dead_letters SET partition = ?1, \"offset\" = ?2, state = ?3, "
                   "blocks_key = ?4, id = ?5, source = ?6, \"table\" = ?7, version = ?8, "
                   "reason = ?10, attempts = max(attempts, ?11), value = ?14 "
                   "WHERE key = ?13 AND code = 'base_missing'"));
      bind(*replace, letter);
      TW_TRY(replace->Run());
      if (file_->changes() > 0) continue;
    }
    bind(*put, letter);
    put->Bind(12, letter.first_seen_micros);
    TW_TRY(put->Run());
  }
  return {};
}

Result<std::vector<std::string>> DeadLetterTable::Requeue(const DeadLetterFilter& filter) {
  const Where where(filter);
  TW_ASSIGN_OR_RETURN(
      auto select,
      file_->Prepare(fmt::format("SELECT DISTINCT key FROM dead_letters WHERE {}", where.text()),
                     false));
  where.Bind(select);
  std::vector<std::string> keys;
  while (true) {
    TW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) break;
    keys.emplace_back(select.Blob(0));
  }
  TW_ASSIGN_OR_RETURN(
      auto update, file_->Prepare(fmt::format("UPDATE dead_letters SET state = {}, blocks_key = 1 "
                                              "WHERE {} AND state = {}",
                                              kParked, where.text(), kDead),
                                  false));
  where.Bind(update);
  TW_TRY(update.Run());
  return keys;
}

Result<uint64_t> DeadLetterTable::Drop(const DeadLetterFilter& filter, size_t limit) {
  DeadLetterFilter narrowed = filter;
  if (!narrowed.state && narrowed.ids.empty()) narrowed.state = DeadLetter::State::kDead;
  const Where where(narrowed);
  TW_ASSIGN_OR_RETURN(
      auto drop, file_->Prepare(fmt::format("DELETE FROM dead_letters WHERE rowid IN (SELECT rowid "
                                            "FROM dead_letters WHERE {} LIMIT ?{})",
                                            where.text(), where.parameters() + 1),
                                false));
  where.Bind(drop);
  drop.Bind(where.parameters() + 1, Limit(limit));
  TW_TRY(drop.Run());
  return static_cast<uint64_t>(file_->changes());
}

}  // namespace tailwater
