#include "clickhouse/server.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "clickhouse/compression.h"
#include "clickhouse/sql_text.h"
#include "support/http_target.h"
#include "support/text.h"
#include "support/url_encoding.h"

namespace tailwater::clickhouse {
namespace {

// Answers hold whole rows where bases of partial ones are read.
constexpr size_t kMostReplyBytes = 128 << 20;
constexpr size_t kLeastCompressed = 1024;

// What the sink sets where the server knows it.
constexpr std::string_view kSettings[] = {"async_insert",
                                          "wait_for_async_insert",
                                          "insert_deduplication_token",
                                          "insert_deduplicate",
                                          "input_format_null_as_default",
                                          "input_format_binary_read_json_as_string",
                                          "mutations_sync",
                                          "output_format_binary_write_json_as_string",
                                          "async_insert_deduplicate",
                                          "max_partitions_per_insert_block"};

HttpClientOptions ClientOptions(const ClickHouseConfig& config, std::chrono::milliseconds request,
                                size_t connections) {
  HttpClientOptions options;
  options.connect_timeout = config.timeouts.connect;
  options.first_byte_timeout = request;
  options.timeout = request;
  options.max_connections = connections;
  options.max_reply_bytes = kMostReplyBytes;
  options.guard = AnyAddress();
  options.ca_file = config.ca_file;
  options.certificate_file = config.certificate_file;
  options.key_file = config.key_file;
  return options;
}

void AppendParameter(std::string_view name, std::string_view value, std::string& url) {
  if (url.back() != '?') url += '&';
  url += name;
  url += '=';
  url += EncodedForUrl(value);
}

// It did not reach the server, or nobody knows: another replica may know more.
bool GoesElsewhere(const HttpAnswer& answer) {
  return WasOutOfReach(answer) || answer.code == "http_timeout";
}

std::string Unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    constexpr std::string_view kEscaped = "btnfr0", kMeaning("\b\t\n\f\r\0", 6);
    const char c = text[++i];
    const size_t known = kEscaped.find(c);
    if (c == 'N') {
      out += "\\N";
    } else {
      out += known == kEscaped.npos ? c : kMeaning[known];
    }
  }
  return out;
}

}  // namespace

bool ServerFacts::Knows(std::string_view setting) const {
  return std::find(settings.begin(), settings.end(), setting) != settings.end();
}

std::vector<std::vector<std::string>> ParseTabSeparated(std::string_view text) {
  std::vector<std::vector<std::string>> rows;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    auto& row = rows.emplace_back();
    for (;;) {
      const size_t tab = line.find('\t');
      row.push_back(Unescaped(line.substr(0, tab)));
      if (tab == line.npos) break;
      line.remove_prefix(tab + 1);
    }
  }
  return rows;
}

Result<std::unique_ptr<Server>> Server::Open(const ClickHouseConfig& config, Logger logger) {
  std::unique_ptr<Server> server(new Server(config, std::move(logger)));
  for (const std::string& url : config.url.list) server->labels_.emplace_back(HostOf(url));
  TW_ASSIGN_OR_RETURN(server->client_, OpenHttpClient(ClientOptions(config, config.timeouts.request,
                                                                    config.batch.in_flight + 1)));
  TW_ASSIGN_OR_RETURN(server->patient_client_,
                      OpenHttpClient(ClientOptions(config, config.timeouts.sweep, 1)));
  return server;
}

Status Server::ReadCredentials() {
  if (config_.username.empty()) return {};
  TW_ASSIGN_OR_RETURN(password_, config_.password.Read());
  return {};
}

Result<ServerFacts> Server::Probe() {
  TW_ASSIGN_OR_RETURN(const auto answer, Rows("SELECT version(), timezone()"));
  ServerFacts facts;
  if (answer.size() == 1 && answer[0].size() == 2) {
    facts.version = answer[0][0];
    facts.timezone = answer[0][1];
    const char* const end = facts.version.data() + facts.version.size();
    const auto major = std::from_chars(facts.version.data(), end, facts.major);
    if (major.ptr < end) std::from_chars(major.ptr + 1, end, facts.minor);
  }
  if (facts.major == 0) {
    return Error{Disposition::kNeedsOperator, "clickhouse_wrong_server",
                 fmt::format("{} is no ClickHouse; check `url`", label())};
  }
  if (!facts.Since(18, 16)) {
    return Error{Disposition::kNeedsOperator, "clickhouse_too_old",
                 fmt::format("{} runs ClickHouse {}; 23.2 or newer is needed, 18.16 works with "
                             "fewer types",
                             label(), facts.version)};
  }
  std::string names;
  for (const std::string_view name : kSettings) {
    names += (names.empty() ? "" : ", ") + Quoted(name);
  }
  TW_ASSIGN_OR_RETURN(
      const auto known,
      Rows(fmt::format("SELECT name FROM system.settings WHERE name IN ({})", names), 1));
  for (const auto& row : known) facts.settings.push_back(row.at(0));
  return facts;
}

Server::Pending Server::Send(Statement statement) {
  Pending pending;
  pending.statement = std::move(statement);
  pending.node = node_;
  SendTo(pending);
  return pending;
}

void Server::SendTo(Pending& pending) {
  ++pending.tries;
  const Statement& statement = pending.statement;
  HttpCall call;
  call.url = config_.url.list[pending.node] + "/?";
  // The answer's status is that of the whole statement.
  AppendParameter("wait_end_of_query", "1", call.url);
  for (const auto& [name, value] : statement.settings) AppendParameter(name, value, call.url);
  if (!config_.username.empty()) {
    call.headers.emplace_back("X-ClickHouse-User", config_.username);
    call.headers.emplace_back("X-ClickHouse-Key", password_);
  }
  if (statement.body.empty()) {
    call.body = statement.query;
  } else {
    AppendParameter("query", statement.query, call.url);
    if (statement.body.size() >= kLeastCompressed) {
      call.body = Compress(config_.compression, statement.body);
      if (!call.body.empty()) {
        call.headers.emplace_back("Content-Encoding", EncodingName(config_.compression));
      }
    }
    if (call.body.empty()) call.body = statement.body;
  }
  HttpClient& client = statement.patient ? *patient_client_ : *client_;
  pending.answer = SendHttp(client, std::move(call));
}

HttpAnswer Server::Wait(Pending& pending) {
  for (;;) {
    HttpAnswer answer = pending.answer.get();
    if (answer.code.empty() || !GoesElsewhere(answer) || labels_.size() == 1) return answer;
    if (pending.node == node_) {  // nobody else has left it already
      node_ = (node_ + 1) % labels_.size();
      ++changes_;
      logger_.Warn("another server is kept to", {{"left", labels_[pending.node]},
                                                 {"server", labels_[node_]},
                                                 {"code", answer.code},
                                                 {"message", answer.failure}});
    }
    if (pending.tries >= labels_.size()) return answer;
    pending.node = node_;
    SendTo(pending);
  }
}

HttpAnswer Server::Call(Statement statement) {
  Pending pending = Send(std::move(statement));
  return Wait(pending);
}

Status Server::Execute(std::string query, bool patient, Settings settings) {
  const bool inserts = query.starts_with("INSERT ");
  HttpAnswer answer = Call({std::move(query), {}, std::move(settings), patient});
  const Judgement judgement =
      inserts ? JudgeInsert(std::move(answer), label(), true) : Judge(answer, label(), true);
  if (!judgement.good()) return ToError(judgement);
  return {};
}

Result<std::vector<std::vector<std::string>>> Server::Rows(std::string query, size_t columns) {
  const HttpAnswer answer = Call({std::move(query) + " FORMAT TabSeparated", {}, {}, false});
  if (const Judgement judgement = Judge(answer, label(), true); !judgement.good()) {
    return ToError(judgement);
  }
  auto rows = ParseTabSeparated(answer.body);
  for (const auto& row : rows) {
    if (columns != 0 && row.size() != columns) {
      return Error{Disposition::kRetry, "clickhouse_answer_unknown",
                   fmt::format("{} answered a query for {} columns with something else: look at "
                               "what stands before it; it is tried again",
                               label(), columns)};
    }
  }
  return rows;
}

}  // namespace tailwater::clickhouse
