// Sends many index and delete operations as bulk requests, several at a time, and says what became
// of each.
//
// The operations of one call are of different documents, so their order among each other means
// nothing. A body that the server finds too large is split, and so is one that it refuses as a
// whole, until the document is found that is the reason. Where the server asks for less, requests
// become smaller, and grow again slowly. What it put off, or has an unknown outcome, is sent again
// after a short while as long as the others get through; beyond that it is the caller's to bring
// again.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "opensearch/cluster.h"
#include "opensearch/verdict_table.h"
#include "tailwater/metrics.h"

namespace tailwater::opensearch {

struct BulkOperation {
  Action action = Action::kIndex;
  std::string lines;  // one for a delete, else two; each with its end
};

class BulkWriter {
 public:
  BulkWriter(const OpenSearchConfig& config, Metrics& metrics);

  // One judgement per operation, in order. Takes some seconds at most beside the requests' own
  // time.
  std::vector<Judgement> Write(Cluster& cluster, std::span<const BulkOperation> operations);

  // Most operations in a request at the moment.
  size_t record_limit() const { return record_limit_; }

 private:
  using Operations = std::vector<const BulkOperation*>;
  struct Range {
    size_t begin = 0;
    size_t end = 0;
    size_t size() const { return end - begin; }
  };
  std::deque<Range> Cut(const Operations& operations) const;
  // Each of them once.
  std::vector<Judgement> WriteOnce(Cluster& cluster, const Operations& operations);
  // False: judged as a whole and to be split; nothing of it was decided.
  static bool Judge(const HttpAnswer& answer, std::string_view label, const Operations& operations,
                    Range range, std::vector<Judgement>& judgements);
  void Slower();
  void Faster();

  const OpenSearchConfig& config_;
  size_t record_limit_;
  Counter& requests_total_;
  Counter& throttled_total_;
  Counter& bytes_total_;
};

// What a bulk answer says per item, in order; nothing if it is no whole answer about what was sent.
std::optional<std::vector<Judgement>> ReadBulkAnswer(std::string_view body,
                                                     std::span<const BulkOperation* const> sent);

}  // namespace tailwater::opensearch
