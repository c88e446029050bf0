// The suite that every source passes, on real MariaDB and MySQL servers and the real capture half.
#include <mutex>

#include "conformance/source_conformance.h"
#include "connectors/mysql_live/live_server.h"
#include "mysql/mysql_source.h"
#include "support/stub_metrics.h"
#include "support/temporary_folder.h"
#include "support/text.h"

namespace tailwater {
namespace {

using mysql::Flavour;
using mysql::LiveServer;
using mysql::MysqlConfig;
using mysql::Sql;

class MysqlBench final : public SourceBench {
 public:
  explicit MysqlBench(Flavour flavour) : server_(LiveServer::Shared(flavour)) {
    static int count = 0;
    name_ = fmt::format("c{}_{}", getpid(), ++count);
    admin_ = std::make_unique<Sql>(server_.Config());
    Run("create database " + name_);
    Run("use " + name_);
    Run("create table items (id bigint primary key, v text)");
    // Its own user, so that its sessions can be told from the test's.
    Run("create user " + name_ + "@'%'");
    Run("grant all on *.* to " + name_ + "@'%'");
    config_ = server_.Config(name_);
    config_.user = name_;
  }
  ~MysqlBench() override {
    Run("drop database " + name_);
    Run("drop user " + name_ + "@'%'");
  }
  std::string type() const override { return "mysql"; }
  Result<std::unique_ptr<Source>> Make() override {
    ConfigNode tables;
    tables.kind = ConfigNode::Kind::kList;
    tables.items.emplace_back().scalar = name_ + ".items";
    tables.items.back().kind = ConfigNode::Kind::kScalar;
    Problems problems;
    return std::unique_ptr<Source>(std::make_unique<mysql::MysqlSource>(
        config_, SourceContext{name_, "shop", TableSelection::Parse(&tables, problems),
                               scratch_.path(), Logger("test"), metrics_}));
  }
  void Commit(int64_t first_id, int count) override { Insert("items", first_id, count, "v"); }
  void Interrupt() override {
    for (const std::string& session : Sessions()) {
      // It may have ended by itself meanwhile.
      std::lock_guard lock(mutex_);
      static_cast<void>(admin_->connection().Query("kill " + session));
    }
  }

  void Preload(int64_t first_id, int count) override { Insert("items", first_id, count, "v"); }
  void Update(int64_t id) override {
    Run(fmt::format("update items set v = 'updated {}' where id = {}", ++updates_, id));
  }
  void Delete(int64_t id) override { Run(fmt::format("delete from items where id = {}", id)); }
  void Replace(int64_t first_id, int count) override {
    Run("create table new_items like items");
    Insert("new_items", first_id, count, "put in place ");
    Run("rename table items to old_items, new_items to items");
    Run("drop table old_items");
  }
  std::set<std::string> Table() override {
    const mysql::Rows held = Run("select id, v from items");
    std::set<std::string> rows;
    for (int i = 0; i < held.size(); ++i) rows.insert(held.String(i, 0) + "," + held.String(i, 1));
    return rows;
  }

 private:
  mysql::Rows Run(const std::string& sql) {
    std::lock_guard lock(mutex_);
    return admin_->Run(sql);
  }
  // The source's.
  std::vector<std::string> Sessions() {
    const mysql::Rows all = Run("show processlist");
    std::vector<std::string> sessions;
    for (int i = 0; i < all.size(); ++i) {
      if (all.Text(i, all.Column("User")) != name_) continue;
      sessions.push_back(all.String(i, all.Column("Id")));
    }
    return sessions;
  }
  void Insert(const std::string& table, int64_t first_id, int count, const std::string& text) {
    std::string rows;
    for (int64_t id = first_id; id < first_id + count; ++id) {
      rows += fmt::format("{}({}, '{}{}')", rows.empty() ? "" : ", ", id, text, id);
    }
    Run("insert into " + table + " values " + rows);
  }

  LiveServer& server_;
  std::string name_;
  MysqlConfig config_;
  TemporaryFolder scratch_;
  StubMetrics metrics_;
  std::mutex mutex_;
  std::unique_ptr<Sql> admin_;  // of the test's thread and its writer's, in turns
  int updates_ = 0;
};

std::unique_ptr<SourceBench> OnMariadb() { return std::make_unique<MysqlBench>(Flavour::kMariadb); }
std::unique_ptr<SourceBench> OnMysql() { return std::make_unique<MysqlBench>(Flavour::kMysql); }

INSTANTIATE_TEST_SUITE_P(Mariadb, SourceConformance, ::testing::Values(&OnMariadb));
INSTANTIATE_TEST_SUITE_P(Mysql, SourceConformance, ::testing::Values(&OnMysql));
INSTANTIATE_TEST_SUITE_P(Mariadb, ReplacedRowsConformance, ::testing::Values(&OnMariadb));
INSTANTIATE_TEST_SUITE_P(Mysql, ReplacedRowsConformance, ::testing::Values(&OnMysql));

}  // namespace
}  // namespace tailwater
