// What must exist on the server before a stream can start, and whether it still is what it was.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "postgres/connection.h"
#include "postgres/postgres_config.h"
#include "postgres/server_facts.h"
#include "tailwater/log.h"
#include "tailwater/position.h"
#include "tailwater/registry.h"

namespace tailwater::postgres {

// What is ours on the server, by name and by tag.
struct OwnNames {
  std::string slot;
  std::string publication;
  std::string tag;  // COMMENT of a publication that we made
};
OwnNames NamesFor(const PostgresConfig& config, const std::string& pipeline,
                  const std::string& source);

// Whether the slot still holds what follows `frontier`; the server's log ends at `server_end`. Also
// asked once more when the stream has started, against somebody who moved the slot in between: then
// `expected_pid` must be its reader.
Status CheckSlot(Connection& sql, const std::string& slot_name, Lsn frontier, Lsn server_end,
                 int64_t expected_pid);

// Creates and verifies slot and publication. Used by one Run(); owns nothing.
class Setup {
 public:
  Setup(const PostgresConfig& config, const SourceContext& context, Connection& sql,
        Connection& replication)
      : config_(config),
        context_(context),
        names_(NamesFor(config, context.pipeline, context.name)),
        sql_(sql),
        replication_(replication) {}

  // Reads the server and the tables; kNeedsOperator where logical decoding is impossible.
  Status Look();

  // What a checkpoint must remember to find the same log again. publication_oid 0: not yet known.
  SourceIdentity Identity(uint32_t publication_oid) const;

  // Refuses, before anything was created, what creation would refuse or what would hurt the
  // server's own users: missing tables, tables without identity, a slot that nobody remembers
  // (`after_gap`: one that is not ours to drop).
  Status CheckFirstStart(bool after_gap);

  // After a gap: drops the slot that is left. kNeedsOperator, with the SQL, if it is not ours:
  // another name than ours made, another plugin or database, or somebody else reads it. A slot of
  // somebody else's that is still good stays as it is. `our_session`: the name of our sessions.
  Status DropLeftSlot(const std::string& our_session);

  // The publication exists, is ours or verified, and publishes the selected tables; adds tables to
  // one that is tagged ours, never narrows or drops. `expected_oid` 0: none yet. Its oid.
  // `frontier`: where a gap begins.
  Result<uint32_t> PreparePublication(uint32_t expected_oid, std::optional<Lsn> frontier);

  // While the stream runs: tables that came later are added to a publication of ours. Needs no
  // Look() and no replication session.
  struct Followed {
    std::vector<const TableFacts*>
        captured;  // all that are selected and published, as long as this
    std::vector<std::pair<std::string, std::string>> refused;  // those that are not, and why
  };
  Result<Followed> FollowTables();

  // The slot exists: made now, or left by a start that was cut short. Where its log starts.
  Result<Lsn> PrepareSlot();

  // Whether the server still holds what follows `frontier`; kGap with a named code.
  Status CheckResume(const SourceIdentity& identity, Lsn frontier);

  const ServerFacts& server() const { return server_; }
  const OwnNames& names() const { return names_; }

 private:
  Result<Lsn> CreateSlot();
  Status CheckTimeline(uint32_t old_timeline, Lsn frontier);
  Status RefuseForeignSlot(const SlotFacts& slot) const;
  Status CreatePublication(const SelectedTables& selected);
  Status AddTables(const PublicationFacts& publication, const SelectedTables& selected);
  Status VerifyForeignPublication(const PublicationFacts& publication,
                                  const SelectedTables& selected);
  Status RefuseProblems(const std::vector<const TableFacts*>& tables) const;

  const PostgresConfig& config_;
  const SourceContext& context_;
  const OwnNames names_;
  Connection& sql_;
  Connection& replication_;
  ServerFacts server_;
  std::vector<TableFacts> tables_;
};

}  // namespace tailwater::postgres
