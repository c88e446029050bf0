// Real packets in, readable events out: one file per capture. TAILWATER_UPDATE_GOLDEN=1 writes the
// expectations anew.
#include <gtest/gtest.h>

#include <cstdlib>

#include "connectors/mysql/golden_files.h"
#include "mysql/log_events.h"
#include "support/matchers.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

std::string Readable(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    if (static_cast<unsigned char>(c) < ' ' || c == 127) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out;
}

std::string ReadableStart(const GroupStart& start) {
  std::string out;
  if (start.mysql) out += " " + start.mysql->ToString();
  if (start.mariadb) out += " " + start.mariadb->ToString();
  if (start.commit_time_micros != 0) out += fmt::format(" at {}", start.commit_time_micros);
  if (start.standalone) out += " standalone";
  if (start.ddl) out += " ddl";
  if (start.alter_phase != 0) out += fmt::format(" alter {}", start.alter_phase);
  return out;
}

// What the body says, of those that are read here; of the others their size.
Result<std::string> ReadableBody(const Event& event, const LogFormat& format) {
  std::string storage;
  switch (event.type) {
    case EventType::kFormatDescription:
      return fmt::format(" {}{}", format.server_version,
                         format.server_restarted ? " restarted" : "");
    case EventType::kGtid:
    case EventType::kAnonymousGtid: {
      TW_ASSIGN_OR_RETURN(const GroupStart start, ParseGtid(event));
      return ReadableStart(start);
    }
    case EventType::kGtidTagged: {
      TW_ASSIGN_OR_RETURN(const GroupStart start, ParseGtidTagged(event));
      return ReadableStart(start);
    }
    case EventType::kMariadbGtid: {
      TW_ASSIGN_OR_RETURN(const GroupStart start, ParseMariadbGtid(event));
      return ReadableStart(start);
    }
    case EventType::kQuery:
    case EventType::kQueryCompressed: {
      TW_ASSIGN_OR_RETURN(const QueryEvent query, ParseQuery(event, storage));
      return fmt::format(" db={} mode={:x} charset={} error={}: {}", query.database, query.sql_mode,
                         query.client_charset, query.error, Readable(query.sql));
    }
    case EventType::kXaPrepare: {
      TW_ASSIGN_OR_RETURN(const XaPrepareEvent prepare, ParseXaPrepare(event));
      return fmt::format(" {}{}", prepare.xid, prepare.one_phase ? " one phase" : "");
    }
    case EventType::kHeartbeat:
    case EventType::kHeartbeatV2: {
      TW_ASSIGN_OR_RETURN(const FilePosition place, ParseHeartbeat(event));
      return " " + place.ToString();
    }
    case EventType::kPreviousGtids: {
      TW_ASSIGN_OR_RETURN(const MysqlGtidSet set, ParsePreviousGtids(event));
      return " " + set.ToString();
    }
    case EventType::kMariadbGtidList: {
      TW_ASSIGN_OR_RETURN(const MariadbGtidState state, ParseGtidList(event));
      return " " + state.ToString();
    }
    case EventType::kWriteRowsCompressedV1:
    case EventType::kUpdateRowsCompressedV1:
    case EventType::kDeleteRowsCompressedV1: {
      TW_ASSIGN_OR_RETURN(const Event plain, Uncompress(event, format, storage));
      return fmt::format(" {} bytes, {} bytes as {}", event.body.size(), plain.body.size(),
                         EventName(plain.type));
    }
    default:
      return fmt::format(" {} bytes", event.body.size());
  }
}

void Append(const Event& event, const EventReader& reader, std::string_view indent,
            std::string& out) {
  out += fmt::format("{}{} {}{}{}", indent, event.end, EventName(event.type),
                     event.artificial ? " artificial" : "", event.known ? "" : " unknown");
  const auto body = ReadableBody(event, reader.format());
  out += body ? *body : " " + body.error().message;
  out += event.type == EventType::kRotate ? " to " + reader.place().ToString() + "\n" : "\n";
}

std::string DescribeEvents(const std::vector<std::string>& packets) {
  EventReader reader;
  reader.Reset(std::nullopt);
  PayloadReader payload;
  std::string out;
  for (const std::string& packet : packets) {
    const auto event = reader.Read(packet);
    if (!event) return out + event.error().message + "\n";
    Append(*event, reader, "", out);
    if (event->type != EventType::kTransactionPayload) continue;
    if (const auto begun = payload.Begin(*event); !begun) return out + begun.error().message + "\n";
    for (;;) {
      auto next = payload.Next();
      if (!next) return out + next.error().message + "\n";
      if (!next->has_value()) break;
      const auto inner = reader.ReadInner(**next);
      if (!inner) return out + inner.error().message + "\n";
      Append(*inner, reader, "  ", out);
    }
  }
  return out;
}

class EventGolden : public testing::TestWithParam<std::string> {};

TEST_P(EventGolden, CapturedPacketsGiveTheExpectedEvents) {
  const std::string described = DescribeEvents(GoldenPackets(GetParam()));
  const auto path = kGoldenFolder / (GetParam() + ".events");
  if (std::getenv("TAILWATER_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path, std::ios::binary) << described;
  }
  EXPECT_EQ(described, ReadFile(path));
}

// Bytes turned into others and events cut short: an error or an event, but never a crash. Without
// checksums, which would find them all.
TEST_P(EventGolden, DamagedPacketsNeverCrash) {
  std::vector<std::string> packets = GoldenPackets(GetParam());
  EventReader reader;
  reader.Reset(std::nullopt);
  PayloadReader payload;
  std::string storage;
  for (const std::string& packet : packets) {
    const auto whole = reader.Read(packet);
    ASSERT_OK(whole);
    for (size_t at = 0; at < whole->body.size(); at += at < 100 ? 1 : 17) {
      for (const bool cut : {false, true}) {
        std::string body(whole->body.substr(0, cut ? at : std::string_view::npos));
        if (!cut) body[at] = static_cast<char>(body[at] ^ (1 << at % 8));
        Event event = *whole;
        event.body = body;
        static_cast<void>(ReadableBody(event, reader.format()));
        if (event.type != EventType::kTransactionPayload || !payload.Begin(event)) continue;
        for (auto next = payload.Next(); next && next->has_value(); next = payload.Next()) {
          if (const auto inner = reader.ReadInner(**next)) {
            static_cast<void>(ReadableBody(*inner, reader.format()));
          }
        }
      }
    }
  }
}

std::string Name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Captures, EventGolden, testing::ValuesIn(GoldenCases()), Name);

}  // namespace
}  // namespace tailwater::mysql
