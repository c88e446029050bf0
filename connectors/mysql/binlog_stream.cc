#include "mysql/binlog_stream.h"

#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "mysql/client.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned char kHeartbeat = 27, kHeartbeatV2 = 41;
constexpr size_t kTypeAt = 4;  // in an event's header

Error Silence(std::chrono::milliseconds timeout) {
  return Error{Disposition::kRetry, "mysql_silence",
               fmt::format("the server sent nothing for {} s, not even a heartbeat: it hangs, or "
                           "the network does; connecting again",
                           std::chrono::duration_cast<std::chrono::seconds>(timeout).count())};
}

// The dump command has 32 bits for the place in a file. Only the group that makes a file too long
// crosses 4 GiB, and the file ends behind it: who stopped up there goes on in the next one.
FilePosition Reachable(FilePosition place) {
  if (place.offset <= UINT32_MAX) return place;
  const size_t dot = place.file.rfind('.');
  uint64_t number = 0;
  const char* begin = place.file.data() + dot + 1;
  const char* end = place.file.data() + place.file.size();
  if (dot == std::string::npos || std::from_chars(begin, end, number).ptr != end) return place;
  return {fmt::format("{}.{:0{}}", place.file.substr(0, dot), number + 1, end - begin), 4};
}

}  // namespace

struct BinlogStream::Dump {
#ifdef TAILWATER_CONNECTOR_C
  SSL* ssl = nullptr;
  bool opaque_tls = false;  // TLS of a library that we cannot ask
#else
  MYSQL_RPL rpl{};
  std::string file, set;
#endif
};

BinlogStream::BinlogStream(std::unique_ptr<Connection> connection)
    : connection_(std::move(connection)), dump_(std::make_unique<Dump>()) {}

BinlogStream::~BinlogStream() = default;

Result<std::unique_ptr<BinlogStream>> BinlogStream::Start(std::unique_ptr<Connection> connection,
                                                          const Options& options) {
  std::unique_ptr<BinlogStream> stream(new BinlogStream(std::move(connection)));
  stream->silence_timeout_ = options.silence_timeout;
  TW_TRY(stream->Prepare(options));
  TW_TRY(stream->Register(options));
  TW_TRY(stream->SendDump(options));
  stream->last_heard_ = Clock::now();
  return stream;
}

Status BinlogStream::Prepare(const Options& options) {
  // Both names of each: servers know one of them, and a user variable nobody knows does no harm.
  const auto nanoseconds =
      std::chrono::duration_cast<std::chrono::nanoseconds>(options.heartbeat).count();
  std::string sql = fmt::format(
      "SET @master_binlog_checksum = @@global.binlog_checksum, "
      "@source_binlog_checksum = @@global.binlog_checksum, "
      "@master_heartbeat_period = {0}, @source_heartbeat_period = {0}, "
      "@rpl_semi_sync_slave = 0, @rpl_semi_sync_replica = 0, "
      // While a table without a key is copied nothing is read here.
      "@slave_uuid = {1}, @replica_uuid = {1}, SESSION net_write_timeout = 604800",
      nanoseconds, connection_->QuoteLiteral(options.replica_uuid));
  if (connection_->flavour() == Flavour::kMariadb) {
    sql += ", @mariadb_slave_capability = 4";
    if (options.from.form() == LogPosition::Form::kMariadbGtid) {
      sql += fmt::format(
          ", @slave_connect_state = {}, @slave_gtid_strict_mode = 1, "
          "@slave_gtid_ignore_duplicates = 0",
          connection_->QuoteLiteral(options.from.mariadb().ToString()));
    }
  }
  Connection::Wait wait;
  wait.moment = Moment::kDump;
  TW_TRY(connection_->Query(sql, wait));
  return {};
}

Result<bool> BinlogStream::Next(std::string_view& packet) {
  switch (Buffered()) {
    case Waiting::kPackets:
      break;
    case Waiting::kNothing:
      if (!SocketReadable()) return false;
      break;
    case Waiting::kUnknown:
      if (drained_ && !SocketReadable()) return false;
      break;
  }
  TW_ASSIGN_OR_RETURN(packet, ReadPacket());
  last_heard_ = Clock::now();
  received_bytes_ += packet.size();
  drained_ =
      packet.size() > kTypeAt && (static_cast<unsigned char>(packet[kTypeAt]) == kHeartbeat ||
                                  static_cast<unsigned char>(packet[kTypeAt]) == kHeartbeatV2);
  return true;
}

bool BinlogStream::SocketReadable() const {
  pollfd fd = {connection_->client().socket(), POLLIN, 0};
  return poll(&fd, 1, 0) != 0;
}

Status BinlogStream::Wait(std::chrono::milliseconds timeout, const Wakeup& wakeup) {
  const Waiting buffered = Buffered();
  if (buffered == Waiting::kPackets || (buffered == Waiting::kUnknown && !drained_)) return {};
  pollfd fds[2] = {{wakeup.fd(), POLLIN, 0}, {connection_->client().socket(), POLLIN, 0}};
  poll(fds, 2, static_cast<int>(std::clamp<int64_t>(timeout.count(), 0, 1000)));
  if (fds[0].revents != 0) wakeup.Drain();
  if (fds[1].revents == 0 && Clock::now() - last_heard_ > silence_timeout_) {
    connection_->client().Abandon();
    return Silence(silence_timeout_);
  }
  return {};
}

void BinlogStream::Finish() {
  // The dump thread reads nothing, it notices an end when it writes: a reset makes the first write
  // fail, not the second.
  Client& client = connection_->client();
  const linger at_once = {1, 0};
  if (const int fd = client.socket(); fd >= 0)
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  client.broken = true;
  connection_.reset();
}

#ifdef TAILWATER_CONNECTOR_C

namespace {

void Append(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i, value >>= 8) out.push_back(static_cast<char>(value & 0xff));
}

}  // namespace

Status BinlogStream::Register(const Options& options) {
  char host[64] = "";
  gethostname(host, sizeof host - 1);
  const std::string_view name = std::string_view(host).substr(0, 60);
  std::string payload;
  Append(payload, options.server_id, 4);
  Append(payload, name.size(), 1);
  payload += name;
  Append(payload, 0, 1);  // user
  Append(payload, 0, 1);  // password
  Append(payload, 0, 2);  // port
  Append(payload, 0, 4);  // rank
  Append(payload, 0, 4);  // source's id
  Client& client = connection_->client();
  ClientCall call(client, std::chrono::seconds(60));
  constexpr auto kRegisterSlave = static_cast<enum_server_command>(0x15);
  if (client.handle->methods->db_command(client.handle, kRegisterSlave, payload.data(),
                                         payload.size(), 0, nullptr) != 0)
    return call.Failure(Moment::kDump);
  return {};
}

Status BinlogStream::SendDump(const Options& options) {
  std::string payload;
  auto command = static_cast<enum_server_command>(0x12);  // COM_BINLOG_DUMP
  if (options.from.form() == LogPosition::Form::kMysqlGtid) {
    // A file's name here would skip what lies in the files before it, and the check for what was
    // purged.
    const std::string set = options.from.mysql().Encode();
    command = static_cast<enum_server_command>(0x1e);  // COM_BINLOG_DUMP_GTID
    Append(payload, 0, 2);                             // flags: block at the end of the log
    Append(payload, options.server_id, 4);
    Append(payload, 0, 4);  // no file
    Append(payload, 4, 8);
    Append(payload, set.size(), 4);
    payload += set;
  } else {
    FilePosition place;
    if (options.from.form() == LogPosition::Form::kFile) place = Reachable(options.from.file());
    Append(payload, place.offset, 4);
    Append(payload, 0, 2);
    Append(payload, options.server_id, 4);
    payload += place.file;
  }
  Client& client = connection_->client();
  ClientCall call(client, std::chrono::seconds(60));
  call.set_sending(true);
  if (client.handle->methods->db_command(client.handle, command, payload.data(), payload.size(), 1,
                                         nullptr) != 0)
    return call.Failure(Moment::kDump);
  if (connection_->uses_tls()) {
    const char* library = nullptr;
    const bool is_openssl = mariadb_get_infov(client.handle, MARIADB_TLS_LIBRARY, &library) == 0 &&
                            library != nullptr &&
                            std::string_view(library).substr(0, 7) == "OpenSSL";
    if (is_openssl) dump_->ssl = static_cast<SSL*>(client.handle->net.pvio->ctls->ssl);
    dump_->opaque_tls = !is_openssl;
  }
  return {};
}

BinlogStream::Waiting BinlogStream::Buffered() const {
  const MARIADB_PVIO* transport = connection_->client().handle->net.pvio;
  if (transport == nullptr) return Waiting::kPackets;  // it broke: reading says how
  if (transport->cache != nullptr &&
      transport->cache + transport->cache_size > transport->cache_pos)
    return Waiting::kPackets;
  if (dump_->opaque_tls) return Waiting::kUnknown;
  return dump_->ssl != nullptr && SSL_pending(dump_->ssl) > 0 ? Waiting::kPackets
                                                              : Waiting::kNothing;
}

Result<std::string_view> BinlogStream::ReadPacket() {
  Client& client = connection_->client();
  ClientCall call(client, silence_timeout_, ClientCall::Limit::kSilence);
  const unsigned long size = mysql_net_read_packet(client.handle);
  if (static_cast<unsigned>(size) == 0xFFFFFFFFu || size == 0) {
    Error error = call.Failure(Moment::kDump);
    client.Abandon();
    if (error.code == "mysql_timeout") return Silence(silence_timeout_);
    return error;
  }
  const unsigned char* bytes = client.handle->net.read_pos;
  if (bytes[0] == 0xFE && size < 9) {
    client.Abandon();
    return Error{Disposition::kRetry, "mysql_stream_ended",
                 "the server ended the stream, as it does when it shuts down; connecting again"};
  }
  return std::string_view(reinterpret_cast<const char*>(bytes) + 1, size - 1);
}

#else  // libmysqlclient, which registers nobody: SHOW REPLICAS does not list us

Status BinlogStream::Register(const Options&) { return {}; }

Status BinlogStream::SendDump(const Options& options) {
  MYSQL_RPL& rpl = dump_->rpl;
  rpl.server_id = options.server_id;
  rpl.start_position = 4;
  if (options.from.form() == LogPosition::Form::kMysqlGtid) {
    dump_->set = options.from.mysql().Encode();
    rpl.flags = MYSQL_RPL_GTID;
    rpl.gtid_set_arg = dump_->set.data();
    rpl.gtid_set_encoded_size = dump_->set.size();
  } else if (options.from.form() == LogPosition::Form::kFile) {
    const FilePosition place = Reachable(options.from.file());
    dump_->file = place.file;
    rpl.start_position = place.offset;
  }
  rpl.file_name = dump_->file.c_str();
  rpl.file_name_length = dump_->file.size();
  Client& client = connection_->client();
  ClientCall call(client, std::chrono::seconds(60));
  if (mysql_binlog_open(client.handle, &rpl) != 0) return call.Failure(Moment::kDump);
  return {};
}

BinlogStream::Waiting BinlogStream::Buffered() const { return Waiting::kUnknown; }

Result<std::string_view> BinlogStream::ReadPacket() {
  Client& client = connection_->client();
  ClientCall call(client, silence_timeout_, ClientCall::Limit::kSilence);
  if (mysql_binlog_fetch(client.handle, &dump_->rpl) != 0) {
    Error error = call.Failure(Moment::kDump);
    client.Abandon();
    return error;
  }
  if (dump_->rpl.size == 0) {
    client.Abandon();
    return Error{Disposition::kRetry, "mysql_stream_ended",
                 "the server ended the stream, as it does when it shuts down; connecting again"};
  }
  return std::string_view(reinterpret_cast<const char*>(dump_->rpl.buffer) + 1,
                          dump_->rpl.size - 1);
}

#endif

}  // namespace tailwater::mysql
