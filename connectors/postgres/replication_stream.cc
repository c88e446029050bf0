#include "postgres/replication_stream.h"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <array>

#include "postgres/pgoutput.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

constexpr int kBulkBytes = 64 * 1024;  // 16 and 256 KiB were slower
constexpr auto kBulkWait = std::chrono::milliseconds(10);
constexpr auto kNap =
    std::chrono::microseconds(100);  // where the socket cannot wait for bytes; more fills it

uint64_t ReadBig(const char* bytes) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

void WriteBig(char* bytes, uint64_t value) {
  for (int i = 7; i >= 0; --i, value >>= 8) bytes[i] = static_cast<char>(value & 0xff);
}

int64_t NowMicros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

void ReplicationStream::FreeBuffer::operator()(char* buffer) const { PQfreemem(buffer); }

ReplicationStream::ReplicationStream(std::unique_ptr<Connection> connection)
    : connection_(std::move(connection)),
      bulk_by_socket_(connection_->uses_tcp() && !connection_->uses_tls()) {}

ReplicationStream::~ReplicationStream() = default;

Result<std::unique_ptr<ReplicationStream>> ReplicationStream::Start(
    std::unique_ptr<Connection> connection, const Options& options) {
  // The name list is itself a list of SQL identifiers: quoted inside of a literal. `messages` is
  // always on: whether one is counted must not depend on what is configured.
  const std::string sql = fmt::format(
      "START_REPLICATION SLOT {} LOGICAL {} (proto_version '1', publication_names {}{}{})",
      connection->QuoteName(options.slot), options.from.ToString(),
      connection->QuoteLiteral(connection->QuoteName(options.publication)),
      connection->major_version() >= 14 ? ", messages 'true'" : "",
      options.binary ? ", binary 'true'" : "");
  Connection::Wait wait;
  wait.moment = Moment::kStartStream;
  TW_TRY(connection->Query(sql, {}, wait));
  std::unique_ptr<ReplicationStream> stream(new ReplicationStream(std::move(connection)));
  TW_TRY(stream->CheckNotices());
  return stream;
}

Result<bool> ReplicationStream::Next(StreamMessage& message) {
  buffer_.reset();
  char* raw = nullptr;
  const int size = PQgetCopyData(connection_->native(), &raw, 1);
  TW_TRY(CheckNotices());
  if (size == 0) return false;
  if (size < 0) return EndOfStream();
  buffer_.reset(raw);
  received_bytes_ += static_cast<uint64_t>(size);
  if (raw[0] == 'w' && size >= 25) {
    message.kind = StreamMessage::Kind::kData;
    message.wal_start = Lsn{ReadBig(raw + 1)};
    message.wal_end = Lsn{ReadBig(raw + 9)};
    message.sent_micros = static_cast<int64_t>(ReadBig(raw + 17)) + kPostgresEpochMicros;
    message.reply_requested = false;
    message.payload = {raw + 25, static_cast<size_t>(size - 25)};
    return true;
  }
  if (raw[0] == 'k' && size == 18) {
    message.kind = StreamMessage::Kind::kKeepalive;
    message.wal_start = {};
    message.wal_end = Lsn{ReadBig(raw + 1)};
    message.sent_micros = static_cast<int64_t>(ReadBig(raw + 9)) + kPostgresEpochMicros;
    message.reply_requested = raw[17] != 0;
    message.payload = {};
    return true;
  }
  return Error{Disposition::kFatal, "pg_protocol_error",
               fmt::format("a replication message of kind {:#x} with {} bytes is unknown; report "
                           "this with the server's version",
                           static_cast<unsigned char>(raw[0]), size)};
}

Status ReplicationStream::Receive() {
  if (unflushed_) TW_TRY(Flush());
  if (PQconsumeInput(connection_->native()) == 0) {
    // What the server said before it went explains more than "connection lost".
    char* raw = nullptr;
    if (PQgetCopyData(connection_->native(), &raw, 1) == -1) return EndOfStream();
    PQfreemem(raw);
    return MakeLostError(PQerrorMessage(connection_->native()));
  }
  return {};
}

Error ReplicationStream::EndOfStream() {
  PGconn* connection = connection_->native();
  std::unique_ptr<PGresult, decltype(&PQclear)> result(PQgetResult(connection), PQclear);
  const ExecStatusType status = PQresultStatus(result.get());
  if (result == nullptr || status == PGRES_COMMAND_OK || status == PGRES_COPY_IN) {
    return Error{Disposition::kRetry, "pg_server_shutdown",
                 "the server ended the stream, as it does when it shuts down; connecting again"};
  }
  return MakeError(MessageOf(result.get()), Moment::kStream);
}

Status ReplicationStream::CheckNotices() {
  for (const ServerMessage& warning : connection_->TakeWarnings()) {
    // 18 and later: "skipped loading publication". The changes would be missing without a trace.
    if (warning.sqlstate == "55000" || warning.sqlstate == "42704") {
      return Error{
          Disposition::kGap, "pg_publication_replaced",
          fmt::format("the server skips changes: {} (SQLSTATE {}): the publication did not "
                      "exist at that place in the log",
                      warning.text, warning.sqlstate)};
    }
  }
  return {};
}

void ReplicationStream::SetLowWater(int bytes) {
  if (low_water_ == bytes) return;
  setsockopt(connection_->socket(), SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
  low_water_ = bytes;
}

Result<bool> ReplicationStream::Wait(std::chrono::milliseconds timeout, const Wakeup& wakeup,
                                     int other_socket, bool bulk) {
  // The stream last, so that a nap can leave it out.
  pollfd fds[3] = {
      {wakeup.fd(), POLLIN, 0},
      {other_socket, POLLIN, 0},
      {connection_->socket(), static_cast<short>(POLLIN | (unflushed_ ? POLLOUT : 0)), 0}};
  if (bulk && !bulk_by_socket_) {
    const timespec nap = {0, std::chrono::nanoseconds(kNap).count()};
    ppoll(fds, 2, &nap, nullptr);
  } else {
    if (bulk_by_socket_) SetLowWater(bulk ? kBulkBytes : 1);
    if (bulk) timeout = std::min(timeout, std::chrono::milliseconds(kBulkWait));
    poll(fds, 3, static_cast<int>(std::max<int64_t>(timeout.count(), 0)));
  }
  if (fds[0].revents != 0) wakeup.Drain();
  if (unflushed_) TW_TRY(Flush());
  return fds[1].revents != 0;
}

Status ReplicationStream::SendStatus(Lsn written, Lsn flushed, bool request_reply) {
  std::array<char, 34> status;
  status[0] = 'r';
  WriteBig(&status[1], std::max(written, flushed).value);
  WriteBig(&status[9], flushed.value);
  WriteBig(&status[17], flushed.value);
  WriteBig(&status[25], static_cast<uint64_t>(NowMicros() - kPostgresEpochMicros));
  status[33] = request_reply ? 1 : 0;
  // 0: the buffer cannot grow just now; the next status says the same or more.
  if (PQputCopyData(connection_->native(), status.data(), status.size()) < 0)
    return MakeLostError(PQerrorMessage(connection_->native()));
  return Flush();
}

Status ReplicationStream::Flush() {
  const int unsent = PQflush(connection_->native());
  if (unsent < 0) return MakeLostError(PQerrorMessage(connection_->native()));
  unflushed_ = unsent > 0;
  return {};
}

void ReplicationStream::Finish(std::chrono::milliseconds timeout) {
  PGconn* connection = connection_->native();
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  SetLowWater(1);
  if (PQputCopyEnd(connection, nullptr) <= 0) return;
  bool copying = true;
  while (std::chrono::steady_clock::now() < deadline) {
    if (PQflush(connection) < 0) return;
    if (copying) {
      char* raw = nullptr;
      const int size = PQgetCopyData(connection, &raw, 1);
      PQfreemem(raw);
      if (size > 0) continue;  // not ours any more: it comes again after the next start
      if (size == -2) return;
      if (size == -1) copying = false;
    }
    if (!copying && !PQisBusy(connection)) {
      std::unique_ptr<PGresult, decltype(&PQclear)> result(PQgetResult(connection), PQclear);
      if (result == nullptr) return;
      continue;
    }
    pollfd fd = {connection_->socket(), POLLIN, 0};
    poll(&fd, 1, 100);
    if (PQconsumeInput(connection) == 0) return;
  }
}

}  // namespace tailwater::postgres
