// A webhook sink made from YAML, a receiver that keeps what it got, and the runner's part by hand.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "config/yaml.h"
#include "support/delivery_batch.h"
#include "support/manual_clock.h"
#include "support/matchers.h"
#include "support/scripted_http_server.h"
#include "support/stub_metrics.h"
#include "support/topic_feeder.h"
#include "webhook/webhook_options.h"
#include "webhook/webhook_sink.h"

namespace tailwater::webhook {

inline constexpr std::string_view kSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

struct ParsedSink {
  WebhookConfig config;
  TableRules<WebhookTableOptions> rules;
  std::vector<std::string> problems;  // "sinks.yaml:3:6: …"
  std::vector<ColumnUse> column_uses;
};

// `yaml` is the section of one sink, without `type`.
inline ParsedSink ParseSink(const std::string& yaml) {
  ParsedSink parsed;
  Problems problems;
  const auto node = ParseYaml(yaml, "sink.yaml", problems);
  if (node) {
    ParseOptions(WebhookOptions(), *node, kSinkKeys, &parsed.config, problems);
    parsed.rules.selection = TableSelection::Parse(node->Find("tables"), problems);
    for (const TableEntry& entry : parsed.rules.selection.entries()) {
      WebhookTableOptions& options = parsed.rules.options.emplace_back();
      if (entry.options.kind == ConfigNode::Kind::kMap) {
        ParseOptions(WebhookTableOptionsTable(), entry.options, kTableEntryKeys, &options,
                     problems);
      }
    }
    ValidateWebhook(parsed.config, parsed.rules, *node, problems);
    parsed.column_uses = WebhookColumnUses(parsed.config, parsed.rules);
  }
  for (const Problem& problem : problems.list()) parsed.problems.push_back(problem.ToString());
  return parsed;
}

struct ReceiverAnswer {
  int status = 200;
  std::string header_lines;
  bool reset = false;
};

// Answers each request as told, and keeps it.
class Receiver {
 public:
  using Answer = ReceiverAnswer;
  using Decide = std::function<Answer(const ScriptedHttpServer::Request&)>;

  explicit Receiver(Decide decide = [](const auto&) { return Answer{}; })
      : decide_(std::move(decide)), server_([this](auto& connection) { Serve(connection); }) {}

  void set_decide(Decide decide) {
    std::lock_guard lock(mutex_);
    decide_ = std::move(decide);
  }
  std::vector<ScriptedHttpServer::Request> requests() const {
    std::lock_guard lock(mutex_);
    return requests_;
  }
  std::string Url(std::string_view path = "/hook") const { return server_.Url(path); }
  std::string label() const { return "127.0.0.1:" + std::to_string(server_.port()); }

 private:
  void Serve(ScriptedHttpServer::Connection& connection) {
    while (auto request = connection.Read()) {
      Decide decide;
      {
        std::lock_guard lock(mutex_);
        requests_.push_back(*request);
        decide = decide_;
      }
      const Answer answer = decide(*request);
      if (answer.reset) return connection.Reset();
      if (!connection.Reply(answer.status, "", answer.header_lines)) return;
    }
  }

  mutable std::mutex mutex_;
  Decide decide_;
  std::vector<ScriptedHttpServer::Request> requests_;
  ScriptedHttpServer server_;
};

class WebhookSinkFixture : public ::testing::Test {
 protected:
  // `more` are further lines of the section.
  std::unique_ptr<WebhookSink> NewSink(const Receiver& receiver, const std::string& more = "") {
    ParsedSink parsed = ParseSink(SinkYaml(receiver, more));
    EXPECT_TRUE(parsed.problems.empty()) << parsed.problems.at(0);
    auto sink = std::make_unique<WebhookSink>(parsed.config, parsed.rules, Context(parsed), Here());
    sink->OnProgress(Progress());
    EXPECT_OK(sink->Open());
    return sink;
  }
  std::function<void()> Progress() {
    return [this] {
      std::lock_guard lock(mutex_);
      ++progress_;
      progressed_.notify_all();
    };
  }
  static std::string SinkYaml(const Receiver& receiver, const std::string& more) {
    return "url: " + receiver.Url() + "\nsecret: " + std::string(kSecret) +
           "\nallow_addresses: [127.0.0.1]\ntimeouts: {connect: 5m, first_byte: 5m, total: 5m}\n" +
           more;
  }
  SinkContext Context(const ParsedSink& parsed) {
    return {"shop", "hook", parsed.rules.selection, Logger("test"), metrics_};
  }
  Surroundings Here() {
    return {{[this] { return clock_.Now(); }, [this] { return clock_.UnixSeconds(); }},
            [] { return 0.0; }};
  }

  // Submits all with tickets 1, 2, …; the next call goes on counting.
  void Submit(WebhookSink& sink, DeliveryBatchBuilder& batch) {
    for (const Delivery& delivery : batch.Build().deliveries) sink.Submit(++tickets_, delivery);
  }
  // Waits until so many verdicts have come in all.
  void Await(WebhookSink& sink, size_t count) {
    for (;;) {
      uint64_t seen;
      {
        std::lock_guard lock(mutex_);
        seen = progress_;
      }
      std::vector<ConcurrentSink::Finished> finished;
      ASSERT_OK(sink.TakeFinished(finished));
      for (auto& one : finished) verdicts_[one.ticket] = std::move(one.verdict);
      if (verdicts_.size() >= count) return;
      std::unique_lock lock(mutex_);
      ASSERT_TRUE(
          progressed_.wait_for(lock, std::chrono::minutes(4), [&] { return progress_ != seen; }))
          << "no progress, " << verdicts_.size() << " of " << count;
    }
  }
  // Submits one change and waits for its verdict.
  Verdict Deliver(WebhookSink& sink, DeliveryBatchBuilder& batch) {
    Submit(sink, batch);
    Await(sink, tickets_);
    return verdicts_[tickets_];
  }
  Verdict DeliverRow(WebhookSink& sink, int64_t id) {
    DeliveryBatchBuilder batch;
    batch.Insert(plans_, id, {Value::Int64(id), Value::Text("free")});
    return Deliver(sink, batch);
  }

  StubMetrics metrics_;
  ManualClock clock_;
  SchemaPtr plans_ = TestSchema("user_plans", {"id*:int64", "plan:text"});
  uint64_t tickets_ = 0;
  std::map<uint64_t, Verdict> verdicts_;

 private:
  std::mutex mutex_;
  std::condition_variable progressed_;
  uint64_t progress_ = 0;
};

}  // namespace tailwater::webhook
