// Calls a receiver for each change: signed, in order per row, many rows at a time.
//
// An event sink and a trigger: TRUNCATE is an event, and a change never overtakes an older one of
// its row (the engine submits one per key at a time). At least once: the same change always has the
// same webhook-id and the same body, so a receiver that remembers ids gets each once. What answers
// mean: disposition.h and README.md. Threads: the sink's own; replies come on the HTTP client's and
// are judged on the sink's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "support/http_client.h"
#include "tailwater/registry.h"
#include "tailwater/sink.h"
#include "webhook/call_builder.h"
#include "webhook/clock.h"
#include "webhook/message.h"
#include "webhook/routes.h"
#include "webhook/token_bucket.h"
#include "webhook/wake_timer.h"
#include "webhook/webhook_options.h"

namespace tailwater::webhook {

// What tests hold still.
struct Surroundings {
  WebhookClock clock;
  std::function<double()> random;  // uniform in [0, 1)
};
Surroundings SystemSurroundings();

class WebhookSink final : public Sink, public ConcurrentSink {
 public:
  WebhookSink(WebhookConfig config, TableRules<WebhookTableOptions> rules, SinkContext context,
              Surroundings surroundings = SystemSurroundings());

  // kNeedsOperator "webhook_secret_unreadable", "webhook_secret_unusable",
  // "http_certificate_unreadable"; kRetry "http_no_resources": no file descriptors or threads.
  Status Open() override;
  Result<std::vector<Verdict>> Write(const DeliveryBatch& batch) override;
  Status Sweep(const SweepRequest&) override { return {}; }
  bool wants_truncate_events() const override { return true; }
  ConcurrentSink* concurrent() override { return this; }

  void OnProgress(std::function<void()> wake) override;
  size_t Room() const override;
  void Submit(uint64_t ticket, const Delivery& delivery) override;
  Status TakeFinished(std::vector<Finished>& finished) override;
  void CancelAll() override;

 private:
  struct Pending {
    std::string id;
    size_t bytes = 0;
  };
  // What the client's thread leaves for the sink's.
  struct Mailbox {
    std::mutex mutex;
    uint64_t round = 0;  // answers of an earlier one are of no interest
    std::vector<std::pair<uint64_t, HttpAnswer>> answers;
    std::function<void()> wake;
  };
  void Finish(uint64_t ticket, Verdict verdict);

  const WebhookConfig config_;
  const TableRules<WebhookTableOptions> rules_;
  const StatusRules statuses_;
  const WebhookClock clock_;
  Routes routes_;
  const MessageFormat format_;
  CallBuilder calls_;
  mutable TokenBucket bucket_;
  Counter& bytes_total_;

  std::unordered_map<uint64_t, Pending> pending_;
  std::vector<Finished> finished_;
  Mailbox mailbox_;
  // These two call back, so they end first.
  mutable std::optional<WakeTimer> timer_;
  std::unique_ptr<HttpClient> client_;
};

}  // namespace tailwater::webhook
