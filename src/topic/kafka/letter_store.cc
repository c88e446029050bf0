#include "topic/kafka/letter_store.h"

#include <optional>
#include <utility>

#include "support/kafka/consumer.h"
#include "topic/kafka/dead_letter_record.h"

namespace tailwater {
namespace {

// Records that one transaction of the copy takes while it is filled.
constexpr size_t kRecordsAtOnce = 1'000;

// Places that the transaction in progress touched.
constexpr char kChanged[] = R"(
CREATE TABLE changed (
  partition INTEGER NOT NULL,
  "offset" INTEGER NOT NULL,
  PRIMARY KEY (partition, "offset")
) WITHOUT ROWID;
CREATE TRIGGER changed_by_insert AFTER INSERT ON dead_letters BEGIN
  INSERT INTO changed VALUES (NEW.partition, NEW."offset") ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER changed_by_delete AFTER DELETE ON dead_letters BEGIN
  INSERT INTO changed VALUES (OLD.partition, OLD."offset") ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER changed_by_update AFTER UPDATE ON dead_letters BEGIN
  INSERT INTO changed VALUES (OLD.partition, OLD."offset") ON CONFLICT DO NOTHING;
  INSERT INTO changed VALUES (NEW.partition, NEW."offset") ON CONFLICT DO NOTHING;
END;
)";

}  // namespace

Result<std::unique_ptr<LetterStore>> LetterStore::Make() {
  TW_ASSIGN_OR_RETURN(auto database, sqlite::Database::OpenTemporary());
  TW_TRY(database.Execute("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY"));
  TW_TRY(database.Execute(kDeadLetterTables));
  TW_TRY(database.Execute(kChanged));
  return std::unique_ptr<LetterStore>(new LetterStore(std::move(database)));
}

Result<bool> LetterStore::Load(const KafkaSettings& settings, const std::string& sink,
                               const std::vector<int32_t>& partitions, bool owner) {
  kafka::ConsumerOptions options;
  options.client = settings.client;
  options.topic = settings.DeadLetterTopic(sink);
  options.read_committed = !owner;
  TW_ASSIGN_OR_RETURN(const auto asker, kafka::Consumer::Create(std::move(options)));
  const auto found = asker->Partitions(settings.request_timeout);
  if (!found && found.error().code == "kafka_topic_missing") return false;
  if (!found) return found.error();
  TW_ASSIGN_OR_RETURN(const auto watermarks,
                      asker->QueryWatermarks(partitions, settings.request_timeout));
  for (const auto& [partition, marks] : watermarks) {
    if (marks.low < marks.high) TW_TRY(LoadPartition(settings, sink, partition, owner));
  }
  return true;
}

Status LetterStore::LoadPartition(const KafkaSettings& settings, const std::string& sink,
                                  int32_t partition, bool owner) {
  Subscription::Update pending;
  const auto store = [&]() -> Status {
    TW_ASSIGN_OR_RETURN(auto transaction,
                        sqlite::Transaction::Begin(database_, sqlite::Transaction::Kind::kWrite));
    TW_TRY(table_.Apply(pending));
    TW_TRY(database_.Execute("DELETE FROM changed"));
    pending = {};
    return transaction.Commit();
  };
  const auto visit = [&](const kafka::IncomingRecord& record) -> Status {
    // Within one update removals come first: a letter that is removed again ends it.
    const bool removes = record.value.data() == nullptr;
    if ((removes && !pending.add.empty()) || pending.add.size() >= kRecordsAtOnce) TW_TRY(store());
    return ApplyDeadLetterRecord(record, partition, pending);
  };
  const auto read = owner ? &kafka::ReadToEnd : &kafka::ReadStable;
  TW_TRY(read(settings.client, settings.DeadLetterTopic(sink), partition, {},
              settings.request_timeout, visit));
  return store();
}

Status LetterStore::Change(const std::function<Status(DeadLetterTable&)>& change,
                           const std::function<Status(const Changes&)>& publish) {
  TW_ASSIGN_OR_RETURN(auto transaction,
                      sqlite::Transaction::Begin(database_, sqlite::Transaction::Kind::kWrite));
  TW_TRY(change(table_));
  TW_ASSIGN_OR_RETURN(const Changes changes, Collect());
  TW_TRY(publish(changes));
  TW_TRY(database_.Execute("DELETE FROM changed"));
  return transaction.Commit();
}

Result<LetterStore::Changes> LetterStore::Collect() {
  Changes changes;
  TW_ASSIGN_OR_RETURN(
      auto gone, database_.Prepare("SELECT partition, \"offset\" FROM changed c WHERE NOT EXISTS "
                                   "(SELECT 1 FROM dead_letters d WHERE d.partition = c.partition "
                                   "AND d.\"offset\" = c.\"offset\")",
                                   false));
  while (true) {
    TW_ASSIGN_OR_RETURN(const bool row, gone.Step());
    if (!row) break;
    changes.gone.push_back({static_cast<int32_t>(gone.Int64(0)), gone.Int64(1)});
  }
  TW_ASSIGN_OR_RETURN(changes.put, table_.LoadPlaces("SELECT partition, \"offset\" FROM changed"));
  return changes;
}

}  // namespace tailwater
