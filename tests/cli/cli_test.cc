// The command line as a script sees it: arguments in, text and exit code out.
#include "cli/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "config/pipeline_config.h"
#include "support/temporary_folder.h"
#include "support/topic_feeder.h"
#include "tailwater/registry.h"
#include "topic/open_topic.h"

namespace tailwater {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

// A server that exists in this process only.
struct StubServer {
  std::vector<Finding> findings;
  std::vector<OwnedObject> objects;
  Result<std::vector<TableDescription>> tables = std::vector<TableDescription>();
  bool drop_works = true;
};

struct StubConfig {
  std::string database;
};

class StubTools final : public SourceTools {
 public:
  explicit StubTools(StubServer& server) : server_(server) {}
  Result<std::vector<Finding>> Check() override { return server_.findings; }
  Result<std::vector<TableDescription>> DescribeTables() override { return server_.tables; }
  Result<LogHealth> Watch() override {
    LogHealth health;
    health.state = "reserved";
    health.confirmed_lag_bytes = 2048;
    health.retained_bytes = 4096;
    health.active = false;
    return health;
  }
  Result<Position> LogEnd() override { return Position{"9"}; }
  Result<bool> HasReached(const Position&, const Position&) override { return true; }
  Result<std::vector<OwnedObject>> ListOwned() override { return server_.objects; }
  Status Drop(const OwnedObject& object) override {
    if (server_.drop_works) {
      std::erase_if(server_.objects, [&](const OwnedObject& o) { return o.name == object.name; });
    }
    return {};
  }

 private:
  StubServer& server_;
};

struct MappedTable {
  std::string id;
};

class CliTest : public ::testing::Test {
 protected:
  void SetUp() override {
    unsetenv("TAILWATER_URL");
    registry_.AddSource<StubConfig>(
        {.type = "stub",
         .summary = "A source for tests.",
         .options = {Field("database", &StubConfig::database, "Database to capture.", kRequired)},
         .validate = {},
         .create = {},
         .tools = [this](const StubConfig&, SourceContext) -> Result<std::unique_ptr<SourceTools>> {
           return std::unique_ptr<SourceTools>(std::make_unique<StubTools>(server_));
         }});
    struct NoOptions {};
    registry_.AddSink<NoOptions, NoTableOptions>({.type = "void",
                                                  .summary = "A sink for tests.",
                                                  .options = {},
                                                  .table_options = {},
                                                  .validate = {},
                                                  .create = {}});
    registry_.AddSink<NoOptions, MappedTable>(
        {.type = "mapped",
         .summary = "A sink that names a column.",
         .options = {},
         .table_options = {Field("id", &MappedTable::id, "A column.", kRequired)},
         .validate = {},
         .column_uses =
             [](const NoOptions&, const TableRules<MappedTable>& tables) {
               const ConfigNode& id = *tables.selection.entries()[0].options.Find("id");
               return std::vector<ColumnUse>{
                   {0, false, tables.options[0].id, id.location, id.path}};
             },
         .create = {}});
    file_ = folder_ / "shop.yaml";
    std::ofstream(file_) << "version: 1\npipeline: shop\n"
                            "sources:\n  shop: {type: stub, database: x}\n"
                            "topic: {path: "
                         << (folder_ / "topic")
                         << "}\n"
                            "sinks:\n  copy: {type: void}\n";
    topic_.path = folder_ / "topic";
  }

  int Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "tailwater");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int code = RunCommandLine(static_cast<int>(argv.size()), argv.data(), registry_);
    std::fflush(stdout);
    out_ = ::testing::internal::GetCapturedStdout();
    error_ = ::testing::internal::GetCapturedStderr();
    return code;
  }

  // Ada's order is inserted, then changed.
  void FillTopic() {
    auto topic = OpenTopic(topic_, "shop");
    TopicFeeder feeder(**topic);
    const SchemaPtr orders = TestSchema("orders", {"id*:int64", "customer:text", "note:text"});
    const SchemaPtr plans = TestSchema("plans", {"id*:int64", "plan:text"});
    feeder.Insert(orders, {Value::Int64(1), Value::Text("Ada"), Value::Text("two kettles")});
    feeder.Insert(plans, {Value::Int64(7), Value::Text("pro")});
    feeder.Update(orders, {Value::Int64(1), Value::Text("Ada"), Value::Text("one\x1b[31m teapot")},
                  {Value::Int64(1), Value::Text("Ada"), Value::Text("two kettles")});
    feeder.Frontier("16/B374D848");
  }

  TemporaryFolder folder_;
  StubServer server_;
  Registry registry_;
  TopicConfig topic_;
  std::string file_;
  std::string out_;
  std::string error_;
};

TEST_F(CliTest, SuggestsTheCommandThatWasMeant) {
  EXPECT_EQ(Run({"validte"}), 2);
  EXPECT_THAT(error_, HasSubstr("unknown command 'validte' (did you mean 'validate'?)"));
  EXPECT_EQ(Run({"version", "-o", "jsn"}), 2);
  EXPECT_THAT(error_, HasSubstr("'jsn' is unknown (did you mean 'json'?); there are text, json"));
  EXPECT_EQ(Run({"check"}), 2);
  EXPECT_THAT(error_, HasSubstr("FILE is required"));
}

TEST_F(CliTest, EveryCommandHasExamples) {
  for (const char* command :
       {"run", "validate", "check", "status", "tail", "dead-letters", "destroy", "version"}) {
    EXPECT_EQ(Run({command, "--help"}), 0);
    EXPECT_THAT(out_, HasSubstr("Examples:\n  tailwater " + std::string(command))) << command;
  }
}

TEST_F(CliTest, HelpKnowsEveryCommand) {
  EXPECT_EQ(Run({"help"}), 0);
  EXPECT_THAT(out_, HasSubstr("destroy"));
  EXPECT_EQ(Run({"help", "tail"}), 0);
  EXPECT_THAT(out_, HasSubstr("tailwater tail shop.yaml --table"));
  EXPECT_EQ(Run({"help", "tial"}), 2);
  EXPECT_THAT(error_, HasSubstr("did you mean 'tail'?"));
}

TEST_F(CliTest, PrintsJsonWithoutColours) {
  EXPECT_EQ(Run({"version", "-o", "json"}), 0);
  EXPECT_TRUE(json::parse(out_).contains("version"));
}

TEST_F(CliTest, ValidatePrintsEveryProblemForEditors) {
  EXPECT_EQ(Run({"validate", file_}), 0);
  EXPECT_EQ(out_, "pipeline shop: 1 source, 1 sink: no problems\n");
  std::ofstream(file_, std::ios::app) << "  more: {type: viod}\nextra: 1\n";
  EXPECT_EQ(Run({"validate", file_}), 2);
  EXPECT_EQ(error_, file_ +
                        ":8:16: sinks.more.type: unknown type 'viod' (did you mean 'void'?); "
                        "known are mapped, void\n" +
                        file_ +
                        ":9:1: unknown key 'extra'; known are pipeline, sinks, sources, "
                        "topic, version\n2 problems\n");
  EXPECT_EQ(Run({"validate", file_, "-o", "json"}), 2);
  EXPECT_EQ(json::parse(out_)["problems"][0]["line"], 8);
  EXPECT_EQ(Run({"validate"}), 2);
}

TEST_F(CliTest, ValidateListsConnectorsAndOptions) {
  EXPECT_EQ(Run({"validate", "--list-connectors"}), 0);
  EXPECT_THAT(out_, HasSubstr("stub         A source for tests."));
  EXPECT_EQ(Run({"validate", "--reference"}), 0);
  EXPECT_THAT(out_, HasSubstr("# Database to capture. (text, required)\n    database: <database>"));
}

TEST_F(CliTest, CheckEndsWithThreeAndPrintsWhatToRun) {
  server_.findings = {{Finding::Severity::kOk, "pg_connected", "connection", "Postgres 15", ""}};
  EXPECT_EQ(Run({"check", file_}), 0);
  EXPECT_THAT(out_, HasSubstr("ready to run"));
  server_.findings.push_back({Finding::Severity::kError, "wal_level", "wal_level", "is replica",
                              "ALTER SYSTEM SET wal_level = logical;\n-- and restart"});
  EXPECT_EQ(Run({"check", file_}), 3);
  EXPECT_THAT(out_, HasSubstr("  error    wal_level   is replica\n"
                              "                       ALTER SYSTEM SET wal_level = logical;\n"
                              "                       -- and restart\n"));
  EXPECT_THAT(out_, HasSubstr("1 error to be fixed before it can run"));
  EXPECT_EQ(Run({"check", file_, "-o", "json"}), 3);
  EXPECT_EQ(json::parse(out_)["sources"][0]["findings"][1]["code"], "wal_level");
}

TEST_F(CliTest, CheckHoldsSinksAgainstTheTables) {
  server_.findings = {{Finding::Severity::kOk, "pg_connected", "connection", "Postgres 15", ""}};
  server_.tables = std::vector<TableDescription>{{TestSchema("orders", {"id*:int64"}), false, ""}};
  EXPECT_EQ(Run({"check", file_}), 0);
  EXPECT_THAT(out_, Not(HasSubstr("copy"))) << "nothing is to be said about it";
  std::ofstream(file_, std::ios::app)
      << "  calls:\n    type: mapped\n    tables: [{match: public.orders, id: nr}]\n";
  EXPECT_EQ(Run({"check", file_}), 3);
  EXPECT_THAT(out_, HasSubstr("ready to run"));
  EXPECT_THAT(out_,
              HasSubstr("\ncalls (sink of pipeline shop, mapped)\n  error    public.orders  "));
  EXPECT_THAT(out_, HasSubstr("1 error to be fixed before it can run"));
  EXPECT_EQ(Run({"check", file_, "-o", "json"}), 3);
  const json checked = json::parse(out_);
  EXPECT_EQ(checked["sources"][0]["errors"], 0);
  EXPECT_EQ(checked["sinks"][0]["sink"], "copy");
  EXPECT_EQ(checked["sinks"][1]["errors"], 1);
  const json finding = checked["sinks"][1]["findings"][0];
  EXPECT_EQ(finding["severity"], "error");
  EXPECT_EQ(finding["code"], "mapping_column_unknown");
  EXPECT_EQ(finding["subject"], "public.orders");
  EXPECT_EQ(finding["message"], "public.orders has no column 'nr'");
  EXPECT_EQ(finding["path"], "sinks.calls.tables[0].id");
  EXPECT_EQ(finding["file"], file_);
  EXPECT_EQ(finding["line"], 10);
  EXPECT_EQ(finding["column"], 41);

  server_.tables = std::vector<TableDescription>{{TestSchema("orders", {"nr*:int64"}), false, ""}};
  EXPECT_EQ(Run({"check", file_}), 0);
  EXPECT_THAT(out_, HasSubstr("conditions and mappings fit"));
  server_.tables = Error{Disposition::kRetry, "pg_unreachable", "no answer"};
  EXPECT_EQ(Run({"check", file_}), 0);
  EXPECT_THAT(out_, HasSubstr("  warning  shop  "));
}

TEST_F(CliTest, TailShowsChangesWithOldAndNewValues) {
  FillTopic();
  EXPECT_EQ(Run({"tail", file_, "--from", "beginning", "--no-follow"}), 0);
  EXPECT_THAT(out_, HasSubstr("insert   public.orders id=1"));
  EXPECT_THAT(out_, HasSubstr("    customer=Ada  note=\"two kettles\"\n"));
  EXPECT_THAT(out_, HasSubstr("note: \"two kettles\" → \"one\\x1b[31m teapot\"\n"));
  EXPECT_THAT(out_, Not(HasSubstr("\x1b"))) << "no colours, and none of others";
  EXPECT_THAT(out_, Not(HasSubstr("frontier")));
}

TEST_F(CliTest, TailFiltersTablesAndStops) {
  FillTopic();
  EXPECT_EQ(Run({"tail", file_, "--from", "beginning", "--no-follow", "--table", "public.pl*", "-o",
                 "json"}),
            0);
  EXPECT_EQ(json::parse(out_)["table"], "public.plans");
  EXPECT_EQ(Run({"tail", file_, "--from", "beginning", "-n", "2", "-o", "json"}), 0);
  EXPECT_EQ(std::count(out_.begin(), out_.end(), '\n'), 2);
  EXPECT_EQ(Run({"tail", file_, "--from", "end", "--no-follow"}), 0);
  EXPECT_EQ(out_, "");
}

TEST_F(CliTest, TailNamesWhatCannotBeRead) {
  EXPECT_EQ(Run({"tail", file_, "--no-follow"}), 1);
  EXPECT_THAT(error_, HasSubstr("topic_not_created"));
  FillTopic();
  EXPECT_EQ(Run({"tail", file_, "--no-follow", "--from", "4711"}), 4);
  EXPECT_THAT(error_, HasSubstr("topic_offset_out_of_range"));
  EXPECT_EQ(Run({"tail", file_, "--from", "soon"}), 2);
}

TEST_F(CliTest, StatusWithoutADaemonReadsTopicAndServer) {
  EXPECT_EQ(Run({"status", "--server", "http://127.0.0.1:1"}), 1);
  EXPECT_THAT(error_, HasSubstr("no daemon listens at http://127.0.0.1:1"));
  std::ofstream(folder_ / "tailwater.yaml") << "version: 1\nlisten: 127.0.0.1:1\n";
  FillTopic();
  EXPECT_EQ(Run({"status", folder_.path().string()}), 0);
  EXPECT_THAT(out_, HasSubstr("4 records"));
  EXPECT_THAT(out_, HasSubstr("2.0 KiB behind"));
  EXPECT_THAT(out_, HasSubstr("not begun yet"));
  EXPECT_EQ(Run({"status", folder_.path().string(), "-o", "json"}), 0);
  const json document = json::parse(out_);
  EXPECT_EQ(document["offline"], true);
  EXPECT_EQ(document["pipelines"][0]["sources"][0]["state"], "unknown");
  EXPECT_EQ(document["pipelines"][0]["sources"][0]["lag_bytes"], 2048);
}

TEST_F(CliTest, StatusNamesOrphans) {
  std::ofstream(folder_ / "tailwater.yaml") << "version: 1\nlisten: 127.0.0.1:1\n";
  FillTopic();
  {
    auto topic = OpenTopic(topic_, "shop");
    auto reader = (*topic)->OpenReader();
    auto gone = (*topic)->Subscribe("gone", {}, [](const std::string&) {});
    auto assignment = (*gone)->Poll(std::chrono::seconds(5));
    ASSERT_TRUE(assignment.has_value());
    Subscription::Update update;
    update.log_id = (*reader)->log_id();
    update.offsets = {{0, 2}};
    ASSERT_TRUE((*gone)->Commit(assignment->generation, update).has_value());
  }
  server_.objects = {{"slot", "tailwater_old__x", "holds 3 GB of WAL", true}};
  EXPECT_EQ(Run({"status", folder_.path().string()}), 0);
  EXPECT_THAT(out_, HasSubstr("orphan: slot tailwater_old__x, holds 3 GB of WAL; no source"));
  EXPECT_THAT(out_, HasSubstr("orphan: place in the topic gone, of a sink"));
}

TEST_F(CliTest, DestroyDropsNothingWithoutYes) {
  FillTopic();
  server_.objects = {{"slot", "tailwater_shop__shop", "holds 12 MB of WAL", false},
                     {"slot", "tailwater_shop__old", "holds 3 GB of WAL", true}};
  EXPECT_EQ(Run({"destroy", file_}), 1);
  EXPECT_THAT(out_, HasSubstr("tailwater_shop__shop"));
  EXPECT_THAT(out_,
              ::testing::ContainsRegex("tailwater_shop__old +source that is not in the file"));
  EXPECT_THAT(out_, HasSubstr("--yes"));
  EXPECT_EQ(server_.objects.size(), 2u);
  EXPECT_TRUE(std::filesystem::exists(topic_.path));

  EXPECT_EQ(Run({"destroy", file_, "--yes"}), 0);
  EXPECT_TRUE(server_.objects.empty());
  EXPECT_FALSE(std::filesystem::exists(topic_.path));
  EXPECT_EQ(Run({"destroy", file_}), 0);
  EXPECT_THAT(out_, HasSubstr("nothing to drop"));
}

TEST_F(CliTest, DestroyRefusesARunningPipeline) {
  FillTopic();
  server_.objects = {{"slot", "tailwater_shop__shop", "", false}};
  auto topic = OpenTopic(topic_, "shop");
  auto lease = (*topic)->OpenWriter({}, [](const std::string&) {});
  EXPECT_EQ(Run({"destroy", file_, "--yes"}), 3);
  EXPECT_THAT(error_, HasSubstr("the pipeline is running"));
  EXPECT_EQ(server_.objects.size(), 1u);
}

TEST_F(CliTest, DestroySaysWhatIsStillThere) {
  server_.objects = {{"slot", "tailwater_shop__shop", "", false}};
  server_.drop_works = false;
  EXPECT_EQ(Run({"destroy", file_, "--yes"}), 3);
  EXPECT_THAT(error_, HasSubstr("tailwater_shop__shop is still there"));
}

TEST_F(CliTest, ChoosesAmongPipelines) {
  std::ofstream(folder_ / "mart.yaml") << "version: 1\npipeline: mart\n"
                                          "sources:\n  shop: {type: stub, database: x}\n"
                                          "topic: {path: "
                                       << (folder_ / "mart") << "}\n";
  const std::string folder = folder_.path().string();
  EXPECT_EQ(Run({"tail", folder, "--no-follow"}), 2);
  EXPECT_THAT(error_, HasSubstr("choose one with --pipeline; there are mart, shop"));
  EXPECT_EQ(Run({"destroy", folder, "--pipeline", "shp"}), 2);
  EXPECT_THAT(error_, HasSubstr("(did you mean 'shop'?)"));
}

}  // namespace
}  // namespace tailwater
