// tailwater dead-letters, against a server that answers as a daemon does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/cli.h"
#include "cli/dead_letter_text.h"
#include "http/dead_letter_routes.h"
#include "support/manual_clock.h"
#include "support/matchers.h"
#include "support/memory_topic.h"
#include "support/topic_feeder.h"
#include "tailwater/registry.h"

namespace tailwater {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class DeadLettersTest : public ::testing::Test {
 protected:
  using State = DeadLetter::State;

  void SetUp() override {
    unsetenv("TAILWATER_URL");
    unsetenv("TAILWATER_TOKEN");
    auto subscription = topic_.Subscribe("hooks", {}, nullptr);
    ASSERT_OK(subscription);
    subscription_ = *std::move(subscription);
    generation_ = subscription_->Poll({})->generation;
    status_ = json::parse(R"({"pipelines": [{"name": "shop", "sinks": [
        {"name": "hooks", "state": "running"}]}]})");
    server_.Handle("GET", "/api/v1/status", [this](const HttpRequest&) {
      return HttpResponse{200, "application/json", status_.dump()};
    });
    const std::shared_ptr<Topic> topic(std::shared_ptr<void>(), &topic_);
    ApiSink hooks{"shop", "hooks", topic};
    hooks.requeue = [this](const DeadLetterFilter& filter,
                           std::chrono::milliseconds) -> Result<uint64_t> {
      if (refusal_) return *refusal_;
      TW_ASSIGN_OR_RETURN(const auto keys, subscription_->Requeue(generation_, filter));
      if (deliver_) deliver_();
      return keys.size();
    };
    hooks.drop = [this](const DeadLetterFilter& filter, std::chrono::milliseconds) {
      return subscription_->DropDeadLetters(generation_, filter);
    };
    AddDeadLetterRoutes(server_, [hooks] { return std::vector<ApiSink>{hooks}; }, clock_);
    ASSERT_OK(server_.Start());
  }

  DeadLetter Letter(int64_t offset, std::string code = "http_410") {
    DeadLetter letter;
    letter.offset = offset;
    letter.id = "shop:1:0/" + std::to_string(offset) + ":0:0";
    letter.source = "shop";
    letter.table = "public.user_plans";
    letter.version = 7;
    letter.key = "k" + std::to_string(offset);
    letter.value = "no record";
    letter.code = std::move(code);
    letter.reason = "the endpoint answered 410 Gone";
    letter.attempts = 3;
    letter.first_seen_micros = clock_.UnixMicros() - 7'200'000'000;
    return letter;
  }
  void Add(std::vector<DeadLetter> letters, std::vector<RecordPlace> remove = {}) {
    Subscription::Update update;
    update.add = std::move(letters);
    update.remove = std::move(remove);
    ASSERT_OK(subscription_->Commit(generation_, update));
  }
  size_t Stored() { return topic_.DeadLetters("hooks").size(); }

  int Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"tailwater", "dead-letters"});
    arguments.insert(arguments.end(), {"--server", server_.address()});
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int code = RunCommandLine(static_cast<int>(argv.size()), argv.data(), Registry());
    std::fflush(stdout);
    out_ = ::testing::internal::GetCapturedStdout();
    error_ = ::testing::internal::GetCapturedStderr();
    return code;
  }

  StubMemoryTopic topic_;
  std::unique_ptr<Subscription> subscription_;
  uint64_t generation_ = 0;
  ManualClock clock_;
  json status_;
  std::optional<Error> refusal_;   // of the sink
  std::function<void()> deliver_;  // what the sink makes of what was requeued
  HttpServer server_{{.listen = "127.0.0.1:0", .token = {}}};
  std::string out_;
  std::string error_;
};

TEST_F(DeadLettersTest, ListsATableOfRecords) {
  DeadLetter parked = Letter(12, "http_500");
  parked.state = State::kParked;
  Add({Letter(3), parked});
  EXPECT_EQ(Run({"list", "hooks"}), 0);
  EXPECT_EQ(out_,
            "ID               TABLE              STATE   CODE      TRIES  AGE\n"
            "shop:1:0/3:0:0   public.user_plans  dead    http_410  3      2 h\n"
            "  the endpoint answered 410 Gone\n"
            "shop:1:0/12:0:0  public.user_plans  parked  http_500  3      2 h\n"
            "  the endpoint answered 410 Gone\n");
  EXPECT_EQ(Run({"list", "--state", "parked", "-o", "json"}), 0);
  EXPECT_EQ(json::parse(out_)["dead_letters"].size(), 1u);
  EXPECT_EQ(json::parse(out_)["dead_letters"][0]["id"], "shop:1:0/12:0:0");
  EXPECT_EQ(Run({"list", "-n", "1"}), 0);
  EXPECT_THAT(out_, HasSubstr("and 1 more\n"));
  EXPECT_EQ(Run({"list", "--code", "none"}), 0);
  EXPECT_EQ(out_, "sink hooks holds no such records\n");
}

TEST_F(DeadLettersTest, ListsMoreThanOnePage) {
  std::vector<DeadLetter> letters;
  for (int i = 0; i < 2'300; ++i) letters.push_back(Letter(i));
  Add(letters);
  EXPECT_EQ(Run({"list", "-n", "0", "-o", "json"}), 0);
  EXPECT_EQ(json::parse(out_)["dead_letters"].size(), 2'300u);
  EXPECT_EQ(json::parse(out_)["matched"], 2'300);
  EXPECT_EQ(Run({"list"}), 0);
  EXPECT_THAT(out_, HasSubstr("and 2,200 more\n"));
}

TEST_F(DeadLettersTest, FitsItsTableIntoTheTerminal) {
  std::vector<nlohmann::ordered_json> letters = {
      {{"id", "shop:7:0/16B374D848:120:0"},
       {"table", "warehouse.a_table_with_quite_a_long_name"},
       {"source", "shop"},
       {"state", "dead"},
       {"code", "http_410"},
       {"reason", std::string(300, 'x')},
       {"attempts", 3},
       {"first_seen_at", "2026-05-28T20:26:40.000Z"}}};
  std::string text = DeadLetterTableText(letters, 1'780'000'060'000'000, Palette{}, 80);
  EXPECT_THAT(text, HasSubstr("shop:7:0/16B374D848:120:0"));
  for (size_t begin = 0; begin < text.size(); begin = text.find('\n', begin) + 1) {
    EXPECT_LE(DisplayWidth(text.substr(begin, text.find('\n', begin) - begin)), 80u) << text;
  }
  letters[0]["reason"] = "\x1b[31m escape";
  EXPECT_THAT(DeadLetterTableText(letters, 0, Palette{}, 0), Not(HasSubstr("\x1b")));
}

TEST_F(DeadLettersTest, FindsTheOnlySinkAndNamesSeveral) {
  Add({Letter(3)});
  EXPECT_EQ(Run({"list"}), 0);
  EXPECT_EQ(Run({"list", "hoks"}), 2);
  EXPECT_THAT(error_, HasSubstr("no sink 'hoks' (did you mean 'hooks'?)"));
  EXPECT_THAT(error_, HasSubstr("there are hooks (pipeline shop)"));
  EXPECT_EQ(Run({"list", "hooks", "--pipeline", "shp"}), 2);
  status_["pipelines"][0]["sinks"].push_back({{"name", "search"}, {"state", "running"}});
  EXPECT_EQ(Run({"list"}), 2);
  EXPECT_THAT(error_, HasSubstr("name the sink; there are hooks (pipeline shop), search"));
  status_["pipelines"].push_back({{"name", "billing"}, {"sinks", {{{"name", "hooks"}}}}});
  EXPECT_EQ(Run({"list", "hooks"}), 2);
  EXPECT_THAT(error_, HasSubstr("--pipeline"));
  EXPECT_EQ(Run({"list", "hooks", "--pipeline", "shop"}), 0);
}

TEST_F(DeadLettersTest, ShowsTheChange) {
  TopicFeeder(topic_).Insert(TestSchema("user_plans", {"id*:int64", "plan:text"}),
                             {Value::Int64(7), Value::Text("a \x1b[31m plan")});
  DeadLetter letter = Letter(3);
  letter.value = topic_.Records(0)[0].value;
  letter.blocks_key = true;
  Add({letter, Letter(4)});
  EXPECT_EQ(Run({"show", "hooks", "shop:1:0/3:0:0"}), 0);
  EXPECT_THAT(out_, StartsWith("shop:1:0/3:0:0  in sink hooks of pipeline shop\n"));
  EXPECT_THAT(out_,
              HasSubstr("dead: waits for replay or drop, later changes of its key behind it"));
  EXPECT_THAT(out_, HasSubstr("reason   the endpoint answered 410 Gone\n"));
  EXPECT_THAT(out_, HasSubstr("(2 h ago)"));
  EXPECT_THAT(out_, HasSubstr("\n  \"after\": {\n    \"id\": 7,\n"));
  EXPECT_THAT(out_, Not(HasSubstr("\x1b")));
  EXPECT_THAT(out_, Not(HasSubstr("value")));
  EXPECT_EQ(Run({"show", "0:4", "--raw"}), 0);
  EXPECT_THAT(out_, HasSubstr("cannot be shown"));
  EXPECT_THAT(out_, HasSubstr("value    bm8gcmVjb3Jk\n"));
  EXPECT_EQ(Run({"show", "shop:1:0/3:0:0", "-o", "json"}), 0);
  EXPECT_EQ(json::parse(out_)["change"]["after"]["id"], 7);
  EXPECT_EQ(Run({"show", "shop:1:0/9:0:0"}), 1);
  EXPECT_THAT(error_, HasSubstr("holds no record shop:1:0/9:0:0"));
  EXPECT_EQ(Run({"show"}), 2);
}

TEST_F(DeadLettersTest, ReplaysAndTellsWhatBecameOfThem) {
  Add({Letter(3), Letter(4), Letter(5, "http_500")});
  deliver_ = [&] { Add({Letter(4, "http_422")}, {{0, 3}}); };  // one through, one dead again
  EXPECT_EQ(Run({"replay", "hooks", "--code", "http_410"}), 1);
  EXPECT_THAT(out_, HasSubstr("requeued 2 records of 2 keys in sink hooks\n"));
  EXPECT_THAT(out_, HasSubstr("1 delivered, 1 rejected again\n"));
  EXPECT_THAT(out_, HasSubstr("http_422"));
  deliver_ = [&] { Add({}, {{0, 3}, {0, 4}, {0, 5}}); };
  EXPECT_EQ(Run({"replay", "--all", "-o", "json"}), 0);
  EXPECT_EQ(json::parse(out_), json::parse(R"({"keys": 2, "records": 2, "delivered": 2,
                                               "rejected_again": 0, "waiting": 0})"));
  EXPECT_EQ(Run({"replay", "--all"}), 0);
  EXPECT_EQ(out_, "nothing to replay in sink hooks\n");
}

TEST_F(DeadLettersTest, FollowsManyOverPages) {
  std::vector<DeadLetter> letters;
  for (int i = 0; i < 2'300; ++i) letters.push_back(Letter(i));
  Add(letters);
  deliver_ = [&] {
    std::vector<RecordPlace> through;
    std::vector<DeadLetter> again;
    for (int i = 0; i < 2'300; ++i) {
      if (i % 100 == 0) {
        again.push_back(Letter(i, "http_422"));
      } else {
        through.push_back({0, i});
      }
    }
    Add(again, through);
  };
  EXPECT_EQ(Run({"replay", "--table", "shop:public.user_plans", "-o", "json"}), 1);
  EXPECT_EQ(json::parse(out_)["delivered"], 2'277);
  EXPECT_EQ(json::parse(out_)["rejected_again"], 23);
}

TEST_F(DeadLettersTest, ReplayDoesNotWaitUnlessItHelps) {
  Add({Letter(3)});
  EXPECT_EQ(Run({"replay", "shop:1:0/3:0:0", "--no-wait"}), 0);
  EXPECT_THAT(out_, HasSubstr("requeued 1 record of 1 key"));
  EXPECT_EQ(topic_.DeadLetters("hooks")[0].state, State::kParked);
  status_["pipelines"][0]["sinks"][0]["state"] = "halted";
  status_["pipelines"][0]["sinks"][0]["code"] = "topic_replaced";
  EXPECT_EQ(Run({"replay", "--all"}), 3);
  EXPECT_THAT(error_, HasSubstr("sink hooks is halted"));
  refusal_ = Error{Disposition::kRetry, "sink_busy", "it is in a call to its target"};
  EXPECT_EQ(Run({"replay", "--all"}), 3);
  EXPECT_THAT(error_, HasSubstr("it is in a call to its target"));
  server_.Stop();
  EXPECT_EQ(Run({"replay", "--all"}), 3);
  EXPECT_THAT(error_, HasSubstr("no daemon"));
}

TEST_F(DeadLettersTest, ReplayAndDropWantToKnowWhich) {
  Add({Letter(3)});
  EXPECT_EQ(Run({"replay", "hooks"}), 2);
  EXPECT_THAT(error_, HasSubstr("--all"));
  EXPECT_EQ(Run({"drop", "hooks", "--yes"}), 2);
  EXPECT_EQ(Run({"drop", "shop:1:0/3:0:0", "hooks", "--yes"}), 2);
  EXPECT_EQ(Run({"drop", "--state", "deed", "--yes"}), 2);
  EXPECT_EQ(Stored(), 1u);
}

TEST_F(DeadLettersTest, DropsNothingWithoutYes) {
  DeadLetter parked = Letter(5, "http_500");
  parked.state = State::kParked;
  Add({Letter(3), Letter(4), parked});
  EXPECT_EQ(Run({"drop", "--all", "-o", "json"}), 1);
  EXPECT_EQ(json::parse(out_), json::parse(R"({"matched": 2, "dropped": 0})"));
  EXPECT_EQ(Stored(), 3u);
  EXPECT_EQ(Run({"drop", "--all", "--yes"}), 0);
  EXPECT_THAT(out_, HasSubstr("shop:1:0/3:0:0"));
  EXPECT_THAT(out_, HasSubstr("dropped 2 records\n"));
  EXPECT_EQ(Stored(), 1u) << "parked ones only if they are named";
  EXPECT_EQ(Run({"drop", "--all", "--yes"}), 0);
  EXPECT_EQ(out_, "nothing to drop in sink hooks\n");
  EXPECT_EQ(Run({"drop", "shop:1:0/5:0:0", "--yes", "-o", "json"}), 0);
  EXPECT_EQ(json::parse(out_), json::parse(R"({"matched": 1, "dropped": 1})"));
  EXPECT_EQ(Stored(), 0u);
}

TEST_F(DeadLettersTest, HelpHasExamples) {
  for (const char* command : {"list", "show", "replay", "drop"}) {
    EXPECT_EQ(Run({command, "--help"}), 0);
    EXPECT_THAT(out_, HasSubstr("Examples:\n  tailwater dead-letters " + std::string(command)));
  }
  EXPECT_THAT(out_, HasSubstr("tailwater dead-letters drop [OPTIONS] [SINK] [ID...]\n"));
  EXPECT_EQ(Run({"lst"}), 2);
  EXPECT_THAT(error_, HasSubstr("tailwater dead-letters: unknown command 'lst' (did you mean "
                                "'list'?); there are list, show, replay, drop"));
}

}  // namespace
}  // namespace tailwater
