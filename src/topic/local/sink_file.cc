#include "topic/local/sink_file.h"

#include <algorithm>
#include <filesystem>

#include "support/text.h"

namespace tailwater::local {

namespace {

constexpr int64_t kSinkApplicationId = 0x5457534b;  // "TWSK"
constexpr uint64_t kGeneration = 1;                 // the set never changes
constexpr char kDoing[] = "sink's place in the local topic";

// Bounds of one step: how many records one transaction drops, how many pages it gives back.
constexpr size_t kDropsPerStep = 1'000;
constexpr int64_t kPagesPerStep = 128;
// New records reuse free pages; only more than this share of the file goes back to the disk.
constexpr int64_t kFreeShare = 8;
constexpr int64_t kFreePages = 256;

constexpr char kTables[] = R"(
CREATE TABLE place (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  log_id TEXT NOT NULL,
  paused INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE offsets (
  partition INTEGER PRIMARY KEY,
  next_offset INTEGER,
  rewound_from INTEGER
);
)";

// The answer under the topic's names of failures.
template <typename T>
Result<T> Named(Result<T> answer) {
  if (!answer) return TopicError(std::move(answer).error(), kDoing);
  return answer;
}

Result<int64_t> FormatOf(sqlite::Database& file) {
  TW_ASSIGN_OR_RETURN(const auto format, file.QueryInt64("PRAGMA user_version"));
  return format.value_or(0);
}

std::string SetFormat() {
  return fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", kSinkApplicationId,
                     kSinkFormat);
}

Status Upgrade(sqlite::Database& file, int64_t format) {
  TW_ASSIGN_OR_RETURN(auto transaction,
                      sqlite::Transaction::Begin(file, sqlite::Transaction::Kind::kWrite));
  if (format < 2) TW_TRY(UpgradeDeadLettersFrom1(file));
  TW_TRY(file.Execute("ALTER TABLE place ADD COLUMN paused INTEGER NOT NULL DEFAULT 0"));
  TW_TRY(file.Execute(SetFormat()));
  return transaction.Commit();
}

// Lets this connection read an older file as if it were the newest; the file stays as it is.
Status ShowAsNewest(sqlite::Database& file, int64_t format) {
  if (format < 2) TW_TRY(ShowDeadLettersOf1(file));
  // A temporary name goes before that of the file.
  return file.Execute("CREATE TEMP VIEW place AS SELECT *, 0 AS paused FROM main.place");
}

Error NotOwner(uint64_t generation) {
  return Error{
      Disposition::kRetry, "not_owner",
      fmt::format("generation {} does not own what it changes; it is polled again", generation)};
}

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
      TW_TRY(file.Execute(kDeadLetterTables));
      TW_TRY(file.Execute(SetFormat()));
      TW_TRY(transaction.Commit());
    }
    TW_ASSIGN_OR_RETURN(const int64_t format, FormatOf(file));
    if (format < kSinkFormat) TW_TRY(Upgrade(file, format));
    return SinkFile(std::move(file));
  };
  return Named(open());
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
    TW_ASSIGN_OR_RETURN(const int64_t format, FormatOf(file));
    if (format < kSinkFormat) TW_TRY(ShowAsNewest(file, format));
    return std::optional<SinkFile>(SinkFile(std::move(file)));
  };
  return Named(open());
}

Result<sqlite::Statement*> SinkFile::Prepared(sqlite::Statement& slot, std::string_view sql) {
  if (!slot) {
    TW_ASSIGN_OR_RETURN(slot, file_->Prepare(sql));
  }
  return &slot;
}

Result<Subscription::Stored> SinkFile::Load() { return Named(LoadRows()); }

Result<Subscription::Stored> SinkFile::LoadRows() {
  TW_ASSIGN_OR_RETURN(auto transaction,
                      sqlite::Transaction::Begin(*file_, sqlite::Transaction::Kind::kRead));
  Subscription::Stored stored;
  TW_ASSIGN_OR_RETURN(auto* place, Prepared(load_place_, "SELECT log_id, paused FROM place"));
  TW_ASSIGN_OR_RETURN(const bool found, place->Step());
  if (found) {
    stored.log_id = place->Text(0);
    stored.paused = place->Int64(1) != 0;
  }
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

Status SinkFile::Commit(const Subscription::Update& update) { return Named(CommitRows(update)); }

Status SinkFile::CommitRows(const Subscription::Update& update) {
  TW_ASSIGN_OR_RETURN(auto transaction,
                      sqlite::Transaction::Begin(*file_, sqlite::Transaction::Kind::kWrite));
  TW_ASSIGN_OR_RETURN(const bool removed, letters_.Apply(update));
  TW_TRY(MoveOffsets(update));
  TW_TRY(transaction.Commit());
  maybe_spacious_ |= removed;
  return {};
}

Status SinkFile::MoveOffsets(const Subscription::Update& update) {
  if (!update.log_id.empty()) {
    // Offsets of another log mean nothing in this one.
    TW_ASSIGN_OR_RETURN(auto* place, Prepared(put_log_id_,
                                              "INSERT INTO place (id, log_id) VALUES (1, ?) "
                                              "ON CONFLICT (id) "
                                              "DO UPDATE SET log_id = excluded.log_id "
                                              "WHERE log_id <> excluded.log_id"));
    TW_TRY(place->BindText(1, update.log_id).Run());
    if (file_->changes() > 0) TW_TRY(file_->Execute("DELETE FROM offsets"));
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
  if (update.paused) {
    // Also before anything was committed: then no log is named yet.
    TW_ASSIGN_OR_RETURN(auto* paused,
                        Prepared(put_paused_,
                                 "INSERT INTO place (id, log_id, paused) VALUES (1, '', ?) "
                                 "ON CONFLICT (id) DO UPDATE SET paused = excluded.paused"));
    TW_TRY(paused->Bind(1, *update.paused ? 1 : 0).Run());
  }
  return {};
}

Result<Subscription::DeadLetterCounts> SinkFile::CountDeadLetters() {
  return Named(letters_.Count());
}

Result<DeadLetterPage> SinkFile::ListDeadLetters(const DeadLetterFilter& filter,
                                                 std::optional<RecordPlace> from, size_t limit,
                                                 size_t max_bytes) {
  return Named(letters_.List(filter, from, limit, max_bytes));
}

Result<std::vector<Subscription::BlockedKey>> SinkFile::BlockedKeys(
    size_t limit, std::optional<RecordPlace> after) {
  return Named(letters_.BlockedKeys(limit, after));
}

Result<std::vector<DeadLetter>> SinkFile::LoadBlocked(const std::string& key, size_t max_records,
                                                      size_t max_bytes) {
  return Named(letters_.LoadBlocked(key, max_records, max_bytes));
}

Result<std::vector<std::string>> SinkFile::Requeue(const DeadLetterFilter& filter) {
  const auto requeue = [&]() -> Result<std::vector<std::string>> {
    TW_ASSIGN_OR_RETURN(auto transaction,
                        sqlite::Transaction::Begin(*file_, sqlite::Transaction::Kind::kWrite));
    TW_ASSIGN_OR_RETURN(std::vector<std::string> keys, letters_.Requeue(filter));
    TW_TRY(transaction.Commit());
    return keys;
  };
  return Named(requeue());
}

Result<uint64_t> SinkFile::DropDeadLetters(const DeadLetterFilter& filter) {
  const auto drop = [&]() -> Result<uint64_t> {
    uint64_t dropped = 0;
    while (true) {
      TW_ASSIGN_OR_RETURN(auto transaction,
                          sqlite::Transaction::Begin(*file_, sqlite::Transaction::Kind::kWrite));
      TW_ASSIGN_OR_RETURN(const uint64_t step, letters_.Drop(filter, kDropsPerStep));
      TW_TRY(transaction.Commit());
      dropped += step;
      maybe_spacious_ |= step > 0;
      if (step < kDropsPerStep) return dropped;
    }
  };
  return Named(drop());
}

Status SinkFile::GiveBackSpace() {
  if (!maybe_spacious_) return {};
  TW_ASSIGN_OR_RETURN(maybe_spacious_, Named(GiveBackPages()));
  return {};
}

Result<bool> SinkFile::GiveBackPages() {
  TW_ASSIGN_OR_RETURN(const auto pages, file_->QueryInt64("PRAGMA page_count"));
  TW_ASSIGN_OR_RETURN(const auto free_pages, file_->QueryInt64("PRAGMA freelist_count"));
  if (free_pages.value_or(0) <= std::max(kFreePages, pages.value_or(0) / kFreeShare)) return false;
  // The pragma answers one row per page that it frees.
  TW_ASSIGN_OR_RETURN(
      auto vacuum,
      file_->Prepare(fmt::format("PRAGMA incremental_vacuum({})", kPagesPerStep), false));
  TW_TRY(vacuum.Run());
  return true;
}

Result<Subscription::Assignment> LocalSubscription::Poll(std::chrono::milliseconds) {
  TW_TRY(file_.GiveBackSpace());
  return Assignment{kGeneration, {0}};
}

Result<Offsets> LocalSubscription::GroupOffsets() {
  TW_ASSIGN_OR_RETURN(Stored stored, file_.Load());
  return std::move(stored.offsets);
}

Status LocalSubscription::Commit(uint64_t generation, const Update& update) {
  bool owned = generation == kGeneration;
  for (const auto& [partition, offset] : update.offsets) owned &= partition == 0;
  for (const DeadLetter& letter : update.add) owned &= letter.partition == 0;
  for (const RecordPlace& place : update.remove) owned &= place.partition == 0;
  if (!owned) return NotOwner(generation);
  return file_.Commit(update);
}

Result<std::vector<std::string>> LocalSubscription::Requeue(uint64_t generation,
                                                            const DeadLetterFilter& filter) {
  if (generation != kGeneration) return NotOwner(generation);
  return file_.Requeue(filter);
}

Result<uint64_t> LocalSubscription::DropDeadLetters(uint64_t generation,
                                                    const DeadLetterFilter& filter) {
  if (generation != kGeneration) return NotOwner(generation);
  return file_.DropDeadLetters(filter);
}

}  // namespace tailwater::local
