#include "support/http_transfer.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <ctime>
#include <new>

#include "support/text.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;

// All header lines of a call, interim replies included. Generous: servers stop at 8 to 64 KiB.
constexpr size_t kMaxHeaderBytes = 256 << 10;
constexpr size_t kMaxUrlBytes = 64 << 10;
constexpr std::chrono::milliseconds kMaxRetryAfter = 24h;
constexpr long kMaxIdleSeconds = 60;
constexpr long kMaxConnectionSeconds = 300;
constexpr long kSystemAuthoritiesSeconds = 600;

bool IsTokenCharacter(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         (c != '\0' && std::strchr("!#$%&'*+-.^_`|~", c) != nullptr);
}

bool IsToken(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, IsTokenCharacter);
}

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool EqualsIgnoringCase(std::string_view left, std::string_view right) {
  return std::ranges::equal(left, right, [](char a, char b) { return Lower(a) == Lower(b); });
}

bool StartsWithIgnoringCase(std::string_view text, std::string_view start) {
  return text.size() >= start.size() && EqualsIgnoringCase(text.substr(0, start.size()), start);
}

// Of how a message is framed and a connection is used, which is the client's own business.
bool BelongsToClient(std::string_view name) {
  static constexpr std::array<std::string_view, 6> kNames = {
      "connection", "content-length", "expect", "te", "transfer-encoding", "upgrade"};
  return std::ranges::any_of(kNames,
                             [&](std::string_view own) { return EqualsIgnoringCase(name, own); });
}

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::optional<std::chrono::milliseconds> ParseRetryAfter(std::string_view value) {
  if (value.empty()) return std::nullopt;
  if (std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; })) {
    int64_t seconds = 0;
    const auto [end, error] = std::from_chars(value.begin(), value.end(), seconds);
    if (error != std::errc() || seconds > kMaxRetryAfter / 1s) return kMaxRetryAfter;
    return std::chrono::seconds(seconds);
  }
  // curl_getdate() reads more than HTTP dates; these all begin with the day's name.
  if (Lower(value[0]) < 'a' || Lower(value[0]) > 'z') return std::nullopt;
  const time_t date = curl_getdate(std::string(value).c_str(), nullptr);
  if (date == -1) return std::nullopt;
  const std::chrono::seconds wait(date - std::time(nullptr));
  return std::clamp<std::chrono::milliseconds>(wait, 0ms, kMaxRetryAfter);
}

long Milliseconds(std::chrono::milliseconds duration) {
  return static_cast<long>(std::max<int64_t>(duration.count(), 1));  // libcurl's 0 is "for ever"
}

}  // namespace

HttpTransfer::HttpTransfer(const HttpClientOptions& options, const HttpSocketHooks& hooks,
                           HttpWaits& waits)
    : options_(options),
      hooks_(hooks),
      waits_(waits),
      place_(1, this),
      node_(place_.begin()),
      easy_(curl_easy_init()) {
  if (!easy_) throw std::bad_alloc();
  SetForever(hooks);
}

HttpTransfer::~HttpTransfer() { StopWaiting(); }

HttpTransfer* HttpTransfer::Of(CURL* handle) {
  char* transfer = nullptr;
  curl_easy_getinfo(handle, CURLINFO_PRIVATE, &transfer);
  return reinterpret_cast<HttpTransfer*>(transfer);
}

template <class T>
void HttpTransfer::Set(CURLoption option, T value) {
  // The options are known to this libcurl and their values bounded: what is left is memory.
  if (curl_easy_setopt(easy_.get(), option, value) != CURLE_OK) throw std::bad_alloc();
}

// What no call changes.
void HttpTransfer::SetForever(const HttpSocketHooks& hooks) {
  Set(CURLOPT_PRIVATE, this);
  Set(CURLOPT_ERRORBUFFER, error_text_);
  Set(CURLOPT_NOSIGNAL, 1L);
  // A name that is still being looked up when its call ends must not hold up the other calls.
  Set(CURLOPT_QUICK_EXIT, 1L);
  Set(CURLOPT_PROTOCOLS_STR, "http,https");
  Set(CURLOPT_FOLLOWLOCATION, 0L);
  Set(CURLOPT_PROXY, "");
  Set(CURLOPT_NOPROXY, "*");
  Set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  Set(CURLOPT_HTTP09_ALLOWED, 0L);
  Set(CURLOPT_HTTP_CONTENT_DECODING, 0L);
  Set(CURLOPT_TCP_NODELAY, 1L);
  Set(CURLOPT_MAXAGE_CONN, kMaxIdleSeconds);
  Set(CURLOPT_MAXLIFETIME_CONN, kMaxConnectionSeconds);
  Set(CURLOPT_CONNECTTIMEOUT_MS, Milliseconds(options_.connect_timeout));
  Set(CURLOPT_TIMEOUT_MS, Milliseconds(options_.timeout));

  Set(CURLOPT_SSL_VERIFYPEER, 1L);
  Set(CURLOPT_SSL_VERIFYHOST, 2L);
  Set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  // A session taken up again would stand for certificates that may have been replaced since.
  Set(CURLOPT_SSL_SESSIONID_CACHE, 0L);
  if (options_.ca_file.empty()) {
    Set(CURLOPT_CA_CACHE_TIMEOUT, kSystemAuthoritiesSeconds);
  } else {
    Set(CURLOPT_CAINFO, options_.ca_file.c_str());
    Set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
    Set(CURLOPT_CA_CACHE_TIMEOUT, 0L);
  }
  if (!options_.certificate_file.empty()) {
    Set(CURLOPT_SSLCERT, options_.certificate_file.c_str());
    // A key may stand in the certificate's file.
    const std::string& key =
        options_.key_file.empty() ? options_.certificate_file : options_.key_file;
    Set(CURLOPT_SSLKEY, key.c_str());
  }

  Set(CURLOPT_OPENSOCKETDATA, this);
  Set(
      CURLOPT_OPENSOCKETFUNCTION,
      +[](void* self, curlsocktype, curl_sockaddr* address) -> curl_socket_t {
        return static_cast<HttpTransfer*>(self)->OnOpenSocket(*address);
      });
  Set(CURLOPT_CLOSESOCKETDATA, hooks.client);  // not `this`: connections outlive their first call
  Set(CURLOPT_CLOSESOCKETFUNCTION, hooks.close);
  Set(CURLOPT_PREREQDATA, this);
  Set(
      CURLOPT_PREREQFUNCTION, +[](void* self, char*, char*, int, int) -> int {
        static_cast<HttpTransfer*>(self)->OnSending();
        return CURL_PREREQFUNC_OK;
      });
  Set(CURLOPT_HEADERDATA, this);
  Set(
      CURLOPT_HEADERFUNCTION, +[](char* data, size_t, size_t size, void* self) -> size_t {
        return static_cast<HttpTransfer*>(self)->OnHeader({data, size}) ? size : 0;
      });
  Set(CURLOPT_WRITEDATA, this);
  Set(
      CURLOPT_WRITEFUNCTION, +[](char* data, size_t, size_t size, void* self) -> size_t {
        return static_cast<HttpTransfer*>(self)->OnBody({data, size}) ? size : 0;
      });
}

bool HttpTransfer::Begin(HttpCall call) {
  call_ = std::move(call);
  begun_ = Clock::now();
  phase_ = HttpPhase::kConnecting;
  headers_ = Headers::kStatusLine;
  header_bytes_ = 0;
  socket_opened_ = false;
  refusal_.clear();
  malformed_ = {};
  error_text_[0] = '\0';
  answer_ = {};
  try {
    if (!SetUrl() || !SetMethod() || !SetHeaders() || !SetAddresses()) return false;
    WaitIn(waits_.connection, std::min(options_.connect_timeout, options_.timeout));
    return true;
  } catch (const std::bad_alloc&) {
    return Refuse("http_connect_failed",
                  "there is no memory for the call: give the process more of it");
  }
}

bool HttpTransfer::SetUrl() {
  constexpr std::string_view kHttp = "http://";
  constexpr std::string_view kHttps = "https://";
  const bool secure = StartsWithIgnoringCase(call_.url, kHttps);
  const size_t host = secure ? kHttps.size() : kHttp.size();
  if ((!secure && !StartsWithIgnoringCase(call_.url, kHttp)) || call_.url.size() == host ||
      call_.url[host] == '/' || call_.url.size() > kMaxUrlBytes ||
      std::ranges::any_of(call_.url, [](char c) { return IsControl(c) || c == ' '; })) {
    return Refuse("http_url_invalid",
                  "the URL is not one: write http:// or https://, a host and a path, without "
                  "spaces");
  }
  Set(CURLOPT_URL, call_.url.c_str());
  const bool http2 = secure && options_.http2;
  Set(CURLOPT_HTTP_VERSION,
      static_cast<long>(http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  // Calls that come together wait for the first one's connection: it may carry all of them.
  Set(CURLOPT_PIPEWAIT, http2 ? 1L : 0L);
  return true;
}

bool HttpTransfer::Refuse(std::string_view code, std::string text) {
  answer_.code = code;
  answer_.failure = std::move(text);
  return false;
}

bool HttpTransfer::SetMethod() {
  if (!IsToken(call_.method)) {
    return Refuse("http_header_invalid", "the method is not a word: use POST, PUT or another one");
  }
  const bool bodiless =
      call_.body.empty() && (call_.method == "GET" || call_.method == "HEAD" ||
                             call_.method == "DELETE" || call_.method == "OPTIONS");
  if (bodiless) {
    Set(CURLOPT_HTTPGET, 1L);  // takes back what POST and NOBODY set
    if (call_.method == "HEAD") Set(CURLOPT_NOBODY, 1L);
  } else {
    Set(CURLOPT_NOBODY, 0L);
    Set(CURLOPT_POST, 1L);
    Set(CURLOPT_POSTFIELDS, call_.body.data());
    Set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call_.body.size()));
  }
  Set(CURLOPT_CUSTOMREQUEST, call_.method.c_str());
  return true;
}

void HttpTransfer::Append(StringList& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  if (!list) list.reset(longer);
}

bool HttpTransfer::SetHeaders() {
  header_list_.reset();
  Append(header_list_, "Expect:");  // its wait would only slow down small requests
  bool content_type = false;
  std::string line;
  for (const auto& [name, value] : call_.headers) {
    if (!IsToken(name) || BelongsToClient(name)) {
      return Refuse("http_header_invalid",
                    fmt::format("a header cannot be named '{}': use letters, digits and hyphens, "
                                "and leave Content-Length, Connection and the like to the client",
                                IsToken(name) ? name : std::string("?")));
    }
    if (std::ranges::any_of(value, IsControl)) {
      return Refuse("http_header_invalid",
                    fmt::format("the value of header '{}' has a line end or another control "
                                "character in it: take it out, or encode it",
                                name));
    }
    content_type = content_type || EqualsIgnoringCase(name, "content-type");
    line = name;
    if (Trimmed(value).empty()) {
      line += ';';  // libcurl's way to send a header that is empty
    } else {
      line.append(": ").append(value);
    }
    Append(header_list_, line);
  }
  if (!content_type) Append(header_list_, "Content-Type:");  // libcurl would call it a form
  Set(CURLOPT_HTTPHEADER, header_list_.get());
  return true;
}

bool HttpTransfer::SetAddresses() {
  if (!options_.resolve) return true;
  const std::string peer = Peer();
  std::string line = "+" + peer + ":";
  const std::vector<std::string> addresses = options_.resolve(peer.substr(0, peer.rfind(':')));
  if (addresses.empty()) {
    HttpFailure failure =
        DescribeHttpFailure(CURLE_COULDNT_RESOLVE_HOST, phase_, peer, {}, options_);
    return Refuse(failure.code, std::move(failure.text));
  }
  for (const std::string& address : addresses) {
    if (line.back() != ':') line += ',';
    line += address.find(':') == std::string::npos ? address : '[' + address + ']';
  }
  address_list_.reset();
  Append(address_list_, "-" + peer);
  Append(address_list_, line);
  Set(CURLOPT_RESOLVE, address_list_.get());
  return true;
}

// "host:port" of the URL, without what else may stand in it.
std::string HttpTransfer::Peer() const {
  struct Parts {
    CURLU* url = curl_url();
    char* host = nullptr;
    char* port = nullptr;
    ~Parts() {
      curl_free(host);
      curl_free(port);
      curl_url_cleanup(url);
    }
  } parts;
  if (parts.url == nullptr) throw std::bad_alloc();
  if (curl_url_set(parts.url, CURLUPART_URL, call_.url.c_str(), 0) != CURLUE_OK ||
      curl_url_get(parts.url, CURLUPART_HOST, &parts.host, 0) != CURLUE_OK ||
      curl_url_get(parts.url, CURLUPART_PORT, &parts.port, CURLU_DEFAULT_PORT) != CURLUE_OK) {
    return "the URL's host";
  }
  return fmt::format("{}:{}", parts.host, parts.port);
}

curl_socket_t HttpTransfer::OnOpenSocket(const curl_sockaddr& address) {
  std::string refusal = options_.guard.Refusal(address.addr);
  if (!refusal.empty()) {
    refusal_ = std::move(refusal);
    return CURL_SOCKET_BAD;
  }
  const curl_socket_t opened =
      socket(address.family, address.socktype | SOCK_CLOEXEC, address.protocol);
  if (opened == -1) return CURL_SOCKET_BAD;
  socket_opened_ = true;
  hooks_.opened(hooks_.client, opened);
  return opened;
}

// The connection is there; also when libcurl sends the request again on another one.
void HttpTransfer::OnSending() {
  phase_ = HttpPhase::kAwaiting;
  WaitIn(waits_.reply, options_.first_byte_timeout);
}

void HttpTransfer::WaitIn(WaitingTransfers& list, std::chrono::milliseconds limit) {
  deadline_ = Clock::now() + limit;
  list.splice(list.end(), *list_, node_);
  list_ = &list;
}

void HttpTransfer::StopWaiting() {
  place_.splice(place_.begin(), *list_, node_);
  list_ = &place_;
}

bool HttpTransfer::WaitsAnew() {
  if (phase_ == HttpPhase::kConnecting) return false;
  curl_off_t sent = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_SIZE_UPLOAD_T, &sent);
  if (static_cast<size_t>(sent) < call_.body.size()) {
    OnSending();
    return true;
  }
  phase_ = HttpPhase::kOverdue;
  return false;
}

bool HttpTransfer::StopAsMalformed(std::string_view why) {
  malformed_ = why;
  return false;
}

bool HttpTransfer::OnHeader(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > kMaxHeaderBytes) return StopAsMalformed("its headers do not end");
  if (headers_ == Headers::kDone) return true;  // a trailer
  if (headers_ == Headers::kStatusLine) return OnStatusLine(line);
  if (Trimmed(line).empty()) {
    headers_ = headers_ == Headers::kFinal ? Headers::kDone : Headers::kStatusLine;
    return true;
  }
  constexpr std::string_view kRetryAfter = "retry-after:";
  if (headers_ == Headers::kFinal && StartsWithIgnoringCase(line, kRetryAfter)) {
    answer_.retry_after = ParseRetryAfter(Trimmed(line.substr(kRetryAfter.size())));
  }
  return true;
}

bool HttpTransfer::OnStatusLine(std::string_view line) {
  const size_t space = line.find(' ');
  int status = 0;
  if (!line.starts_with("HTTP/") || space == std::string_view::npos || line.size() < space + 4 ||
      std::from_chars(&line[space + 1], &line[space + 1] + 3, status).ptr != &line[space + 1] + 3 ||
      status < 100) {
    return StopAsMalformed("its status line has no status");
  }
  if (status == 101) return StopAsMalformed("it changes the protocol unasked");
  if (status < 200) {
    headers_ = Headers::kInterim;
    return true;
  }
  answer_.status = status;
  headers_ = Headers::kFinal;
  phase_ = HttpPhase::kReceiving;
  StopWaiting();
  return true;
}

bool HttpTransfer::OnBody(std::string_view bytes) {
  const size_t room = options_.max_reply_bytes - answer_.body.size();
  answer_.body.append(bytes.substr(0, room));
  answer_.body_cut = bytes.size() > room;
  return !answer_.body_cut;
}

HttpAnswer HttpTransfer::Finish(CURLcode result) {
  StopWaiting();
  answer_.duration = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun_);
  const bool complete = answer_.body_cut || (result == CURLE_OK && headers_ == Headers::kDone);
  if (answer_.code.empty() && !complete) {
    if (!malformed_.empty()) {
      answer_.code = "http_reply_malformed";
      answer_.failure =
          fmt::format("the reply of {} is not sound ({}): check the URL, and what the server sends",
                      Peer(), malformed_);
    } else if (!refusal_.empty() && !socket_opened_) {
      answer_.code = "http_address_refused";
      answer_.failure = fmt::format("{}: {}", Peer(), refusal_);
    } else {
      // libcurl takes the end of a connection within the headers for the end of the reply.
      const CURLcode real = result == CURLE_OK ? CURLE_PARTIAL_FILE : result;
      HttpFailure failure = DescribeHttpFailure(real, phase_, Peer(), error_text_, options_);
      answer_.code = failure.code;
      answer_.failure = std::move(failure.text);
    }
  }
  return std::move(answer_);
}

void HttpTransfer::Abandon() { StopWaiting(); }

}  // namespace tailwater
