#include "mysql/binlog_event.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "connectors/mysql/event_bytes.h"
#include "support/matchers.h"

namespace tailwater::mysql {
namespace {

// An event is a view of its packet: these stay.
std::string_view Kept(std::string packet) {
  static std::deque<std::string> packets;
  return packets.emplace_back(std::move(packet));
}

constexpr uint16_t kArtificial = 0x20, kIgnorable = 0x80;

// A reader behind the artificial ROTATE and the format of "bin.000001".
EventReader Started(bool checksums, uint64_t offset = 4) {
  EventReader reader;
  reader.Reset(std::nullopt);
  EXPECT_OK(reader.Read(
      RotateBytes("bin.000001", offset, {.flags = kArtificial, .checksum = checksums})));
  EXPECT_OK(reader.Read(FormatBytes("9.7.4", checksums)));
  return reader;
}

TEST(Crc32, IsThatOfZlib) {
  EXPECT_EQ(Crc32(""), 0u);
  EXPECT_EQ(Crc32("123456789"), 0xCBF43926u);
}

// The fast way and the plain one agree at each length and alignment.
TEST(Crc32, IsTheSameForEachLengthAndAlignment) {
  std::mt19937 random(3);
  std::string bytes(1200, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  for (size_t from = 0; from < 17; ++from) {
    for (size_t size = 0; size + from <= bytes.size(); size += size < 300 ? 1 : 37) {
      uint32_t plain = 0xFFFFFFFF;
      for (size_t i = from; i < from + size; ++i) {
        plain ^= static_cast<uint8_t>(bytes[i]);
        for (int bit = 0; bit < 8; ++bit) plain = plain >> 1 ^ (0xEDB88320u & -(plain & 1));
      }
      ASSERT_EQ(Crc32(std::string_view(bytes).substr(from, size)), ~plain) << from << "+" << size;
    }
  }
}

TEST(EventReader, TakesFileFormatAndPlaceIn) {
  EventReader reader;
  reader.Reset(std::nullopt);
  EXPECT_FALSE(reader.known_format());
  auto event = reader.Read(RotateBytes("bin.000007", 4, {.flags = kArtificial, .checksum = true}));
  ASSERT_OK(event);
  EXPECT_TRUE(event->artificial);
  EXPECT_EQ(reader.place(), (FilePosition{"bin.000007", 4}));
  ASSERT_OK(reader.Read(FormatBytes("10.11.6-MariaDB-log", true, {.end = 256})));
  EXPECT_TRUE(reader.known_format());
  EXPECT_EQ(reader.format().flavour, Flavour::kMariadb);
  EXPECT_EQ(reader.format().server_version, "10.11.6-MariaDB-log");
  EXPECT_EQ(reader.format().table_id_bytes, 6);
  EXPECT_TRUE(reader.format().rows_have_extra);
  EXPECT_FALSE(reader.format().server_restarted);
  EXPECT_EQ(reader.place().offset, 256u);

  event = reader.Read(Kept(
      EventBytes(EventType::kXid, Little(5, 8), {.end = 300, .server_id = 17, .checksum = true})));
  ASSERT_OK(event);
  EXPECT_EQ(event->type, EventType::kXid);
  EXPECT_EQ(event->body, Little(5, 8));
  EXPECT_EQ(event->server_id, 17u);
  EXPECT_EQ(event->timestamp, 1'700'000'000u);
  EXPECT_EQ(event->end, 300u);

  ASSERT_OK(reader.Read(RotateBytes("bin.000008", 4, {.end = 344, .checksum = true})));
  EXPECT_EQ(reader.place(), (FilePosition{"bin.000008", 4}));
}

TEST(EventReader, FollowsTheChecksumRuleOfTheLog) {
  for (const bool checksums : {true, false}) {
    EventReader reader = Started(checksums);
    EXPECT_EQ(reader.place().file, "bin.000001");
    const auto event = reader.Read(
        Kept(EventBytes(EventType::kXid, "12345678", {.end = 200, .checksum = checksums})));
    ASSERT_OK(event);
    EXPECT_EQ(event->body, "12345678");
    // A switch: the artificial ROTATE still follows the old file's rule.
    ASSERT_OK(
        reader.Read(RotateBytes("bin.000002", 4, {.flags = kArtificial, .checksum = checksums})));
    EXPECT_EQ(reader.place().file, "bin.000002");
    ASSERT_OK(reader.Read(FormatBytes("9.7.4", !checksums)));
    const auto other = reader.Read(
        Kept(EventBytes(EventType::kXid, "12345678", {.end = 200, .checksum = !checksums})));
    ASSERT_OK(other);
    EXPECT_EQ(other->body, "12345678");
  }
}

TEST(EventReader, FindsEachFlippedBit) {
  const std::string good = EventBytes(EventType::kXid, "12345678", {.end = 200, .checksum = true});
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ 1 << bit % 8);
    EventReader reader = Started(true);
    const auto event = reader.Read(bad);
    ASSERT_FALSE(event.has_value()) << bit;
    EXPECT_EQ(event.error().disposition, Disposition::kFatal);
    EXPECT_EQ(reader.place().offset, 4u);  // frozen
  }
  std::string bad = good;
  bad[20] = 'x';
  EventReader reader = Started(true);
  EXPECT_THAT(reader.Read(bad), IsErrorWith("mysql_checksum"));
  std::string format = FormatBytes("9.7.4", true);
  format[30] = 'x';
  EXPECT_THAT(reader.Read(format), IsErrorWith("mysql_checksum"));
}

TEST(EventReader, LetsOnlyIgnorableUnknownEventsThrough) {
  EventReader reader = Started(false);
  for (const int type : {0, 1, 20, 22, 43, 99, 159, 169, 173, 255}) {
    const auto unknown = static_cast<EventType>(type);
    EXPECT_THAT(reader.Read(EventBytes(unknown, "x", {.end = 300})),
                IsErrorWith("mysql_event_unknown"));
    EXPECT_EQ(reader.place().offset, 4u);
    const auto ignorable =
        Started(false).Read(Kept(EventBytes(unknown, "x", {.end = 300, .flags = kIgnorable})));
    ASSERT_OK(ignorable);
    EXPECT_FALSE(ignorable->known);
  }
}

TEST(EventReader, RefusesWhatIsNoEvent) {
  EventReader fresh;
  fresh.Reset(std::nullopt);
  EXPECT_THAT(fresh.Read(EventBytes(EventType::kXid, "12345678")),
              IsErrorWith("mysql_event_malformed"));  // before a format

  EventReader reader = Started(false);
  const std::string good = EventBytes(EventType::kXid, "12345678");
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_THAT(reader.Read(good.substr(0, size)), IsErrorWith("mysql_event_malformed"));
  }
  EXPECT_THAT(reader.Read(good + "x"), IsErrorWith("mysql_event_malformed"));
  EXPECT_THAT(reader.Read(RotateBytes("", 4)), IsErrorWith("mysql_event_malformed"));
  EXPECT_THAT(reader.Read(RotateBytes(std::string(600, 'x'), 4)),
              IsErrorWith("mysql_event_malformed"));
  EXPECT_THAT(reader.Read(EventBytes(EventType::kRotate, "1234567")),
              IsErrorWith("mysql_event_malformed"));
  EXPECT_THAT(reader.Read(EventBytes(EventType::kFormatDescription, "1234")),
              IsErrorWith("mysql_event_malformed"));
}

TEST(EventReader, RefusesFormatsItCannotRead) {
  const auto with = [](size_t at, char value) {
    std::string format = FormatBytes("9.7.4", true);
    format[at] = value;
    format.resize(format.size() - 4);
    return format + Little(Crc32(format), 4);
  };
  constexpr size_t kLengths = 19 + 57;
  const struct {
    size_t at;
    char value;
  } kCases[] = {{19, 3},           {kLengths - 1, 20}, {kLengths + 1, 11},
                {kLengths + 3, 0}, {kLengths + 18, 7}, {kLengths + 42, 2}};
  for (const auto& c : kCases) {
    EventReader reader;
    reader.Reset(std::nullopt);
    EXPECT_THAT(reader.Read(with(c.at, c.value)), IsErrorWith("mysql_format_unknown")) << c.at;
  }
  EventReader reader;
  reader.Reset(std::nullopt);
  ASSERT_OK(reader.Read(with(kLengths + 18, 6)));
  EXPECT_EQ(reader.format().table_id_bytes, 4);
  ASSERT_OK(reader.Read(with(kLengths + 29, 8)));
  EXPECT_FALSE(reader.format().rows_have_extra);
}

TEST(EventReader, KeepsThePlaceIn64Bits) {
  EventReader reader = Started(false, 4'294'967'000);
  const std::string body(500, 'x');
  ASSERT_OK(reader.Read(EventBytes(EventType::kQuery, body, {.end = 223})));  // 4294967000 + 519
  EXPECT_EQ(reader.place().offset, 4'294'967'519u);
  ASSERT_OK(reader.Read(EventBytes(EventType::kQuery, body, {.end = 742})));
  EXPECT_EQ(reader.place().offset, 4'294'968'038u);
}

TEST(EventReader, MovesThePlaceAsTheServerTells) {
  const std::string body = "12345678";  // with its header 27 bytes
  const struct {
    EventType type;
    uint32_t end;
    uint16_t flags;
    uint64_t place;  // from 1000; 0: refused
  } kCases[] = {
      {EventType::kXid, 1027, 0, 1027},
      {EventType::kXid, 5000, 0, 5000},         // groups in between were known already
      {EventType::kXid, 0, 0, 1027},            // MariaDB 11.4
      {EventType::kXid, 900, 0, 0},             // backwards
      {EventType::kXid, 0, kArtificial, 1000},  // has no place
      {EventType::kMariadbGtidList, 1300, kArtificial, 1300},
      {EventType::kMariadbGtidList, 300, kArtificial, 1000},
      {EventType::kHeartbeat, 1000, 0, 1000},
      {EventType::kHeartbeat, 1200, 0, 1200},
      {EventType::kHeartbeatV2, 0, 0, 1000},
      {EventType::kStartEncryption, 0, 0, 1000},
  };
  for (const auto& c : kCases) {
    EventReader reader = Started(false, 1000);
    const auto event =
        reader.Read(Kept(EventBytes(c.type, body, {.end = c.end, .flags = c.flags})));
    if (c.place == 0) {
      EXPECT_THAT(event, IsErrorWith("mysql_event_malformed"));
      continue;
    }
    ASSERT_OK(event);
    EXPECT_EQ(event->end, c.place) << c.end;
    EXPECT_EQ(reader.place().offset, c.place);
  }
}

TEST(EventReader, ReadsInnerEventsOneAfterTheOther) {
  EventReader reader = Started(true);
  const std::string inner =
      EventBytes(EventType::kQuery, "abc") + EventBytes(EventType::kXid, "12345678");
  std::string_view rest = inner;
  auto event = reader.ReadInner(rest);
  ASSERT_OK(event);
  EXPECT_EQ(event->type, EventType::kQuery);
  EXPECT_EQ(event->body, "abc");
  EXPECT_EQ(event->end, reader.place().offset);
  event = reader.ReadInner(rest);
  ASSERT_OK(event);
  EXPECT_EQ(event->body, "12345678");
  EXPECT_TRUE(rest.empty());
  EXPECT_THAT(reader.ReadInner(rest), IsErrorWith("mysql_event_malformed"));
  for (const std::string& bad :
       {inner.substr(0, 21), RotateBytes("bin.000002", 4), FormatBytes("9.7.4", true),
        EventBytes(EventType::kTransactionPayload, "")}) {
    rest = bad;
    EXPECT_THAT(reader.ReadInner(rest), IsErrorWith("mysql_event_malformed"));
  }
  EXPECT_EQ(reader.place().file, "bin.000001");
}

}  // namespace
}  // namespace tailwater::mysql
