#include "opensearch/cluster.h"

#include <openssl/evp.h>
#include <zlib.h>

#include <cstdlib>
#include <utility>

#include "opensearch/json_view.h"
#include "support/http_target.h"
#include "support/text.h"

namespace tailwater::opensearch {
namespace {

using namespace std::chrono_literals;

// Answers hold whole documents where bases of partial rows are read; the server takes none beyond
// http.max_content_length, 100 MB.
constexpr size_t kMostReplyBytes = 128 << 20;
constexpr auto kNodePause = 10s;
constexpr size_t kLeastCompressed = 1024;

HttpClientOptions ClientOptions(const OpenSearchConfig& config) {
  HttpClientOptions options;
  options.connect_timeout = config.timeouts.connect;
  options.first_byte_timeout = config.timeouts.request;
  options.timeout = config.timeouts.request;
  options.max_connections = config.batch.in_flight;
  options.max_reply_bytes = kMostReplyBytes;
  options.guard = AnyAddress();
  options.ca_file = config.ca_file;
  options.certificate_file = config.certificate_file;
  options.key_file = config.key_file;
  return options;
}

std::string Base64(const std::string& text) {
  std::string out(4 * ((text.size() + 2) / 3) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  out.resize(static_cast<size_t>(size));
  return out;
}

// Empty if zlib has no memory: then the text goes as it is.
std::string Gzip(const std::string& text) {
  z_stream stream{};
  if (deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const bool done = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  out.resize(done ? stream.total_out : 0);
  deflateEnd(&stream);
  return out;
}

}  // namespace

Result<std::unique_ptr<Cluster>> Cluster::Open(const OpenSearchConfig& config, Logger logger) {
  std::unique_ptr<Cluster> cluster(new Cluster(config, std::move(logger)));
  for (const std::string& url : config.url.list) cluster->labels_.emplace_back(HostOf(url));
  cluster->down_until_.resize(config.url.list.size());
  TW_ASSIGN_OR_RETURN(cluster->client_, OpenHttpClient(ClientOptions(config)));
  return cluster;
}

Status Cluster::ReadCredentials() {
  if (!config_.api_key.empty()) {
    TW_ASSIGN_OR_RETURN(const std::string key, config_.api_key.Read());
    authorization_ = "ApiKey " + key;
  } else if (!config_.bearer_token.empty()) {
    TW_ASSIGN_OR_RETURN(const std::string token, config_.bearer_token.Read());
    authorization_ = "Bearer " + token;
  } else if (!config_.username.empty()) {
    TW_ASSIGN_OR_RETURN(const std::string password, config_.password.Read());
    authorization_ = "Basic " + Base64(config_.username + ":" + password);
  }
  return {};
}

Result<ServerFacts> Cluster::Probe() {
  const HttpAnswer answer = Call({"GET", "/", {}});
  if (const Judgement judgement = JudgeAdministration(answer, label()); !judgement.good()) {
    return ToError(judgement);
  }
  const auto body = JsonView::Parse(answer.body);
  const auto number = body ? body->Find("version", "number") : std::nullopt;
  if (!number || !number->is_string()) {
    return Error{Disposition::kNeedsOperator, "opensearch_wrong_server",
                 fmt::format("{} is no OpenSearch and no Elasticsearch; check `url`", label())};
  }
  ServerFacts facts;
  facts.version = number->Text();
  const auto distribution = body->Find("version", "distribution");
  facts.opensearch = distribution && distribution->Text() == "opensearch";
  char* rest = nullptr;
  const long major = std::strtol(facts.version.c_str(), &rest, 10);
  const long minor = *rest == '.' ? std::strtol(rest + 1, nullptr, 10) : 0;
  const long least = facts.opensearch ? 1 : 7;
  if (major < least) {
    return Error{
        Disposition::kNeedsOperator, "opensearch_too_old",
        fmt::format("{} runs {} {}; OpenSearch 1 or Elasticsearch 7 is needed at least", label(),
                    facts.opensearch ? "OpenSearch" : "Elasticsearch", facts.version)};
  }
  const auto since = [&](long wanted_major, long wanted_minor) {
    return std::pair(major, minor) >= std::pair(wanted_major, wanted_minor);
  };
  const auto flavor = body->Find("version", "build_flavor");
  const bool only_oss = flavor && flavor->Text() == "oss";
  facts.unsigned_long = facts.opensearch ? since(2, 8) : since(7, 10) && !only_oss;
  facts.flattened = facts.opensearch ? since(2, 7) : since(7, 3) && !only_oss;
  return facts;
}

size_t Cluster::NextNode() {
  const Clock::time_point now = Clock::now();
  for (size_t i = 0; i < labels_.size(); ++i) {
    const size_t node = next_node_++ % labels_.size();
    if (down_until_[node] <= now) return node;
  }
  return next_node_++ % labels_.size();
}

Cluster::Pending Cluster::Send(Request request) {
  Pending pending;
  pending.request = std::move(request);
  pending.node = NextNode();
  SendTo(pending);
  return pending;
}

void Cluster::SendTo(Pending& pending) {
  ++pending.tries;
  HttpCall call;
  call.method = pending.request.method;
  call.url = config_.url.list[pending.node] + pending.request.path;
  if (!authorization_.empty()) call.headers.emplace_back("Authorization", authorization_);
  if (!pending.request.body.empty()) {
    call.headers.emplace_back("Content-Type",
                              pending.request.lines ? "application/x-ndjson" : "application/json");
    if (config_.compression && pending.request.body.size() >= kLeastCompressed) {
      call.body = Gzip(pending.request.body);
      if (!call.body.empty()) call.headers.emplace_back("Content-Encoding", "gzip");
    }
    if (call.body.empty()) {
      const bool last_try = pending.tries >= labels_.size();
      call.body = last_try ? std::move(pending.request.body) : pending.request.body;
    }
  }
  pending.answer = SendHttp(*client_, std::move(call));
}

HttpAnswer Cluster::Wait(Pending& pending) {
  for (;;) {
    HttpAnswer answer = pending.answer.get();
    last_node_ = pending.node;
    if (answer.code.empty()) {
      down_until_[pending.node] = {};
      return answer;
    }
    PassOver(pending.node, answer);
    if (!WasOutOfReach(answer) || pending.tries >= labels_.size()) return answer;
    pending.node = NextNode();
    SendTo(pending);
  }
}

void Cluster::PassOver(size_t node, const HttpAnswer& answer) {
  // Of a single node the sink's state tells; here another one may hide it.
  if (labels_.size() > 1 && down_until_[node] == Clock::time_point()) {
    logger_.Warn("node passed over",
                 {{"node", labels_[node]}, {"code", answer.code}, {"message", answer.failure}});
  }
  down_until_[node] = Clock::now() + kNodePause;
}

HttpAnswer Cluster::Call(Request request) {
  Pending pending = Send(std::move(request));
  return Wait(pending);
}

}  // namespace tailwater::opensearch
