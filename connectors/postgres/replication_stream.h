// The CopyBoth conversation of START_REPLICATION: messages in, standby status out.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "postgres/connection.h"
#include "postgres/lsn.h"
#include "support/wakeup.h"
#include "tailwater/result.h"

namespace tailwater::postgres {

struct StreamMessage {
  enum class Kind : uint8_t { kData, kKeepalive };
  Kind kind = Kind::kData;
  Lsn wal_start;            // kData; 0/0 for some messages: never a measure of progress
  Lsn wal_end;              // kKeepalive: all that committed before it has been sent
  int64_t sent_micros = 0;  // since 1970-01-01 UTC, the server's clock
  bool reply_requested = false;
  std::string_view payload;  // kData: one pgoutput message; until the next Next()
};

// Threads: one.
class ReplicationStream {
 public:
  struct Options {
    std::string slot;
    std::string publication;
    Lsn from;
    bool binary = false;  // values in binary form; 14 and later
  };
  // Takes the session over. kGap: the slot is missing or invalidated; kRetry: in use.
  static Result<std::unique_ptr<ReplicationStream>> Start(std::unique_ptr<Connection> connection,
                                                          const Options& options);
  ~ReplicationStream();

  // The next message that has been received whole; false if there is none. Never waits.
  // Ends with the server's error, or with what a notice says about skipped changes.
  Result<bool> Next(StreamMessage& message);

  // Takes in what the socket holds; never waits.
  Status Receive();

  // Waits until the socket, or `other_socket` (-1: none), can be read or `wakeup` was woken; true
  // if it was the other one. `bulk`: the server has a backlog, so
  // waits for much at once, which keeps it from being woken for each message; at most some
  // milliseconds.
  Result<bool> Wait(std::chrono::milliseconds timeout, const Wakeup& wakeup, int other_socket,
                    bool bulk);

  // Only `flushed` lets the server discard its log. Buffered by libpq if the socket is full.
  Status SendStatus(Lsn written, Lsn flushed, bool request_reply);

  // Ends the conversation in good order, so that the last status is surely heard; gives up after
  // `timeout`.
  void Finish(std::chrono::milliseconds timeout);

  uint64_t received_bytes() const { return received_bytes_; }
  const Connection& connection() const { return *connection_; }

 private:
  explicit ReplicationStream(std::unique_ptr<Connection> connection);
  Status Flush();
  Error EndOfStream();
  Status CheckNotices();
  void SetLowWater(int bytes);

  std::unique_ptr<Connection> connection_;
  struct FreeBuffer {
    void operator()(char* buffer) const;
  };
  std::unique_ptr<char, FreeBuffer> buffer_;
  uint64_t received_bytes_ = 0;
  bool bulk_by_socket_ = false;  // SO_RCVLOWAT works here: TCP without TLS
  int low_water_ = 1;
  bool unflushed_ = false;
};

}  // namespace tailwater::postgres
