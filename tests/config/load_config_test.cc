#include "config/load_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "config/sink_options.h"
#include "connectors.h"

namespace tailwater {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct DatabaseConfig {
  std::string database;
  Secret password;
  std::chrono::seconds status_interval{10};
};

struct TargetConfig {
  ByteSize cache{64 << 20};
};
struct TargetTable {
  std::string index;
};

Registry TestRegistry() {
  Registry registry;
  registry.AddSource<DatabaseConfig>(
      {.type = "database",
       .summary = "A source.",
       .options = {Field("database", &DatabaseConfig::database, "Database to capture.", kRequired),
                   Field("password", &DatabaseConfig::password, "Password."),
                   Field("status_interval", &DatabaseConfig::status_interval, "Silence.")},
       .validate = {},
       .create = {},
       .tools = {}});
  registry.AddSink<TargetConfig, TargetTable>(
      {.type = "target",
       .summary = "A row sink.",
       .options = {Field("cache", &TargetConfig::cache, "Cache.")},
       .table_options = {Field("index", &TargetTable::index, "Index.")},
       .validate = {},
       .create = {}});
  registry.AddSink<TargetConfig, NoTableOptions>({.type = "events",
                                                  .summary = "An event sink.",
                                                  .options = {},
                                                  .table_options = {},
                                                  .traits = {.default_start = StartAt::kEnd},
                                                  .validate = {},
                                                  .create = {}});
  registry.AddSink<TargetConfig, NoTableOptions>(
      {.type = "calls",
       .summary = "A trigger sink.",
       .options = {},
       .table_options = {},
       .traits = {.default_start = StartAt::kEnd, .trigger = true},
       .validate = {},
       .create = {}});
  return registry;
}

class LoadConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tailwater_config_XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }

  // Problems as an editor shows them, the folder's name left out.
  std::vector<std::string> Load(const std::vector<std::string>& paths) {
    Problems problems;
    config_ = LoadConfig(paths, registry_, problems);
    std::vector<std::string> texts;
    for (const Problem& problem : problems.list()) {
      std::string text = problem.ToString();
      for (size_t at; (at = text.find(folder_ + "/")) != text.npos;) {
        text.erase(at, folder_.size() + 1);
      }
      texts.push_back(std::move(text));
    }
    return texts;
  }
  std::vector<std::string> LoadText(const std::string& text) {
    return Load({Write("shop.yaml", text)});
  }

  const Registry registry_ = TestRegistry();
  std::string folder_;
  Config config_;
};

constexpr char kShop[] = R"(version: 1
pipeline: shop
sources:
  shop:
    type: database
    database: shop
    tables: [public.orders, {match: public.user_*, exclude: [public.user_secrets]}]
topic:
  type: local
  path: data/shop
sinks:
  search:
    type: target
    tables:
      - {match: public.orders, index: orders}
  out: {type: events}
)";

TEST_F(LoadConfigTest, ReadsAPipeline) {
  ASSERT_THAT(LoadText(kShop), IsEmpty());
  ASSERT_THAT(config_.pipelines, SizeIs(1));
  const PipelineConfig& pipeline = config_.pipelines[0];
  EXPECT_EQ(pipeline.name, "shop");
  EXPECT_EQ(pipeline.topic.path, "data/shop");
  EXPECT_EQ(pipeline.topic.retention, std::chrono::hours(7 * 24));
  ASSERT_THAT(pipeline.sources, SizeIs(1));
  EXPECT_EQ(pipeline.sources[0].type->type, "database");
  EXPECT_TRUE(pipeline.sources[0].tables.Selects("shop", "public.user_plans"));
  EXPECT_FALSE(pipeline.sources[0].tables.Selects("shop", "public.user_secrets"));
  ASSERT_THAT(pipeline.sinks, SizeIs(2));
  EXPECT_EQ(pipeline.sinks[0].name, "search");
  EXPECT_EQ(pipeline.sinks[0].rules.start.kind, StartSpec::Kind::kSnapshot);
  EXPECT_EQ(pipeline.sinks[1].rules.start.kind, StartSpec::Kind::kEnd);
  EXPECT_EQ(pipeline.hash.size(), 16u);
}

TEST_F(LoadConfigTest, ReportsEveryProblemInOrderOfLines) {
  EXPECT_THAT(
      LoadText(R"(version: 1
pipeline: Shop
sources:
  orders:
    type: database
    databse: shop
    status_interval: 30
topic:
  type: locl
  path: data
  retention: 7 days
sinks:
  search: {type: targt, start: begining}
extra: 1
)"),
      ElementsAre("shop.yaml:2:11: pipeline: 'Shop' cannot be a name: use at most 24 lower-case "
                  "letters, digits and single underscores, and begin with a letter",
                  "shop.yaml:5:5: sources.orders: needs 'database': Database to capture.",
                  "shop.yaml:6:5: sources.orders: unknown key 'databse' (did you mean 'database'?)",
                  "shop.yaml:7:22: sources.orders.status_interval: '30' needs a unit, for example "
                  "30s",
                  "shop.yaml:9:9: topic.type: 'locl' is unknown (did you mean 'local'?); known are "
                  "local, kafka",
                  "shop.yaml:11:14: topic.retention: '7 days' is no duration: write a whole number "
                  "and one of ms, s, m, h, d",
                  "shop.yaml:13:18: sinks.search.type: unknown type 'targt' (did you mean "
                  "'target'?); known are calls, events, target",
                  "shop.yaml:13:32: sinks.search.start: 'begining' is unknown (did you mean "
                  "'beginning'?); known are snapshot, beginning, end, {time: "
                  "2026-11-21T09:30:00Z}, {offset: "
                  "1234}",
                  "shop.yaml:14:1: unknown key 'extra'; known are pipeline, sinks, sources, topic, "
                  "version"));
}

TEST_F(LoadConfigTest, ReportsProblemsOfEveryFile) {
  Write("b.yaml", "version: 1\npipeline: shop\nsinks:\n  two: {type: nothing}\n");
  Write("a.yaml", "version: 2\npipeline: shop\n");
  const auto problems = Load({folder_});
  EXPECT_THAT(problems,
              ElementsAre("a.yaml:1:1: needs 'sources', at least one",
                          "a.yaml:1:1: needs 'topic', for example topic: {type: local, path: "
                          "/var/lib/tailwater/shop}",
                          "a.yaml:1:10: version: 2 is unknown; this release reads version 1",
                          "b.yaml:4:15: sinks.two.type: unknown type 'nothing'; known are calls, "
                          "events, target"));
}

TEST_F(LoadConfigTest, AddsSinksOfFilesWithTheSamePipeline) {
  Write("shop.yaml", kShop);
  Write("team.yaml", "version: 1\npipeline: shop\nsinks:\n  team: {type: target}\n");
  ASSERT_THAT(Load({folder_}), IsEmpty());
  ASSERT_THAT(config_.pipelines, SizeIs(1));
  EXPECT_NE(config_.pipelines[0].FindSink("team"), nullptr);
  EXPECT_NE(config_.pipelines[0].FindSink("search"), nullptr);
}

TEST_F(LoadConfigTest, RefusesASecondDeclaration) {
  Write("shop.yaml", kShop);
  Write("team.yaml", kShop);
  EXPECT_THAT(
      Load({folder_}),
      ElementsAre("team.yaml:4:3: sources: already declared in shop.yaml:4:3; another file of the "
                  "pipeline can only add sinks",
                  "team.yaml:9:3: topic: already declared in shop.yaml:9:3",
                  "team.yaml:12:3: sinks.search: a sink of this name is already declared in "
                  "shop.yaml:12:3",
                  "team.yaml:16:3: sinks.out: a sink of this name is already declared in "
                  "shop.yaml:16:3"));
}

TEST_F(LoadConfigTest, RefusesDuplicateKeysWithTheLineOfTheFirst) {
  EXPECT_THAT(LoadText(std::string(kShop) + "  search: {type: target}\n"),
              ElementsAre("shop.yaml:17:3: sinks: 'search' is written twice; the first one is in "
                          "line 12"));
}

TEST_F(LoadConfigTest, ReportsSyntaxErrorsAndUnreadableFiles) {
  const std::string bad = Write("bad.yaml", "version: 1\npipeline: [shop\nsinks: {}\n");
  const auto problems = Load({bad, folder_ + "/missing.yaml"});
  ASSERT_THAT(problems, SizeIs(2));
  EXPECT_THAT(problems[0], ::testing::StartsWith("bad.yaml:"));
  EXPECT_THAT(problems[0], ::testing::HasSubstr("no valid YAML"));
  EXPECT_EQ(problems[1], "missing.yaml: cannot be read: No such file or directory");
}

TEST_F(LoadConfigTest, RefusesAnchorsThatContainThemselves) {
  EXPECT_THAT(LoadText("version: 1\npipeline: shop\nsources: &a\n  b: *a\n"),
              ::testing::Contains(::testing::HasSubstr("is an anchor used in itself?")));
}

TEST_F(LoadConfigTest, ReadsDaemonSettingsOfAFolder) {
  Write("shop.yaml", kShop);
  Write("tailwater.yaml", "version: 1\nlisten: 0.0.0.0:4680\ntoken: x\nlog_level: debug\n");
  ASSERT_THAT(Load({folder_}), IsEmpty());
  EXPECT_EQ(config_.daemon.listen, "0.0.0.0:4680");
  EXPECT_EQ(config_.daemon.log_level, LogLevel::kDebug);
}

TEST_F(LoadConfigTest, ReadsDaemonSettingsBesideAFile) {
  Write("shop.yaml", kShop);
  Write("tailwater.yaml", "version: 1\nlog_level: debug\n");
  ASSERT_THAT(Load({folder_ + "/shop.yaml"}), IsEmpty());
  EXPECT_EQ(config_.daemon.log_level, LogLevel::kDebug);
}

TEST_F(LoadConfigTest, RefusesAPublicAddressWithoutAToken) {
  Write("shop.yaml", kShop);
  Write("tailwater.yaml", "version: 1\nlisten: 0.0.0.0:4680\n");
  EXPECT_THAT(Load({folder_}),
              ElementsAre("tailwater.yaml:2:9: listen: '0.0.0.0:4680' is reachable from elsewhere: "
                          "set a token, or listen on 127.0.0.1"));
}

TEST_F(LoadConfigTest, ReportsVariablesThatAreNotSet) {
  std::string text = kShop;
  text.replace(text.find("database: shop"), 14, "database: ${env:TAILWATER_TEST_UNSET}");
  EXPECT_THAT(LoadText(text),
              ElementsAre("shop.yaml:6:15: sources.shop.database: the environment variable "
                          "TAILWATER_TEST_UNSET is not set"));
}

TEST_F(LoadConfigTest, RefusesPatternsThatCanNeverMatch) {
  std::string text = kShop;
  text += R"(  more:
    type: target
    tables: [orders, public.ordres, shp:public.orders, {match: public.user_plans, indx: x}]
)";
  EXPECT_THAT(
      LoadText(text),
      ElementsAre("shop.yaml:19:14: sinks.more.tables[0]: 'orders' needs its schema (in MySQL its "
                  "database) in front, for "
                  "example public.orders",
                  "shop.yaml:19:22: sinks.more.tables[1]: no source captures 'public.ordres' (did "
                  "you mean 'public.orders'?); add it to the source's tables",
                  "shop.yaml:19:37: sinks.more.tables[2]: 'shp:public.orders' names the source "
                  "'shp', which this pipeline lacks (did you mean 'shop'?)",
                  "shop.yaml:19:83: sinks.more.tables[3]: unknown key 'indx' (did you mean "
                  "'index'?)"));
}

TEST_F(LoadConfigTest, RefusesNamesThatBelongToTheTopicsOwnFiles) {
  EXPECT_THAT(
      LoadText(std::string(kShop) + "  changes: {type: target}\n"),
      ElementsAre("shop.yaml:17:3: sinks.changes: this name is reserved for the topic's own "
                  "files; choose another one"));
}

TEST_F(LoadConfigTest, ReadsEveryFormOfStart) {
  ASSERT_THAT(LoadText(std::string(kShop) + R"(  a: {type: target, start: end}
  b: {type: target, start: {time: 2026-11-21T09:30:00Z}}
  c: {type: target, start: {offset: 7}}
)"),
              IsEmpty());
  const PipelineConfig& pipeline = config_.pipelines[0];
  EXPECT_EQ(pipeline.FindSink("a")->rules.start.kind, StartSpec::Kind::kEnd);
  EXPECT_EQ(pipeline.FindSink("b")->rules.start,
            (StartSpec{StartSpec::Kind::kTime, 1795253400000000, 0}));
  EXPECT_EQ(pipeline.FindSink("c")->rules.start, (StartSpec{StartSpec::Kind::kOffset, 0, 7}));
}

TEST_F(LoadConfigTest, TakesTheRulesOfASinkFromItsTypeUnlessTheyAreWritten) {
  ASSERT_THAT(LoadText(std::string(kShop) + R"(  calls: {type: calls}
  all: {type: calls, start: beginning, snapshot: true, replay: true, halt_after: 0,
        max_lane_wait: 250ms, park_limit: 0}
  fresh: {type: target, snapshot: false, replay: false}
)"),
              IsEmpty());
  const PipelineConfig& pipeline = config_.pipelines[0];
  const DeliveryRules& rows = pipeline.FindSink("search")->rules;
  EXPECT_TRUE(rows.snapshot);
  EXPECT_TRUE(rows.replay);
  EXPECT_FALSE(rows.keeps_order_behind_dead);
  EXPECT_EQ(rows.halt_after, 100u);
  EXPECT_EQ(rows.max_lane_wait, std::chrono::minutes(1));
  EXPECT_EQ(rows.park_limit, 100'000u);
  EXPECT_THAT(rows.conditions, IsEmpty());
  EXPECT_TRUE(rows.tables.Selects("shop", "public.orders"));
  EXPECT_FALSE(rows.tables.Selects("shop", "public.user_plans"));

  const DeliveryRules& calls = pipeline.FindSink("calls")->rules;
  EXPECT_EQ(calls.start.kind, StartSpec::Kind::kEnd);
  EXPECT_FALSE(calls.snapshot);
  EXPECT_FALSE(calls.replay);
  EXPECT_TRUE(calls.keeps_order_behind_dead);

  const DeliveryRules& all = pipeline.FindSink("all")->rules;
  EXPECT_EQ(all.start.kind, StartSpec::Kind::kBeginning);
  EXPECT_TRUE(all.snapshot);
  EXPECT_TRUE(all.replay);
  EXPECT_TRUE(all.keeps_order_behind_dead);
  EXPECT_EQ(all.halt_after, 0u);
  EXPECT_EQ(all.max_lane_wait, std::chrono::milliseconds(250));
  EXPECT_EQ(all.park_limit, 0u);

  EXPECT_FALSE(pipeline.FindSink("fresh")->rules.snapshot);
  EXPECT_FALSE(pipeline.FindSink("fresh")->rules.replay);
}

TEST_F(LoadConfigTest, RefusesRulesOutOfBounds) {
  EXPECT_THAT(
      LoadText(std::string(kShop) + R"(  a:
    type: calls
    snapshot: maybe
    halt_after: -1
    max_lane_wait: 10ms
    park_limit: 10000001
    parklimit: 3
  b: {type: nothing, max_lane_wait: 25h, halt_after: many}
)"),
      ElementsAre(
          "shop.yaml:19:15: sinks.a.snapshot: 'maybe' must be true or false",
          "shop.yaml:20:17: sinks.a.halt_after: must be from 0 to 1000000",
          "shop.yaml:21:20: sinks.a.max_lane_wait: must be from 100ms to 1d",
          "shop.yaml:22:17: sinks.a.park_limit: must be from 0 to 10000000",
          "shop.yaml:23:5: sinks.a: unknown key 'parklimit' (did you mean 'park_limit'?)",
          "shop.yaml:24:13: sinks.b.type: unknown type 'nothing'; known are calls, "
          "events, target",
          "shop.yaml:24:37: sinks.b.max_lane_wait: must be from 100ms to 1d",
          "shop.yaml:24:54: sinks.b.halt_after: 'many' is not a whole number, for example 10"));
}

TEST_F(LoadConfigTest, RefusesWhatToDoForAConditionThatIsNotThere) {
  EXPECT_THAT(
      LoadText(std::string(kShop) + R"(  a:
    type: calls
    tables:
      - match: public.orders
        on_missing_before: skip
)"),
      ElementsAre("shop.yaml:21:28: sinks.a.tables[0].on_missing_before: says what to do for a "
                  "'when', but there is none; add it, or remove this line"));
}

TEST_F(LoadConfigTest, ReadsAConditionPerEntryOfTables) {
  ASSERT_THAT(LoadText(std::string(kShop) + R"(  a:
    type: calls
    tables:
      - public.orders
      - match: shop:public.user_plans
        when: op = 'update' AND NEW.plan = 'free'
          AND OLD.plan <> 'free'
        on_missing_before: skip
)"),
              IsEmpty());
  const DeliveryRules& rules = config_.pipelines[0].FindSink("a")->rules;
  ASSERT_THAT(rules.conditions, SizeIs(2));
  EXPECT_EQ(rules.conditions[0].when, nullptr);
  ASSERT_NE(rules.conditions[1].when, nullptr);
  EXPECT_EQ(rules.conditions[1].when->text(),
            "op = 'update' AND NEW.plan = 'free' AND OLD.plan <> 'free'");
  EXPECT_EQ(rules.conditions[1].on_missing_before, OnMissing::kSkip);
  EXPECT_THAT(config_.pipelines[0].FindSink("search")->rules.conditions, IsEmpty());
}

TEST_F(LoadConfigTest, RefusesConditionsWithTheirPlace) {
  EXPECT_THAT(LoadText(std::string(kShop) + R"(  a:
    type: calls
    tables:
      - {match: public.orders, when: }
      - {match: public.orders, when: [op]}
      - match: public.orders
        when: NEW.total >
        on_missing_before: ignore
)"),
              ElementsAre(HasSubstr("shop.yaml:20:32: sinks.a.tables[0].when: "),
                          HasSubstr("shop.yaml:21:38: sinks.a.tables[1].when: "),
                          HasSubstr("shop.yaml:23:"),
                          "shop.yaml:24:28: sinks.a.tables[2].on_missing_before: 'ignore' is "
                          "unknown; known are halt, skip"));
}

TEST_F(LoadConfigTest, ConditionsAndRulesChangeTheHash) {
  const auto hash_of = [&](const std::string& entry, const std::string& options) {
    EXPECT_THAT(LoadText(std::string(kShop) + "  a: {type: calls, tables: [{match: public.orders" +
                         entry + "}]" + options + "}\n"),
                IsEmpty());
    return config_.pipelines[0].hash;
  };
  const std::set<std::string> hashes = {
      hash_of("", ""),
      hash_of(", when: NEW.total > 1", ""),
      hash_of(", when: NEW.total > 2", ""),
      hash_of(", when: NEW.total > 2, on_missing_before: skip", ""),
      hash_of("", ", snapshot: true"),
      hash_of("", ", halt_after: 7"),
      hash_of("", ", max_lane_wait: 7s"),
      hash_of("", ", park_limit: 7")};
  EXPECT_THAT(hashes, SizeIs(8));
}

TEST_F(LoadConfigTest, NoConnectorHasAnOptionOfTheEnginesNames) {
  Registry registry;
  RegisterConnectors(registry);
  for (const auto& [name, type] : registry.sinks()) {
    EXPECT_FALSE(HasOptionNamed(type.options, kSinkKeys)) << name;
    EXPECT_FALSE(HasOptionNamed(type.table_options, kTableEntryKeys)) << name;
  }
  for (const OptionSpec& option : SinkOptions({})) {
    EXPECT_TRUE(HasOptionNamed({option}, kSinkKeys)) << option.name;
  }
  for (const OptionSpec& option : TableEntryOptions()) {
    EXPECT_TRUE(HasOptionNamed({option}, kTableEntryKeys)) << option.name;
  }
}

TEST_F(LoadConfigTest, HashIgnoresLayoutButNotContent) {
  ASSERT_THAT(LoadText(kShop), IsEmpty());
  const std::string hash = config_.pipelines[0].hash;
  ASSERT_THAT(LoadText("# a comment\n" + std::string(kShop)), IsEmpty());
  EXPECT_EQ(config_.pipelines[0].hash, hash);
  std::string changed = kShop;
  changed.replace(changed.find("data/shop"), 9, "data/shup");
  ASSERT_THAT(LoadText(changed), IsEmpty());
  EXPECT_NE(config_.pipelines[0].hash, hash);
}

TEST_F(LoadConfigTest, RefusesOneTopicFolderForTwoPipelines) {
  Write("a.yaml", kShop);
  std::string other = kShop;
  other.replace(other.find("pipeline: shop"), 14, "pipeline: mart");
  Write("b.yaml", other);
  EXPECT_THAT(Load({folder_}),
              ElementsAre("a.yaml:9:3: topic.path: 'data/shop' is already used by the pipeline "
                          "'mart'"));
}

constexpr char kOnKafka[] = R"(version: 1
pipeline: shop
sources:
  orders: {type: database, database: shop}
topic:
  type: kafka
  brokers: [kafka-1.internal:9092, kafka-2.internal:9092]
  partitions: 6
  compression: zstd
  oversize: omit_columns
  sasl: {mechanism: scram-sha-512, username: tailwater, password: secret}
)";

TEST_F(LoadConfigTest, ReadsATopicInAKafkaCluster) {
  ASSERT_THAT(LoadText(kOnKafka), IsEmpty());
  const TopicConfig& topic = config_.pipelines[0].topic;
  EXPECT_EQ(topic.type, "kafka");
  EXPECT_EQ(topic.kafka.name, "tailwater.shop");
  EXPECT_EQ(topic.kafka.partitions, 6);
  EXPECT_EQ(topic.kafka.replication, 3);
  EXPECT_EQ(topic.kafka.compression, KafkaCompression::kZstd);
  EXPECT_EQ(topic.oversize, OversizePolicy::kOmitColumns);
  EXPECT_EQ(topic.max_record_size, ByteSize{8 << 20});
  EXPECT_TRUE(topic.kafka.connection.UsesTls());
  EXPECT_EQ(topic.kafka.connection.sasl.mechanism, kafka::SaslMechanism::kScramSha512);
}

TEST_F(LoadConfigTest, ReportsEveryProblemOfAKafkaTopic) {
  EXPECT_THAT(
      LoadText(R"(version: 1
pipeline: shop
sources:
  orders: {type: database, database: shop}
topic:
  type: kafka
  path: data
)"),
      ElementsAre("shop.yaml:6:3: topic: needs 'brokers': Some brokers of the cluster, host:port; "
                  "the others are found through them.",
                  "shop.yaml:7:3: topic.path: belongs to a topic of type local, and this one is "
                  "of type kafka"));
  EXPECT_THAT(
      LoadText(R"(version: 1
pipeline: shop
sources:
  orders: {type: database, database: shop}
topic:
  type: kafka
  brokers: [kafka-1, "http://kafka-2:9092"]
  name: shop/changes
  partitions: 0
  tls: {cert: a.pem}
  sasl: {username: me}
)"),
      ElementsAre("shop.yaml:7:12: topic.brokers: 'kafka-1' is no broker; write host:port, for "
                  "example kafka-1.internal:9092",
                  "shop.yaml:7:12: topic.brokers: 'http://kafka-2:9092' is no broker; write "
                  "host:port, for example kafka-1.internal:9092",
                  "shop.yaml:8:9: topic.name: 'shop/changes' is no name of a topic: letters, "
                  "digits, '.', '_' and '-', at most 200",
                  "shop.yaml:9:15: topic.partitions: must be from 1 to 10000",
                  "shop.yaml:10:8: topic.tls: cert and key go together",
                  "shop.yaml:11:9: topic.sasl: needs a mechanism: plain, scram-sha-256, "
                  "scram-sha-512 or oauthbearer"));
}

TEST_F(LoadConfigTest, RefusesOneKafkaTopicForTwoPipelines) {
  Write("a.yaml", kOnKafka + std::string("  name: changes\n"));
  std::string other = kOnKafka + std::string("  name: changes\n");
  other.replace(other.find("pipeline: shop"), 14, "pipeline: mart");
  Write("b.yaml", other);
  EXPECT_THAT(Load({folder_}), ElementsAre("a.yaml:6:3: topic.name: 'changes' is already used by "
                                           "the pipeline 'mart'"));
}

}  // namespace
}  // namespace tailwater
