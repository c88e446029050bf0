#include "webhook/webhook_options.h"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "support/text.h"
#include "webhook/signing_key.h"

namespace tailwater::webhook {
namespace {

void Add(const ConfigNode& node, const std::string& message, Problems& problems) {
  problems.Add(node.location, node.path + ": " + message);
}

template <class Config>
OptionSpec PayloadOption(Payload Config::*member, std::string help) {
  OptionSpec spec;
  spec.name = "payload";
  spec.help = std::move(help);
  spec.type = "full | thin | map of fields";
  if constexpr (std::is_same_v<Config, WebhookConfig>) spec.default_text = "full";
  spec.parse = [member](const ConfigNode& node, void* opaque, Problems& problems) {
    Payload& payload = static_cast<Config*>(opaque)->*member;
    payload.configured = true;
    if (node.kind == ConfigNode::Kind::kMap) {
      payload.fields = PayloadTemplate::Parse(node, problems);
      if (node.entries.empty())
        Add(node, "has no fields; write full or thin, or a field", problems);
    } else {
      payload.thin = ParseChoice(node, {"full", "thin"}, problems) == 1;
    }
  };
  return spec;
}

// What a receiver or a proxy on the way goes by, or what this sink sets itself.
bool IsReserved(std::string_view name) {
  static constexpr std::string_view kReserved[] = {"connection",
                                                   "keep-alive",
                                                   "proxy-authenticate",
                                                   "proxy-authorization",
                                                   "proxy-connection",
                                                   "te",
                                                   "trailer",
                                                   "transfer-encoding",
                                                   "upgrade",
                                                   "content-length",
                                                   "host",
                                                   "expect",
                                                   "http2-settings",
                                                   "content-encoding",
                                                   "accept-encoding",
                                                   "traceparent"};
  return std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved) ||
         name.starts_with("webhook-") || name.starts_with("ce-");
}

bool IsToken(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

void ParseHeader(const std::string& written, const ConfigNode& node, Headers& headers,
                 Problems& problems) {
  Header header;
  header.name = written;
  for (char& c : header.name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  if (!IsToken(header.name)) {
    return Add(node, "'" + written + "' is no name of a header", problems);
  }
  if (IsReserved(header.name)) {
    return Add(node, "'" + written + "' is set by Tailwater itself; choose another name", problems);
  }
  for (const Header& other : headers.list) {
    if (other.name == header.name) return Add(node, "is written twice", problems);
  }
  const size_t before = problems.list().size();
  ParseScalar(node, header.secret, problems);
  if (problems.list().size() != before) return;
  if (node.scalar.find("${") == node.scalar.npos) {
    for (const char c : node.scalar) {
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) {
        return Add(node, "holds a sign that no header may have; use printable ASCII", problems);
      }
    }
    std::string problem;
    auto text = TextTemplate::Parse(node.scalar, problem);
    if (!text) return Add(node, problem, problems);
    AppendColumnUses(*text, node, headers.column_uses);
    header.text = std::move(text);
  } else if (node.scalar.find("{NEW.") != node.scalar.npos ||
             node.scalar.find("{OLD.") != node.scalar.npos) {
    return Add(node, "holds a secret and a column; put them into two headers", problems);
  }
  headers.list.push_back(std::move(header));
}

OptionSpec HeadersOption() {
  OptionSpec spec;
  spec.name = "headers";
  spec.help =
      "Headers to send, name: value. A value may hold secrets (${env:NAME}, ${file:/path}) or "
      "columns, {NEW.tenant}.";
  spec.type = "map of text";
  spec.parse = [](const ConfigNode& node, void* opaque, Problems& problems) {
    if (node.kind != ConfigNode::Kind::kMap) {
      return Add(node, "must be a map, for example {x-tenant: \"{NEW.tenant}\"}", problems);
    }
    Headers& headers = static_cast<WebhookConfig*>(opaque)->headers;
    for (const ConfigNode::Entry& entry : node.entries) {
      ParseHeader(entry.key, entry.value, headers, problems);
    }
  };
  return spec;
}

// Problems at the place of an option, or of the section if the option is not written.
class Reporter {
 public:
  Reporter(const ConfigNode& section, Problems& problems)
      : section_(section), problems_(problems) {}
  // `key` may name an option in a section: "batch.size".
  void Add(std::string_view key, std::string_view message) {
    const ConfigNode* node = &section_;
    std::string path = section_.path;
    for (std::string_view rest = key; !rest.empty();) {
      const std::string_view part = rest.substr(0, rest.find('.'));
      rest.remove_prefix(std::min(rest.size(), part.size() + 1));
      path += (path.empty() ? "" : ".") + std::string(part);
      if (const ConfigNode* child = node->Find(part)) node = child;
    }
    problems_.Add(node->location, fmt::format("{}: {}", path, message));
  }
  bool has(std::string_view key) const { return section_.Find(key) != nullptr; }
  Problems& problems() { return problems_; }

 private:
  const ConfigNode& section_;
  Problems& problems_;
};

std::optional<int> ParseNumber(const std::string& text, int least, int most) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (number < least || number > most) return std::nullopt;
  return number;
}

void CheckUrl(const std::string& text, const WebhookConfig& config, const ConfigNode& node,
              Problems& problems) {
  std::string problem;
  const auto url = EndpointUrl::Parse(text, problem);
  if (!url) return Add(node, problem + ", for example https://agents.example.com/hooks", problems);
  // The guard says nothing about names: where they lead is judged at each connect.
  const auto refusal = MakeGuard(config).RefusalOfLiteral(url->host);
  if (refusal && !refusal->empty()) return Add(node, *refusal, problems);
  const std::vector<std::string>& ports = config.allow_ports;
  if (!ports.empty() &&
      std::find(ports.begin(), ports.end(), std::to_string(url->port)) == ports.end()) {
    Add(node, fmt::format("port {} is not among allow_ports; add it there", url->port), problems);
  }
}

// What can be known of a secret now; the rest is told when the sink opens.
void CheckSecret(const Secret& secret, std::string_view key, Reporter& report) {
  const auto text = secret.Read();
  if (!text) return;
  if (const auto parsed = SigningKey::Parse(*text); !parsed) {
    report.Add(key, parsed.error().message);
  }
}

void CheckSignature(const WebhookConfig& config, Reporter& report) {
  if (config.signature == Signature::kNone) {
    for (const std::string_view key : {"secret", "previous_secret", "previous_secret_until"}) {
      if (report.has(key)) report.Add(key, "signature: none signs nothing; remove one of the two");
    }
    return;
  }
  if (config.secret.empty()) {
    report.Add("secret",
               "missing: receivers verify calls with it. Make one with: echo \"whsec_$(openssl "
               "rand -base64 32)\", or write signature: none");
  } else {
    CheckSecret(config.secret, "secret", report);
  }
  if (!config.previous_secret.empty()) {
    CheckSecret(config.previous_secret, "previous_secret", report);
  }
  if (config.previous_secret_until.empty()) return;
  if (config.previous_secret.empty()) {
    report.Add("previous_secret_until", "says nothing without previous_secret");
  }
  if (!UnixSeconds(config.previous_secret_until)) {
    report.Add("previous_secret_until", "must be a time in UTC, for example 2026-11-21T09:30:00Z");
  }
}

void CheckLists(const WebhookConfig& config, Reporter& report) {
  for (const std::string& range : config.allow_addresses) {
    if (!AddressRange::Parse(range)) {
      report.Add("allow_addresses",
                 fmt::format("'{}' is no address and no range, for example 10.1.0.0/16", range));
    }
  }
  for (const std::string& port : config.allow_ports) {
    if (!ParseNumber(port, 1, 65535)) {
      report.Add("allow_ports", fmt::format("'{}' is no port between 1 and 65535", port));
    }
  }
  for (const auto& [key, list] : {std::pair{"statuses.reject", &config.statuses.reject},
                                  {"statuses.retry", &config.statuses.retry}}) {
    for (const std::string& status : *list) {
      if (!ParseNumber(status, 300, 599)) {
        report.Add(key,
                   fmt::format("'{}' is no status between 300 and 599; 2xx is success", status));
      }
    }
  }
  for (const std::string& status : config.statuses.reject) {
    const auto& retry = config.statuses.retry;
    if (std::find(retry.begin(), retry.end(), status) != retry.end()) {
      report.Add("statuses.retry", fmt::format("{} stands under reject, too; choose one", status));
    }
  }
}

void CheckLimits(const WebhookConfig& config, Reporter& report) {
  using std::chrono::milliseconds;
  if (config.in_flight < 1 || config.in_flight > 10'000) {
    report.Add("in_flight", "must be between 1 and 10000");
  }
  if (!(config.rate >= 0 && config.rate <= 1e6)) {
    report.Add("rate", "must be between 0 (no limit) and 1000000 requests a second");
  }
  if (config.max_body.bytes < 1024 || config.max_body.bytes > 64 * 1024 * 1024) {
    report.Add("max_body", "must be between 1KiB and 64MiB");
  }
  const auto& timeouts = config.timeouts;
  for (const auto& [key, time] : {std::pair{"timeouts.connect", timeouts.connect},
                                  {"timeouts.first_byte", timeouts.first_byte},
                                  {"timeouts.total", timeouts.total}}) {
    if (time < milliseconds(1) || time > std::chrono::minutes(10)) {
      report.Add(key, "must be between 1ms and 10m");
    }
  }
  if (config.retry.initial < milliseconds(1)) report.Add("retry.initial", "must be at least 1ms");
  if (config.retry.max < config.retry.initial) {
    report.Add("retry.max", "must not be shorter than retry.initial");
  }
  if (config.breaker.failures < 1) report.Add("breaker.failures", "must be at least 1");
  if (config.breaker.pause < milliseconds(1)) report.Add("breaker.pause", "must be at least 1ms");
  if (config.batch.size < 1 || config.batch.size > 10'000) {
    report.Add("batch.size", "must be between 1 and 10000");
  }
}

void CheckCombinations(const WebhookConfig& config, Reporter& report) {
  const bool cloud_events = config.format == Format::kCloudEvents;
  if (report.has("mode") && !cloud_events) {
    report.Add("mode", "belongs to format: cloudevents; remove it, or set the format");
  }
  if (config.batch.size > 1 && cloud_events && config.mode == Mode::kBinary) {
    report.Add("batch", "CloudEvents in a batch are structured; add mode: structured");
  }
  if (config.certificate_file.empty() != config.key_file.empty()) {
    report.Add(config.key_file.empty() ? "certificate_file" : "key_file",
               "certificate_file and key_file go together");
  }
  for (const Header& header : config.headers.list) {
    const std::string key = "headers." + header.name;
    if (header.name == "authorization" && !config.bearer_token.empty()) {
      report.Add(key, "bearer_token sets this header, too; remove one of the two");
    }
    if (header.name == "content-type" && cloud_events) {
      report.Add(key, "format: cloudevents says what the content type is; remove it");
    }
    if (config.batch.size > 1 && header.text && header.text->has_references()) {
      report.Add(key, "a batch has many rows, so its headers cannot hold columns");
    }
  }
}

}  // namespace

const OptionTable& WebhookOptions() {
  using C = WebhookConfig;
  static const OptionTable kTimeouts = {
      Field("connect", &C::Timeouts::connect, "For name, connection and TLS."),
      Field("first_byte", &C::Timeouts::first_byte, "From the end of the request to the answer."),
      Field("total", &C::Timeouts::total, "For all of a call.")};
  static const OptionTable kRetry = {
      Field("initial", &C::Retry::initial, "Wait before the second try; doubles from there."),
      Field("max", &C::Retry::max, "Longest wait between two tries.")};
  static const OptionTable kBreaker = {
      Field("failures", &C::Breaker::failures,
            "After so many failures in a row the endpoint is left alone for a while."),
      Field("pause", &C::Breaker::pause,
            "Longest time until one call tries again whether it answers.")};
  static const OptionTable kBatch = {
      Field("size", &C::Batch::size,
            "Most changes in one call, as a JSON array. 1: each change is a call of its own."),
      Field("bytes", &C::Batch::bytes, "Largest body of a batch.")};
  static const OptionTable kStatuses = {
      Field("reject", &C::Statuses::reject,
            "Answers that make a dead letter, beside 400, 409, 413, 415, 422 and other 4xx."),
      Field("retry", &C::Statuses::retry,
            "Answers after which the call is tried again, beside 408, 425, 429 and 5xx.")};
  static const OptionTable kOptions = {
      Field("url", &C::url, "Where to POST to: https://… or http://….", kRequired),
      Field("secret", &C::secret,
            "Key of the signature: whsec_… or whsk_… (Standard Webhooks), or a text of 24 bytes or "
            "more. Make one with: echo \"whsec_$(openssl rand -base64 32)\""),
      Field("previous_secret", &C::previous_secret,
            "Signs beside `secret` while receivers change over."),
      Field("previous_secret_until", &C::previous_secret_until,
            "When previous_secret ends, for example 2026-11-21T09:30:00Z."),
      Choice("signature", &C::signature,
             "none: calls are not signed, anybody could have made them.",
             {{"standard", Signature::kStandard}, {"none", Signature::kNone}}),
      Field("bearer_token", &C::bearer_token, "Sent as Authorization: Bearer …"),
      HeadersOption(),
      Choice("format", &C::format, "Form of the calls.",
             {{"change", Format::kChange}, {"cloudevents", Format::kCloudEvents}}),
      Choice("mode", &C::mode,
             "Of format: cloudevents. binary puts the attributes into headers, structured into the "
             "body.",
             {{"binary", Mode::kBinary}, {"structured", Mode::kStructured}}),
      PayloadOption(&C::payload,
                    "full: the rows before and after; thin: key and names of changed columns; or "
                    "fields of your own: {user: \"{NEW.id}\", text: \"now {NEW.plan}\"}."),
      Choice("bigint", &C::bigint,
             "How 64-bit integers are written; as numbers, many readers round them.",
             {{"string", BigInt::kString}, {"number", BigInt::kNumber}}),
      Field("max_body", &C::max_body, "A change with a larger body becomes a dead letter."),
      Section("batch", &C::batch, "Many changes in one call.", kBatch),
      Field("in_flight", &C::in_flight, "Most calls at a time; one per row at most."),
      Field("rate", &C::rate, "Most calls a second. 0: no limit."),
      Section("timeouts", &C::timeouts, "Limits on the time of a call.", kTimeouts),
      Section("retry", &C::retry, "Waits between the tries of one change.", kRetry),
      Section("breaker", &C::breaker, "When an endpoint counts as down.", kBreaker),
      Section("statuses", &C::statuses, "What answers mean, where it is not the usual.", kStatuses),
      Field("certificate_file", &C::certificate_file, "Client certificate, PEM."),
      Field("key_file", &C::key_file, "Private key of the client certificate, PEM."),
      Field("ca_file", &C::ca_file, "Trusted certificates, PEM; the system's if empty."),
      Field("allow_addresses", &C::allow_addresses,
            "Private addresses that may be called, for example [10.1.0.0/16, 127.0.0.1]. Public "
            "ones always may."),
      Field("allow_ports", &C::allow_ports, "The only ports that a url may name. Empty: any.")};
  return kOptions;
}

const OptionTable& WebhookTableOptionsTable() {
  using C = WebhookTableOptions;
  static const OptionTable kOptions = {
      PayloadOption(&C::payload, "What to send, instead of the sink's payload.")};
  return kOptions;
}

void ValidateWebhook(const WebhookConfig& config, const TableRules<WebhookTableOptions>&,
                     const ConfigNode& section, Problems& problems) {
  Reporter report(section, problems);
  CheckLists(config, report);
  if (const ConfigNode* node = section.Find("url"); node != nullptr && !config.url.empty()) {
    CheckUrl(config.url, config, *node, problems);
  }
  CheckSignature(config, report);
  CheckLimits(config, report);
  CheckCombinations(config, report);
}

std::vector<ColumnUse> WebhookColumnUses(const WebhookConfig& config,
                                         const TableRules<WebhookTableOptions>& tables) {
  std::vector<ColumnUse> uses;
  const auto add = [&](const std::vector<ColumnUse>& list, size_t entry) {
    for (ColumnUse use : list) {
      use.entry = entry;
      uses.push_back(std::move(use));
    }
  };
  add(config.headers.column_uses, ColumnUse::kEveryEntry);
  for (size_t i = 0; i < tables.options.size(); ++i) {
    const Payload& own = tables.options[i].payload;
    const Payload& payload = own.configured ? own : config.payload;
    if (payload.fields != nullptr) add(payload.fields->column_uses(), i);
  }
  return uses;
}

AddressGuard MakeGuard(const WebhookConfig& config) {
  std::vector<AddressRange> allowed;
  for (const std::string& text : config.allow_addresses) {
    if (const auto range = AddressRange::Parse(text)) allowed.push_back(*range);
  }
  return AddressGuard(std::move(allowed));
}

std::vector<int> StatusList(const std::vector<std::string>& statuses) {
  std::vector<int> list;
  for (const std::string& status : statuses) {
    if (const auto number = ParseNumber(status, 300, 599)) list.push_back(*number);
  }
  return list;
}

std::optional<int64_t> UnixSeconds(const std::string& time) {
  std::tm parts{};
  for (const char* const form : {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"}) {
    parts = {};
    const char* const end = strptime(time.c_str(), form, &parts);
    if (end != nullptr && *end == '\0') return timegm(&parts);
  }
  return std::nullopt;
}

}  // namespace tailwater::webhook
