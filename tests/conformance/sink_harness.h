// What a connector brings to the conformance suite of sinks.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tailwater/sink.h"

namespace tailwater {

// One target, empty at first, that outlives the sinks made for it.
class SinkHarness {
 public:
  virtual ~SinkHarness() = default;
  virtual std::unique_ptr<Sink> NewSink() = 0;
  // "1|a" per row of public.orders (id, note), sorted by id; NULL prints as such. Nothing: the
  // target holds no rows.
  virtual std::optional<std::vector<std::string>> Orders() { return std::nullopt; }
  // tailwater.id of every event that the target got, in order. Nothing: it keeps none.
  virtual std::optional<std::vector<std::string>> Events() { return std::nullopt; }
  // Makes the target refuse writes for a while, and lets it go. False: it cannot be refused.
  virtual bool Block() { return false; }
  virtual void Unblock() {}
  // The target has a schema: a change of it that does not fit stops the table.
  virtual bool stops_tables() const { return false; }
  // The sink says of a change that is older than the target's row that it is: else it writes it,
  // and it is the target in which the newest wins.
  virtual bool tells_superseded() const { return true; }
  // Whether a value that nobody can read is refused.
  virtual bool rejects_malformed_values() const { return true; }
};

}  // namespace tailwater
