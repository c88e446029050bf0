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
constexpr auto kReject = Disposition::kReject;

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

// Of a row that is refused the server's words are left out: they hold its values.
class TargetErrorTable : public ::testing::TestWithParam<Case> {};

TEST_P(TargetErrorTable, SaysWhatToDoAndNoValue) {
  const Case& c = GetParam();
  const Error error = MakeError({c.sqlstate, "words; (42, secret)", "words", "note"}, c.moment);
  EXPECT_EQ(error.disposition, c.disposition) << DispositionName(error.disposition);
  EXPECT_EQ(error.code, c.code);
  EXPECT_THAT(error.message, HasSubstr(c.sqlstate));
  if (c.disposition == kReject) {
    EXPECT_THAT(error.message, ::testing::Not(HasSubstr("secret")));
    EXPECT_THAT(error.message, HasSubstr("column 'note'"));
  }
}

constexpr auto kWrite = Moment::kWrite;

INSTANTIATE_TEST_SUITE_P(
    Rows, TargetErrorTable,
    ::testing::Values(Case{"22001", kWrite, kReject, "pg_value_too_long"},
                      Case{"22003", kWrite, kReject, "pg_value_out_of_range"},
                      Case{"22007", kWrite, kReject, "pg_value_unreadable"},
                      Case{"22008", kWrite, kReject, "pg_value_out_of_range"},
                      Case{"22021", kWrite, kReject, "pg_value_unreadable"},
                      Case{"22P02", kWrite, kReject, "pg_value_unreadable"},
                      Case{"22P05", kWrite, kReject, "pg_value_unreadable"},
                      Case{"21000", kWrite, kReject, "pg_key_ambiguous"},
                      Case{"23502", kWrite, kReject, "pg_constraint_violated"},
                      Case{"23503", kWrite, kReject, "pg_constraint_violated"},
                      Case{"23505", kWrite, kReject, "pg_unique_violated"},
                      Case{"23514", kWrite, kReject, "pg_constraint_violated"},
                      Case{"54000", kWrite, kReject, "pg_row_too_large"},
                      Case{"P0001", kWrite, kReject, "pg_trigger_refused"},
                      Case{"42P01", kWrite, kOperator, "pg_target_changed"},
                      Case{"42703", kWrite, kOperator, "pg_target_changed"},
                      Case{"42P10", kWrite, kOperator, "pg_target_changed"},
                      Case{"428C9", kWrite, kOperator, "pg_target_changed"},
                      Case{"42804", kWrite, kOperator, "pg_target_changed"},
                      Case{"42846", kWrite, kOperator, "pg_target_changed"},
                      Case{"3F000", kWrite, kOperator, "pg_target_changed"},
                      Case{"42704", kWrite, kOperator, "pg_type_missing"},
                      Case{"42501", kWrite, kOperator, "pg_privilege_missing"},
                      Case{"0A000", kWrite, kOperator, "pg_not_supported"},
                      Case{"25006", kWrite, kOperator, "pg_read_only"},
                      Case{"53100", kWrite, kOperator, "pg_disk_full"},
                      Case{"53200", kWrite, kRetry, "pg_server_out_of_resources"},
                      Case{"53400", kWrite, kOperator, "pg_limit_reached"},
                      Case{"28P01", Moment::kConnectTarget, kOperator, "pg_authentication_failed"},
                      Case{"3D000", Moment::kConnectTarget, kOperator, "pg_database_missing"},
                      Case{"53300", Moment::kConnectTarget, kRetry, "pg_too_many_connections"},
                      Case{"57P03", Moment::kConnectTarget, kRetry, "pg_server_starting"},
                      Case{"55000", kWrite, kOperator, "pg_wrong_state"},
                      Case{"58P01", kWrite, kOperator, "pg_server_file_missing"},
                      Case{"58030", kWrite, kRetry, "pg_server_io_error"},
                      Case{"42601", kWrite, kOperator, "pg_protocol_error"},
                      Case{"42710", kWrite, kRetry, "pg_already_exists"},
                      Case{"40001", kWrite, kRetry, "pg_conflict"},
                      Case{"40P01", kWrite, kRetry, "pg_conflict"},
                      Case{"55P03", kWrite, kRetry, "pg_lock_timeout"},
                      Case{"57014", kWrite, kRetry, "pg_cancelled_by_server"},
                      Case{"57P01", kWrite, kRetry, "pg_server_shutdown"},
                      Case{"25P03", kWrite, kRetry, "pg_lock_timeout"},
                      Case{"08006", kWrite, kRetry, "pg_connection_lost"},
                      Case{"XX000", kWrite, kRetry, "pg_internal_error"},
                      Case{"XX001", kWrite, kFatal, "pg_data_corrupted"},
                      Case{"99999", kWrite, kOperator, "pg_unexpected_error"}),
    [](const auto& info) { return std::string(info.param.sqlstate); });

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
