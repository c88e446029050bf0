// Calls a receiver with many changes at a time, as a JSON array: `batch:`.
//
// One call at a time, in the order of the log, all of a call or none of it. A call that the
// receiver refuses is made again for each of its changes alone, so that one bad change does not
// take the others with it. At least once; a batch that comes again may be cut otherwise, so
// receivers go by the ids of the changes in it. Threads: the sink's own; it waits for each reply.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "support/http_client.h"
#include "tailwater/registry.h"
#include "tailwater/sink.h"
#include "webhook/webhook_sink.h"

namespace tailwater::webhook {

class BatchSink final : public Sink {
 public:
  BatchSink(WebhookConfig config, TableRules<WebhookTableOptions> rules, SinkContext context,
            Surroundings surroundings = SystemSurroundings());

  // As WebhookSink::Open().
  Status Open() override;
  Result<std::vector<Verdict>> Write(const DeliveryBatch& batch) override;
  Status Sweep(const SweepRequest&) override { return {}; }
  bool wants_truncate_events() const override { return true; }

 private:
  struct Pass;  // one Write()
  struct Group;
  void Add(Pass& pass, size_t index);
  void Send(Pass& pass);
  void SendEach(Pass& pass, const Group& group);
  // The verdict for all of the group; kRejected: refused as it was sent.
  Verdict Call(const Group& group);

  const WebhookConfig config_;
  const TableRules<WebhookTableOptions> rules_;
  const StatusRules statuses_;
  const WebhookClock clock_;
  Routes routes_;
  const MessageFormat format_;
  CallBuilder calls_;
  TokenBucket bucket_;
  Counter& bytes_total_;
  std::unique_ptr<HttpClient> client_;
};

}  // namespace tailwater::webhook
