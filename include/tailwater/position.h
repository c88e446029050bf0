// Where a source resumes, and the proof that everything up to there is durable.
//
// To the engine a position is text that the source made: a Postgres LSN ("16/B374D848"), a GTID
// set, or a binlog file and offset, printed as the database prints it. The engine stores, shows and
// hands it back; only the source compares it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace tailwater {

struct Position {
  std::string text;
  bool operator==(const Position&) const = default;
};

// What a source must find again before it may resume: system identifier, timeline, slot,
// publication oid, … as the source names them. Stored with the checkpoint; shown by `status`.
using SourceIdentity = std::map<std::string, std::string>;

// What a source gets to resume from.
struct ResumePoint {
  SourceIdentity identity;           // empty on a first start
  std::optional<Position> frontier;  // empty: nothing was ever durable; see Source::Run
  // The transaction of which a part is already durable: the first one that the server sends again.
  // Empty if none.
  std::optional<Position> in_progress;
  // A new start after a gap: no identity, no frontier, and what lies on the server under our names
  // and with our tag may be dropped and made anew. The tables are copied again.
  bool after_gap = false;
};

// The end of the last transaction that is durable in the topic, with all before it. Only the
// checkpoint makes one, out of a topic's receipt; a source hands nothing else to its server.
// Move-only.
class DurableFrontier {
 public:
  DurableFrontier(DurableFrontier&&) = default;
  DurableFrontier& operator=(DurableFrontier&&) = default;
  const Position& position() const { return position_; }

 private:
  friend class Checkpoint;                // src/checkpoint/checkpoint.h
  friend struct DurableFrontierForTests;  // tests/support
  explicit DurableFrontier(Position position) : position_(std::move(position)) {}
  Position position_;
};

}  // namespace tailwater
