#include "support/http_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>

#include "support/http_transfer.h"

namespace tailwater {
namespace {

using Clock = HttpTransfer::Clock;

class FileDescriptor {
 public:
  FileDescriptor(int fd, const char* what) : fd_(fd) {
    if (fd == -1) throw std::system_error(errno, std::generic_category(), what);
  }
  ~FileDescriptor() { close(fd_); }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

struct MultiCleanup {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
using Multi = std::unique_ptr<CURLM, MultiCleanup>;

Multi NewMulti() {
  static const CURLcode kInitialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  Multi multi(kInitialised == CURLE_OK ? curl_multi_init() : nullptr);
  if (!multi) throw std::system_error(ENOMEM, std::generic_category(), "libcurl");
  return multi;
}

// Which sockets libcurl wants to hear of, told to epoll with as few calls as possible.
//
// Between two calls on a kept-alive connection libcurl takes its socket out and puts it in again.
// Sockets that we open and close ourselves therefore stay in epoll, and only leave it if something
// happens that nobody waits for.
class SocketWatch {
 public:
  SocketWatch() : epoll_(epoll_create1(EPOLL_CLOEXEC), "epoll") {}

  void AddWakeup(int fd) {
    epoll_event event{EPOLLIN, {.fd = fd}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      throw std::system_error(errno, std::generic_category(), "epoll");
    }
  }

  void Opened(int fd) { At(fd) = {.ours = true}; }
  void Closed(int fd) { At(fd) = {}; }

  void Want(int fd, uint32_t events) {
    Socket& socket = At(fd);
    socket.wanted = events;
    if (!socket.ours || (events & ~socket.registered) != 0) Register(fd, socket);
  }

  // Whether what happened to `fd` is of use to libcurl now.
  bool Wanted(int fd, uint32_t happened) {
    Socket& socket = At(fd);
    if ((socket.wanted & happened) != 0) return true;
    if (socket.wanted != 0 && (happened & (EPOLLERR | EPOLLHUP)) != 0) return true;
    Register(fd, socket);
    return false;
  }

  int Wait(std::array<epoll_event, 128>& events, int timeout_milliseconds) const {
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                 timeout_milliseconds);
    return std::max(count, 0);  // only a signal can interrupt it
  }

 private:
  struct Socket {
    bool ours = false;
    uint32_t wanted = 0;
    uint32_t registered = 0;
  };

  Socket& At(int fd) {
    const auto index = static_cast<size_t>(fd);
    if (index >= sockets_.size()) sockets_.resize(index + 1);
    return sockets_[index];
  }

  void Register(int fd, Socket& socket) {
    epoll_event event{socket.wanted, {.fd = fd}};
    if (socket.wanted == 0) {
      // Fails if libcurl has closed it before: then it is out of epoll as well.
      if (socket.registered != 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, &event);
    } else if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0 &&
               (errno != ENOENT || epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)) {
      throw std::system_error(errno, std::generic_category(), "epoll");
    }
    socket.registered = socket.wanted;
  }

  FileDescriptor epoll_;
  std::vector<Socket> sockets_;  // by descriptor
};

}  // namespace

class HttpClient::Loop {
 public:
  explicit Loop(HttpClientOptions options);
  ~Loop();
  void Send(HttpCall call, HttpDone done);
  void CancelAll();

 private:
  struct Waiting {
    HttpCall call;
    HttpDone done;
    uint64_t generation = 0;
  };
  struct Slot : HttpTransfer {
    using HttpTransfer::HttpTransfer;
    HttpDone done;
    uint64_t generation = 0;
    bool running = false;
  };

  void Run();
  bool TakeArrived();
  void DropCancelled();
  void StartWaiting();
  void FinishCompleted();
  void ExpireWaits();
  void Complete(Slot& slot, CURLcode result);
  void Wait();
  int WaitMilliseconds() const;
  void Wake();

  const HttpClientOptions options_;
  FileDescriptor wakeup_;
  // Calls of an older generation were cancelled.
  std::atomic<uint64_t> generation_ = 0;

  std::mutex mutex_;
  std::vector<Waiting> arrived_;  // guarded by mutex_, as the next two
  bool asleep_ = false;           // in epoll_wait, or about to be
  bool stopping_ = false;

  // The client's thread only.
  SocketWatch watch_;
  HttpSocketHooks hooks_;
  HttpWaits waits_;
  Multi multi_;  // closes its connections at its end, which takes the hooks
  std::vector<Waiting> taken_;
  std::deque<Waiting> waiting_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Slot*> idle_;
  uint64_t seen_generation_ = 0;
  std::optional<Clock::time_point> curl_deadline_;

  std::jthread thread_;
};

HttpClient::Loop::Loop(HttpClientOptions options)
    : options_(std::move(options)),
      wakeup_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"),
      multi_(NewMulti()) {
  watch_.AddWakeup(wakeup_.get());
  hooks_ = {.opened = [](void* self,
                         curl_socket_t socket) { static_cast<Loop*>(self)->watch_.Opened(socket); },
            .close =
                [](void* self, curl_socket_t socket) {
                  static_cast<Loop*>(self)->watch_.Closed(socket);
                  return close(socket);
                },
            .client = this};
  curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(
      multi_.get(), CURLMOPT_SOCKETFUNCTION,
      +[](CURL*, curl_socket_t socket, int what, void* self, void*) -> int {
        const uint32_t events = (what & CURL_POLL_REMOVE) == CURL_POLL_REMOVE
                                    ? 0
                                    : ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0u) |
                                          ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0u);
        static_cast<Loop*>(self)->watch_.Want(socket, events);
        return 0;
      });
  curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(
      multi_.get(), CURLMOPT_TIMERFUNCTION, +[](CURLM*, long milliseconds, void* self) -> int {
        auto& deadline = static_cast<Loop*>(self)->curl_deadline_;
        deadline.reset();
        if (milliseconds >= 0) {
          deadline = Clock::now() + std::chrono::milliseconds(milliseconds);
        }
        return 0;
      });
  curl_multi_setopt(multi_.get(), CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
  const auto connections = static_cast<long>(std::max<size_t>(options_.max_connections, 1));
  curl_multi_setopt(multi_.get(), CURLMOPT_MAX_TOTAL_CONNECTIONS, connections);
  curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, connections);

  thread_ = std::jthread([this] { Run(); });
}

HttpClient::Loop::~Loop() {
  {
    const std::lock_guard lock(mutex_);
    ++generation_;
    stopping_ = true;
    Wake();
  }
  thread_.join();
  for (const auto& slot : slots_) {
    if (slot->running) curl_multi_remove_handle(multi_.get(), slot->handle());
  }
}

void HttpClient::Loop::Send(HttpCall call, HttpDone done) {
  const std::lock_guard lock(mutex_);
  arrived_.push_back({std::move(call), std::move(done), generation_});
  if (asleep_) Wake();
}

void HttpClient::Loop::CancelAll() {
  const std::lock_guard lock(mutex_);
  ++generation_;
  Wake();
}

void HttpClient::Loop::Wake() {
  asleep_ = false;
  // Can only fail if the counter is full, and then the thread wakes up as well.
  [[maybe_unused]] const int result = eventfd_write(wakeup_.get(), 1);
}

void HttpClient::Loop::Run() {
  pthread_setname_np(pthread_self(), "http_client");
  while (TakeArrived()) {
    DropCancelled();
    StartWaiting();
    FinishCompleted();
    ExpireWaits();
    Wait();
  }
}

// False: the client ends.
bool HttpClient::Loop::TakeArrived() {
  {
    const std::lock_guard lock(mutex_);
    asleep_ = false;
    if (stopping_) return false;
    taken_.swap(arrived_);
  }
  for (Waiting& call : taken_) waiting_.push_back(std::move(call));
  taken_.clear();
  return true;
}

void HttpClient::Loop::DropCancelled() {
  const uint64_t now = generation_;
  if (now == seen_generation_) return;
  seen_generation_ = now;
  for (const auto& slot : slots_) {
    if (!slot->running || slot->generation == now) continue;
    curl_multi_remove_handle(multi_.get(), slot->handle());
    slot->Abandon();
    slot->running = false;
    slot->done = nullptr;
    idle_.push_back(slot.get());
  }
  std::erase_if(waiting_, [now](const Waiting& call) { return call.generation != now; });
}

void HttpClient::Loop::StartWaiting() {
  bool added = false;
  while (!waiting_.empty()) {
    if (idle_.empty()) {
      if (slots_.size() >= std::max<size_t>(options_.max_connections, 1)) break;
      slots_.push_back(std::make_unique<Slot>(options_, hooks_, waits_));
      idle_.push_back(slots_.back().get());
    }
    Slot& slot = *idle_.back();
    Waiting call = std::move(waiting_.front());
    waiting_.pop_front();
    slot.done = std::move(call.done);
    slot.generation = call.generation;
    if (!slot.Begin(std::move(call.call))) {
      idle_.pop_back();
      Complete(slot, CURLE_OK);
    } else if (curl_multi_add_handle(multi_.get(), slot.handle()) == CURLM_OK) {
      idle_.pop_back();
      slot.running = true;
      added = true;
    } else {
      idle_.pop_back();
      Complete(slot, CURLE_OUT_OF_MEMORY);
    }
  }
  int running = 0;
  if (added) curl_multi_socket_action(multi_.get(), CURL_SOCKET_TIMEOUT, 0, &running);
}

void HttpClient::Loop::FinishCompleted() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* const handle = message->easy_handle;
    const CURLcode result = message->data.result;  // `message` is gone with the next call
    curl_multi_remove_handle(multi_.get(), handle);
    Complete(static_cast<Slot&>(*HttpTransfer::Of(handle)), result);
  }
}

void HttpClient::Loop::ExpireWaits() {
  const Clock::time_point now = Clock::now();
  for (const WaitingTransfers* const list : {&waits_.connection, &waits_.reply}) {
    while (!list->empty() && list->front()->deadline() <= now) {
      auto& slot = static_cast<Slot&>(*list->front());
      if (slot.WaitsAnew()) continue;
      curl_multi_remove_handle(multi_.get(), slot.handle());
      Complete(slot, CURLE_OPERATION_TIMEDOUT);
    }
  }
}

void HttpClient::Loop::Complete(Slot& slot, CURLcode result) {
  HttpAnswer answer = slot.Finish(result);
  const HttpDone done = std::exchange(slot.done, nullptr);
  slot.running = false;
  idle_.push_back(&slot);
  if (slot.generation == generation_) done(std::move(answer));
}

int HttpClient::Loop::WaitMilliseconds() const {
  std::optional<Clock::time_point> deadline = curl_deadline_;
  for (const WaitingTransfers* const list : {&waits_.connection, &waits_.reply}) {
    if (list->empty()) continue;
    const Clock::time_point first = list->front()->deadline();
    deadline = deadline ? std::min(*deadline, first) : first;
  }
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000));
}

void HttpClient::Loop::Wait() {
  int timeout = WaitMilliseconds();
  if (!waiting_.empty() && !idle_.empty()) timeout = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!arrived_.empty() || stopping_ || generation_ != seen_generation_) timeout = 0;
    asleep_ = timeout != 0;
  }
  std::array<epoll_event, 128> events;
  const int count = watch_.Wait(events, timeout);
  int running = 0;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    if (event.data.fd == wakeup_.get()) {
      eventfd_t value = 0;
      eventfd_read(wakeup_.get(), &value);
      continue;
    }
    if (!watch_.Wanted(event.data.fd, event.events)) continue;
    const int what = ((event.events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
                     ((event.events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
                     ((event.events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);
    curl_multi_socket_action(multi_.get(), event.data.fd, what, &running);
  }
  if (curl_deadline_ && *curl_deadline_ <= Clock::now()) {
    curl_multi_socket_action(multi_.get(), CURL_SOCKET_TIMEOUT, 0, &running);
  }
}

HttpClient::HttpClient(HttpClientOptions options)
    : loop_(std::make_unique<Loop>(std::move(options))) {}
HttpClient::~HttpClient() = default;

void HttpClient::Send(HttpCall call, std::function<void(HttpAnswer)> done) {
  loop_->Send(std::move(call), std::move(done));
}

void HttpClient::CancelAll() { loop_->CancelAll(); }

}  // namespace tailwater
