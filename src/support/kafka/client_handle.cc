#include "support/kafka/client_handle.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "support/kafka/token_command.h"
#include "support/text.h"

namespace tailwater::kafka {
namespace {

using SteadyClock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kRemembered = 60s;  // librdkafka repeats a broker's error every 30 s
constexpr auto kLogInterval = 30s;
constexpr auto kTokenTimeout = 30s;

// Earlier ones send the client's nonce twice, which brokers no longer let pass.
constexpr int kScramMended = 0x020601ff;

bool IsScram(SaslMechanism mechanism) {
  return mechanism == SaslMechanism::kScramSha256 || mechanism == SaslMechanism::kScramSha512;
}

using Conf = std::unique_ptr<rd_kafka_conf_t, decltype(&rd_kafka_conf_destroy)>;

Status Set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
  std::array<char, 512> text{};
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), text.data(), text.size()) ==
      RD_KAFKA_CONF_OK) {
    return {};
  }
  return Error{Disposition::kNeedsOperator, "kafka_settings_invalid",
               fmt::format("the Kafka client refuses {}: {}; correct it in the configuration", name,
                           text.data())};
}

std::string_view MechanismName(SaslMechanism mechanism) {
  switch (mechanism) {
    case SaslMechanism::kNone:
      return {};
    case SaslMechanism::kPlain:
      return "PLAIN";
    case SaslMechanism::kScramSha256:
      return "SCRAM-SHA-256";
    case SaslMechanism::kScramSha512:
      return "SCRAM-SHA-512";
    case SaslMechanism::kOauthBearer:
      return "OAUTHBEARER";
  }
  return {};
}

// librdkafka would say what failed, but not with which file.
Status SetFile(rd_kafka_conf_t* conf, const std::string& name, const std::string& path) {
  if (access(path.c_str(), R_OK) != 0) {
    return Error{Disposition::kNeedsOperator, "kafka_settings_invalid",
                 fmt::format("tls: cannot read {} ({}); check the path, and let this user read it",
                             path, std::strerror(errno))};
  }
  return Set(conf, name, path);
}

Status SetConnection(rd_kafka_conf_t* conf, const Connection& connection) {
  TW_TRY(Set(conf, "bootstrap.servers", fmt::format("{}", fmt::join(connection.brokers, ","))));
  const bool tls = connection.UsesTls();
  const bool sasl = connection.sasl.mechanism != SaslMechanism::kNone;
  TW_TRY(Set(conf, "security.protocol",
             sasl ? (tls ? "sasl_ssl" : "sasl_plaintext") : (tls ? "ssl" : "plaintext")));
  if (tls) {
    TW_TRY(Set(conf, "enable.ssl.certificate.verification", "true"));
    TW_TRY(Set(conf, "ssl.endpoint.identification.algorithm", "https"));
    if (!connection.tls.ca.empty()) TW_TRY(SetFile(conf, "ssl.ca.location", connection.tls.ca));
    if (!connection.tls.cert.empty()) {
      TW_TRY(SetFile(conf, "ssl.certificate.location", connection.tls.cert));
      TW_TRY(SetFile(conf, "ssl.key.location", connection.tls.key));
    }
    if (!connection.tls.key_password.empty()) {
      TW_ASSIGN_OR_RETURN(const std::string password, connection.tls.key_password.Read());
      TW_TRY(Set(conf, "ssl.key.password", password));
    }
  }
  if (sasl) {
    TW_TRY(Set(conf, "sasl.mechanism", std::string(MechanismName(connection.sasl.mechanism))));
    if (connection.sasl.mechanism != SaslMechanism::kOauthBearer) {
      TW_TRY(Set(conf, "sasl.username", connection.sasl.username));
      TW_ASSIGN_OR_RETURN(const std::string password, connection.sasl.password.Read());
      TW_TRY(Set(conf, "sasl.password", password));
    }
  }
  return {};
}

}  // namespace

class ClientHandle::Impl {
 public:
  Impl(const ClientOptions& options, Hooks hooks)
      : hooks_(std::move(hooks)), logger_(options.logger), sasl_(options.connection.sasl) {}

  ~Impl() {
    if (token_thread_.joinable()) {
      token_thread_.request_stop();
      token_thread_.join();
    }
    if (rk_ == nullptr) return;
    // Owners of consumers close them before; doing it here would wait for somebody to poll.
    rd_kafka_destroy_flags(rk_, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }

  Status Start(rd_kafka_type_t type, const ClientOptions& options, const Settings& settings) {
    Conf conf(rd_kafka_conf_new(), rd_kafka_conf_destroy);
    TW_TRY(SetConnection(conf.get(), options.connection));
    TW_TRY(Set(conf.get(), "client.id", options.client_id));
    // Through address translation, idle connections die in silence.
    TW_TRY(Set(conf.get(), "socket.keepalive.enable", "true"));
    TW_TRY(Set(conf.get(), "socket.nagle.disable", "true"));
    TW_TRY(Set(conf.get(), "socket.timeout.ms", "10000"));
    TW_TRY(Set(conf.get(), "reconnect.backoff.max.ms", "2000"));
    TW_TRY(Set(conf.get(), "allow.auto.create.topics", "false"));
    for (const auto& [name, value] : settings) TW_TRY(Set(conf.get(), name, value));

    rd_kafka_conf_set_opaque(conf.get(), this);
    rd_kafka_conf_set_log_cb(
        conf.get(), [](const rd_kafka_t* rk, int level, const char* facility, const char* text) {
          if (rk != nullptr) static_cast<Impl*>(rd_kafka_opaque(rk))->Log(level, facility, text);
        });
    rd_kafka_conf_set_error_cb(
        conf.get(), [](rd_kafka_t*, int error, const char* text, void* opaque) {
          static_cast<Impl*>(opaque)->NoteError(static_cast<rd_kafka_resp_err_t>(error), text);
        });
    rd_kafka_conf_set_background_event_cb(conf.get(),
                                          [](rd_kafka_t*, rd_kafka_event_t* event, void* opaque) {
                                            static_cast<Impl*>(opaque)->HandleEvent(event);
                                            rd_kafka_event_destroy(event);
                                          });
    const bool tokens = sasl_.mechanism == SaslMechanism::kOauthBearer;
    if (tokens) {
      rd_kafka_conf_enable_sasl_queue(conf.get(), 1);
      rd_kafka_conf_set_oauthbearer_token_refresh_cb(
          conf.get(),
          [](rd_kafka_t*, const char*, void* opaque) { static_cast<Impl*>(opaque)->WantToken(); });
    }
    if (hooks_.configure) hooks_.configure(conf.get());

    std::array<char, 512> text{};
    rk_ = rd_kafka_new(type, conf.get(), text.data(), text.size());
    if (rk_ == nullptr) {
      return Error{Disposition::kNeedsOperator, "kafka_settings_invalid",
                   fmt::format("the Kafka client cannot be made: {}; correct the configuration",
                               text.data())};
    }
    (void)conf.release();  // the client's now
    // Errors and delivery reports come on the background thread, whoever polls or does not.
    rd_kafka_queue_t* main = rd_kafka_queue_get_main(rk_);
    rd_kafka_queue_t* background = rd_kafka_queue_get_background(rk_);
    rd_kafka_queue_forward(main, background);
    rd_kafka_queue_destroy(background);
    rd_kafka_queue_destroy(main);
    if (tokens) {
      token_thread_ = std::jthread([this](std::stop_token stop) { RunTokens(stop); });
      if (rd_kafka_error_t* error = rd_kafka_sasl_background_callbacks_enable(rk_)) {
        Error failure =
            MakeError(rd_kafka_error_code(error), "oauthbearer", rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
        return failure;
      }
    }
    return {};
  }

  rd_kafka_t* rk() const { return rk_; }
  const Logger& logger() const { return logger_; }
  void* owner() const { return hooks_.opaque; }

  void NoteError(rd_kafka_resp_err_t error, std::string_view text) {
    if (error == RD_KAFKA_RESP_ERR__FATAL && rk_ != nullptr) {
      std::array<char, 512> cause{};
      const rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(rk_, cause.data(), cause.size());
      if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) return NoteError(fatal, cause.data());
    }
    // Said in our own words already.
    if (text.find("Failed to acquire SASL OAUTHBEARER token") != std::string_view::npos) return;
    Error said = MakeError(error, "brokers", text);
    if (error == RD_KAFKA_RESP_ERR__AUTHENTICATION && IsScram(sasl_.mechanism) &&
        rd_kafka_version() < kScramMended) {
      said.message += fmt::format(
          "; if they are right: librdkafka {} cannot log in to Kafka 3.8.1 and later by SCRAM, "
          "2.6.1 and later can, and deploy/build-librdkafka.sh builds one",
          rd_kafka_version_str());
    }
    Remember(error, std::move(said));
  }

  // What was said within the last minute.
  std::optional<Error> LastSaid() const {
    const std::lock_guard lock(mutex_);
    if (!said_ || SteadyClock::now() - said_at_ > kRemembered) return std::nullopt;
    return said_;
  }

 private:
  void Remember(rd_kafka_resp_err_t code, Error error) {
    const std::lock_guard lock(mutex_);
    const auto now = SteadyClock::now();
    const bool fresh = said_ && now - said_at_ <= kRemembered;
    // The reason outlives what only follows from it.
    if (fresh && code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) return;
    if (fresh && said_->disposition == Disposition::kNeedsOperator &&
        error.disposition != Disposition::kNeedsOperator) {
      return;
    }
    said_ = std::move(error);
    said_at_ = now;
  }

  void HandleEvent(rd_kafka_event_t* event) {
    switch (rd_kafka_event_type(event)) {
      case RD_KAFKA_EVENT_ERROR:
        NoteError(rd_kafka_event_error(event), rd_kafka_event_error_string(event));
        return;
      case RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH:
        WantToken();
        return;
      default:
        if (hooks_.on_event) hooks_.on_event(event);
        return;
    }
  }

  void Log(int level, std::string_view facility, std::string_view text) {
    if (level >= 5) return logger_.Debug("librdkafka", {{"facility", facility}, {"text", text}});
    uint64_t left_out = 0;
    {
      const std::lock_guard lock(mutex_);
      LogState& state = logged_[std::string(facility)];
      const auto now = SteadyClock::now();
      if (state.count > 0 && now - state.at < kLogInterval) {
        ++state.count;
        return;
      }
      left_out = state.count > 0 ? state.count - 1 : 0;
      state = {now, 1};
    }
    logger_.Warn("the Kafka client reports",
                 {{"facility", facility}, {"text", text}, {"left_out", left_out}});
  }

  void WantToken() {
    const std::lock_guard lock(mutex_);
    token_wanted_ = true;
    token_changed_.notify_all();
  }

  void RunTokens(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      {
        std::unique_lock lock(mutex_);
        token_changed_.wait(lock, stop, [&] { return token_wanted_; });
        token_wanted_ = false;
      }
      if (stop.stop_requested()) return;
      FetchToken(stop);
    }
  }

  void FetchToken(const std::stop_token& stop) {
    auto token = RunTokenCommand(sasl_.token_command, kTokenTimeout, stop);
    if (stop.stop_requested()) return;
    if (token) {
      const auto expires = std::chrono::system_clock::now() + token->expires_in;
      const int64_t millis =
          std::chrono::duration_cast<std::chrono::milliseconds>(expires.time_since_epoch()).count();
      std::array<char, 512> text{};
      if (rd_kafka_oauthbearer_set_token(rk_, token->value.c_str(), millis,
                                         token->principal.c_str(), nullptr, 0, text.data(),
                                         text.size()) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
      }
      token = Error{Disposition::kNeedsOperator, "kafka_token_command_failed",
                    fmt::format("what the token command printed is no token of OAUTHBEARER: {}; "
                                "look at sasl.token_command; it is tried again",
                                text.data())};
    }
    logger_.Warn("no token for the brokers", {{"error", token.error().message}});
    Remember(RD_KAFKA_RESP_ERR__AUTHENTICATION, token.error());
    // Asked for again in ten seconds.
    rd_kafka_oauthbearer_set_token_failure(rk_, token.error().message.c_str());
  }

  const Hooks hooks_;
  const Logger logger_;
  const Sasl sasl_;
  rd_kafka_t* rk_ = nullptr;

  mutable std::mutex mutex_;  // guards what follows, but for the thread
  std::optional<Error> said_;
  SteadyClock::time_point said_at_;
  struct LogState {
    SteadyClock::time_point at;
    uint64_t count = 0;
  };
  std::map<std::string, LogState> logged_;
  std::condition_variable_any token_changed_;
  bool token_wanted_ = false;
  std::jthread token_thread_;
};

ClientHandle::ClientHandle(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ClientHandle::~ClientHandle() = default;

Result<std::unique_ptr<ClientHandle>> ClientHandle::Create(rd_kafka_type_t type,
                                                           const ClientOptions& options,
                                                           const Settings& settings, Hooks hooks) {
  auto impl = std::make_unique<Impl>(options, std::move(hooks));
  TW_TRY(impl->Start(type, options, settings));
  return std::unique_ptr<ClientHandle>(new ClientHandle(std::move(impl)));
}

rd_kafka_t* ClientHandle::get() const { return impl_->rk(); }
const Logger& ClientHandle::logger() const { return impl_->logger(); }

void* ClientHandle::OpaqueOf(void* conf_opaque) { return static_cast<Impl*>(conf_opaque)->owner(); }

void ClientHandle::NoteError(rd_kafka_resp_err_t error, std::string_view text) const {
  impl_->NoteError(error, text);
}

Error ClientHandle::Failure(rd_kafka_resp_err_t error, std::string_view doing,
                            std::string_view detail) const {
  if (error == RD_KAFKA_RESP_ERR__FATAL) {
    if (auto fatal = Fatal()) return std::move(*fatal).Within(doing);
  }
  if (IsSilence(error)) {
    if (auto said = impl_->LastSaid()) return std::move(*said).Within(doing);
  }
  return MakeError(error, doing, detail);
}

Error ClientHandle::Failure(rd_kafka_error_t* error, std::string_view doing) const {
  const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
  const std::string text = rd_kafka_error_string(error);
  rd_kafka_error_destroy(error);
  return Failure(code, doing, text);
}

std::optional<Error> ClientHandle::Trouble() const {
  auto said = impl_->LastSaid();
  if (said && said->disposition == Disposition::kNeedsOperator) return said;
  return std::nullopt;
}

std::optional<Error> ClientHandle::Fatal() const {
  std::array<char, 512> text{};
  const rd_kafka_resp_err_t error = rd_kafka_fatal_error(impl_->rk(), text.data(), text.size());
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return std::nullopt;
  return MakeError(error, "Kafka client", text.data());
}

}  // namespace tailwater::kafka
