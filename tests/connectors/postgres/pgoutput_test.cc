#include "postgres/pgoutput.h"

#include <gtest/gtest.h>

#include "connectors/postgres/pgoutput_bytes.h"
#include "support/matchers.h"

namespace tailwater::postgres {
namespace {

using testing::HasSubstr;

TEST(MessageParser, ReadsTransactionsWithTheirPlacesAndTimes) {
  MessageParser parser;
  Message message;
  const std::string begin =
      Bytes().Char('B').Int<uint64_t>(0x16B374D848).Int<int64_t>(1'000'000).Int<uint32_t>(77);
  ASSERT_OK(parser.Parse(begin, message));
  EXPECT_EQ(std::get<BeginMessage>(message).final_lsn.ToString(), "16/B374D848");
  EXPECT_EQ(std::get<BeginMessage>(message).commit_time_micros, 946'684'801'000'000);
  EXPECT_EQ(std::get<BeginMessage>(message).xid, 77u);

  ASSERT_OK(parser.Parse(CommitBytes(5, 9), message));
  EXPECT_EQ(std::get<CommitMessage>(message).commit_lsn.value, 5u);
  EXPECT_EQ(std::get<CommitMessage>(message).end_lsn.value, 9u);
}

TEST(MessageParser, ReadsTypesAndOrigins) {
  MessageParser parser;
  Message message;
  const std::string type = Bytes().Char('Y').Int<uint32_t>(9).CString("").CString("numeric");
  ASSERT_OK(parser.Parse(type, message));
  EXPECT_EQ(std::get<TypeMessage>(message).schema, "pg_catalog");
  EXPECT_EQ(std::get<TypeMessage>(message).name, "numeric");
  const std::string origin = Bytes().Char('O').Int<uint64_t>(3).CString("far");
  ASSERT_OK(parser.Parse(origin, message));
  EXPECT_EQ(std::get<OriginMessage>(message).name, "far");
}

TEST(MessageParser, ReadsTruncateFlags) {
  MessageParser parser;
  Message message;
  ASSERT_OK(parser.Parse(TruncateBytes(2, {7, 8}), message));
  const auto& truncate = std::get<TruncateMessage>(message);
  EXPECT_FALSE(truncate.cascade);
  EXPECT_TRUE(truncate.restart_identity);
  EXPECT_EQ(std::vector<uint32_t>(truncate.relation_oids.begin(), truncate.relation_oids.end()),
            (std::vector<uint32_t>{7, 8}));
}

TEST(MessageParser, IgnoresTheOneStrayStreamAbortOnly) {
  MessageParser parser;
  Message message;
  const std::string abort = Bytes().Char('A').Int<uint32_t>(1).Int<uint32_t>(2);
  ASSERT_OK(parser.Parse(abort, message));
  EXPECT_TRUE(std::holds_alternative<StrayStreamAbort>(message));
  for (const char type : std::string("SEcbPKrp")) {
    const Status status = parser.Parse(std::string(1, type) + std::string(40, '\0'), message);
    ASSERT_THAT(status, IsErrorWith("pg_message_unknown"));
    EXPECT_THAT(status.error().message, HasSubstr("two_phase off"));
    EXPECT_EQ(status.error().disposition, Disposition::kFatal);
  }
}

TEST(MessageParser, StopsAtEveryOtherTypeByte) {
  MessageParser parser;
  Message message;
  for (int type = 0; type < 256; ++type) {
    const char c = static_cast<char>(type);
    const Status status = parser.Parse(std::string(1, c), message);
    if (c != '\0' && std::string_view("BCORYIUDTMA").find(c) != std::string_view::npos) {
      EXPECT_THAT(status, IsErrorWith("pg_message_malformed")) << type;
    } else {
      EXPECT_THAT(status, IsErrorWith("pg_message_unknown")) << type;
      EXPECT_THAT(status.error().message, HasSubstr("(" + std::to_string(type) + ")"));
    }
  }
  EXPECT_THAT(parser.Parse("", message), IsErrorWith("pg_message_malformed"));
}

TEST(MessageParser, RefusesFieldsThatCannotBe) {
  MessageParser parser;
  Message message;
  const std::string cases[] = {
      Bytes().Char('C').Char(1).Int<uint64_t>(1).Int<uint64_t>(1).Int<int64_t>(0),  // unknown flag
      Bytes().Char('B').Int<uint64_t>(1).Int<int64_t>(INT64_MAX).Int<uint32_t>(1),  // no such time
      RelationBytes(1, "s", "t", 'x', {}),                                  // no such identity
      Bytes().Char('I').Int<uint32_t>(1).Char('O').Raw(TupleBytes({"1"})),  // no such marker
      Bytes().Char('D').Int<uint32_t>(1).Char('N').Raw(TupleBytes({"1"})),
      Bytes().Char('I').Int<uint32_t>(1).Char('N').Int<int16_t>(-1),
      Bytes().Char('I').Int<uint32_t>(1).Char('N').Int<int16_t>(1).Char('t').Int<int32_t>(-1),
      Bytes().Char('I').Int<uint32_t>(1).Char('N').Int<int16_t>(1).Char('b').Int<int32_t>(-1),
      Bytes().Char('I').Int<uint32_t>(1).Char('N').Int<int16_t>(1).Char('x').Int<int32_t>(0),
      Bytes().Char('T').Int<int32_t>(-1).Char(0),
      Bytes().Char('T').Int<int32_t>(1).Char(4).Int<uint32_t>(1),
      Bytes().Char('M').Char(0).Int<uint64_t>(1).CString("p").Int<int32_t>(-1),
  };
  for (const std::string& bytes : cases) {
    EXPECT_THAT(parser.Parse(bytes, message), IsErrorWith("pg_message_malformed")) << bytes[0];
  }
}

}  // namespace
}  // namespace tailwater::postgres
