#include "topic/local/sink_file.h"

#include <filesystem>

#include "support/text.h"

namespace tailwater::local {

namespace {

constexpr int64_t kSinkApplicationId = 0x5457534b;  // "TWSK"
constexpr uint64_t kGeneration = 1;                 // the set never changes
constexpr char kDoing[] = "sink's place in the local topic";

constexpr char kTables[] = R"(
CREATE TABLE place (id INTEGER PRIMARY KEY CHECK (id = 1), log_id TEXT NOT NULL);
CREATE TABLE offsets (
  partition INTEGER PRIMARY KEY,
  next_offset INTEGER,
  rewound_from INTEGER
);
CREATE TABLE dead_letters (
  partition INTEGER NOT NULL,
  "offset" INTEGER NOT NULL,
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
CREATE INDEX dead_letters_by_code ON dead_letters (code, first_seen_micros);
CREATE INDEX dead_letters_by_table ON dead_letters (source, "table", version);
CREATE UNIQUE INDEX base_missing_by_key ON dead_letters (key) WHERE code = 'base_missing';
)";

}  // namespace

Result<SinkFile> SinkFile::OpenForWriting(const Paths& paths, const std::string& sink) {
  const auto open = [&]() -> Result<SinkFile> {
    TW_ASSIGN_OR_RETURN(auto file,
                        sqlite::Database::Open(paths.sink(sink), sqlite::OpenMode::kCreate));
    TW_ASSIGN_OR_RETURN(const bool made, CheckFormat(file, kSinkApplicationId, kSinkFormat));
    if (!made) TW_TRY(file.Execute("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL"));
    TW_TRY(
        file.Execute("PRAGMA synchronous = FULL; PRAGMA cache_size = -512;"
                     "PRAGMA wal_autocheckpoint = 256; PRAGMA journal_size_limit = 4194304"));
    if (!made) {
      TW_ASSIGN_OR_RETURN(auto transaction,
                          sqlite::Transaction::Begin(file, sqlite::Transaction::Kind::kWrite));
      TW_TRY(file.Execute(kTables));
      TW_TRY(file.Execute(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}",
                                      kSinkApplicationId, kSinkFormat)));
      TW_TRY(transaction.Commit());
    }
    return SinkFile(std::move(file));
  };
  auto file = open();
  if (!file) return TopicError(std::move(file).error(), kDoing);
  return file;
}

Result<std::optional<SinkFile>> SinkFile::OpenForReading(const Paths& paths,
                                                         const std::string& sink) {
  const auto open = [&]() -> Result<std::optional<SinkFile>> {
    std::error_code error;
    if (!std::filesystem::exists(paths.sink(sink), error)) return std::optional<SinkFile>();
    TW_ASSIGN_OR_RETURN(auto file,
                        sqlite::Database::Open(paths.sink(sink), sqlite::OpenMode::kReadOnly));
    TW_ASSIGN_OR_RETURN(const bool made, CheckFormat(file, kSinkApplicationId, kSinkFormat));
    if (!made) return std::optional<SinkFile>();
    return std::optional<SinkFile>(SinkFile(std::move(file)));
  };
  auto file = open();
  if (!file) return TopicError(std::move(file).error(), kDoing);
  return file;
}

Result<sqlite::Statement*> SinkFile::Prepared(sqlite::Statement& slot, std::string_view sql) {
  if (!slot) {
    TW_ASSIGN_OR_RETURN(slot, file_.Prepare(sql));
  }
  return &slot;
}

Result<Subscription::Stored> SinkFile::Load() {
  auto stored = LoadRows();
  if (!stored) return TopicError(std::move(stored).error(), kDoing);
  return stored;
}

Result<Subscription::Stored> SinkFile::LoadRows() {
  TW_ASSIGN_OR_RETURN(auto transaction,
                      sqlite::Transaction::Begin(file_, sqlite::Transaction::Kind::kRead));
  Subscription::Stored stored;
  TW_ASSIGN_OR_RETURN(auto* place, Prepared(load_place_, "SELECT log_id FROM place"));
  TW_ASSIGN_OR_RETURN(const bool found, place->Step());
  if (found) stored.log_id = place->Text(0);
  place->Reset();
  TW_ASSIGN_OR_RETURN(
      auto* offsets,
      Prepared(load_offsets_, "SELECT partition, next_offset, rewound_from FROM offsets"));
  while (true) {
    TW_ASSIGN_OR_RETURN(const bool row, offsets->Step());
    if (!row) break;
    const auto partition = static_cast<int32_t>(offsets->Int64(0));
    if (!offsets->IsNull(1)) stored.offsets[partition] = offsets->Int64(1);
    if (!offsets->IsNull(2)) stored.rewound_from[partition] = offsets->Int64(2);
  }
  TW_TRY(transaction.Commit());
  return stored;
}

Result<Subscription::DeadLetterCounts> SinkFile::CountDeadLetters() {
  auto counts = CountRows();
  if (!counts) return TopicError(std::move(counts).error(), kDoing);
  return counts;
}

Result<Subscription::DeadLetterCounts> SinkFile::CountRows() {
  TW_ASSIGN_OR_RETURN(auto select, file_.Prepare("SELECT code, count(*), min(first_seen_micros) "
                                                 "FROM dead_letters GROUP BY code",
                                                 false));
  Subscription::DeadLetterCounts counts;
  while (true) {
    TW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return counts;
    counts.by_code[std::string(select.Text(0))] = static_cast<uint64_t>(select.Int64(1));
    const int64_t oldest = select.Int64(2);
    if (!counts.oldest_micros || oldest < *counts.oldest_micros) counts.oldest_micros = oldest;
  }
}

Status SinkFile::Commit(const Subscription::Update& update) {
  if (Status status = CommitRows(update); !status) {
    return TopicError(std::move(status).error(), kDoing);
  }
  return {};
}

Status SinkFile::CommitRows(const Subscription::Update& update) {
  TW_ASSIGN_OR_RETURN(auto transaction,
                      sqlite::Transaction::Begin(file_, sqlite::Transaction::Kind::kWrite));
  TW_TRY(MoveOffsets(update));
  TW_TRY(DropDeadLetters(update));
  TW_TRY(AddDeadLetters(update));
  return transaction.Commit();
}

Status SinkFile::MoveOffsets(const Subscription::Update& update) {
  if (!update.log_id.empty()) {
    // Offsets of another log mean nothing in this one.
    TW_ASSIGN_OR_RETURN(auto* place, Prepared(put_log_id_,
                                              "INSERT INTO place VALUES (1, ?) ON CONFLICT (id) "
                                              "DO UPDATE SET log_id = excluded.log_id "
                                              "WHERE log_id <> excluded.log_id"));
    TW_TRY(place->BindText(1, update.log_id).Run());
    if (file_.changes() > 0) TW_TRY(file_.Execute("DELETE FROM offsets"));
  }
  TW_ASSIGN_OR_RETURN(auto* offset,
                      Prepared(put_offset_,
                               "INSERT INTO offsets (partition, next_offset) VALUES (?, ?) "
                               "ON CONFLICT (partition) DO UPDATE SET "
                               "next_offset = excluded.next_offset"));
  for (const auto& [partition, next] : update.offsets) {
    TW_TRY(offset->Bind(1, partition).Bind(2, next).Run());
  }
  TW_ASSIGN_OR_RETURN(auto* rewound,
                      Prepared(put_rewound_,
                               "INSERT INTO offsets (partition, rewound_from) VALUES (?, ?) "
                               "ON CONFLICT (partition) DO UPDATE SET "
                               "rewound_from = excluded.rewound_from"));
  for (const auto& [partition, from] : update.rewound_from) {
    TW_TRY(rewound->Bind(1, partition).Bind(2, from).Run());
  }
  return {};
}

Status SinkFile::DropDeadLetters(const Subscription::Update& update) {
  if (!update.sweeps.empty()) {
    TW_ASSIGN_OR_RETURN(auto* drop, Prepared(drop_sweep_,
                                             "DELETE FROM dead_letters WHERE source = ? AND "
                                             "\"table\" = ? AND version < ?"));
    for (const SweepRequest& sweep : update.sweeps) {
      TW_TRY(drop->BindText(1, sweep.source).BindText(2, sweep.table).Bind(3, sweep.version).Run());
    }
  }
  if (!update.clear_base_missing.empty()) {
    TW_ASSIGN_OR_RETURN(auto* drop, Prepared(drop_base_missing_,
                                             "DELETE FROM dead_letters WHERE key = ? AND "
                                             "code = 'base_missing'"));
    for (const std::string& key : update.clear_base_missing) {
      TW_TRY(drop->BindBlob(1, key).Run());
    }
  }
  return {};
}

Status SinkFile::AddDeadLetters(const Subscription::Update& update) {
  if (update.add.empty()) return {};
  TW_ASSIGN_OR_RETURN(
      auto* replace,
      Prepared(replace_base_missing_,
               "UPDATE dead_letters SET partition = ?1, \"offset\" = ?2, id = ?3, version = ?6, "
               "reason = ?8, attempts = max(attempts, ?9), value = ?12 "
               "WHERE key = ?11 AND code = 'base_missing'"));
  TW_ASSIGN_OR_RETURN(auto* add, Prepared(add_letter_,
                                          "INSERT OR REPLACE INTO dead_letters VALUES "
                                          "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"));
  for (const DeadLetter& letter : update.add) {
    if (letter.code == kBaseMissing) {
      // One entry per key: the newest record, since the first time.
      replace->Bind(1, letter.partition)
          .Bind(2, letter.offset)
          .BindText(3, letter.id)
          .Bind(6, letter.version)
          .BindText(8, letter.reason)
          .Bind(9, letter.attempts)
          .BindBlob(11, letter.key)
          .BindBlob(12, letter.value);
      TW_TRY(replace->Run());
      if (file_.changes() > 0) continue;
    }
    add->Bind(1, letter.partition)
        .Bind(2, letter.offset)
        .BindText(3, letter.id)
        .BindText(4, letter.source)
        .BindText(5, letter.table)
        .Bind(6, letter.version)
        .BindText(7, letter.code)
        .BindText(8, letter.reason)
        .Bind(9, letter.attempts)
        .Bind(10, letter.first_seen_micros)
        .BindBlob(11, letter.key)
        .BindBlob(12, letter.value);
    TW_TRY(add->Run());
  }
  return {};
}

Result<Subscription::Assignment> LocalSubscription::Poll(std::chrono::milliseconds) {
  return Assignment{kGeneration, {0}};
}

Result<std::vector<Subscription::BlockedKey>> LocalSubscription::BlockedKeys(size_t) {
  return std::vector<BlockedKey>();
}

Result<std::vector<DeadLetter>> LocalSubscription::LoadBlocked(const std::string&, size_t,
                                                               size_t) {
  return std::vector<DeadLetter>();
}

Result<std::vector<std::string>> LocalSubscription::Requeue(uint64_t, const DeadLetterFilter&) {
  return std::vector<std::string>();
}

Result<uint64_t> LocalSubscription::DropDeadLetters(uint64_t, const DeadLetterFilter&) {
  return uint64_t{0};
}

Result<Offsets> LocalSubscription::GroupOffsets() {
  TW_ASSIGN_OR_RETURN(Stored stored, file_.Load());
  return std::move(stored.offsets);
}

Status LocalSubscription::Commit(uint64_t generation, const Update& update) {
  bool owned = generation == kGeneration;
  for (const auto& [partition, offset] : update.offsets) owned &= partition == 0;
  for (const DeadLetter& letter : update.add) owned &= letter.partition == 0;
  if (!owned) {
    return Error{
        Disposition::kRetry, "not_owner",
        fmt::format("generation {} does not own what it commits; it is polled again", generation)};
  }
  return file_.Commit(update);
}

}  // namespace tailwater::local
