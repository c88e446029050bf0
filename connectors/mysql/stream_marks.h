// Where snapshot readers and the stream's thread meet. Nothing is written to the source: a
// watermark is a place that the stream's thread passes when it has read up to there (PROTOCOLS
// B15).
//
//   reader                                    stream's thread, between groups
//   Low(id)  ------------------------------>  shows kLow, answers with its place
//   waits until the server shows that place to SELECT, reads the chunk
//   High(id, the server's position now) --->  shows kHigh once its own place covers that
//
// A table without a key is copied while the stream stands at one place: HoldAt() says where, before
// the stream can have passed it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "mysql/log_position.h"
#include "support/wakeup.h"
#include "tailwater/result.h"
#include "tailwater/snapshot.h"
#include "tailwater/source.h"

namespace tailwater::mysql {

// Threads: any.
class StreamMarks {
 public:
  // Where the stream stands, between two groups.
  struct Place {
    LogPosition position;  // what was handed on
    FilePosition end;      // behind the last event of any kind, in the files of `server`
    std::string server;    // as Begin() was told

    // Whether nothing that `target` covers is still to come. A file's place is judged by `end`,
    // which also moves when no group does. A prepared XA transaction has come, too.
    bool Covers(const LogPosition& target) const;
  };

  explicit StreamMarks(const Wakeup& wakeup) : wakeup_(wakeup) {}

  // Readers. Errors of all that wait: kRetry "mysql_stream_gone": there is no stream now;
  // kCancelled.
  //
  // Waits until the stream has shown the chunk's low watermark.
  Result<Place> Low(const std::string& chunk_id, std::stop_token stop);
  // The high one is due once the stream covers that. Nothing: at once, and the chunk is not sound.
  void High(const std::string& chunk_id, std::optional<LogPosition> covers);
  void Forget(const std::string& chunk_id);
  // Where it stands, at its next stop between groups.
  Result<Place> Where(std::stop_token stop);
  // Waits until the stream covers it.
  Status WaitFor(const LogPosition& target, std::stop_token stop);

  // Copies of tables without a key, one at a time. False: another one is under way.
  bool Take(const std::string& chunk_id);
  // From here on the stream takes in no further group, until HoldAt() or Leave().
  Result<Place> Pause(const std::string& chunk_id, std::stop_token stop);
  // The stream stands still where it first covers `target`, and serves the copy there until that
  // has ended.
  void HoldAt(const std::string& chunk_id, LogPosition target);
  void Leave(const std::string& chunk_id);

  // The stream's thread.
  void Begin(std::string server);  // a stream stands; what was asked of an earlier one is forgotten
  void End();                      // it is gone: who waits is told
  // After every packet that leaves the decoder between groups, so that none is passed that a copy
  // holds up, and when idle or woken. Cheap if nothing is due. `end`: ChangeDecoder::place().
  // False: the stream is held: decode nothing and call again, at once: it waits a little itself.
  Result<bool> Show(const LogPosition& position, const FilePosition& end, ChangeWriter& out);

 private:
  struct Chunk {
    bool low_wanted = false;
    std::optional<Place> low;  // where it was shown
    bool high_wanted = false;
    std::optional<LogPosition> covers;
  };
  enum class Hold : uint8_t { kNone, kTaken, kPause, kPaused, kAt };

  Error Gone() const;
  // Waits for `done`; what Low() and the others answer if it does not come.
  template <class Done>
  Status Await(std::unique_lock<std::mutex>& lock, std::stop_token stop, const Done& done);
  void Changed();
  Result<bool> ShowDue(const Place& place, ChangeWriter& out);

  const Wakeup& wakeup_;
  std::atomic<bool> due_{false};  // changed under the mutex
  std::mutex mutex_;
  std::condition_variable_any changed_;
  uint64_t stream_ = 0;  // counts them
  bool streaming_ = false;
  std::string server_;
  std::map<std::string, Chunk> chunks_;
  struct Waiter {
    const LogPosition* target;  // null: any place will do
    std::optional<Place> met;
  };
  std::vector<Waiter*> waiters_;
  Hold hold_ = Hold::kNone;
  std::string held_by_;
  std::optional<LogPosition> hold_at_;
  std::optional<Place> paused_at_;
};

}  // namespace tailwater::mysql
