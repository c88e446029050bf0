// One rd_kafka_t: its settings from a Connection, its log, its tokens, and what its brokers said
// last. Included by the .cc files of this folder alone.
//
// Threads: librdkafka's background thread of the handle delivers events (errors, delivery reports);
// a token command has a thread of its own. Destroying the handle waits for both; it must not happen
// on either.
#pragma once

#include <librdkafka/rdkafka.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/kafka/client.h"
#include "support/kafka/errors.h"

namespace tailwater::kafka {

using Settings = std::vector<std::pair<std::string, std::string>>;

class ClientHandle {
 public:
  struct Hooks {
    // Before rd_kafka_new(): callbacks that the owner needs. The conf's opaque is the handle's own;
    // get the owner's by OpaqueOf().
    std::function<void(rd_kafka_conf_t*)> configure;
    // On the background thread, for events other than errors and tokens (delivery reports, where
    // `configure` asked for them). Must not block.
    std::function<void(rd_kafka_event_t*)> on_event;
    void* opaque = nullptr;
  };

  // kNeedsOperator "kafka_settings_invalid". Connects in the background.
  static Result<std::unique_ptr<ClientHandle>> Create(rd_kafka_type_t type,
                                                      const ClientOptions& options,
                                                      const Settings& settings, Hooks hooks);
  static Result<std::unique_ptr<ClientHandle>> Create(rd_kafka_type_t type,
                                                      const ClientOptions& options,
                                                      const Settings& settings) {
    return Create(type, options, settings, Hooks());
  }
  ~ClientHandle();
  ClientHandle(const ClientHandle&) = delete;
  ClientHandle& operator=(const ClientHandle&) = delete;

  rd_kafka_t* get() const;
  const Logger& logger() const;
  // Hooks::opaque, in a callback that librdkafka gives the conf's opaque.
  static void* OpaqueOf(void* conf_opaque);

  // What a failed call means. One that only says that no answer came in time is answered by what
  // the brokers said last: connection refused, authentication failed, certificate not trusted.
  Error Failure(rd_kafka_resp_err_t error, std::string_view doing,
                std::string_view detail = {}) const;
  // The same; takes `error`, which must not be null. A fatal error is named by its cause.
  Error Failure(rd_kafka_error_t* error, std::string_view doing) const;

  // What the brokers said within the last minute, if that is something that does not heal alone:
  // credentials, certificates, a token that cannot be had. Waiting longer is then of no use.
  std::optional<Error> Trouble() const;
  // What made the handle unusable: kafka_fenced, kafka_client_failed.
  std::optional<Error> Fatal() const;
  // For owners that get errors elsewhere than by events (a consumer's messages).
  void NoteError(rd_kafka_resp_err_t error, std::string_view text) const;

 private:
  class Impl;
  explicit ClientHandle(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailwater::kafka
