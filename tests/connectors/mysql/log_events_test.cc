#include "mysql/log_events.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <cstring>
#include <functional>

#include "connectors/mysql/event_bytes.h"
#include "support/matchers.h"

namespace tailwater::mysql {
namespace {

Event Of(EventType type, std::string_view body) {
  return {.type = type, .server_id = 7, .body = body};
}

// Each beginning of `body`, in memory of its own, is an error, and none crashes; so is nothing.
void ExpectNoPrefixIsRead(EventType type, const std::string& body, size_t shortest_good,
                          const std::function<Status(const Event&)>& parse) {
  for (size_t size = 0; size < body.size(); ++size) {
    const std::string prefix = body.substr(0, size);
    const Status status = parse(Of(type, prefix));
    if (size < shortest_good) {
      EXPECT_THAT(status, IsErrorWith("mysql_event_malformed")) << size;
    }
  }
}
template <class Parse>
std::function<Status(const Event&)> Ignoring(Parse parse) {
  return [parse](const Event& event) -> Status {
    TW_TRY(parse(event));
    return {};
  };
}

constexpr char kServer[] = "11111111-2222-3333-4444-555555555555";
constexpr char kServerBytes[] = "11111111 2222 3333 4444 555555555555";

TEST(Gtid, IsReadInTheFormsOfAllVersions) {
  const std::string gtid = "00" + std::string(kServerBytes) + "1200000000000000";
  const std::string clock = "02 0000000000000000 0100000000000000";
  const struct {
    std::string what, body;
    int64_t time;
  } kCases[] = {
      {"5.6", gtid, 0},
      {"5.7", gtid + clock, 0},
      {"8.0", gtid + clock + "1b1ca101d56006 fc3201 50620100", 0x0660D501A11C1B},
      {"8.0, from a replica", gtid + clock + "1b1ca101d56086 0100000000000000 fc3201 50620100",
       0x0660D501A11C1B},
      {"with a ticket", gtid + clock + "1b1ca101d56006 fc3201 50620100 0100000000000000",
       0x0660D501A11C1B},
  };
  for (const auto& c : kCases) {
    const std::string body = Hex(c.body);
    const auto start = ParseGtid(Of(EventType::kGtid, body));
    ASSERT_OK(start) << c.what;
    ASSERT_TRUE(start->mysql.has_value());
    EXPECT_EQ(start->mysql->ToString(), std::string(kServer) + ":18");
    EXPECT_EQ(start->commit_time_micros, c.time) << c.what;
    const auto anonymous = ParseGtid(Of(EventType::kAnonymousGtid, body));
    ASSERT_OK(anonymous);
    EXPECT_FALSE(anonymous->mysql.has_value());
  }
  ExpectNoPrefixIsRead(EventType::kGtid, Hex(kCases[2].body), 25, Ignoring(ParseGtid));
  EXPECT_THAT(ParseGtid(Of(EventType::kGtid, std::string(25, '\0'))),
              IsErrorWith("mysql_event_malformed"));
}

// PROTOCOLS B8.
constexpr char kTagged[] =
    "02 7C 00 00 00 02 22 22 22 22 44 44 66 66 FD03 88 AAAAAAAAAAAA 04 20 06 04 74 74 08 50 0A 68"
    "0C 7F 01020304050607 0E 7F 01020304050607 10 A504 12 83120B 14 23C509";

TEST(GtidTagged, IsRead) {
  const std::string body = Hex(kTagged);
  ASSERT_EQ(body.size(), 62u);
  const auto start = ParseGtidTagged(Of(EventType::kGtidTagged, body));
  ASSERT_OK(start);
  EXPECT_EQ(start->mysql->ToString(), "11111111-2222-3333-ff44-555555555555:tt:8");
  EXPECT_EQ(start->commit_time_micros, 0x07060504030201);
}

TEST(GtidTagged, IsReadToItsLastByte) {
  ExpectNoPrefixIsRead(EventType::kGtidTagged, Hex(kTagged), 62, Ignoring(ParseGtidTagged));
  const std::string gtid = "00 00 02 22222222444466668888AAAAAAAAAAAA 04 04";
  const struct {
    std::string what, body;
    bool good;
  } kCases[] = {
      {"no tag", "02 30 00" + gtid, true},
      {"a field of a later server", "02 38 00" + gtid + "18 00 FF FF", true},
      {"one that must be known", "02 38 18" + gtid + "18 00 FF FF", false},
      {"another version", "04 30 00" + gtid, false},
      {"a size beyond the event", "02 32 00" + gtid, false},
      {"number 0", "02 30 00 00 00 02 22222222444466668888AAAAAAAAAAAA 04 00", false},
      {"a negative number", "02 30 00 00 00 02 22222222444466668888AAAAAAAAAAAA 04 02", false},
      {"no number", "02 2C 00 00 00 02 22222222444466668888AAAAAAAAAAAA", false},
      {"no uuid", "02 0E 00 00 00 04 04", false},
      {"a tag that is none", "02 38 00" + gtid + "06 04 74 2D", false},
      {"a tag longer than the event", "02 38 00" + gtid + "06 80 74 74", false},
  };
  for (const auto& c : kCases) {
    const std::string body = Hex(c.body);
    const auto start = ParseGtidTagged(Of(EventType::kGtidTagged, body));
    if (!c.good) {
      EXPECT_THAT(start, IsErrorWith("mysql_event_malformed")) << c.what;
      continue;
    }
    ASSERT_OK(start) << c.what;
    EXPECT_EQ(start->mysql->ToString(), std::string(kServer) + ":1") << c.what;
  }
}

TEST(MariadbGtid, IsReadWithAllItsFlags) {
  const struct {
    std::string what, body;
    bool standalone, ddl;
    uint8_t alter;
  } kCases[] = {
      {"a transaction", "12 00000000000000 05000000 0c 000000000000", false, false, 0},
      {"of a group commit", "12 00000000000000 05000000 0e 0100000000000000", false, false, 0},
      {"a statement", "12 00000000000000 05000000 29 000000000000", true, true, 0},
      {"XA", "12 00000000000000 05000000 4c 07000000 03 06 6f6e65 6272616e6368 01 00", false, false,
       0},
      {"START ALTER", "12 00000000000000 05000000 29 02", true, true, 2},
      {"COMMIT ALTER", "12 00000000000000 05000000 29 04 1100000000000000", true, true, 4},
      {"before 10.8", "12 00000000000000 05000000 29", true, true, 0},
  };
  for (const auto& c : kCases) {
    const std::string body = Hex(c.body);
    const auto start = ParseMariadbGtid(Of(EventType::kMariadbGtid, body));
    ASSERT_OK(start) << c.what;
    EXPECT_EQ(start->mariadb->ToString(), "5-7-18");
    EXPECT_EQ(start->standalone, c.standalone) << c.what;
    EXPECT_EQ(start->ddl, c.ddl) << c.what;
    EXPECT_EQ(start->alter_phase, c.alter) << c.what;
  }
  ExpectNoPrefixIsRead(EventType::kMariadbGtid, Hex(kCases[1].body), 21,
                       Ignoring(ParseMariadbGtid));
  ExpectNoPrefixIsRead(EventType::kMariadbGtid, Hex(kCases[3].body), 28,
                       Ignoring(ParseMariadbGtid));
}

std::string QueryBody(std::string_view variables, std::string_view database, std::string_view sql) {
  return Little(9, 4) + Little(0, 4) + Little(database.size(), 1) + Little(1062, 2) +
         Little(variables.size(), 2) + std::string(variables) + std::string(database) + '\0' +
         std::string(sql);
}

TEST(Query, IsReadWithWhatItsSessionHad) {
  const auto parse = [](const Event& event) -> Status {
    std::string storage;
    TW_TRY(ParseQuery(event, storage));
    return {};
  };
  const struct {
    std::string what, variables;
    uint64_t sql_mode;
    uint16_t charset;
  } kCases[] = {
      {"none", "", 0, 0},
      {"9.7", "00 00000000 01 2000a04500000000 06 03737464 04 2d00 2d00 ff00 12 ff00", 0x45a00020,
       45},
      {"old ones", "02 03 737464 00 03 01000100 05 03 555443 07 0000 08 0000 04 0800 2d00 ff00", 0,
       8},
      {"MariaDB", "01 0000205400000000 04 2d00 2d00 2d00 81 1b00000000000000", 0x54200000, 45},
      {"unknown ones behind", "04 2d00 2d00 2d00 C8 01", 0, 45},
  };
  for (const auto& c : kCases) {
    const std::string body = QueryBody(Hex(c.variables), "shop", std::string_view("a\0b", 3));
    std::string storage;
    const auto query = ParseQuery(Of(EventType::kQuery, body), storage);
    ASSERT_OK(query) << c.what;
    EXPECT_EQ(query->database, "shop");
    EXPECT_EQ(query->sql, std::string_view("a\0b", 3));
    EXPECT_EQ(query->sql_mode, c.sql_mode) << c.what;
    EXPECT_EQ(query->client_charset, c.charset) << c.what;
    EXPECT_EQ(query->error, 1062);
    ExpectNoPrefixIsRead(EventType::kQuery, body, body.size() - 3, parse);
  }
  const std::string cut = QueryBody(Hex("01 0000"), "", "x");
  EXPECT_THAT(parse(Of(EventType::kQuery, cut)), IsErrorWith("mysql_event_malformed"));
}

// As MariaDB writes it.
std::string Deflated(std::string_view plain) {
  std::string out(compressBound(plain.size()), '\0');
  uLongf size = out.size();
  compress(reinterpret_cast<Bytef*>(out.data()), &size,
           reinterpret_cast<const Bytef*>(plain.data()), plain.size());
  out.resize(size);
  const size_t n = plain.size();
  return Hex("83") + static_cast<char>(n >> 16) + static_cast<char>(n >> 8) + static_cast<char>(n) +
         out;
}

TEST(QueryCompressed, IsInflated) {
  const std::string sql = "create table t (" + std::string(5000, 'x') + ")";
  const std::string body = QueryBody("", "shop", Deflated(sql));
  std::string storage;
  const auto query = ParseQuery(Of(EventType::kQueryCompressed, body), storage);
  ASSERT_OK(query);
  EXPECT_EQ(query->sql, sql);
  for (size_t size = 0; size < body.size(); ++size) {
    const std::string prefix = body.substr(0, size);
    EXPECT_THAT(ParseQuery(Of(EventType::kQueryCompressed, prefix), storage),
                IsErrorWith("mysql_event_malformed"));
  }
}

TEST(Inflate, BelievesNoSize) {
  std::string good = Deflated(std::string(300, 'x'));
  for (const char* head : {"83 00012D", "83 00012B", "83 FFFFFF", "84 FFFFFFFF", "87 0000012C",
                           "03 00012C", "93 00012C", "80 00012C"}) {
    std::string bad = Hex(head) + good.substr(4);
    std::string storage;
    const std::string body = QueryBody("", "", bad);
    EXPECT_THAT(ParseQuery(Of(EventType::kQueryCompressed, body), storage),
                IsErrorWith("mysql_event_malformed"))
        << head;
    EXPECT_LT(storage.size(), 1u << 20);
  }
}

TEST(Uncompress, GivesThePlainEvent) {
  const struct {
    EventType compressed, plain;
    std::string head;
  } kCases[] = {
      {EventType::kWriteRowsCompressedV1, EventType::kWriteRowsV1, "130000000000 0100 02 03"},
      {EventType::kUpdateRowsCompressedV1, EventType::kUpdateRowsV1, "130000000000 0100 02 03 03"},
      {EventType::kDeleteRowsCompressedV1, EventType::kDeleteRowsV1,
       "130000000000 0100 FC0901" + std::string(34 * 2, 'f')},
  };
  std::string storage;
  for (const auto& c : kCases) {
    const std::string rows(4000, 'r');
    const std::string body = Hex(c.head) + Deflated(rows);
    const auto event = Uncompress(Of(c.compressed, body), LogFormat{}, storage);
    ASSERT_OK(event);
    EXPECT_EQ(event->type, c.plain);
    EXPECT_EQ(event->body, Hex(c.head) + rows);
    EXPECT_EQ(event->server_id, 7u);
    for (size_t size = 0; size < body.size(); ++size) {
      const std::string prefix = body.substr(0, size);
      EXPECT_THAT(Uncompress(Of(c.compressed, prefix), LogFormat{}, storage),
                  IsErrorWith("mysql_event_malformed"));
    }
  }
  EXPECT_THAT(Uncompress(Of(EventType::kWriteRowsV1, "x"), LogFormat{}, storage),
              IsErrorWith("mysql_event_malformed"));
}

TEST(XaPrepare, PrintsTheIdentifierAsStatementsDo) {
  const std::string body = Hex("00 07000000 03000000 06000000 6f6e65 6272616e6368");
  const auto prepare = ParseXaPrepare(Of(EventType::kXaPrepare, body));
  ASSERT_OK(prepare);
  EXPECT_FALSE(prepare->one_phase);
  EXPECT_EQ(prepare->xid, "X'6f6e65',X'6272616e6368',7");
  const std::string one_phase = Hex("01 01000000 03000000 00000000 00ff27");
  EXPECT_TRUE(ParseXaPrepare(Of(EventType::kXaPrepare, one_phase))->one_phase);
  EXPECT_EQ(ParseXaPrepare(Of(EventType::kXaPrepare, one_phase))->xid, "X'00ff27',X'',1");
  ExpectNoPrefixIsRead(EventType::kXaPrepare, body, body.size(), Ignoring(ParseXaPrepare));
}

TEST(SmallEvents, AreRead) {
  const std::string incident = Hex("0100 04") + "lost";
  EXPECT_EQ(ParseIncident(Of(EventType::kIncident, incident))->message, "lost");
  ExpectNoPrefixIsRead(EventType::kIncident, incident, 7, Ignoring(ParseIncident));

  Event heartbeat = Of(EventType::kHeartbeat, "bin.000009");
  heartbeat.end = 4711;
  EXPECT_EQ(*ParseHeartbeat(heartbeat), (FilePosition{"bin.000009", 4711}));
  const std::string v2 = Hex("01 0A") + "bin.000009" + Hex("02 09 FE 0000000002000000 00");
  EXPECT_EQ(*ParseHeartbeat(Of(EventType::kHeartbeatV2, v2)),
            (FilePosition{"bin.000009", 0x200000000}));
  EXPECT_THAT(ParseHeartbeat(Of(EventType::kHeartbeatV2, v2.substr(0, 15))),
              IsErrorWith("mysql_event_malformed"));

  const std::string previous = MysqlGtidSet::Parse(std::string(kServer) + ":1-5")->Encode();
  EXPECT_EQ(ParsePreviousGtids(Of(EventType::kPreviousGtids, previous))->ToString(),
            std::string(kServer) + ":1-5");
  ExpectNoPrefixIsRead(EventType::kPreviousGtids, previous, previous.size(),
                       Ignoring(ParsePreviousGtids));

  // Several servers wrote to domain 0: the last one counts.
  const std::string list =
      Hex("03000010 00000000 01000000 6400000000000000 00000000 02000000 6300000000000000"
          "05000000 01000000 0700000000000000");
  EXPECT_EQ(ParseGtidList(Of(EventType::kMariadbGtidList, list))->ToString(), "0-2-99,5-1-7");
  ExpectNoPrefixIsRead(EventType::kMariadbGtidList, list, list.size(), Ignoring(ParseGtidList));
}

std::string Lenenc(uint64_t value) { return Hex("FE") + Little(value, 8); }

std::string PayloadBody(std::string_view payload, uint64_t plain_size, int compression = 0) {
  return Hex("02 03 FC") + Little(compression, 2) + Hex("03 09") + Lenenc(plain_size) +
         Hex("01 09") + Lenenc(payload.size()) + '\0' + std::string(payload);
}

std::string Zstd(std::string_view plain) {
  std::string out(ZSTD_compressBound(plain.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), 3));
  return out;
}

// All inner events one after the other, or the error.
Result<std::string> ReadAll(PayloadReader& reader, const std::string& body) {
  TW_TRY(reader.Begin(Of(EventType::kTransactionPayload, body)));
  std::string all;
  for (;;) {
    TW_ASSIGN_OR_RETURN(const auto event, reader.Next());
    if (!event) return all;
    all += *event;
  }
}

TEST(Payload, GivesItsEventsOneAfterTheOther) {
  std::string inner;
  for (size_t i = 0; i < 3000; ++i)
    inner += EventBytes(EventType::kWriteRowsV2, std::string(i % 700, 'r'));
  inner +=
      EventBytes(EventType::kWriteRowsV2, std::string(3 << 20, 'l'));  // larger than the buffer
  inner += EventBytes(EventType::kXid, "12345678");
  PayloadReader reader;
  for (int i = 0; i < 2; ++i) {  // used again
    for (const std::string& body :
         {PayloadBody(Zstd(inner), inner.size()), PayloadBody(inner, inner.size(), 255)}) {
      const auto all = ReadAll(reader, body);
      ASSERT_OK(all);
      EXPECT_TRUE(*all == inner);
    }
  }
  EXPECT_EQ(*ReadAll(reader, PayloadBody("", 0, 255)), "");
}

TEST(Payload, OfManyMegabytesComesThroughASmallBuffer) {
  // 64 MB that compress to some kilobytes: memory is bounded by one event.
  const std::string event = EventBytes(EventType::kWriteRowsV2, std::string(8000, 'r'));
  constexpr size_t kEvents = 8000;
  std::string inner;
  for (size_t i = 0; i < kEvents; ++i) inner += event;
  const std::string body = PayloadBody(Zstd(inner), inner.size());
  PayloadReader reader;
  const Event outer = Of(EventType::kTransactionPayload, body);
  ASSERT_OK(reader.Begin(outer));
  const char *first = nullptr, *last = nullptr;
  for (size_t i = 0; i < kEvents; ++i) {
    const auto next = reader.Next();
    ASSERT_OK(next);
    ASSERT_TRUE(next->has_value() && **next == event);
    first = first == nullptr ? (*next)->data() : std::min(first, (*next)->data());
    last = std::max(last, (*next)->data());
  }
  EXPECT_FALSE((*reader.Next()).has_value());
  EXPECT_LT(last - first, 1 << 20);
}

TEST(Payload, ThatIsDamagedIsRefused) {
  const std::string inner =
      EventBytes(EventType::kQuery, "BEGIN") + EventBytes(EventType::kXid, "12345678");
  const std::string good = PayloadBody(Zstd(inner), inner.size());
  PayloadReader reader;
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_THAT(ReadAll(reader, good.substr(0, size)), IsErrorWith("mysql_payload_malformed"))
        << size;
  }
  EXPECT_THAT(ReadAll(reader, PayloadBody(Zstd(inner), inner.size(), 1)),
              IsErrorWith("mysql_payload_unknown"));
  const std::string cut = inner.substr(0, inner.size() - 1);
  std::string lie = inner;
  lie[9] = '\xFF', lie[12] = '\x3F';  // an event of almost 1 GiB
  std::string small = inner;
  small[9] = 5;
  for (const std::string& bad : {cut, lie, small}) {
    EXPECT_THAT(ReadAll(reader, PayloadBody(Zstd(bad), bad.size())),
                IsErrorWith("mysql_payload_malformed"));
    EXPECT_THAT(ReadAll(reader, PayloadBody(bad, bad.size(), 255)),
                IsErrorWith("mysql_payload_malformed"));
  }
  EXPECT_THAT(ReadAll(reader, PayloadBody(Zstd(inner), inner.size() - 1)),
              IsErrorWith("mysql_payload_malformed"));
  EXPECT_THAT(ReadAll(reader, PayloadBody(Zstd(inner), inner.size() + 1)),
              IsErrorWith("mysql_payload_malformed"));
  EXPECT_OK(ReadAll(reader, good));
}

}  // namespace
}  // namespace tailwater::mysql
