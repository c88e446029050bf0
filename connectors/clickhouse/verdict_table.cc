#include "clickhouse/verdict_table.h"

#include <charconv>

#include "support/text.h"

namespace tailwater::clickhouse {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kBusy = "clickhouse_busy";
constexpr std::string_view kUnavailable = "clickhouse_unavailable";
constexpr std::string_view kCredentials = "clickhouse_credentials_refused";
constexpr std::string_view kGrant = "clickhouse_permission_missing";
constexpr std::string_view kReadOnly = "clickhouse_read_only";
constexpr std::string_view kWrongServer = "clickhouse_wrong_server";
constexpr std::string_view kRefused = "clickhouse_row_refused";

constexpr std::string_view kAgain = "it is tried again";
constexpr std::string_view kSlower = "it has too much to do; it is tried again, later";
constexpr std::string_view kCheckUser = "check `username` and `password`";
constexpr std::string_view kLooksAgain = "the table has changed; it is looked at again";
constexpr std::string_view kBadRow = "the table does not take the row";

constexpr Rule kRules[] = {
    {6, "CANNOT_PARSE_TEXT", Outcome::kRow, kRefused, kBadRow},
    {16, "NO_SUCH_COLUMN_IN_TABLE", Outcome::kChanged, kTableUnfit, kLooksAgain},
    {20, "NUMBER_OF_COLUMNS_DOESNT_MATCH", Outcome::kChanged, kTableUnfit, kLooksAgain},
    {26, "CANNOT_PARSE_QUOTED_STRING", Outcome::kRow, kRefused, kBadRow},
    {27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED", Outcome::kChanged, kRefused, kBadRow},
    {33, "CANNOT_READ_ALL_DATA", Outcome::kChanged, kRefused, kBadRow},
    {38, "CANNOT_PARSE_DATE", Outcome::kRow, kRefused, kBadRow},
    {41, "CANNOT_PARSE_DATETIME", Outcome::kRow, kRefused, kBadRow},
    {44, "ILLEGAL_COLUMN", Outcome::kChanged, kTableUnfit, kLooksAgain},
    {47, "UNKNOWN_IDENTIFIER", Outcome::kChanged, kTableUnfit, kLooksAgain},
    {53, "TYPE_MISMATCH", Outcome::kChanged, kTableUnfit, kLooksAgain},
    {60, "UNKNOWN_TABLE", Outcome::kChanged, "clickhouse_table_missing", kLooksAgain},
    {69, "ARGUMENT_OUT_OF_BOUND", Outcome::kRow, kRefused, kBadRow},
    {72, "CANNOT_PARSE_NUMBER", Outcome::kRow, kRefused, kBadRow},
    {75, "CANNOT_WRITE_TO_FILE_DESCRIPTOR", Outcome::kNeedsOperator, "clickhouse_disk_full",
     "it cannot write to its disk: make room, or look at the disk"},
    {76, "CANNOT_OPEN_FILE", Outcome::kNeedsOperator, "clickhouse_disk_full",
     "it cannot open a file of its own: make room, and look at the disk and its permissions"},
    {81, "UNKNOWN_DATABASE", Outcome::kNeedsOperator, "clickhouse_database_missing",
     "there is no such database: correct `database`, or run CREATE DATABASE with that name"},
    {115, "UNKNOWN_SETTING", Outcome::kNeedsOperator, "clickhouse_setting_refused",
     "the server does not know a setting: correct `settings`"},
    {117, "INCORRECT_DATA", Outcome::kChanged, kRefused, kBadRow},
    {131, "TOO_LARGE_STRING_SIZE", Outcome::kRow, kRefused, kBadRow},
    {159, "TIMEOUT_EXCEEDED", Outcome::kRetry, kBusy, kSlower},
    {160, "TOO_SLOW", Outcome::kRetry, kBusy, kSlower},
    {164, "READONLY", Outcome::kNeedsOperator, kReadOnly,
     "server, profile or table takes no writes: give the user a profile with readonly = 0, or "
     "switch the server's read-only mode off"},
    {173, "CANNOT_ALLOCATE_MEMORY", Outcome::kRetry, kBusy, kSlower},
    {192, "UNKNOWN_USER", Outcome::kNeedsOperator, kCredentials, kCheckUser},
    {193, "WRONG_PASSWORD", Outcome::kNeedsOperator, kCredentials, kCheckUser},
    {194, "REQUIRED_PASSWORD", Outcome::kNeedsOperator, kCredentials, kCheckUser},
    {195, "IP_ADDRESS_NOT_ALLOWED", Outcome::kNeedsOperator, kCredentials,
     "the user may not log in from this address: allow it in the user's HOST or <networks>"},
    {198, "DNS_ERROR", Outcome::kRetry, kUnavailable, kAgain},
    {201, "QUOTA_EXCEEDED", Outcome::kRetry, "clickhouse_quota",
     "the user's quota is used up: it goes on with the next interval; raise the quota if that is "
     "too slow"},
    {202, "TOO_MANY_SIMULTANEOUS_QUERIES", Outcome::kRetry, kBusy, kSlower},
    {203, "NO_FREE_CONNECTION", Outcome::kRetry, kBusy, kSlower},
    {209, "SOCKET_TIMEOUT", Outcome::kRetry, kUnavailable, kAgain},
    {210, "NETWORK_ERROR", Outcome::kRetry, kUnavailable, kAgain},
    {216, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING", Outcome::kRetry, kBusy, kAgain},
    {218, "TABLE_IS_DROPPED", Outcome::kChanged, "clickhouse_table_missing", kLooksAgain},
    {225, "NO_ZOOKEEPER", Outcome::kRetry, kUnavailable, kAgain},
    {236, "ABORTED", Outcome::kRetry, kUnavailable, kAgain},
    {241, "MEMORY_LIMIT_EXCEEDED", Outcome::kRetry, kBusy, kSlower},
    {242, "TABLE_IS_READ_ONLY", Outcome::kRetry, "clickhouse_replica_read_only",
     "the replica has no session with Keeper; it is tried again: look at the server's log if this "
     "lasts"},
    {243, "NOT_ENOUGH_SPACE", Outcome::kNeedsOperator, "clickhouse_disk_full",
     "its disk is full: make room, or give the table a storage policy with another disk"},
    {252, "TOO_MANY_PARTS", Outcome::kRetry, "clickhouse_too_many_parts",
     "merges do not keep up with inserts; it is tried again, later: raise `batch: {interval}`, and "
     "look for other writers"},
    {279, "ALL_CONNECTION_TRIES_FAILED", Outcome::kRetry, kUnavailable, kAgain},
    {285, "TOO_FEW_LIVE_REPLICAS", Outcome::kRetry, kUnavailable, kAgain},
    {286, "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE", Outcome::kRetry, kUnavailable, kAgain},
    {291, "DATABASE_ACCESS_DENIED", Outcome::kNeedsOperator, kGrant,
     "the user may not use the database: allow it in <allow_databases>, or grant it"},
    {319, "UNKNOWN_STATUS_OF_INSERT", Outcome::kRetry, kUnavailable, kAgain},
    {341, "UNFINISHED", Outcome::kRetry, kUnavailable, kAgain},
    {349, "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN", Outcome::kRow, kRefused, kBadRow},
    {394, "QUERY_WAS_CANCELLED", Outcome::kRetry, kUnavailable, kAgain},
    {407, "DECIMAL_OVERFLOW", Outcome::kRow, kRefused, kBadRow},
    {425, "SYSTEM_ERROR", Outcome::kRetry, kUnavailable, kAgain},
    {439, "CANNOT_SCHEDULE_TASK", Outcome::kRetry, kBusy, kSlower},
    {452, "SETTING_CONSTRAINT_VIOLATION", Outcome::kNeedsOperator, "clickhouse_setting_refused",
     "the user's profile forbids a setting that the sink needs: remove its constraint"},
    {469, "VIOLATED_CONSTRAINT", Outcome::kRow, kRefused,
     "a constraint of the table does not hold for the row"},
    {473, "DEADLOCK_AVOIDED", Outcome::kRetry, kBusy, kAgain},
    {497, "ACCESS_DENIED", Outcome::kNeedsOperator, kGrant,
     "a grant is missing: GRANT SELECT, INSERT, CREATE TABLE, ALTER ADD COLUMN, ALTER MODIFY "
     "COLUMN, ALTER UPDATE ON the database TO the user"},
    {499, "S3_ERROR", Outcome::kRetry, kUnavailable, kAgain},
    {516, "AUTHENTICATION_FAILED", Outcome::kNeedsOperator, kCredentials, kCheckUser},
    {517, "CANNOT_ASSIGN_ALTER", Outcome::kRetry, kBusy, kAgain},
    {691, "UNKNOWN_ELEMENT_OF_ENUM", Outcome::kRow, kRefused, kBadRow},
    {722, "ASYNC_LOAD_WAIT_FAILED", Outcome::kRetry, kUnavailable, kAgain},
    {745, "SERVER_OVERLOADED", Outcome::kRetry, kBusy, kSlower},
    {746, "USER_EXPIRED", Outcome::kNeedsOperator, kCredentials,
     "the user has expired: ALTER USER … VALID UNTIL"},
    {999, "KEEPER_EXCEPTION", Outcome::kRetry, kUnavailable, kAgain},
};

// What stands in a list of retries without a pause of its own.
constexpr auto kSlowAgain = 5s;

Judgement NoReply(const HttpAnswer& answer) {
  Judgement judgement;
  judgement.outcome = Outcome::kRetry;
  judgement.code = answer.code;
  judgement.reason = answer.failure;
  for (const std::string_view code :
       {"http_tls_failed", "http_certificate_unreadable", "http_url_invalid", "http_header_invalid",
        "http_address_refused"}) {
    if (answer.code == code) judgement.outcome = Outcome::kNeedsOperator;
  }
  judgement.unknown = answer.code == "http_timeout" || answer.code == "http_reset" ||
                      answer.code == "http_reply_malformed";
  return judgement;
}

Judgement ByStatus(const HttpAnswer& answer, std::string_view label) {
  Judgement judgement;
  judgement.outcome = Outcome::kNeedsOperator;
  judgement.after = answer.retry_after.value_or(0ms);
  std::string_view advice = "this is no answer of ClickHouse: check what `url` leads to";
  judgement.code = kWrongServer;
  if (answer.status == 401 || answer.status == 403) {
    judgement.code = kCredentials;
    advice = kCheckUser;
  } else if (answer.status == 413) {
    judgement.code = "clickhouse_request_too_large";
    advice = "a proxy takes no requests of this size: raise its limit";
  } else if (answer.status == 429) {
    judgement.outcome = Outcome::kRetry;
    judgement.code = kBusy;
    advice = kSlower;
  } else if (answer.status == 408 || answer.status >= 500) {
    judgement.outcome = Outcome::kRetry;
    judgement.code = kUnavailable;
    judgement.unknown = true;
    advice = kAgain;
  }
  judgement.reason = fmt::format("{} answered {}: {}", label, answer.status, advice);
  return judgement;
}

// "(UNKNOWN_TABLE)" near the end of newer servers' messages.
std::string_view NameIn(std::string_view body) {
  const size_t version = body.rfind(" (version ");
  if (version == body.npos || version < 2 || body[version - 1] != ')') return {};
  const size_t open = body.rfind('(', version);
  if (open == body.npos) return {};
  const std::string_view name = body.substr(open + 1, version - open - 2);
  for (const char c : name) {
    if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '_') return {};
  }
  return name;
}

std::string_view WithoutVersion(std::string_view body) {
  body = body.substr(0, body.rfind(" (version "));
  return body.substr(0, 600);
}

}  // namespace

std::span<const Rule> Rules() { return kRules; }

const Rule* FindRule(int number) {
  for (const Rule& rule : kRules) {
    if (rule.number == number) return &rule;
  }
  return nullptr;
}

int ErrorNumber(std::string_view body) {
  constexpr std::string_view kMark = "Code: ";
  for (size_t at = body.find(kMark); at != body.npos; at = body.find(kMark, at + 1)) {
    int number = 0;
    const char* const begin = body.data() + at + kMark.size();
    const auto [end, error] = std::from_chars(begin, body.data() + body.size(), number);
    const std::string_view rest(end, static_cast<size_t>(body.data() + body.size() - end));
    if (error == std::errc() && rest.substr(0, 200).find("Exception") != rest.npos) return number;
  }
  return 0;
}

Judgement Judge(const HttpAnswer& answer, std::string_view label, bool quote) {
  if (!answer.code.empty()) return NoReply(answer);
  const bool success = answer.status >= 200 && answer.status < 300;
  if (success && answer.body_cut) {
    Judgement judgement;
    judgement.outcome = Outcome::kRetry;
    judgement.code = "clickhouse_answer_cut";
    judgement.reason = fmt::format("{} sent an answer that is too long; {}", label, kAgain);
    return judgement;
  }
  if (success) return {};
  const int number = ErrorNumber(answer.body);
  if (number == 0) return ByStatus(answer, label);
  Judgement judgement;
  judgement.number = number;
  judgement.after = answer.retry_after.value_or(0ms);
  const Rule* const rule = FindRule(number);
  const std::string_view name = rule != nullptr ? rule->name : NameIn(answer.body);
  std::string_view advice;
  if (rule != nullptr) {
    judgement.outcome = rule->outcome;
    judgement.code = rule->code;
    advice = rule->advice;
    if (number == 252 && answer.body.find("max_partitions_per_insert_block") != answer.body.npos) {
      judgement.outcome = Outcome::kNeedsOperator;
      judgement.code = "clickhouse_too_many_partitions";
      advice =
          "rows of one batch lie in more partitions than an insert may touch: set `settings: "
          "{max_partitions_per_insert_block: 0}`, or make the table anew with fewer partitions";
    } else if (number == 252 && judgement.after == 0ms) {
      judgement.after = kSlowAgain;
    }
  } else {
    judgement.outcome = Outcome::kNeedsOperator;
    judgement.code = "clickhouse_error";
    advice = "look at the server's log; it is tried again, slowly";
  }
  judgement.reason =
      fmt::format("{} answered {} {}{}: {}", label, number, name,
                  quote ? fmt::format(" ({})", WithoutVersion(answer.body)) : "", advice);
  return judgement;
}

Judgement JudgeInsert(HttpAnswer answer, std::string_view label, bool quote) {
  const bool success = answer.code.empty() && answer.status >= 200 && answer.status < 300;
  if (!success || (answer.status == 200 && answer.body.empty() && !answer.body_cut)) {
    return Judge(answer, label, quote);
  }
  if (answer.status == 200 && ErrorNumber(answer.body) != 0) {
    answer.status = 500;
    answer.body_cut = false;
    return Judge(answer, label, quote);
  }
  Judgement judgement;
  judgement.outcome = Outcome::kNeedsOperator;
  judgement.code = kWrongServer;
  judgement.unknown = true;
  judgement.reason = fmt::format(
      "{} answered {} with {} bytes where ClickHouse says nothing, so nobody knows "
      "whether the rows are stored: check what `url` leads to",
      label, answer.status, answer.body.size());
  return judgement;
}

Error ToError(const Judgement& judgement) {
  return {judgement.outcome == Outcome::kRetry ? Disposition::kRetry : Disposition::kNeedsOperator,
          judgement.code, judgement.reason};
}

Verdict ToVerdict(const Judgement& judgement) {
  switch (judgement.outcome) {
    case Outcome::kDone:
      return Verdict::Applied();
    case Outcome::kRow:
      return Verdict::Rejected(judgement.code, judgement.reason);
    case Outcome::kTable:
      return Verdict::TableStopped(judgement.code, judgement.reason);
    case Outcome::kChanged:
    case Outcome::kRetry:
      return Verdict::Unavailable(judgement.code, judgement.reason, judgement.after);
    case Outcome::kNeedsOperator:
      break;
  }
  return Verdict::Unavailable(judgement.code, judgement.reason, judgement.after, true);
}

}  // namespace tailwater::clickhouse
