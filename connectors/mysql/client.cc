#include "mysql/client.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <mutex>

#include "mysql/login.h"

namespace tailwater::mysql {
namespace {

thread_local ClientCall* current_call = nullptr;

#ifdef TAILWATER_CONNECTOR_C
// Connector/C's own timeouts mean seconds here and milliseconds there: ours alone count. Outside of
// a call only a goodbye is sent: nobody waits for that.
int WaitForLibrary(my_socket socket, my_bool is_read, int) {
  ClientCall* call = ClientCall::Current();
  if (call == nullptr) {
    pollfd fd = {socket, static_cast<short>(is_read ? POLLIN : POLLOUT), 0};
    return poll(&fd, 1, 200);
  }
  return call->WaitFor(socket, static_cast<short>(is_read ? POLLIN : POLLOUT));
}
#endif

struct ThreadEnd {
  ~ThreadEnd() { mysql_thread_end(); }
};

}  // namespace

void PrepareClient(Client& client) {
#ifdef TAILWATER_CONNECTOR_C
  mysql_optionsv(client.handle, MARIADB_OPT_IO_WAIT, &WaitForLibrary);
#else
  (void)client;
#endif
}

void InitClientLibrary() {
  static std::once_flag once;
  std::call_once(once, [] {
    mysql_library_init(0, nullptr, nullptr);
    RegisterLoginPlugins();
  });
  mysql_thread_init();
  thread_local const ThreadEnd end;
}

Error Stopped() { return Error{Disposition::kCancelled, "stopped", "asked to stop"}; }

Client::~Client() {
  if (handle == nullptr) return;
  if (broken) Abandon();
  mysql_close(handle);
}

int Client::socket() const {
#ifdef TAILWATER_CONNECTOR_C
  return handle->net.pvio == nullptr ? -1 : static_cast<int>(mysql_get_socket(handle));
#else
  return handle->net.vio == nullptr ? -1 : static_cast<int>(handle->net.fd);
#endif
}

bool Client::uses_tls() const { return mysql_get_ssl_cipher(handle) != nullptr; }

bool Client::uses_tcp() const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  return getsockname(socket(), reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
         (address.ss_family == AF_INET || address.ss_family == AF_INET6);
}

void Client::Abandon() {
  broken = true;
  if (const int fd = socket(); fd >= 0) ::shutdown(fd, SHUT_RDWR);
}

ClientCall::ClientCall(Client& client, std::chrono::milliseconds timeout, Limit limit)
    : client_(client),
      timeout_(timeout),
      limit_(limit),
      deadline_(Clock::time_point::max()),
      outer_(current_call)
#ifndef TAILWATER_CONNECTOR_C
      ,
      shut_(client.interrupt.stop, Shut{&client})
#endif
{
  current_call = this;
  if (limit_ == Limit::kWhole && timeout_.count() > 0) deadline_ = Clock::now() + timeout_;
}

ClientCall::~ClientCall() { current_call = outer_; }

ClientCall* ClientCall::Current() { return current_call; }

#ifndef TAILWATER_CONNECTOR_C
void ClientCall::Shut::operator()() const noexcept {
  if (const int fd = client->socket(); fd >= 0) ::shutdown(fd, SHUT_RDWR);
}
#endif

int ClientCall::WaitFor(int socket, short events) {
  const Interrupt& interrupt = client_.interrupt;
  // Connector/C waits for bytes to read where TLS cannot send: then room to send counts as well.
  if (sending_) events |= POLLOUT;
  if (limit_ == Limit::kSilence && timeout_.count() > 0) deadline_ = Clock::now() + timeout_;
  for (;;) {
    if (interrupt.stop.stop_requested()) {
      end_ = End::kStopped;
      return -1;
    }
    int64_t left = 1000;
    if (deadline_ != Clock::time_point::max()) {
      left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
      if (left <= 0) {
        end_ = End::kTimeout;
        return 0;
      }
    }
    pollfd fds[2] = {{socket, events, 0},
                     {interrupt.wakeup != nullptr ? interrupt.wakeup->fd() : -1, POLLIN, 0}};
    poll(fds, 2, static_cast<int>(std::min<int64_t>(left, 1000)));
    if (fds[1].revents != 0) interrupt.wakeup->Drain();
    if (fds[0].revents != 0) return 1;
  }
}

bool ClientCall::AwaitAnswer() { return WaitFor(client_.socket(), POLLIN) > 0; }

Error ClientCall::Failure(Moment moment) {
  if (end_ == End::kStopped || client_.interrupt.stop.stop_requested()) {
    client_.Abandon();
    return Stopped();
  }
  if (end_ == End::kTimeout) {
    client_.Abandon();
    return Error{Disposition::kRetry, "mysql_timeout",
                 "no answer in time: check the network and the server's load; trying again"};
  }
  const ServerMessage message = client_.Message();
  // The library's own errors, and a server that says goodbye.
  if (message.number == 0 || message.number >= 5000 ||
      (message.number >= 2000 && message.number < 3000) || message.number == 1053 ||
      message.number == 1927 || message.number == 3169 || message.number == 4031)
    client_.broken = true;
  return MakeError(message, moment);
}

}  // namespace tailwater::mysql
