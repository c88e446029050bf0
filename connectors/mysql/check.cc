// `tailwater check` for a MySQL or MariaDB source: reads only, and says what to run.
#include <algorithm>
#include <cmath>
#include <ctime>
#include <map>
#include <memory>
#include <set>

#include "mysql/mysql_tools.h"
#include "mysql/server_facts.h"
#include "mysql/setup.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

using Severity = Finding::Severity;

constexpr int64_t kDay = 86400;
constexpr double kClockSkewSeconds = 30;

class Checker {
 public:
  Checker(const MysqlConfig& config, const SourceContext& context)
      : config_(config), context_(context) {}

  std::vector<Finding> Run() {
    if (Status checked = CheckAll(); !checked) Fail("server", std::move(checked).error());
    return std::move(findings_);
  }

 private:
  void Add(Severity severity, std::string code, std::string subject, std::string message,
           std::string remedy = {}) {
    findings_.push_back(
        {severity, std::move(code), std::move(subject), std::move(message), std::move(remedy)});
  }
  void Fail(std::string subject, Error error) {
    std::string remedy;
    if (error.code == "mysql_login_failed") {
      remedy =
          fmt::format("CREATE USER '{0}'@'%' IDENTIFIED BY '…';  -- or ALTER USER", config_.user);
    }
    Add(Severity::kError, std::string(error.code), std::move(subject), std::move(error.message),
        std::move(remedy));
  }

  Status CheckAll() {
    auto opened = Connection::Open(
        config_, fmt::format("tailwater {}/{} chk", context_.pipeline, context_.name), {});
    if (!opened) {
      Fail("connection", std::move(opened).error());
      return {};
    }
    sql_ = *std::move(opened);
    TW_ASSIGN_OR_RETURN(server_, ReadServer(*sql_, config_));
    TW_ASSIGN_OR_RETURN(account_, ReadAccount(*sql_));
    Add(Severity::kOk, "mysql_connected", "connection",
        fmt::format("{} at {} as {}, {}", server_.Name(),
                    config_.host.starts_with('/')
                        ? config_.host
                        : fmt::format("{}:{}", config_.host, config_.port),
                    account_,
                    sql_->uses_tls()   ? "TLS"
                    : sql_->uses_tcp() ? "no TLS"
                                       : "a local socket"));
    CheckSettings();
    TW_TRY(CheckPrivileges());
    TW_TRY(CheckReaders());
    if (server_.log_bin) TW_TRY(CheckLog());
    TW_TRY(CheckClock());
    TW_ASSIGN_OR_RETURN(tables_, ReadTables(*sql_));
    selected_ = SelectTables(tables_, context_.tables, context_.name);
    return CheckTables();
  }

  void CheckSettings() {
    const std::vector<SettingProblem> problems = FindSettingProblems(server_);
    for (const SettingProblem& problem : problems) {
      Add(Severity::kError, std::string(problem.code), problem.setting, problem.message,
          problem.remedy);
    }
    if (problems.empty()) {
      Add(Severity::kOk, "mysql_binlog", "binary log",
          "format ROW, metadata FULL, row image " + server_.row_image);
    }
    if (!server_.log_bin) return;
    if (!server_.whole_before()) {
      Add(Severity::kWarning, "mysql_row_image", "binlog_row_image",
          fmt::format(
              "is {}: updates and deletes carry a part of the row only; what is left out is "
              "unchanged, and `OLD` has the key alone",
              server_.row_image),
          SettingRemedy(server_, "binlog_row_image", "FULL"));
    }
    if (server_.partial_json && !server_.whole_before()) {
      Add(Severity::kWarning, "mysql_partial_json", "binlog_row_value_options",
          fmt::format("is PARTIAL_JSON, and binlog_row_image is {}: of a JSON document that is "
                      "changed the log has the change alone, and not what it applies to. The first "
                      "such change is a gap",
                      server_.row_image),
          SettingRemedy(server_, "binlog_row_value_options", ""));
    }
    if (server_.form() == LogPosition::Form::kFile) {
      Add(Severity::kWarning, "mysql_no_gtid", "gtid_mode",
          fmt::format("is {}: positions are files and offsets of this one server; with GTIDs the "
                      "source can go on at another one after a failover. Switch before the first "
                      "start",
                      server_.gtid_mode.empty() ? "unknown" : server_.gtid_mode),
          server_.provider == Provider::kSelf
              ? "SET GLOBAL enforce_gtid_consistency = 'ON';\nSET GLOBAL gtid_mode = "
                "'OFF_PERMISSIVE';\nSET GLOBAL gtid_mode = 'ON_PERMISSIVE';\nSET GLOBAL gtid_mode "
                "= "
                "'ON';  -- and both under [mysqld] in the server's configuration file"
              : SettingRemedy(server_, "gtid_mode", "ON"));
    } else {
      Add(Severity::kOk, "mysql_gtid", "positions",
          server_.mariadb() ? "GTIDs: the last of each domain" : "sets of GTIDs");
    }
    CheckRetention();
  }

  void CheckRetention() {
    if (server_.provider == Provider::kRds || server_.provider == Provider::kAurora) {
      Add(Severity::kWarning, "mysql_log_expires", "binlog retention hours",
          "unless this is set the service removes the log as soon as it can: a pipeline that is "
          "stopped for longer loses changes",
          "CALL mysql.rds_set_configuration('binlog retention hours', 168);");
      return;
    }
    if (!server_.expire_seconds) {
      Add(Severity::kOk, "mysql_log_expires", "retention",
          "the log is kept until it is purged by hand");
    } else if (*server_.expire_seconds < kDay) {
      Add(Severity::kWarning, "mysql_log_expires", "binlog_expire_logs_seconds",
          fmt::format("is {}: a pipeline that is stopped for longer loses changes",
                      *server_.expire_seconds),
          SettingRemedy(server_, "binlog_expire_logs_seconds", std::to_string(7 * kDay)));
    } else {
      Add(Severity::kOk, "mysql_log_expires", "retention",
          fmt::format("the log is kept for {} hours", *server_.expire_seconds / 3600));
    }
    if (server_.max_log_bytes) {
      Add(Severity::kInfo, "mysql_log_expires", "max_binlog_total_size",
          fmt::format("the log is kept up to {} bytes", *server_.max_log_bytes));
    }
  }

  std::string ClientPrivilege() const {
    return server_.mariadb() ? "BINLOG MONITOR" : "REPLICATION CLIENT";
  }

  Status CheckPrivileges() {
    TW_ASSIGN_OR_RETURN(const Grants grants, ReadGrants(*sql_));
    std::string missing, unclear;
    const auto look = [&](const std::string& privilege, const std::string& alias) {
      if (grants.HasGlobal(privilege) || (!alias.empty() && grants.HasGlobal(alias))) return;
      std::string& list = grants.has_roles() ? unclear : missing;
      list += (list.empty() ? "" : ", ") + privilege;
    };
    look("REPLICATION SLAVE", server_.mariadb() ? "REPLICATION REPLICA" : "");
    look(ClientPrivilege(), server_.mariadb() ? "REPLICATION CLIENT" : "");
    if (!missing.empty()) {
      Add(Severity::kError, "mysql_privilege_missing", "user",
          fmt::format("{} lacks {}", account_, missing),
          fmt::format("GRANT {} ON *.* TO {};", missing, account_));
    } else if (!unclear.empty()) {
      Add(Severity::kWarning, "mysql_privilege_unclear", "user",
          fmt::format("{} has roles that may hold {}; grant it to the user itself to be sure",
                      account_, unclear),
          fmt::format("GRANT {} ON *.* TO {};", unclear, account_));
    } else {
      Add(Severity::kOk, "mysql_privileges", "user",
          fmt::format("may read the log (REPLICATION SLAVE, {})", ClientPrivilege()));
    }
    if (!server_.mariadb() && !grants.HasGlobal("XA_RECOVER_ADMIN")) {
      Add(Severity::kInfo, "mysql_xa_unseen", "user",
          fmt::format(
              "does not see XA transactions that are prepared when the source first starts: one of "
              "them that is committed later is a gap. If applications use XA: GRANT "
              "XA_RECOVER_ADMIN ON *.* TO {};",
              account_));
    }
    return {};
  }

  // Who else reads, and as whom.
  Status CheckReaders() {
    const ReaderId reader = ReaderIdFor(config_, context_.pipeline, context_.name);
    if (server_.server_id == 0) {
      Add(Severity::kError, "mysql_server_id_unset", "server_id",
          "is 0: the server serves its log to nobody", SettingRemedy(server_, "server_id", "1"));
    }
    if (reader.server_id == server_.server_id) {
      Add(Severity::kError, "mysql_server_id_taken", "server_id",
          fmt::format("{} is the server's own", reader.server_id),
          "give this source another `server_id`");
      return {};
    }
    // MariaDB shows its readers only to those who may manage them.
    if (!server_.mariadb()) {
      const auto rows =
          sql_->Query(server_.version >= 80022 ? "SHOW REPLICAS" : "SHOW SLAVE HOSTS");
      if (!rows && sql_->broken()) return rows.error();
      const int id = rows ? rows->Column("Server_Id") : -1;
      int uuid = rows ? rows->Column("Replica_UUID") : -1;
      if (rows && uuid < 0) uuid = rows->Column("Slave_UUID");
      for (int i = 0; id >= 0 && uuid >= 0 && i < rows->size(); ++i) {
        if (rows->Text(i, id) != std::to_string(reader.server_id) ||
            rows->Text(i, uuid) == reader.uuid)
          continue;
        Add(Severity::kError, "mysql_server_id_taken", "server_id",
            fmt::format("{} is that of another reader of this server's log: they would end each "
                        "other",
                        reader.server_id),
            "give this source another `server_id`");
        return {};
      }
    }
    Add(Severity::kOk, "mysql_server_id", "server_id",
        fmt::format("reads the log as replica {}", reader.server_id));
    return {};
  }

  Status CheckLog() {
    const Result<LogStatus> status = ReadLogStatus(*sql_);
    if (!status) {
      if (sql_->broken()) return status.error();
      if (status.error().code != "mysql_privilege_missing") Fail("binary log", status.error());
      return {};
    }
    log_ = *status;
    TW_ASSIGN_OR_RETURN(const std::vector<LogFile> files, ReadLogFiles(*sql_));
    uint64_t bytes = 0;
    for (const LogFile& file : files) bytes += file.size;
    Add(Severity::kOk, "mysql_binlog_files", "binary log",
        fmt::format("{} file{}, {} MB, the oldest is {}", files.size(),
                    files.size() == 1 ? "" : "s", bytes >> 20,
                    files.empty() ? std::string("none") : files.front().name));
    const bool replica = IsRunningReplica(*sql_);
    if (replica && server_.log_updates != "ON") {
      Add(Severity::kError, "mysql_log_updates_off",
          server_.mariadb() ? "log_slave_updates" : "log_replica_updates",
          "is OFF, and the server is a replica: what it applies is not in its own log",
          FileRemedy(server_, server_.mariadb() ? "log_slave_updates" : "log_replica_updates",
                     "ON"));
    } else if (replica) {
      Add(Severity::kInfo, "mysql_replica", "server",
          "is a replica: changes come here as late as it applies them");
    }
    return {};
  }

  Status CheckClock() {
    TW_ASSIGN_OR_RETURN(const Rows rows, sql_->Query("SELECT UNIX_TIMESTAMP()"));
    const double skew = static_cast<double>(rows.MaybeNumber(0, 0).value_or(0)) -
                        static_cast<double>(std::time(nullptr));
    if (std::abs(skew) > kClockSkewSeconds) {
      Add(Severity::kWarning, "mysql_clock_differs", "clock",
          fmt::format("the server's clock is {:.0f} s {} ours: lags in seconds are wrong by that",
                      std::abs(skew), skew < 0 ? "behind" : "ahead of"),
          "let both follow NTP");
    }
    return {};
  }

  static bool Lists(std::string_view list, std::string_view name) {
    return ("," + std::string(list) + ",").find("," + std::string(name) + ",") != std::string::npos;
  }

  Status CheckTables() {
    const auto see = [&](std::string_view database) {
      return fmt::format(
          "create it, correct `tables`, or let the user see it: GRANT SELECT ON {}.* TO {};",
          database, account_);
    };
    for (const std::string& table : selected_.unmatched) {
      Add(Severity::kError, "mysql_table_missing", table, "no such table that we may see",
          see(Connection::QuoteName(table.substr(0, table.find('.')))));
    }
    if (selected_.tables.empty() && selected_.unmatched.empty())
      Add(Severity::kError, "mysql_table_missing", "tables", "no table that we may see is selected",
          see("database"));
    std::set<std::string> databases;
    for (const TableEntryFacts* table : selected_.tables) databases.insert(table->name.schema);
    for (const std::string& database : databases) {
      if (Lists(log_.ignore_databases, database) ||
          (!log_.do_databases.empty() && !Lists(log_.do_databases, database))) {
        Add(Severity::kError, "mysql_database_not_logged", database,
            "the database is not logged (binlog_do_db, binlog_ignore_db)",
            FileRemedy(server_, "binlog_do_db and binlog_ignore_db", "nothing that leaves it out"));
      }
    }
    const auto described = mysql::DescribeTables(config_, context_);
    if (!described) {
      Fail("tables", described.error());
      return {};
    }
    std::map<std::string, SchemaPtr> schemas;
    for (const TableDescription& one : *described) schemas[one.schema->table()] = one.schema;
    for (const TableEntryFacts* table : selected_.tables) {
      const auto schema = schemas.find(table->name.ToString());
      TW_TRY(CheckTable(*table, schema == schemas.end() ? nullptr : schema->second));
    }
    return {};
  }

  // Whether rows of the table change because rows of another one do, without that being in the log.
  // REFERENTIAL_CONSTRAINTS shows nothing to who may only SELECT.
  Result<bool> HasCascades(const TableEntryFacts& table) {
    if (!server_.native_foreign_keys) return false;
    const Result<Rows> rows = sql_->Query("SHOW CREATE TABLE " + table.quoted);
    if (!rows && sql_->broken()) return rows.error();
    if (!rows) return false;  // dropped a moment ago
    std::string_view rest = rows->Text(0, 1);
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      if (!line.starts_with("  CONSTRAINT ")) continue;
      const size_t references = line.rfind(" REFERENCES ");
      if (references == std::string_view::npos) continue;
      const std::string_view actions = line.substr(line.rfind(')') + 1);
      for (const std::string_view action : {" CASCADE", " SET NULL", " SET DEFAULT"}) {
        if (actions.find(action) != std::string_view::npos) return true;
      }
    }
    return false;
  }

  Status CheckTable(const TableEntryFacts& table, const SchemaPtr& schema) {
    const std::string name = table.name.ToString();
    if (schema == nullptr) {
      Add(Severity::kWarning, "mysql_table_missing", name, "is gone since the check began");
      return {};
    }
    std::string key;
    for (const uint32_t index : schema->key_columns())
      key += (key.empty() ? "" : ", ") + schema->columns()[index].name;
    Add(Severity::kOk, "mysql_table", name,
        fmt::format("{}, key ({})", table.engine,
                    key.empty() ? "none: the table is keyless, only ordered as a whole" : key));
    const Result<Rows> probe = sql_->Query(fmt::format("SELECT 1 FROM {} LIMIT 0", table.quoted));
    if (!probe && sql_->broken()) return probe.error();
    if (!probe) {
      Add(Severity::kError, "mysql_privilege_missing", name,
          "the user may not read it: its columns cannot be told for certain, and rows that are "
          "there already cannot be copied",
          fmt::format("GRANT SELECT ON {}.* TO {};", Connection::QuoteName(table.name.schema),
                      account_));
    } else if (schema->keyless()) {
      Add(Severity::kInfo, "mysql_copy_whole", name,
          fmt::format(
              "has no key: it is copied as a whole ({} rows by the server's statistics), "
              "the stream waits meanwhile, and a restart begins it anew{}",
              table.rows ? std::to_string(*table.rows) : std::string("unknown"),
              server_.mariadb()
                  ? std::string()
                  : fmt::format(". It is locked for a moment: GRANT LOCK TABLES ON {}.* TO {};",
                                Connection::QuoteName(table.name.schema), account_)));
    }
    if (!table.transactional()) {
      Add(Severity::kInfo, "mysql_not_transactional", name,
          fmt::format(
              "engine {}: its rows stay when a transaction is rolled back, in the table and "
              "in the stream alike",
              table.engine));
    }
    // Who may not read the table may not see its definition.
    bool cascades = false;
    if (probe) {
      TW_ASSIGN_OR_RETURN(cascades, HasCascades(table));
    }
    if (cascades) {
      Add(Severity::kWarning, "mysql_cascades", name,
          "a foreign key changes or deletes its rows by itself (CASCADE, SET NULL), and the "
          "storage engine does so without a trace in the log",
          server_.mariadb()
              ? fmt::format("let the application do it, or copy the table again from time to time: "
                            "tailwater sources snapshot {} {}",
                            context_.name, name)
              : "let the application do it; MySQL 9.6 and later logs such changes "
                "(innodb_native_foreign_keys = OFF)");
    }
    for (const Column& column : schema->columns()) {
      std::string message = fmt::format("{} -> {}", column.type_name, ValueTypeName(column.type));
      if (column.type == ValueType::kOther) message += " (the server's text)";
      if (column.generated) message += "; generated";
      Add(Severity::kInfo, "mysql_column", name + "." + column.name, message);
    }
    return {};
  }

  const MysqlConfig& config_;
  const SourceContext& context_;
  std::unique_ptr<Connection> sql_;
  ServerFacts server_;
  std::string account_;
  LogStatus log_;
  std::vector<TableEntryFacts> tables_;
  SelectedTables selected_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> CheckServer(const MysqlConfig& config, const SourceContext& context) {
  return Checker(config, context).Run();
}

}  // namespace tailwater::mysql
