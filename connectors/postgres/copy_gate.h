// Holds the stream at one place of its log, while a table without a key is copied from exactly
// there.
//
// The place is known only once the server has made the snapshot, and by then a stream that goes on
// would have passed it. So the stream stops taking in transactions first (CloseAt), which costs
// little while the server makes the snapshot quickly; if that waits for somebody, the stream goes
// on meanwhile (LetPass), and the place counts only if it was not passed.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>

#include "postgres/lsn.h"

namespace tailwater::postgres {

// Threads: any. One copy at a time.
class CopyGate {
 public:
  // The reader. False: another copy is under way.
  bool Take(const std::string& chunk_id);
  // No further transaction; then, only those from this place on wait.
  void Close();
  void CloseAt(Lsn from);
  void LetPass();
  // The copy reads what committed before `place`. False: the stream has passed it.
  bool Serve(Lsn place);
  void Leave(const std::string& chunk_id);
  Lsn met() const { return Lsn{met_.load()}; }  // the last transaction that the stream met

  // The stream's thread, outside of any transaction of the writer.
  enum class Step : uint8_t {
    kGo,     // take the transaction in
    kWait,   // ask again
    kServe,  // the copy comes first: ChangeWriter::ServeCopy(`chunk_id`)
  };
  Step Ask(Lsn commit, std::string& chunk_id);
  void Wait(std::chrono::milliseconds timeout);
  void Reset();  // before a new stream

 private:
  enum class State : uint8_t { kOpen, kClosed, kClosedAt, kPassing, kServing };

  std::atomic<bool> taken_{false};  // changed under the mutex
  std::atomic<uint64_t> met_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string chunk_id_;
  State state_ = State::kOpen;
  Lsn place_;
  Lsn passed_;  // the last transaction that was let go since the gate was taken
};

}  // namespace tailwater::postgres
