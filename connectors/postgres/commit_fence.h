// Closes the race between the log and what is visible: a commit is in the log, and streamed, before
// other sessions see it, for as long as a synchronous standby takes. A chunk that was read in
// between holds an older row than the stream has shown already, behind which no change comes.
//
// So the stream's thread notes the transactions that it shows, and a chunk is sound if its snapshot
// sees all that were shown before its low watermark. What was shown before noting began has ended
// once SnapshotReader::Settle() returned.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tailwater::postgres {

// What pg_current_snapshot() says: "xmin:xmax:xip,xip,…", numbers of 64 bits.
struct VisibleTransactions {
  uint64_t xmin = 0;
  uint64_t xmax = 0;
  std::vector<uint64_t> open;  // ascending, below xmax

  static std::optional<VisibleTransactions> Parse(std::string_view text);
  // The log names the low 32 bits; the whole number is the nearest one to xmax.
  uint64_t Widen(uint32_t xid) const;
  bool Sees(uint64_t xid) const;  // it has ended
};

// Threads: any.
class CommitFence {
 public:
  using Clock = std::chrono::steady_clock;

  // Before a new stream: nothing is noted any more, no chunk is known.
  void Reset();

  // Readers. From here on commits are noted; whoever was open when this returned has to be waited
  // for before a chunk can be judged. False: that was done, and noting never ended since.
  bool Begin();
  // A look at the server that was begun after Begin(): what it sees need not be noted any more.
  void Saw(const VisibleTransactions& snapshot);
  // Everybody who was open at Begin() has ended.
  void Settled();

  // Before the chunk's low watermark is written. False: Begin() and Settled() have to come first.
  bool Open(const std::string& chunk_id);
  // Before its high watermark is written: what its transaction sees.
  void Took(const std::string& chunk_id, VisibleTransactions snapshot);
  void Close(const std::string& chunk_id);  // it will not be finished

  // The stream's thread.
  void Committed(uint32_t xid);
  void MetLow(std::string_view chunk_id);
  // Whether the chunk saw what was shown before its low watermark; forgets it.
  bool MetHigh(std::string_view chunk_id);

  size_t noted() const;  // for tests
  // Noting ends by itself when so many are noted, or nobody looked for so long.
  static constexpr size_t kMaxNoted = 1 << 16;
  static constexpr auto kMaxAge = std::chrono::hours(1);

 private:
  using Snapshot = std::shared_ptr<const VisibleTransactions>;
  struct Noted {
    uint64_t place;  // in the order of the stream
    uint32_t xid;
  };
  struct Chunk {
    Snapshot before;  // older than what the chunk sees
    Snapshot seen;    // what it sees; none: it was not read yet
    std::optional<uint64_t> low;
  };

  // What every chunk sees that is open or still to come; `behind_low`: those alone that have to be
  // judged by what the stream shows from here on.
  Snapshot Oldest(bool behind_low) const;
  void Prune();
  void Lapse();

  mutable std::mutex mutex_;
  std::atomic<bool> noting_{false};  // changed under the mutex
  bool settled_ = false;
  uint64_t place_ = 0;
  std::deque<Noted> noted_;
  Snapshot newest_;
  Clock::time_point looked_;  // when newest_ came
  std::map<std::string, Chunk, std::less<>> chunks_;
};

}  // namespace tailwater::postgres
