// The client library, for those files alone that talk to it: connection.cc, binlog_stream.cc,
// login.cc. Its waits end when ours do.
#pragma once

#include <mysql.h>
#ifdef MARIADB_BASE_VERSION  // Connector/C; else libmysqlclient
#define TAILWATER_CONNECTOR_C 1
#define HAVE_TLS 1  // the header of its transport (ma_pvio.h) then shows TLS, too
typedef unsigned char uchar;
#include <ma_pvio.h>
#endif

#include <chrono>
#include <optional>
#include <stop_token>

#include "mysql/errors.h"
#include "support/wakeup.h"
#include "tailwater/result.h"

namespace tailwater::mysql {

struct LoginRules;  // login.h

// The library's handle and what ends its waits.
struct Client {
  explicit Client(Interrupt by) : interrupt(std::move(by)) {}
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  int socket() const;
  bool uses_tls() const;
  bool uses_tcp() const;
  // What comes now belongs to nobody: no call waits for the server any more.
  void Abandon();
  ServerMessage Message() const { return {mysql_errno(handle), mysql_error(handle)}; }

  MYSQL* handle = nullptr;
  Interrupt interrupt;
  bool broken = false;
};

// Around calls of the library on this thread. Connector/C asks us to do its waiting: a wait ends at
// the deadline and at a stop, and the call fails. libmysqlclient does its own: a stop shuts the
// socket down, and the deadline holds for the first byte of an answer (AwaitAnswer()); later ones
// are bounded by the read timeout that the session was opened with.
class ClientCall {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Limit : uint8_t { kWhole, kSilence };  // of all that is done, or of each wait
  // `timeout` 0: no limit.
  ClientCall(Client& client, std::chrono::milliseconds timeout, Limit limit = Limit::kWhole);
  ~ClientCall();
  ClientCall(const ClientCall&) = delete;
  ClientCall& operator=(const ClientCall&) = delete;

  void set_sending(bool sending) { sending_ = sending; }
  LoginRules* login = nullptr;  // of mysql_real_connect()

  // Until there is something to read; false: the deadline or a stop came first.
  bool AwaitAnswer();
  // What a call that failed failed by: the stop, the deadline, or what the library says. Breaks the
  // session if nothing more can come of it.
  Error Failure(Moment moment);

  static ClientCall* Current();
  Client& client() { return client_; }
  // >0: ready, 0: deadline, <0: stop.
  int WaitFor(int socket, short events);

 private:
  enum class End : uint8_t { kNone, kTimeout, kStopped };
  Client& client_;
  const std::chrono::milliseconds timeout_;
  const Limit limit_;
  Clock::time_point deadline_;
  End end_ = End::kNone;
  bool sending_ = false;
  ClientCall* outer_;
#ifndef TAILWATER_CONNECTOR_C
  struct Shut {
    Client* client;
    void operator()() const noexcept;
  };
  std::stop_callback<Shut> shut_;
#endif
};

// Before the first use, and once per thread that uses the library.
void InitClientLibrary();
// Before the login: makes the library wait as above.
void PrepareClient(Client& client);

Error Stopped();

}  // namespace tailwater::mysql
