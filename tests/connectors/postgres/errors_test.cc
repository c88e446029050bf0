#include "postgres/errors.h"

#include <gmock/gmock.h>

#include <string>

namespace tailwater::postgres {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr auto kRetry = Disposition::kRetry;
constexpr auto kOperator = Disposition::kNeedsOperator;
constexpr auto kGap = Disposition::kGap;
constexpr auto kFatal = Disposition::kFatal;

struct Case {
  const char* sqlstate;
  Moment moment;
  Disposition disposition;
  const char* code;
};

class ErrorTable : public ::testing::TestWithParam<Case> {};

TEST_P(ErrorTable, SaysWhatToDo) {
  const Case& c = GetParam();
  const Error error = MakeError({c.sqlstate, "the server's words"}, c.moment);
  EXPECT_EQ(error.disposition, c.disposition) << DispositionName(error.disposition);
  EXPECT_EQ(error.code, c.code);
  EXPECT_THAT(error.message, HasSubstr("the server's words"));
  EXPECT_THAT(error.message, HasSubstr(c.sqlstate));
}

INSTANTIATE_TEST_SUITE_P(
    Rows, ErrorTable,
    ::testing::Values(Case{"57P01", Moment::kStream, kRetry, "pg_server_shutdown"},
                      Case{"57P02", Moment::kStream, kRetry, "pg_server_shutdown"},
                      Case{"57P03", Moment::kConnect, kRetry, "pg_server_starting"},
                      Case{"57P05", Moment::kQuery, kRetry, "pg_connection_lost"},
                      Case{"53300", Moment::kConnect, kRetry, "pg_too_many_connections"},
                      Case{"53400", Moment::kCreateSlot, kOperator, "pg_limit_reached"},
                      Case{"53100", Moment::kStream, kRetry, "pg_server_out_of_resources"},
                      Case{"53200", Moment::kQuery, kRetry, "pg_server_out_of_resources"},
                      Case{"58030", Moment::kStream, kRetry, "pg_server_io_error"},
                      Case{"08006", Moment::kStream, kRetry, "pg_connection_lost"},
                      Case{"55006", Moment::kStartStream, kRetry, "pg_slot_in_use"},
                      Case{"42704", Moment::kStartStream, kGap, "pg_slot_missing"},
                      Case{"42704", Moment::kStream, kGap, "pg_publication_replaced"},
                      Case{"42704", Moment::kQuery, kOperator, "pg_object_missing"},
                      Case{"55000", Moment::kStartStream, kGap, "pg_slot_lost"},
                      Case{"55000", Moment::kStream, kGap, "pg_slot_lost"},
                      Case{"55000", Moment::kCreateSlot, kOperator, "pg_wal_level"},
                      Case{"55000", Moment::kQuery, kOperator, "pg_wrong_state"},
                      Case{"58P01", Moment::kStream, kGap, "pg_slot_lost"},
                      Case{"58P01", Moment::kStartStream, kGap, "pg_slot_lost"},
                      Case{"58P01", Moment::kCreateSlot, kOperator, "pg_server_file_missing"},
                      Case{"28000", Moment::kConnect, kOperator, "pg_authentication_failed"},
                      Case{"28P01", Moment::kConnect, kOperator, "pg_authentication_failed"},
                      Case{"3D000", Moment::kConnect, kOperator, "pg_database_missing"},
                      Case{"42501", Moment::kConnect, kOperator, "pg_privilege_missing"},
                      Case{"42501", Moment::kQuery, kOperator, "pg_privilege_missing"},
                      Case{"42P01", Moment::kQuery, kOperator, "pg_table_missing"},
                      Case{"42703", Moment::kQuery, kRetry, "pg_column_missing"},
                      Case{"42883", Moment::kQuery, kOperator, "pg_operator_missing"},
                      Case{"42883", Moment::kStream, kRetry, "pg_text_needed"},
                      Case{"3F000", Moment::kQuery, kOperator, "pg_table_missing"},
                      Case{"25006", Moment::kQuery, kOperator, "pg_read_only"},
                      Case{"42710", Moment::kCreateSlot, kRetry, "pg_already_exists"},
                      Case{"57014", Moment::kQuery, kRetry, "pg_cancelled_by_server"},
                      Case{"55P03", Moment::kQuery, kRetry, "pg_lock_timeout"},
                      Case{"25P03", Moment::kQuery, kRetry, "pg_lock_timeout"},
                      Case{"25P04", Moment::kQuery, kRetry, "pg_lock_timeout"},
                      Case{"40001", Moment::kQuery, kRetry, "pg_conflict"},
                      Case{"40P01", Moment::kQuery, kRetry, "pg_conflict"},
                      Case{"0A000", Moment::kStream, kOperator, "pg_publication_conflict"},
                      Case{"0A000", Moment::kStartStream, kFatal, "pg_not_supported"},
                      Case{"42P10", Moment::kStream, kOperator, "pg_publication_conflict"},
                      Case{"XX001", Moment::kStream, kFatal, "pg_data_corrupted"},
                      Case{"XX002", Moment::kStream, kFatal, "pg_data_corrupted"},
                      Case{"54000", Moment::kStream, kFatal, "pg_row_too_large"},
                      Case{"42601", Moment::kStartStream, kFatal, "pg_protocol_error"},
                      Case{"22023", Moment::kStartStream, kFatal, "pg_protocol_error"},
                      Case{"XX000", Moment::kStartStream, kFatal, "pg_protocol_error"},
                      Case{"XX000", Moment::kCreateSlot, kFatal, "pg_protocol_error"},
                      Case{"XX000", Moment::kStream, kRetry, "pg_internal_error"},
                      Case{"99999", Moment::kStream, kOperator, "pg_unexpected_error"}),
    [](const auto& info) {
      return std::string(info.param.sqlstate) + "_" +
             std::to_string(static_cast<int>(info.param.moment));
    });

TEST(Errors, FindsTheCodeInALibpqText) {
  EXPECT_EQ(FindSqlState("connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  28P01: "
                         "password authentication failed for user \"x\"\nLOCATION:  auth.c:335"),
            "28P01");
  EXPECT_EQ(FindSqlState("connection to server failed: Connection refused"), "");
  EXPECT_EQ(FindSqlState("FATAL:  short"), "");
  EXPECT_EQ(FindSqlState(""), "");
}

TEST(Errors, TakesAServerThatCannotBeReachedForTemporary) {
  const Error error = MakeConnectError("could not connect: Connection refused\n");
  EXPECT_EQ(error.disposition, kRetry);
  EXPECT_EQ(error.code, "pg_unreachable");
}

TEST(Errors, LeavesTlsTroubleToAnOperator) {
  const Error error =
      MakeConnectError("connection to server failed: SSL error: certificate verify failed\n");
  EXPECT_EQ(error.disposition, kOperator);
  EXPECT_EQ(error.code, "pg_tls_failed");
}

TEST(Errors, TakesAnEndWithoutAWordForALostConnection) {
  const Error error =
      MakeError({"", "server closed the connection unexpectedly\n\tmore\n"}, Moment::kStream);
  EXPECT_EQ(error.disposition, kRetry);
  EXPECT_EQ(error.code, "pg_connection_lost");
  EXPECT_THAT(error.message, EndsWith("connecting again"));
}

}  // namespace
}  // namespace tailwater::postgres
