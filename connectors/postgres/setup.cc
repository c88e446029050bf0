#include "postgres/setup.h"

#include <algorithm>
#include <tuple>

#include "postgres/gap.h"
#include "postgres/watermarks.h"
#include "support/crash_point.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

constexpr auto kOperator = Disposition::kNeedsOperator;
constexpr auto kGap = Disposition::kGap;

std::string Find(const SourceIdentity& identity, const std::string& key) {
  const auto found = identity.find(key);
  return found == identity.end() ? std::string() : found->second;
}

std::string QuotedList(const std::vector<const TableFacts*>& tables) {
  std::string list;
  for (const TableFacts* table : tables) list += (list.empty() ? "" : ", ") + table->quoted;
  return list;
}

}  // namespace

OwnNames NamesFor(const PostgresConfig& config, const std::string& pipeline,
                  const std::string& source) {
  const std::string own = fmt::format("tailwater_{}__{}", pipeline, source);
  return {config.slot.name.empty() ? own : config.slot.name,
          config.publication.name.empty() ? own : config.publication.name,
          fmt::format("tailwater pipeline={} source={}", pipeline, source)};
}

Status Setup::Look() {
  TW_ASSIGN_OR_RETURN(server_, ReadServer(replication_, sql_));
  TW_ASSIGN_OR_RETURN(tables_, ReadTables(sql_));
  if (server_.wal_level != "logical") {
    return Error{kOperator, "pg_wal_level",
                 fmt::format("wal_level is '{}': run ALTER SYSTEM SET wal_level = 'logical'; then "
                             "restart the server",
                             server_.wal_level)};
  }
  return {};
}

SourceIdentity Setup::Identity(uint32_t publication_oid) const {
  SourceIdentity identity = {
      {"system_identifier", server_.system_identifier},
      {"timeline", std::to_string(server_.timeline)},
      {"database_oid", std::to_string(server_.database_oid)},
      {"slot", names_.slot},
      {"plugin", "pgoutput"},
      {"publication", names_.publication},
  };
  if (publication_oid != 0) identity["publication_oid"] = std::to_string(publication_oid);
  return identity;
}

Status Setup::RefuseProblems(const std::vector<const TableFacts*>& tables) const {
  std::string text;
  std::string_view code = "pg_table_identity";
  for (const TableFacts* table : tables) {
    for (const TableProblem& problem : FindTableProblems(tables_, *table, sql_.major_version())) {
      text += fmt::format("{}table {} {}: {}", text.empty() ? "" : "; ", problem.table,
                          problem.message, problem.remedy);
      if (problem.code == "pg_table_unlogged") code = "pg_table_unlogged";
      if (problem.code == "pg_table_partitioned") code = "pg_table_partitioned";
    }
  }
  if (text.empty()) return {};
  return Error{kOperator, code, text};
}

Status Setup::CheckFirstStart(bool after_gap) {
  TW_ASSIGN_OR_RETURN(const std::optional<SlotFacts> slot, ReadSlot(sql_, names_.slot));
  if (after_gap && slot) TW_TRY(RefuseForeignSlot(*slot));
  if (config_.slot.create && slot && !after_gap) {
    return Error{
        kGap, "state_lost",
        fmt::format("slot '{0}' exists, but this pipeline's topic knows nothing of it: its "
                    "state was lost, or the name is somebody else's. Give the topic back, "
                    "or drop the slot (`tailwater destroy`, or SELECT "
                    "pg_drop_replication_slot('{0}')) and start anew",
                    names_.slot)};
  }
  if (!config_.slot.create && !slot) {
    return Error{kOperator, "pg_slot_missing",
                 fmt::format("slot '{0}' does not exist and slot.create is false: SELECT "
                             "pg_create_logical_replication_slot('{0}', 'pgoutput')",
                             names_.slot)};
  }
  const SelectedTables selected =
      SelectTables(tables_, context_.tables, context_.name, WatermarkTable(config_));
  if (!selected.unmatched.empty()) {
    return Error{kOperator, "pg_table_missing",
                 fmt::format("no table {}: create it, or correct `tables`",
                             fmt::join(selected.unmatched, ", "))};
  }
  if (selected.tables.empty()) {
    return Error{kOperator, "pg_table_missing",
                 "`tables` selects no table of this database: create one, or correct `tables`"};
  }
  TW_ASSIGN_OR_RETURN(const std::optional<PublicationFacts> publication,
                      ReadPublication(sql_, names_.publication));
  if (publication) return {};  // PreparePublication() judges it
  if (!config_.publication.create) {
    return Error{
        kOperator, "pg_publication_missing",
        fmt::format("publication '{}' does not exist and publication.create is false: "
                    "CREATE PUBLICATION {} FOR TABLE {}{};",
                    names_.publication, sql_.QuoteName(names_.publication),
                    QuotedList(selected.tables),
                    sql_.major_version() >= 13 ? " WITH (publish_via_partition_root = true)" : "")};
  }
  return RefuseProblems(selected.tables);
}

// What DropLeftSlot() would not touch.
Status Setup::RefuseForeignSlot(const SlotFacts& slot) const {
  const auto refuse = [&](std::string_view why) {
    return Error{kOperator, "pg_slot_not_ours",
                 fmt::format("slot '{0}' {1}, so it is not dropped by itself. If nobody needs it: "
                             "SELECT pg_drop_replication_slot('{0}');{2}",
                             names_.slot, why,
                             config_.slot.create
                                 ? ""
                                 : fmt::format(" SELECT pg_create_logical_replication_slot('{}', "
                                               "'pgoutput');",
                                               names_.slot))};
  };
  if (slot.plugin != "pgoutput")
    return refuse(slot.plugin.empty() ? "is a physical one"
                                      : fmt::format("is of plugin '{}'", slot.plugin));
  if (slot.database != config_.database)
    return refuse(fmt::format("is of database '{}'", slot.database));
  if (!config_.slot.create && slot.lost())
    return refuse("is invalidated and somebody else's (slot.create is false)");
  return {};
}

Status Setup::DropLeftSlot(const std::string& our_session) {
  TW_ASSIGN_OR_RETURN(const std::optional<SlotFacts> slot, ReadSlot(sql_, names_.slot));
  if (!slot) return {};
  TW_TRY(RefuseForeignSlot(*slot));
  if (!config_.slot.create) return {};
  if (slot->active) {
    TW_ASSIGN_OR_RETURN(
        const Rows reader,
        sql_.Query("select application_name, usename from pg_stat_activity where pid = $1::int",
                   {std::to_string(slot->active_pid)}));
    const bool own = reader.empty() || reader.Text(0, 0) == our_session;
    // Our own stream of a moment ago may not be through with its end.
    return Error{own ? Disposition::kRetry : kOperator, "pg_slot_in_use",
                 fmt::format("slot '{0}' has to be dropped for the new start, but pid {1} ({2}) "
                             "reads it: {3}",
                             names_.slot, slot->active_pid,
                             reader.empty() ? std::string_view("gone by now") : reader.Text(0, 0),
                             own ? "trying again"
                                 : fmt::format("stop that reader, or SELECT "
                                               "pg_terminate_backend({});",
                                               slot->active_pid))};
  }
  TW_TRY(sql_.Query("select pg_drop_replication_slot($1)", {names_.slot}));
  context_.logger.Warn(
      "slot dropped after a gap; a new one follows",
      {{"slot", names_.slot},
       {"confirmed", slot->confirmed ? slot->confirmed->ToString() : std::string("nothing")}});
  return {};
}

Result<uint32_t> Setup::PreparePublication(uint32_t expected_oid, std::optional<Lsn> frontier) {
  const SelectedTables selected =
      SelectTables(tables_, context_.tables, context_.name, WatermarkTable(config_));
  TW_ASSIGN_OR_RETURN(std::optional<PublicationFacts> publication,
                      ReadPublication(sql_, names_.publication));
  if (expected_oid != 0 && (!publication || publication->oid != expected_oid)) {
    return Gap("pg_publication_replaced",
               fmt::format("publication '{}' {}: changes written meanwhile cannot be decoded",
                           names_.publication,
                           publication ? "was dropped and created again" : "was dropped"),
               frontier.value_or(Lsn{}), server_.wal_end);
  }
  if (!publication) {
    TW_TRY(CreatePublication(selected));
    TW_ASSIGN_OR_RETURN(publication, ReadPublication(sql_, names_.publication));
    if (!publication) {
      return Error{Disposition::kRetry, "pg_publication_missing",
                   "the publication vanished as soon as it was made; trying again"};
    }
    return publication->oid;
  }
  if (publication->comment == names_.tag) {
    TW_TRY(AddTables(*publication, selected));
  } else {
    TW_TRY(VerifyForeignPublication(*publication, selected));
  }
  return publication->oid;
}

Status Setup::CreatePublication(const SelectedTables& selected) {
  TW_TRY(RefuseProblems(selected.tables));
  const std::string name = sql_.QuoteName(names_.publication);
  // One transaction: a publication without its tag would be nobody's.
  TW_TRY(sql_.Query(
      fmt::format("CREATE PUBLICATION {} FOR TABLE {}{}; COMMENT ON PUBLICATION {} IS {}", name,
                  QuotedList(selected.tables),
                  sql_.major_version() >= 13 ? " WITH (publish_via_partition_root = true)" : "",
                  name, sql_.QuoteLiteral(names_.tag))));
  context_.logger.Info("publication created",
                       {{"publication", names_.publication}, {"tables", selected.tables.size()}});
  return {};
}

Status Setup::AddTables(const PublicationFacts& publication, const SelectedTables& selected) {
  for (const std::string& missing : selected.unmatched)
    context_.logger.Warn("selected table does not exist", {{"table", missing}});
  std::vector<const TableFacts*> added;
  for (const TableFacts* table : selected.tables) {
    if (publication.listed.count(table->oid) == 0) {
      added.push_back(table);
      continue;
    }
    // Already published: too late to refuse, and stopping would not help its users.
    for (const TableProblem& problem : FindTableProblems(tables_, *table, sql_.major_version())) {
      context_.logger.Error(
          "published table",
          {{"table", problem.table}, {"problem", problem.message}, {"remedy", problem.remedy}});
    }
  }
  if (added.empty()) return {};
  TW_TRY(RefuseProblems(added));
  TW_TRY(sql_.Query(fmt::format("ALTER PUBLICATION {} ADD TABLE {}",
                                sql_.QuoteName(names_.publication), QuotedList(added))));
  for (const TableFacts* table : added) {
    context_.logger.Info("table added: its changes are captured from here on",
                         {{"table", table->name.ToString()}});
  }
  return {};
}

Result<Setup::Followed> Setup::FollowTables() {
  TW_ASSIGN_OR_RETURN(tables_, ReadTables(sql_));
  TW_ASSIGN_OR_RETURN(const std::optional<PublicationFacts> publication,
                      ReadPublication(sql_, names_.publication));
  if (!publication) {
    return Error{Disposition::kRetry, "pg_publication_missing",
                 "the publication is gone, as the stream will find out; trying again"};
  }
  const bool ours = publication->comment == names_.tag;
  const SelectedTables selected =
      SelectTables(tables_, context_.tables, context_.name, WatermarkTable(config_));
  Followed followed;
  for (const TableFacts* table : selected.tables) {
    if (publication->Publishes(*table, tables_)) {
      followed.captured.push_back(table);
    } else if (!ours) {
      followed.refused.emplace_back(
          table->name.ToString(),
          fmt::format("the publication is not ours to change: ALTER PUBLICATION {} ADD TABLE {};",
                      sql_.QuoteName(names_.publication), table->quoted));
    } else if (Status added = AddTables(*publication, {{table}, {}}); added) {
      followed.captured.push_back(table);
    } else if (added.error().disposition == Disposition::kNeedsOperator) {
      followed.refused.emplace_back(table->name.ToString(), added.error().message);
    } else {
      return std::move(added).error();
    }
  }
  return followed;
}

Status Setup::VerifyForeignPublication(const PublicationFacts& publication,
                                       const SelectedTables& selected) {
  if (publication.comment.rfind("tailwater pipeline=", 0) == 0) {
    return Error{kOperator, "pg_publication_not_ours",
                 fmt::format("publication '{}' belongs to another pipeline ({}): choose another "
                             "name",
                             names_.publication, publication.comment)};
  }
  std::vector<const TableFacts*> missing;
  bool partitioned = false;
  for (const TableFacts* table : selected.tables) {
    partitioned = partitioned || table->kind == 'p';
    if (publication.Publishes(*table, tables_)) continue;
    // Through leaves under another setting: said below.
    if (table->kind == 'p' && !publication.via_root) continue;
    const bool named =
        std::any_of(context_.tables.entries().begin(), context_.tables.entries().end(),
                    [&](const TableEntry& entry) {
                      return !entry.match.has_wildcard() &&
                             entry.match.Matches(context_.name, table->name.ToString());
                    });
    if (named)
      missing.push_back(table);
    else
      context_.logger.Warn("table is selected, but not in the publication",
                           {{"table", table->name.ToString()}});
  }
  if (!missing.empty()) {
    return Error{
        kOperator, "pg_publication_lacks_table",
        fmt::format("publication '{}' is not ours to change and lacks tables: ALTER "
                    "PUBLICATION {} ADD TABLE {};",
                    names_.publication, sql_.QuoteName(names_.publication), QuotedList(missing))};
  }
  if (partitioned && !publication.via_root) {
    return Error{kOperator, "pg_publication_not_via_root",
                 fmt::format("publication '{}' names partitions instead of their table: ALTER "
                             "PUBLICATION {} SET (publish_via_partition_root = true);",
                             names_.publication, sql_.QuoteName(names_.publication))};
  }
  if (!publication.whole) {
    context_.logger.Warn("the publication leaves out inserts, updates, deletes or truncates",
                         {{"publication", names_.publication}});
  }
  return {};
}

Result<Lsn> Setup::PrepareSlot() {
  TW_ASSIGN_OR_RETURN(const std::optional<SlotFacts> slot, ReadSlot(sql_, names_.slot));
  if (!slot) {
    if (!config_.slot.create) {
      return Error{kOperator, "pg_slot_missing",
                   fmt::format("slot '{0}' does not exist and slot.create is false: SELECT "
                               "pg_create_logical_replication_slot('{0}', 'pgoutput')",
                               names_.slot)};
    }
    return CreateSlot();
  }
  if (slot->lost()) {
    return Gap("pg_slot_lost",
               fmt::format("slot '{}' was invalidated ({})", names_.slot, slot->WhyLost()),
               slot->confirmed.value_or(Lsn{}), server_.wal_end);
  }
  if (!slot->confirmed) {
    return Error{Disposition::kRetry, "pg_slot_in_use",
                 fmt::format("slot '{}' is being created by pid {}; trying again", names_.slot,
                             slot->active_pid)};
  }
  if (slot->plugin != "pgoutput" || slot->database != config_.database) {
    return Error{kOperator, "pg_slot_not_ours",
                 fmt::format("slot '{}' is of plugin '{}' and database '{}': pgoutput and '{}' are "
                             "needed; choose another slot.name",
                             names_.slot, slot->plugin, slot->database, config_.database)};
  }
  return *slot->confirmed;
}

Result<Lsn> Setup::CreateSlot() {
  const int version = replication_.major_version();
  std::string options = "NOEXPORT_SNAPSHOT";
  if (version >= 15) {
    options = "(SNAPSHOT 'nothing'";
    if (version >= 17 && config_.slot.failover && !server_.in_recovery)
      options += ", FAILOVER true";
    options += ")";
  }
  Connection::Wait wait;
  wait.moment = Moment::kCreateSlot;
  wait.timeout = {};  // as long as the oldest writer takes; see on_tick
  wait.on_tick = [this] {
    const Result<std::string> open = DescribeOpenTransactions(sql_);
    context_.logger.Info("waiting for running transactions before the slot can start",
                         {{"slot", names_.slot},
                          {"transactions", open ? *open : std::string(open.error().message)}});
  };
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      replication_.Query(fmt::format("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput {}",
                                     sql_.QuoteName(names_.slot), options),
                         {}, wait));
  TW_CRASH_POINT("pg_slot_created");
  const std::optional<Lsn> start = Lsn::Parse(rows.Text(0, 1));
  if (!start) {
    return Error{Disposition::kFatal, "pg_protocol_error",
                 fmt::format("CREATE_REPLICATION_SLOT says '{}'; report this", rows.Text(0, 1))};
  }
  context_.logger.Info("slot created",
                       {{"slot", names_.slot}, {"consistent_point", start->ToString()}});
  return *start;
}

Status Setup::CheckResume(const SourceIdentity& identity, Lsn frontier) {
  // Two names that only the file can have changed: nothing is lost yet.
  for (const auto& [key, option, name] :
       {std::tuple("slot", "slot.name", names_.slot),
        std::tuple("publication", "publication.name", names_.publication)}) {
    if (const std::string known = Find(identity, key); known != name) {
      return Error{kOperator, "pg_name_changed",
                   fmt::format("the checkpoint was made with {0} '{1}', the configuration says "
                               "'{2}': set {3}: {1}, or take a new start: tailwater destroy with "
                               "the old file, then run",
                               key, known, name, option)};
    }
  }
  if (const std::string system = Find(identity, "system_identifier");
      system != server_.system_identifier) {
    return Gap("pg_other_system",
               fmt::format("this is another server (system identifier {}, the checkpoint's is {}): "
                           "correct the address, or move with `tailwater sources handover`",
                           server_.system_identifier, system),
               frontier, std::nullopt);
  }
  if (const std::string oid = Find(identity, "database_oid");
      oid != std::to_string(server_.database_oid)) {
    return Gap("pg_other_database",
               fmt::format("this is another database (oid {}, the checkpoint's is {}), or '{}' was "
                           "dropped and created again: correct `database`",
                           server_.database_oid, oid, config_.database),
               frontier, std::nullopt);
  }
  // A timeline says more than positions: those of two timelines do not compare.
  if (const std::string timeline = Find(identity, "timeline");
      timeline != std::to_string(server_.timeline)) {
    TW_TRY(CheckTimeline(static_cast<uint32_t>(std::stoul("0" + timeline)), frontier));
  }
  if (frontier > server_.wal_end) {
    if (server_.in_recovery) {
      return Error{Disposition::kRetry, "pg_standby_behind",
                   fmt::format("the checkpoint is {}, this standby has received its primary's log "
                               "up to {}; waiting until it has caught up",
                               frontier.ToString(), server_.wal_end.ToString())};
    }
    return Error{
        kGap, "pg_server_behind_checkpoint",
        fmt::format(
            "the checkpoint is {0}, but the server's log ends at {1}: it was restored from "
            "an older state, without what it had written between {1} and {0}, and what it "
            "wrote since then cannot be told from that; with `on_gap: resnapshot` the "
            "source begins anew and copies its tables again, or take a new start: tailwater "
            "destroy, then run",
            frontier.ToString(), server_.wal_end.ToString())};
  }
  Status slot = CheckSlot(sql_, names_.slot, frontier, server_.wal_end, 0);
  if (!slot && slot.error().code == "pg_slot_missing" &&
      Find(identity, "timeline") != std::to_string(server_.timeline)) {
    return std::move(slot).error().Within(
        fmt::format("promoted from timeline {} to {} without a synchronized slot (17 and later: "
                    "slot.failover, and sync_replication_slots = on at the standby)",
                    Find(identity, "timeline"), server_.timeline));
  }
  return slot;
}

Status Setup::CheckTimeline(uint32_t old_timeline, Lsn frontier) {
  const auto diverged = [&](std::string_view why, std::optional<Lsn> left) {
    return Error{
        kGap, "pg_timeline_diverged",
        fmt::format(
            "the checkpoint {0} lies on timeline {1}, the server is on {2}: {3}{4}; with `on_gap: "
            "resnapshot` the source begins anew and copies its tables again, or take a new start: "
            "tailwater destroy, then run",
            frontier.ToString(), old_timeline, server_.timeline, why,
            left ? fmt::format("; what was written between {} and {} is in the topic, but not on "
                               "this server, and what follows {} here is missing in the topic",
                               left->ToString(), frontier.ToString(), left->ToString())
                 : std::string("; what follows the parting is missing in the topic"))};
  };
  if (server_.timeline < old_timeline)
    return diverged("it was restored from an older state", std::nullopt);
  TW_ASSIGN_OR_RETURN(const Rows rows,
                      replication_.Query(fmt::format("TIMELINE_HISTORY {}", server_.timeline)));
  // Lines of "parent timeline, where it was left, why"; content is bytea, sent as it is.
  std::string_view content = rows.Text(0, 1);
  while (!content.empty()) {
    const std::string_view line = content.substr(0, content.find('\n'));
    content.remove_prefix(std::min(content.size(), line.size() + 1));
    const size_t first = line.find('\t');
    if (first == std::string_view::npos || line.substr(0, first) != std::to_string(old_timeline))
      continue;
    const std::string_view rest = line.substr(first + 1);
    const std::optional<Lsn> left = Lsn::Parse(rest.substr(0, rest.find('\t')));
    if (!left) return diverged("its history cannot be read", std::nullopt);
    if (frontier > *left) {
      return diverged(
          fmt::format("that timeline was left at {}, before the checkpoint", left->ToString()),
          left);
    }
    return {};
  }
  return diverged("which does not descend from it", std::nullopt);
}

Status CheckSlot(Connection& sql, const std::string& slot_name, Lsn frontier, Lsn server_end,
                 int64_t expected_pid) {
  TW_ASSIGN_OR_RETURN(const std::optional<SlotFacts> slot, ReadSlot(sql, slot_name));
  if (!slot || slot->plugin != "pgoutput") {
    return Gap("pg_slot_missing",
               fmt::format("slot '{}' {}, and with it the log behind the checkpoint", slot_name,
                           slot ? "is not of pgoutput" : "is gone"),
               frontier, server_end);
  }
  TW_ASSIGN_OR_RETURN(const Rows here, sql.Query("select current_database()"));
  if (slot->database != here.Text(0, 0)) {
    return Gap(
        "pg_slot_missing",
        fmt::format("slot '{}' is of database '{}' now, and the log behind the checkpoint is "
                    "gone",
                    slot_name, slot->database),
        frontier, server_end);
  }
  if (slot->lost()) {
    return Gap("pg_slot_lost",
               fmt::format("slot '{}' was invalidated ({})", slot_name, slot->WhyLost()), frontier,
               server_end);
  }
  if (slot->confirmed && *slot->confirmed > frontier) {
    return Gap("pg_slot_ahead_of_checkpoint",
               fmt::format("slot '{}' has discarded changes up to {}, but the checkpoint is {}: "
                           "somebody else read it, moved it or created it again",
                           slot_name, slot->confirmed->ToString(), frontier.ToString()),
               frontier, *slot->confirmed);
  }
  // Nobody: our stream has ended already, and says itself why.
  if (expected_pid != 0 && slot->active_pid != 0 && slot->active_pid != expected_pid) {
    return Error{Disposition::kRetry, "pg_slot_in_use",
                 fmt::format("slot '{}' is read by pid {} instead of us; trying again", slot_name,
                             slot->active_pid)};
  }
  return {};
}

}  // namespace tailwater::postgres
