#include "support/kafka/token_command.h"

#include <fcntl.h>
#include <poll.h>
#include <rapidjson/document.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <thread>

#include "support/text.h"

extern char** environ;

namespace tailwater::kafka {
namespace {

using SteadyClock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr size_t kMostOutput = 1 << 20;
constexpr size_t kMostComplaint = 500;

Error Failed(const std::string& what) {
  return Error{Disposition::kNeedsOperator, "kafka_token_command_failed",
               fmt::format("the token command {}: run it by hand as Tailwater's user, and look at "
                           "sasl.token_command; it is tried again",
                           what)};
}

// Both ends of a pipe; closed when it ends.
struct Pipe {
  int fds[2] = {-1, -1};
  bool Open() { return pipe2(fds, O_CLOEXEC) == 0; }
  void Close(int end) {
    if (fds[end] >= 0) close(fds[end]);
    fds[end] = -1;
  }
  ~Pipe() {
    Close(0);
    Close(1);
  }
};

// Reads what is there; false at the end.
bool Drain(int fd, std::string& out, size_t most) {
  char buffer[4096];
  const ssize_t size = read(fd, buffer, sizeof buffer);
  if (size < 0) return errno == EINTR || errno == EAGAIN;
  if (out.size() < most) {
    out.append(buffer, std::min(static_cast<size_t>(size), most - out.size()));
  }
  return size > 0;
}

std::optional<std::string> Base64Url(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    uint32_t value = 0;
    if (c >= 'A' && c <= 'Z') {
      value = c - 'A';
    } else if (c >= 'a' && c <= 'z') {
      value = c - 'a' + 26;
    } else if (c >= '0' && c <= '9') {
      value = c - '0' + 52;
    } else if (c == '-' || c == '+') {
      value = 62;
    } else if (c == '_' || c == '/') {
      value = 63;
    } else if (c == '=') {
      break;
    } else {
      return std::nullopt;
    }
    bits = bits << 6 | value;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<char>(bits >> count & 0xff));
    }
  }
  return out;
}

// Of an object's member; empty if it is no text or not there.
std::string TextOf(const rapidjson::Document& object, const char* name) {
  if (!object.HasMember(name) || !object[name].IsString()) return {};
  return {object[name].GetString(), object[name].GetStringLength()};
}

// The `sub` of a JWT; empty if it is none.
std::string SubjectOf(const std::string& token) {
  const size_t first = token.find('.');
  const size_t second = first == std::string::npos ? first : token.find('.', first + 1);
  if (second == std::string::npos) return {};
  const auto claims = Base64Url(std::string_view(token).substr(first + 1, second - first - 1));
  if (!claims) return {};
  rapidjson::Document document;
  document.Parse(claims->data(), claims->size());
  if (document.HasParseError() || !document.IsObject()) return {};
  return TextOf(document, "sub");
}

// A process and what it started; they end together.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() { (void)End(0); }
  // The exit status, once there is one.
  std::optional<int> Poll() { return End(WNOHANG); }

 private:
  std::optional<int> End(int flags) {
    if (pid_ <= 0) return std::nullopt;
    if (flags == WNOHANG) {
      // Not collected yet: as long as the process is there, its group's number is nobody else's.
      siginfo_t info{};
      if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
          info.si_pid == 0) {
        return std::nullopt;
      }
    }
    kill(-pid_, SIGKILL);
    int status = 0;
    pid_t ended = 0;
    do {
      ended = waitpid(pid_, &status, 0);
    } while (ended < 0 && errno == EINTR);
    pid_ = -1;
    return ended < 0 ? -1 : status;
  }
  pid_t pid_;
};

Result<pid_t> Spawn(const std::vector<std::string>& command, int out, int err) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, out, 1);
  posix_spawn_file_actions_adddup2(&files, err, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A group of its own, so that what it starts ends with it; the signals that we block are ours.
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  pid_t pid = -1;
  const int failure =
      posix_spawnp(&pid, arguments[0], &files, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (failure != 0) {
    return Failed(fmt::format("'{}' cannot be started ({})", command[0], std::strerror(failure)));
  }
  return pid;
}

}  // namespace

Result<Token> ParseToken(std::string_view json) {
  rapidjson::Document document;
  document.Parse(json.data(), json.size());
  if (document.HasParseError() || !document.IsObject()) {
    return Failed("printed no JSON object");
  }
  Token token;
  token.value = TextOf(document, "access_token");
  if (token.value.empty()) return Failed("printed no \"access_token\"");
  const double expires_in = document.HasMember("expires_in") && document["expires_in"].IsNumber()
                                ? document["expires_in"].GetDouble()
                                : 0;
  if (!(expires_in >= 1 && expires_in <= 1e9)) {
    return Failed("printed no \"expires_in\" (seconds, at least 1)");
  }
  token.expires_in = std::chrono::seconds(static_cast<int64_t>(expires_in));
  token.principal = TextOf(document, "principal");
  if (token.principal.empty()) token.principal = SubjectOf(token.value);
  if (token.principal.empty()) {
    return Failed("printed no \"principal\", and the token is no JWT that names a subject");
  }
  return token;
}

Result<Token> RunTokenCommand(const std::vector<std::string>& command,
                              std::chrono::milliseconds timeout, std::stop_token stop) {
  const auto deadline = SteadyClock::now() + timeout;
  if (command.empty()) return Failed("is empty");
  Pipe out;
  Pipe err;
  if (!out.Open() || !err.Open()) {
    return Failed(fmt::format("cannot be started ({})", std::strerror(errno)));
  }
  TW_ASSIGN_OR_RETURN(const pid_t pid, Spawn(command, out.fds[1], err.fds[1]));
  Child child(pid);
  out.Close(1);
  err.Close(1);

  std::string printed;
  std::string complaint;
  std::optional<int> status;
  while (out.fds[0] >= 0 || err.fds[0] >= 0 || !status) {
    if (stop.stop_requested()) return Error{Disposition::kCancelled, "cancelled", "stopped"};
    if (SteadyClock::now() >= deadline) {
      return Failed(fmt::format("did not end within {} ms", timeout.count()));
    }
    if (!status) status = child.Poll();
    pollfd fds[2] = {{out.fds[0], POLLIN, 0}, {err.fds[0], POLLIN, 0}};
    // Short, for stop requests and for the end of a child whose own children keep the pipes.
    if (poll(fds, 2, 20) > 0) {
      if (fds[0].revents != 0 && !Drain(out.fds[0], printed, kMostOutput)) out.Close(0);
      if (fds[1].revents != 0 && !Drain(err.fds[0], complaint, kMostComplaint)) err.Close(0);
    } else if (status) {
      break;
    }
  }
  if (!WIFEXITED(*status) || WEXITSTATUS(*status) != 0) {
    const std::string how =
        WIFEXITED(*status)
            ? fmt::format("ended with exit code {}", WEXITSTATUS(*status))
            : fmt::format("was killed by signal {}", WIFSIGNALED(*status) ? WTERMSIG(*status) : 0);
    while (!complaint.empty() && complaint.back() == '\n') complaint.pop_back();
    return Failed(complaint.empty() ? how : fmt::format("{} and said '{}'", how, complaint));
  }
  return ParseToken(printed);
}

}  // namespace tailwater::kafka
