// The suite that every source passes, on a real Postgres and the real capture half.
#include <mutex>

#include "conformance/source_conformance.h"
#include "connectors/postgres_live/live_fixture.h"

namespace tailwater {
namespace {

using postgres::LiveServer;
using postgres::PostgresConfig;
using postgres::Sql;

class PostgresBench final : public SourceBench {
 public:
  PostgresBench() {
    static int count = 0;
    name_ = fmt::format("c{}_{}", getpid(), ++count);
    Admin().Run("create database " + name_);
    config_ = LiveServer::Shared().Config(name_);
    Sql(config_).Run("create table rows (id bigint primary key, v text)");
  }
  ~PostgresBench() override {
    sessions_.clear();
    Sql admin = Admin();
    admin.Run("select pg_terminate_backend(pid) from pg_stat_activity where datname = '" + name_ +
              "'");
    while (admin.Value("select count(*) from pg_stat_activity where datname = '" + name_ + "'") !=
           "0") {
    }
    admin.Run(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database "
        "= '" +
        name_ + "'");
    admin.Run("drop database " + name_);
  }
  std::string type() const override { return "postgres"; }
  Result<std::unique_ptr<Source>> Make() override {
    return std::unique_ptr<Source>(std::make_unique<postgres::PostgresSource>(
        config_, SourceContext{name_, "shop", postgres::Tables({"public.*"}), "", Logger("test"),
                               metrics_}));
  }
  void Commit(int64_t first_id, int count) override {
    // A row from before the first start would not be in the slot, and nothing would copy it.
    while (!began_) {
      began_ = sql().Value(
                   "select count(*) from pg_replication_slots where confirmed_flush_lsn is "
                   "not null and database = current_database()") != "0";
    }
    Insert(first_id, count);
  }
  void Interrupt() override {
    Admin().Run("select pg_terminate_backend(pid) from pg_stat_activity where datname = '" + name_ +
                "' and application_name <> 'test'");
  }

  void Preload(int64_t first_id, int count) override {
    began_ = true;
    Insert(first_id, count);
  }
  void Update(int64_t id) override {
    sql().Run(fmt::format("update rows set v = 'updated {}' where id = {}", ++updates_, id));
  }
  void Delete(int64_t id) override { sql().Run(fmt::format("delete from rows where id = {}", id)); }
  std::set<std::string> Table() override {
    const auto held = sql().Run("select id, v from rows");
    std::set<std::string> rows;
    for (int i = 0; i < held.size(); ++i) rows.insert(held.String(i, 0) + "," + held.String(i, 1));
    return rows;
  }

 private:
  static Sql Admin() { return Sql(LiveServer::Shared().Config("postgres")); }
  void Insert(int64_t first_id, int count) {
    sql().Run(fmt::format("insert into rows select i, 'v' || i from generate_series({}, {}) i",
                          first_id, first_id + count - 1));
  }
  // Of the calling thread: the test's, or its writer's.
  Sql& sql() {
    std::lock_guard lock(mutex_);
    std::unique_ptr<Sql>& sql = sessions_[std::this_thread::get_id()];
    if (sql == nullptr) sql = std::make_unique<Sql>(config_);
    return *sql;
  }

  std::string name_;
  PostgresConfig config_;
  std::mutex mutex_;
  std::map<std::thread::id, std::unique_ptr<Sql>> sessions_;
  std::atomic<bool> began_ = false;
  int updates_ = 0;
  postgres::CountingMetrics metrics_;
};

std::unique_ptr<SourceBench> MakePostgresBench() { return std::make_unique<PostgresBench>(); }

INSTANTIATE_TEST_SUITE_P(Postgres, SourceConformance, ::testing::Values(&MakePostgresBench));

}  // namespace
}  // namespace tailwater
