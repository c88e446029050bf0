// Where snapshot readers and the stream's thread meet. Nothing is written to the source: a
// watermark is a place that the stream's thread passes when its position covers it (PROTOCOLS B15).
//
//   reader                                    stream's thread, between groups
//   Low(id)  ------------------------------>  shows kLow, answers with its position P
//   waits until the server shows P to SELECT, reads the chunk
//   High(id, the server's position now) --->  shows kHigh once its own position covers that
//
// A table without a key: Hold(id, place) stops the stream when its position covers `place`, which
// must not be passed yet, and serves the copy there.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "mysql/log_position.h"
#include "support/wakeup.h"
#include "tailwater/result.h"
#include "tailwater/snapshot.h"
#include "tailwater/source.h"

namespace tailwater::mysql {

// Threads: any.
class StreamMarks {
 public:
  explicit StreamMarks(const Wakeup& wakeup) : wakeup_(wakeup) {}

  // Readers. Waits until the stream has shown the mark: its position there. kRetry
  // "mysql_stream_gone": there is no stream now; kCancelled.
  Result<LogPosition> Low(const std::string& chunk_id, std::stop_token stop);
  void High(const std::string& chunk_id, LogPosition covers);
  void Forget(const std::string& chunk_id);
  // The stream's position now, between groups.
  Result<LogPosition> Position(std::stop_token stop);
  // Holds the stream where its position first covers `place`, and serves the copy `chunk_id` there
  // until Release(). False: it had covered more than `place` already.
  Result<bool> Hold(const std::string& chunk_id, LogPosition place, std::stop_token stop);
  void Release(const std::string& chunk_id);

  // The stream's thread.
  void Begin();  // a stream stands
  void End();    // it is gone: who waits gets kRetry
  // Between groups, and when idle: shows what is due. Cheap if nothing is.
  Status Show(const LogPosition& position, ChangeWriter& out);

 private:
  struct Chunk {
    bool low_wanted = false;
    std::optional<LogPosition> low;   // where it was shown
    std::optional<LogPosition> high;  // has to be covered
  };
  const Wakeup& wakeup_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool streaming_ = false;
  std::map<std::string, Chunk> chunks_;
  std::string held_by_;
  std::optional<LogPosition> hold_at_;
};

}  // namespace tailwater::mysql
