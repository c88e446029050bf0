#include "mysql/log_began.h"

#include <chrono>

#include "mysql/binlog_event.h"
#include "mysql/binlog_stream.h"
#include "mysql/server_facts.h"
#include "mysql/setup.h"
#include "support/text.h"

namespace tailwater::mysql {

Result<std::optional<int64_t>> ReadBegan(const MysqlConfig& config, const SourceContext& context,
                                         const std::string& purpose, const std::string& server,
                                         const std::string& file, const Interrupt& interrupt) {
  TW_ASSIGN_OR_RETURN(
      auto connection,
      Connection::Open(config,
                       fmt::format("tailwater {}/{} {}", context.pipeline, context.name, purpose),
                       interrupt));
  if (!server.empty()) {
    TW_ASSIGN_OR_RETURN(const std::string answers, ReadServerIdentity(*connection));
    if (answers != server) return std::optional<int64_t>();
  }
  MysqlConfig other = config;
  other.server_id = 0;
  const ReaderId reader = ReaderIdFor(other, context.pipeline, context.name + " " + purpose);
  TW_ASSIGN_OR_RETURN(
      const auto stream,
      BinlogStream::Start(std::move(connection), {.from = LogPosition(FilePosition{file, 4}),
                                                  .server_id = reader.server_id,
                                                  .replica_uuid = reader.uuid}));
  const Wakeup never;
  EventReader events;
  events.Reset(FilePosition{file, 4});
  std::optional<int64_t> began;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!began && std::chrono::steady_clock::now() < deadline) {
    if (interrupt.stop.stop_requested())
      return Error{Disposition::kCancelled, "stopped", "asked to stop"};
    std::string_view packet;
    const Result<bool> got = stream->Next(packet);
    if (!got) {
      if (got.error().disposition == Disposition::kGap) break;  // the file is gone
      return got.error();
    }
    if (!*got) {
      TW_TRY(stream->Wait(std::chrono::milliseconds(500), never));
      continue;
    }
    TW_ASSIGN_OR_RETURN(const Event event, events.Read(packet));
    if (event.type == EventType::kFormatDescription) began = event.timestamp;
  }
  stream->Finish();
  return began;
}

}  // namespace tailwater::mysql
