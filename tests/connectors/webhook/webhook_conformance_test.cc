// The suite of all sinks. A call's answer is waited for where it is submitted, so that the suite's
// steps do not depend on how fast the receiver is.
#include <future>
#include <nlohmann/json.hpp>

#include "conformance/sink_conformance.h"
#include "connectors/webhook/webhook_fixture.h"

namespace tailwater::webhook {
namespace {

class WaitingSink final : public Sink, public ConcurrentSink {
 public:
  explicit WaitingSink(std::unique_ptr<WebhookSink> sink) : sink_(std::move(sink)) {
    sink_->OnProgress([this] {
      std::lock_guard lock(mutex_);
      progressed_ = true;
      changed_.notify_all();
    });
  }
  Status Open() override { return sink_->Open(); }
  Result<std::vector<Verdict>> Write(const DeliveryBatch& batch) override {
    std::vector<Verdict> verdicts;
    for (const Delivery& delivery : batch.deliveries) {
      const Operation operation = delivery.change->operation;
      if (operation == Operation::kFrontier || operation == Operation::kSchema) {
        verdicts.push_back(Verdict::Applied());  // the runner submits none of these
        continue;
      }
      Submit(0, delivery);
      verdicts.push_back(std::move(finished_.back().verdict));
      finished_.clear();
    }
    return verdicts;
  }
  Status Sweep(const SweepRequest& request) override { return sink_->Sweep(request); }
  bool wants_truncate_events() const override { return sink_->wants_truncate_events(); }
  ConcurrentSink* concurrent() override { return this; }

  void OnProgress(std::function<void()>) override {}
  size_t Room() const override { return sink_->Room(); }
  void Submit(uint64_t ticket, const Delivery& delivery) override {
    sink_->Submit(ticket, delivery);
    const size_t wanted = finished_.size() + 1;
    while (finished_.size() < wanted) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return progressed_; });
      progressed_ = false;
      lock.unlock();
      EXPECT_OK(sink_->TakeFinished(finished_));
    }
  }
  Status TakeFinished(std::vector<Finished>& finished) override {
    std::move(finished_.begin(), finished_.end(), std::back_inserter(finished));
    finished_.clear();
    return {};
  }
  void CancelAll() override {
    sink_->CancelAll();
    finished_.clear();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool progressed_ = false;
  std::vector<Finished> finished_;
  std::unique_ptr<WebhookSink> sink_;
};

class WebhookHarness final : public SinkHarness {
 public:
  std::unique_ptr<Sink> NewSink() override {
    const ParsedSink parsed =
        ParseSink("url: " + receiver_.Url() + "\nsecret: " + std::string(kSecret) +
                  "\nallow_addresses: [127.0.0.1]\n");
    EXPECT_TRUE(parsed.problems.empty()) << parsed.problems.at(0);
    return std::make_unique<WaitingSink>(std::make_unique<WebhookSink>(
        parsed.config, parsed.rules,
        SinkContext{"pipe", "copy", parsed.rules.selection, Logger("test"), metrics_}));
  }
  std::optional<std::vector<std::string>> Events() override {
    std::vector<std::string> ids;
    for (const auto& request : receiver_.requests()) {
      ids.push_back(nlohmann::json::parse(request.body)["data"]["id"]);
    }
    return ids;
  }

 private:
  Receiver receiver_;
  StubMetrics metrics_;
};

}  // namespace
}  // namespace tailwater::webhook

namespace tailwater {

INSTANTIATE_TEST_SUITE_P(Webhook, SinkConformance,
                         ::testing::Values([]() -> std::unique_ptr<SinkHarness> {
                           return std::make_unique<webhook::WebhookHarness>();
                         }));

}  // namespace tailwater
