#include "mysql/errors.h"

#include <gmock/gmock.h>

#include <string>

namespace tailwater::mysql {
namespace {

using ::testing::HasSubstr;

constexpr auto kRetry = Disposition::kRetry;
constexpr auto kOperator = Disposition::kNeedsOperator;
constexpr auto kGap = Disposition::kGap;
constexpr auto kFatal = Disposition::kFatal;

constexpr auto kConnect = Moment::kConnect;
constexpr auto kQuery = Moment::kQuery;
constexpr auto kDump = Moment::kDump;

struct Case {
  unsigned number;
  Moment moment;
  const char* text;
  Disposition disposition;
  const char* code;
};

class ErrorTable : public ::testing::TestWithParam<Case> {};

TEST_P(ErrorTable, SaysWhatToDo) {
  const Case& c = GetParam();
  const Error error = MakeError({c.number, c.text}, c.moment);
  EXPECT_EQ(error.disposition, c.disposition) << DispositionName(error.disposition);
  EXPECT_EQ(error.code, c.code);
  EXPECT_THAT(error.message, HasSubstr(std::string(c.text).substr(0, 40)));
  EXPECT_THAT(error.message, HasSubstr("(error " + std::to_string(c.number) + "): "));
}

// The words of 1236 as servers have written them: MySQL 5.6 to 9.7, MariaDB 10.11.
INSTANTIATE_TEST_SUITE_P(
    Dump, ErrorTable,
    ::testing::Values(
        Case{1236, kDump, "Could not find first log file name in binary log index file", kGap,
             "mysql_purged"},
        Case{1236, kDump, "could not find next log; the first event 'binlog.000001' at 4", kGap,
             "mysql_log_reset"},
        Case{1236, kDump,
             "The slave is connecting using CHANGE MASTER TO MASTER_AUTO_POSITION = 1, but the "
             "master has purged binary logs containing GTIDs that the slave requires.",
             kGap, "mysql_purged"},
        Case{1236, kDump,
             "Cannot replicate because the source purged required binary logs. Replicate the "
             "missing transactions from elsewhere",
             kGap, "mysql_purged"},
        Case{1236, kDump,
             "Could not find GTID state requested by slave in any binlog files. Probably the slave "
             "state is too old and required binlog files have been purged.",
             kGap, "mysql_purged"},
        Case{1236, kDump,
             "Error: connecting slave requested to start from GTID 0-1-100, which is not in the "
             "master's binlog",
             kGap, "mysql_other_server"},
        Case{1236, kDump,
             "Slave has more GTIDs than the master has, using the master's SERVER_UUID.", kGap,
             "mysql_behind_checkpoint"},
        Case{1236, kDump,
             "Replica has more GTIDs than the source has, using the source's SERVER_UUID.", kGap,
             "mysql_behind_checkpoint"},
        Case{1236, kDump, "Client requested source to start replication from impossible position",
             kGap, "mysql_log_reset"},
        Case{1236, kDump, "Client requested source to start replication from position > file size",
             kGap, "mysql_log_reset"},
        Case{1236, kDump, "Client requested source to start replication from position < 4", kFatal,
             "mysql_protocol_error"},
        Case{1236, kDump,
             "binlog truncated in the middle of event; consider out of disk space on source",
             kFatal, "mysql_log_corrupted"},
        Case{1236, kDump, "bogus data in log event", kFatal, "mysql_log_corrupted"},
        Case{1236, kDump, "event read from binlog did not pass crc check", kFatal,
             "mysql_log_corrupted"},
        Case{1236, kDump, "event read from binlog did not pass checksum algorithm", kRetry,
             "mysql_checksum_undeclared"},
        Case{1236, kDump,
             "Replica can not handle replication events with the checksum that source is "
             "configured to log",
             kRetry, "mysql_checksum_undeclared"},
        Case{1236, kDump,
             "log event entry exceeded max_allowed_packet; Increase max_allowed_packet on source",
             kFatal, "mysql_log_corrupted"},
        Case{1236, kDump,
             "A replica with the same server_uuid/server_id as this replica has connected to the "
             "source",
             kFatal, "mysql_server_id_taken"},
        Case{1236, kDump, "Cannot replicate anonymous transaction when AUTO_POSITION = 1",
             kOperator, "mysql_gtid_mode"},
        Case{1236, kDump,
             "The replication sender thread cannot start in AUTO_POSITION mode: this server has "
             "GTID_MODE = OFF_PERMISSIVE instead of ON",
             kOperator, "mysql_gtid_mode"},
        Case{1236, kDump, "Cannot replicate GTID-transaction when @@GLOBAL.GTID_MODE = OFF",
             kOperator, "mysql_gtid_mode"},
        Case{1236, kDump, "Binary log is not open", kOperator, "mysql_log_off"},
        Case{1236, kDump, "Misconfigured master - master server_id was not set", kOperator,
             "mysql_server_id_unset"},
        Case{1236, kDump, "words that nobody has seen yet", kOperator, "mysql_dump_refused"},
        Case{1381, kQuery, "You are not using binary logging", kOperator, "mysql_log_off"},
        Case{4052, kDump, "A slave with the same server_uuid/server_id as this slave", kFatal,
             "mysql_server_id_taken"},
        Case{1773, kDump, "Malformed GTID set encoding", kFatal, "mysql_protocol_error"},
        Case{1941, kQuery, "Could not parse GTID list", kFatal, "mysql_protocol_error"},
        Case{2020, kDump, "Got packet bigger than 'max_allowed_packet' bytes", kFatal,
             "mysql_event_too_large"}));

INSTANTIATE_TEST_SUITE_P(
    Session, ErrorTable,
    ::testing::Values(Case{2002, kConnect, "words", kRetry, "mysql_unreachable"},
                      Case{2003, kConnect, "words", kRetry, "mysql_unreachable"},
                      Case{2004, kConnect, "words", kRetry, "mysql_unreachable"},
                      Case{2005, kConnect, "words", kRetry, "mysql_unreachable"},
                      Case{2006, kQuery, "words", kRetry, "mysql_connection_lost"},
                      Case{2012, kConnect, "words", kRetry, "mysql_unreachable"},
                      Case{2013, kDump, "words", kRetry, "mysql_connection_lost"},
                      Case{2027, kDump, "words", kRetry, "mysql_connection_lost"},
                      Case{2055, kConnect, "words", kRetry, "mysql_connection_lost"},
                      Case{1053, kQuery, "words", kRetry, "mysql_server_shutdown"},
                      Case{1077, kDump, "words", kRetry, "mysql_server_shutdown"},
                      Case{1078, kDump, "words", kRetry, "mysql_server_shutdown"},
                      Case{1079, kDump, "words", kRetry, "mysql_server_shutdown"},
                      Case{1080, kDump, "words", kRetry, "mysql_server_shutdown"},
                      Case{3032, kConnect, "words", kRetry, "mysql_server_shutdown"},
                      Case{1927, kQuery, "words", kRetry, "mysql_session_killed"},
                      Case{3169, kQuery, "words", kRetry, "mysql_session_killed"},
                      Case{4031, kQuery, "words", kRetry, "mysql_session_killed"},
                      Case{1152, kDump, "words", kRetry, "mysql_connection_lost"},
                      Case{1153, kQuery, "words", kRetry, "mysql_connection_lost"},
                      Case{1154, kDump, "words", kRetry, "mysql_connection_lost"},
                      Case{1155, kDump, "words", kRetry, "mysql_connection_lost"},
                      Case{1156, kDump, "words", kRetry, "mysql_connection_lost"},
                      Case{1157, kDump, "words", kRetry, "mysql_connection_lost"},
                      Case{1158, kDump, "words", kRetry, "mysql_connection_lost"},
                      Case{1159, kDump, "words", kRetry, "mysql_connection_lost"},
                      Case{1160, kDump, "words", kRetry, "mysql_connection_lost"},
                      Case{1161, kDump, "words", kRetry, "mysql_connection_lost"},
                      Case{1184, kDump, "words", kRetry, "mysql_connection_lost"},
                      Case{1040, kConnect, "words", kRetry, "mysql_too_many_connections"},
                      Case{1203, kConnect, "words", kRetry, "mysql_too_many_connections"},
                      Case{1226, kConnect, "words", kRetry, "mysql_too_many_connections"},
                      Case{1129, kConnect, "words", kOperator, "mysql_host_blocked"},
                      Case{2008, kQuery, "words", kRetry, "mysql_out_of_memory"},
                      Case{1037, kQuery, "words", kRetry, "mysql_server_out_of_resources"},
                      Case{1038, kQuery, "words", kRetry, "mysql_server_out_of_resources"},
                      Case{1041, kQuery, "words", kRetry, "mysql_server_out_of_resources"},
                      Case{1021, kQuery, "words", kRetry, "mysql_server_out_of_resources"},
                      Case{1114, kQuery, "words", kRetry, "mysql_server_out_of_resources"}));

INSTANTIATE_TEST_SUITE_P(
    Login, ErrorTable,
    ::testing::Values(
        Case{1045, kConnect, "words", kOperator, "mysql_login_failed"},
        Case{1045, kDump, "words", kOperator, "mysql_privilege_missing"},
        Case{1698, kConnect, "words", kOperator, "mysql_login_failed"},
        Case{1130, kConnect, "words", kOperator, "mysql_login_failed"},
        Case{3118, kConnect, "words", kOperator, "mysql_login_failed"},
        Case{4151, kConnect, "words", kOperator, "mysql_login_failed"},
        Case{3955, kConnect, "words", kOperator, "mysql_login_failed"},
        Case{2061, kConnect, "words", kOperator, "mysql_login_failed"},
        Case{1820, kQuery, "words", kOperator, "mysql_password_expired"},
        Case{1862, kConnect, "words", kOperator, "mysql_password_expired"},
        Case{3159, kConnect, "words", kOperator, "mysql_tls_failed"},
        Case{2026, kConnect, "TLS/SSL error: self-signed certificate in certificate", kOperator,
             "mysql_tls_failed"},
        Case{2026, kConnect, "TLS/SSL error: unexpected eof while reading", kRetry,
             "mysql_connection_lost"},
        Case{2026, kConnect, "TLS/SSL error: Connection reset by peer", kRetry,
             "mysql_connection_lost"},
        Case{2026, kConnect, "TLS/SSL error: Broken pipe", kRetry, "mysql_connection_lost"},
        Case{2026, kConnect, "TLS/SSL error: Connection timed out", kRetry,
             "mysql_connection_lost"},
        Case{2026, kConnect, "TLS/SSL error: Success", kRetry, "mysql_connection_lost"},
        Case{2026, kQuery, "words", kRetry, "mysql_connection_lost"},
        Case{2026, kDump, "words", kRetry, "mysql_connection_lost"},
        Case{5010, kConnect, "words", kOperator, "mysql_insecure_login"},
        Case{1251, kConnect, "words", kOperator, "mysql_login_plugin"},
        Case{1524, kConnect, "words", kOperator, "mysql_login_plugin"},
        Case{2049, kConnect, "words", kOperator, "mysql_login_plugin"},
        Case{2059, kConnect, "words", kOperator, "mysql_login_plugin"},
        Case{1044, kConnect, "words", kOperator, "mysql_privilege_missing"},
        Case{1142, kQuery, "words", kOperator, "mysql_privilege_missing"},
        Case{1143, kQuery, "words", kOperator, "mysql_privilege_missing"},
        Case{1227, kDump, "words", kOperator, "mysql_privilege_missing"},
        Case{1370, kQuery, "words", kOperator, "mysql_privilege_missing"}));

INSTANTIATE_TEST_SUITE_P(
    Statement, ErrorTable,
    ::testing::Values(Case{1290, kQuery, "words", kOperator, "mysql_server_option"},
                      Case{1049, kConnect, "words", kOperator, "mysql_database_missing"},
                      Case{1146, kQuery, "words", kOperator, "mysql_table_missing"},
                      Case{1054, kQuery, "words", kRetry, "mysql_column_missing"},
                      Case{1205, kQuery, "words", kRetry, "mysql_lock_timeout"},
                      Case{1213, kQuery, "words", kRetry, "mysql_conflict"},
                      Case{1412, kQuery, "words", kRetry, "mysql_table_changed"},
                      Case{1317, kQuery, "words", kRetry, "mysql_cancelled_by_server"},
                      Case{1969, kQuery, "words", kRetry, "mysql_cancelled_by_server"},
                      Case{3024, kQuery, "words", kRetry, "mysql_cancelled_by_server"},
                      Case{1064, kQuery, "words", kFatal, "mysql_protocol_error"},
                      Case{1193, kQuery, "words", kFatal, "mysql_not_supported"},
                      Case{1235, kQuery, "words", kFatal, "mysql_not_supported"},
                      Case{2014, kQuery, "words", kFatal, "mysql_protocol_error"},
                      Case{1236, kQuery, "words", kOperator, "mysql_dump_refused"},
                      Case{1105, kQuery, "words", kOperator, "mysql_unexpected_error"},
                      Case{2000, kQuery, "words", kOperator, "mysql_unexpected_error"}));

TEST(Errors, TellsTheCasesOf1236ApartInAnyLetterCase) {
  EXPECT_EQ(FindErrorRow({1236, "COULD NOT FIND NEXT LOG"}, kDump).code, "mysql_log_reset");
}

TEST(Errors, KeepsAMessageOnOneLine) {
  const Error error = MakeError({1045, "Access denied\nfor 'x'.\n"}, kConnect);
  EXPECT_EQ(error.message.find('\n'), std::string::npos);
  EXPECT_THAT(error.message, HasSubstr("Access denied for 'x' (error 1045): check"));
}

TEST(Errors, SaysSoWhenThereAreNoWords) {
  EXPECT_THAT(MakeError({2013, ""}, kDump).message, HasSubstr("no answer (error 2013)"));
}

}  // namespace
}  // namespace tailwater::mysql
