#include "mysql/errors.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "support/text.h"

namespace tailwater::mysql {
namespace {

constexpr uint8_t Bit(Moment moment) {
  return static_cast<uint8_t>(1u << static_cast<unsigned>(moment));
}
constexpr uint8_t kAny = 0x07;
constexpr uint8_t kConnect = Bit(Moment::kConnect);
constexpr uint8_t kQuery = Bit(Moment::kQuery);
constexpr uint8_t kDump = Bit(Moment::kDump);

constexpr auto kRetry = Disposition::kRetry;
constexpr auto kOperator = Disposition::kNeedsOperator;
constexpr auto kGap = Disposition::kGap;
constexpr auto kFatal = Disposition::kFatal;

constexpr std::string_view kLost = "connecting again";
constexpr std::string_view kAgain = "trying again";
constexpr std::string_view kGtidMode =
    "gtid_mode was changed: groups with and without a GTID are mixed in the log. Set gtid_mode "
    "back to what it was (SET GLOBAL gtid_mode = ON, step by step), and reading goes on";

constexpr std::array kRows = {
    // 1236 means everything that ends a dump; newer servers say Replica and source where older ones
    // say slave and master, so the needles avoid both. `source` looks before it dumps, these are
    // for what happens meanwhile.
    ErrorRow{1236, kDump, "could not find first log file name", kGap, "mysql_purged",
             "the binlog file that we stopped in is gone from the server"},
    ErrorRow{1236, kDump, "could not find next log", kGap, "mysql_log_reset",
             "the server's binlogs were reset or removed while they were read"},
    ErrorRow{1236, kDump, "purged binary logs containing gtids", kGap, "mysql_purged",
             "transactions that we have not read yet are gone from the server"},
    ErrorRow{1236, kDump, "purged required binary logs", kGap, "mysql_purged",
             "transactions that we have not read yet are gone from the server"},
    ErrorRow{1236, kDump, "could not find gtid state requested", kGap, "mysql_purged",
             "transactions that we have not read yet are gone from the server"},
    ErrorRow{1236, kDump, "requested to start from gtid", kGap, "mysql_other_server",
             "the log of this server does not hold the transaction that we read last: it is "
             "another server, or was restored or diverged"},
    ErrorRow{1236, kDump, "has more gtids than", kGap, "mysql_behind_checkpoint",
             "this server lacks transactions that we have read already: it lags behind the former "
             "one, or was restored or reset"},
    ErrorRow{1236, kDump, "impossible position", kGap, "mysql_log_reset",
             "the binlog file does not hold the place that we stopped at: it was cut, or this is "
             "another server"},
    ErrorRow{1236, kDump, "position > file size", kGap, "mysql_log_reset",
             "the binlog file does not hold the place that we stopped at: it was cut, or this is "
             "another server"},
    ErrorRow{1236, kDump, "position < 4", kFatal, "mysql_protocol_error",
             "report this with the server's version"},
    ErrorRow{1236, kDump, "truncated in the middle of event", kFatal, "mysql_log_corrupted",
             "the binlog file is damaged, or the position is inside of an event: see SHOW BINLOG "
             "EVENTS and the server's error log"},
    ErrorRow{1236, kDump, "bogus data", kFatal, "mysql_log_corrupted",
             "the binlog file is damaged, or the position is inside of an event: see SHOW BINLOG "
             "EVENTS and the server's error log"},
    // As it says, or the file is no longer the one that it reads (RESET): the next start looks.
    ErrorRow{1236, kDump, "i/o error reading log event", kFatal, "mysql_log_corrupted",
             "the binlog file cannot be read: see the server's error log and its disk"},
    ErrorRow{1236, kDump, "crc check", kFatal, "mysql_log_corrupted",
             "the binlog file is damaged: see the server's error log and its disk"},
    ErrorRow{1236, kDump, "checksum", kRetry, "mysql_checksum_undeclared",
             "binlog_checksum was changed meanwhile; declaring it anew"},
    ErrorRow{1236, kDump, "max_allowed_packet", kFatal, "mysql_log_corrupted",
             "the position is inside of an event, or the binlog file is damaged; rarely it is the "
             "limit itself, then raise max_allowed_packet on the server"},
    ErrorRow{1236, kDump, "same server_uuid/server_id", kFatal, "mysql_server_id_taken",
             "another replica connected with our server_id: give this source a `server_id` that "
             "nobody else uses (SHOW REPLICAS; MariaDB: SHOW SLAVE HOSTS)"},
    ErrorRow{1236, kDump, "anonymous transaction", kOperator, "mysql_gtid_mode", kGtidMode},
    ErrorRow{1236, kDump, "this server has gtid_mode", kOperator, "mysql_gtid_mode", kGtidMode},
    ErrorRow{1236, kDump, "gtid-transaction when", kOperator, "mysql_gtid_mode", kGtidMode},
    ErrorRow{1236, kDump, "binary log is not open", kOperator, "mysql_log_off",
             "start the server with log_bin=mysql-bin"},
    ErrorRow{1236, kDump, "server_id was not set", kOperator, "mysql_server_id_unset",
             "give the server a server_id other than 0: SET GLOBAL server_id = 1, and the same in "
             "its configuration"},
    ErrorRow{1236, kAny, "", kOperator, "mysql_dump_refused", "see the server's error log"},
    ErrorRow{1381, kAny, "", kOperator, "mysql_log_off", "start the server with log_bin=mysql-bin"},
    ErrorRow{4052, kAny, "", kFatal, "mysql_server_id_taken",
             "another replica connected with our server_id: give this source a `server_id` that "
             "nobody else uses (SHOW SLAVE HOSTS)"},
    ErrorRow{1773, kDump, "", kFatal, "mysql_protocol_error",
             "the server cannot read the GTID set that we sent; report this with its version"},
    ErrorRow{1941, kAny, "", kFatal, "mysql_protocol_error",
             "the server cannot read the GTID position that we sent; report this with its version"},
    ErrorRow{2020, kDump, "", kFatal, "mysql_event_too_large",
             "an event is larger than the 1 GiB that the protocol can carry"},

    // The server cannot be reached, goes away, or ends the session.
    ErrorRow{2002, kAny, "", kRetry, "mysql_unreachable",
             "check that the server runs and that the path of its socket, or host, port and "
             "firewall are right"},
    ErrorRow{2003, kAny, "", kRetry, "mysql_unreachable",
             "check that the server runs and that host, port and firewall are right"},
    ErrorRow{2004, kAny, "", kRetry, "mysql_unreachable", "no socket is to be had on this host"},
    ErrorRow{2005, kAny, "", kRetry, "mysql_unreachable",
             "the host's name is unknown here: check `host` and the name server"},
    ErrorRow{2006, kAny, "", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{2012, kAny, "", kRetry, "mysql_unreachable", kAgain},
    ErrorRow{2013, kAny, "", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{2027, kAny, "", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{2055, kAny, "", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{1053, kAny, "", kRetry, "mysql_server_shutdown", kLost},
    ErrorRow{1077, kAny, "", kRetry, "mysql_server_shutdown", kLost},
    ErrorRow{1078, kAny, "", kRetry, "mysql_server_shutdown", kLost},
    ErrorRow{1079, kAny, "", kRetry, "mysql_server_shutdown", kLost},
    ErrorRow{1080, kAny, "", kRetry, "mysql_server_shutdown", kLost},
    ErrorRow{3032, kAny, "", kRetry, "mysql_server_shutdown",
             "the server is in offline mode: SET GLOBAL offline_mode = OFF if it should serve"},
    ErrorRow{1927, kAny, "", kRetry, "mysql_session_killed", kLost},
    ErrorRow{3169, kAny, "", kRetry, "mysql_session_killed", kLost},
    ErrorRow{4031, kAny, "", kRetry, "mysql_session_killed",
             "the server ended a session that was idle for longer than wait_timeout; connecting "
             "again"},
    ErrorRow{1152, kAny, "", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{1153, kAny, "", kRetry, "mysql_connection_lost",
             "the server takes no packet of this size: raise its max_allowed_packet if this stays"},
    ErrorRow{1154, kAny, "", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{1155, kAny, "", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{1156, kAny, "", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{1157, kAny, "", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{1158, kAny, "", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{1159, kAny, "", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{1160, kAny, "", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{1161, kAny, "", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{1184, kAny, "", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{1040, kAny, "", kRetry, "mysql_too_many_connections",
             "no connection is free; raise max_connections if this stays"},
    ErrorRow{1203, kAny, "", kRetry, "mysql_too_many_connections",
             "the account has no connection free; raise max_user_connections if this stays"},
    ErrorRow{1226, kAny, "", kRetry, "mysql_too_many_connections",
             "the account has used up a limit: ALTER USER … WITH MAX_CONNECTIONS_PER_HOUR 0 "
             "MAX_QUERIES_PER_HOUR 0 MAX_USER_CONNECTIONS 0"},
    ErrorRow{1129, kAny, "", kOperator, "mysql_host_blocked",
             "too many of our connections broke: TRUNCATE TABLE performance_schema.host_cache "
             "(MariaDB and older: FLUSH HOSTS)"},
    ErrorRow{2008, kAny, "", kRetry, "mysql_out_of_memory", "this host lacks memory"},
    ErrorRow{1037, kAny, "", kRetry, "mysql_server_out_of_resources",
             "the server lacks memory; look at its log if this stays"},
    ErrorRow{1038, kAny, "", kRetry, "mysql_server_out_of_resources",
             "the server lacks memory: raise its sort_buffer_size if this stays"},
    ErrorRow{1041, kAny, "", kRetry, "mysql_server_out_of_resources",
             "the server lacks memory; look at its log if this stays"},
    ErrorRow{1021, kAny, "", kRetry, "mysql_server_out_of_resources",
             "the server's disk is full; look at its log if this stays"},
    ErrorRow{1114, kAny, "", kRetry, "mysql_server_out_of_resources",
             "a temporary table of the server is full; raise tmp_table_size if this stays"},

    // Identity, privilege, TLS.
    ErrorRow{1045, kDump, "", kOperator, "mysql_privilege_missing",
             "the account may not read the log: GRANT REPLICATION SLAVE ON *.* TO it"},
    ErrorRow{1045, kAny, "", kOperator, "mysql_login_failed",
             "check `user`, `password` and the account's host part (SELECT user, host FROM "
             "mysql.user); an account with REQUIRE SSL refuses logins without TLS in the same "
             "words"},
    ErrorRow{1698, kAny, "", kOperator, "mysql_login_failed",
             "the account logs in by another way (unix_socket): give it a password"},
    ErrorRow{1130, kAny, "", kOperator, "mysql_login_failed",
             "no account may log in from this host: CREATE USER 'name'@'this host'"},
    ErrorRow{3118, kAny, "", kOperator, "mysql_login_failed",
             "unlock the account: ALTER USER … ACCOUNT UNLOCK"},
    ErrorRow{4151, kAny, "", kOperator, "mysql_login_failed",
             "unlock the account: ALTER USER … ACCOUNT UNLOCK"},
    ErrorRow{3955, kAny, "", kOperator, "mysql_login_failed",
             "too many failed logins locked the account: ALTER USER … ACCOUNT UNLOCK"},
    ErrorRow{1820, kAny, "", kOperator, "mysql_password_expired",
             "the password has expired: ALTER USER … IDENTIFIED BY a new one, or PASSWORD EXPIRE "
             "NEVER"},
    ErrorRow{1862, kAny, "", kOperator, "mysql_password_expired",
             "the password has expired: ALTER USER … IDENTIFIED BY a new one, or PASSWORD EXPIRE "
             "NEVER"},
    ErrorRow{3159, kAny, "", kOperator, "mysql_tls_failed",
             "the server takes TLS alone (require_secure_transport): set tls.mode: verify-full, or "
             "require"},
    // Inside of TLS a connection that breaks looks like this, too.
    ErrorRow{2026, kQuery | kDump, "", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{2026, kConnect, "eof while reading", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{2026, kConnect, "connection reset", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{2026, kConnect, "broken pipe", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{2026, kConnect, "timed out", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{2026, kConnect, "success", kRetry, "mysql_connection_lost", kLost},
    ErrorRow{
        2026, kConnect, "", kOperator, "mysql_tls_failed",
        "check tls.mode and tls.ca (the default to another host is verify-full). The "
        "certificate that MySQL makes for itself names no host: use verify-ca with its ca.pem, "
        "or tls.fingerprint"},
    ErrorRow{5010, kAny, "", kOperator, "mysql_insecure_login",
             "the server wants the password in a way that is open to whoever answers: set tls.mode "
             "to require or more"},
    ErrorRow{2061, kAny, "", kOperator, "mysql_login_failed",
             "the way to log in failed: check `password`, and with server_public_key that the file "
             "holds this server's key"},
    ErrorRow{1251, kAny, "", kOperator, "mysql_login_plugin",
             "use an account with caching_sha2_password, mysql_native_password or ed25519"},
    ErrorRow{1524, kAny, "", kOperator, "mysql_login_plugin",
             "the server lacks the account's plugin: use an account with caching_sha2_password, "
             "mysql_native_password or ed25519"},
    ErrorRow{2049, kAny, "", kOperator, "mysql_login_plugin",
             "the account has a password of before MySQL 4.1: set it anew"},
    ErrorRow{2059, kAny, "", kOperator, "mysql_login_plugin",
             "use an account with caching_sha2_password, mysql_native_password or ed25519"},
    ErrorRow{1044, kAny, "", kOperator, "mysql_privilege_missing",
             "grant what is named; `tailwater check` prints the exact SQL"},
    ErrorRow{1142, kAny, "", kOperator, "mysql_privilege_missing",
             "grant what is named; `tailwater check` prints the exact SQL"},
    ErrorRow{1143, kAny, "", kOperator, "mysql_privilege_missing",
             "grant what is named; `tailwater check` prints the exact SQL"},
    ErrorRow{1227, kAny, "", kOperator, "mysql_privilege_missing",
             "grant what is named; `tailwater check` prints the exact SQL"},
    ErrorRow{1370, kAny, "", kOperator, "mysql_privilege_missing",
             "grant what is named; `tailwater check` prints the exact SQL"},
    ErrorRow{1290, kAny, "", kOperator, "mysql_server_option",
             "an option that the server was started with forbids it"},

    // Names.
    ErrorRow{1049, kAny, "", kOperator, "mysql_database_missing",
             "correct `database`, or create it"},
    ErrorRow{1146, kAny, "", kOperator, "mysql_table_missing",
             "create the table, or correct `tables`"},
    ErrorRow{1054, kQuery, "", kRetry, "mysql_column_missing",
             "the table changed meanwhile; trying again"},

    // Races and time limits.
    ErrorRow{1205, kAny, "", kRetry, "mysql_lock_timeout",
             "a lock was not to be had; trying again"},
    ErrorRow{1213, kAny, "", kRetry, "mysql_conflict",
             "deadlock with another transaction; trying again"},
    ErrorRow{1412, kAny, "", kRetry, "mysql_table_changed",
             "the table was altered, truncated or made anew while it was read; reading it again"},
    ErrorRow{1317, kAny, "", kRetry, "mysql_cancelled_by_server",
             "a person or a time limit cancelled the statement; trying again"},
    ErrorRow{1969, kAny, "", kRetry, "mysql_cancelled_by_server",
             "max_statement_time ended the statement; raise it for our account if this stays"},
    ErrorRow{3024, kAny, "", kRetry, "mysql_cancelled_by_server",
             "max_execution_time ended the statement; raise it for our account if this stays"},

    // What no retry mends.
    ErrorRow{1064, kAny, "", kFatal, "mysql_protocol_error",
             "the server did not understand a command; report this with its version"},
    ErrorRow{1193, kAny, "", kFatal, "mysql_not_supported",
             "this server lacks the variable; MySQL 8.0 or MariaDB 10.5 or later is needed"},
    ErrorRow{1235, kAny, "", kFatal, "mysql_not_supported",
             "this server cannot do it; MySQL 8.0 or MariaDB 10.5 or later is needed"},
    ErrorRow{2014, kAny, "", kFatal, "mysql_protocol_error", "report this"},

    // Everything else: said as it is, probed slowly, position frozen.
    ErrorRow{0, kAny, "", kOperator, "mysql_unexpected_error", "see the server's error log"},
};

// The needles are lower case.
bool ContainsNoCase(std::string_view text, std::string_view needle) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::search(text.begin(), text.end(), needle.begin(), needle.end(),
                     [&](char a, char b) { return lower(a) == b; }) != text.end();
}

std::string OneLine(std::string_view text) {
  while (!text.empty() && (std::isspace(static_cast<unsigned char>(text.back())) ||
                           text.back() == '.' || text.back() == ';'))
    text.remove_suffix(1);
  std::string out(text);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return out;
}

}  // namespace

const ErrorRow& FindErrorRow(const ServerMessage& message, Moment moment) {
  const uint8_t bit = Bit(moment);
  for (const ErrorRow& row : kRows) {
    if ((row.number == message.number || row.number == 0) && (row.moments & bit) != 0 &&
        ContainsNoCase(message.text, row.needle))
      return row;
  }
  return kRows.back();
}

Error MakeError(const ServerMessage& message, Moment moment) {
  const ErrorRow& row = FindErrorRow(message, moment);
  const std::string text = OneLine(message.text);
  return Error{row.disposition, row.code,
               fmt::format("{} (error {}): {}", text.empty() ? "no answer" : text, message.number,
                           row.advice)};
}

}  // namespace tailwater::mysql
