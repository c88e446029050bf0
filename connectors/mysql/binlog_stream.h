// The conversation of COM_BINLOG_DUMP and COM_BINLOG_DUMP_GTID: packets in (PROTOCOLS B3 to B5).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "mysql/connection.h"
#include "mysql/log_position.h"
#include "support/wakeup.h"
#include "tailwater/result.h"

namespace tailwater::mysql {

// Threads: one.
class BinlogStream {
 public:
  struct Options {
    LogPosition from;        // LogPosition::ReadFrom()
    uint32_t server_id = 0;  // ours
    std::string replica_uuid;
    std::chrono::milliseconds heartbeat = std::chrono::milliseconds(500);
    std::chrono::milliseconds silence_timeout = std::chrono::minutes(1);
  };
  // Session variables (checksum, heartbeat, MariaDB's capability and @slave_connect_state),
  // registration, dump. Takes the session over. Errors as Moment::kDump; those of the dump itself
  // come with the first packets.
  static Result<std::unique_ptr<BinlogStream>> Start(std::unique_ptr<Connection> connection,
                                                     const Options& options);
  ~BinlogStream();

  // The next packet without its status byte, valid until the next call; false: none is there yet.
  // One that has begun to come is waited for. Semi-sync is switched off on our session, so nothing
  // stands in front of the event. kRetry "mysql_stream_ended" when the server shuts down,
  // kCancelled at a stop.
  Result<bool> Next(std::string_view& packet);

  // Waits until something may be there, or `wakeup` was woken, or `timeout`, or a second passed.
  // kRetry "mysql_silence": the server sent nothing, not even a heartbeat, for the silence timeout.
  Status Wait(std::chrono::milliseconds timeout, const Wakeup& wakeup);

  // Ends the session so that the server's dump thread fails at its next write, which is a heartbeat
  // at the latest.
  void Finish();

  uint64_t received_bytes() const { return received_bytes_; }
  const Connection& connection() const { return *connection_; }

 private:
  enum class Waiting : uint8_t {
    kNothing,  // in the client library; the socket says what comes
    kPackets,
    kUnknown,  // it cannot be asked: until a heartbeat was read, there may be more
  };
  struct Dump;  // what the client library needs
  explicit BinlogStream(std::unique_ptr<Connection> connection);
  Status Prepare(const Options& options);
  Status Register(const Options& options);
  Status SendDump(const Options& options);
  Result<std::string_view> ReadPacket();
  Waiting Buffered() const;
  bool SocketReadable() const;

  std::unique_ptr<Connection> connection_;
  std::unique_ptr<Dump> dump_;
  uint64_t received_bytes_ = 0;
  std::chrono::steady_clock::time_point last_heard_;
  std::chrono::milliseconds silence_timeout_{};
  bool drained_ = false;  // kUnknown: the last packet was a heartbeat
};

}  // namespace tailwater::mysql
