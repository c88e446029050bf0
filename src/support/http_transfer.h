// One call of an HttpClient: its libcurl handle, what came back so far, and what became of it.
//
// Belongs to the client's thread. Handles are used again: Begin(), then libcurl runs it, then
// Finish() or Abandon(), and then the next Begin().
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "support/http_client.h"
#include "support/http_failure.h"

namespace tailwater {

using HttpDone = std::function<void(HttpAnswer)>;

class HttpTransfer;

// Calls that wait for something. All in one list wait equally long, so the first is the next to
// expire.
using WaitingTransfers = std::list<HttpTransfer*>;

struct HttpWaits {
  // libcurl's own limit does not reach calls that wait for another one's connection.
  WaitingTransfers connection;
  // libcurl has no limit for it.
  WaitingTransfers reply;
};

// What libcurl has to ask its client for when it opens and closes sockets; `client` comes first in
// both callbacks.
struct HttpSocketHooks {
  void (*opened)(void* client, curl_socket_t socket);
  int (*close)(void* client, curl_socket_t socket);
  void* client;
};

class HttpTransfer {
 public:
  using Clock = std::chrono::steady_clock;

  // All of these outlive the transfer.
  HttpTransfer(const HttpClientOptions& options, const HttpSocketHooks& hooks, HttpWaits& waits);
  ~HttpTransfer();
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;

  // False: the call cannot be sent, and Finish() says why.
  bool Begin(HttpCall call);
  // Takes libcurl's result, after the handle left the multi handle.
  HttpAnswer Finish(CURLcode result);
  void Abandon();

  // When what it waits for is overdue; only while it is in one of the lists.
  Clock::time_point deadline() const { return deadline_; }
  // The deadline has passed. True: the request was not sent whole by then, and it waits anew.
  bool WaitsAnew();

  CURL* handle() const { return easy_.get(); }
  static HttpTransfer* Of(CURL* handle);

 private:
  struct EasyCleanup {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  };
  struct ListCleanup {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };
  using StringList = std::unique_ptr<curl_slist, ListCleanup>;
  enum class Headers : uint8_t { kStatusLine, kInterim, kFinal, kDone };

  template <class T>
  void Set(CURLoption option, T value);
  void SetForever(const HttpSocketHooks& hooks);
  bool SetUrl();
  bool SetMethod();
  bool SetHeaders();
  bool SetAddresses();
  bool Refuse(std::string_view code, std::string text);
  void Append(StringList& list, const std::string& line);
  std::string Peer() const;

  void OnSending();
  bool OnHeader(std::string_view line);
  bool OnStatusLine(std::string_view line);
  bool OnBody(std::string_view bytes);
  curl_socket_t OnOpenSocket(const curl_sockaddr& address);
  void WaitIn(WaitingTransfers& list, std::chrono::milliseconds limit);
  void StopWaiting();
  bool StopAsMalformed(std::string_view why);

  const HttpClientOptions& options_;
  const HttpSocketHooks& hooks_;
  HttpWaits& waits_;
  WaitingTransfers place_;            // holds node_ while this transfer waits for nothing
  WaitingTransfers* list_ = &place_;  // that holds node_
  const WaitingTransfers::iterator node_;
  std::unique_ptr<CURL, EasyCleanup> easy_;
  char error_text_[CURL_ERROR_SIZE] = "";

  HttpCall call_;
  StringList header_list_;
  StringList address_list_;
  Clock::time_point begun_;
  Clock::time_point deadline_;
  HttpPhase phase_ = HttpPhase::kConnecting;
  Headers headers_ = Headers::kStatusLine;
  size_t header_bytes_ = 0;
  bool socket_opened_ = false;
  std::string refusal_;         // of the last address that the guard refused
  std::string_view malformed_;  // why we ended it ourselves
  HttpAnswer answer_;
};

}  // namespace tailwater
