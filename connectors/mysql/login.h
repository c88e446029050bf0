// How a password gets to a server: never to whoever answers.
//
// Connector/C alone would send it to the first server that asks. By default it goes on without TLS
// where the server offers none, fetches an RSA key from whoever answers, and lets the server choose
// a way of login that sends the password as it is. So the ways that matter are our own here: a
// first one that looks at the channel before anything but the account's name goes out, and those of
// MySQL, which encrypt with a pinned key or not at all.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "mysql/client.h"
#include "mysql/mysql_config.h"
#include "tailwater/result.h"

struct evp_pkey_st;

namespace tailwater::mysql {

// Of one login; has to outlive it.
struct LoginRules {
  // Reads the files that are named. kNeedsOperator "mysql_tls_failed", "mysql_public_key".
  static Result<LoginRules> Make(const MysqlConfig& config);
  // The library's options.
  void Apply(MYSQL* handle) const;
  // A login failed: what it was, where the library's words mislead.
  Error Explain(unsigned number, Error error) const;
  // After the login: that it went as we wanted.
  Status Check(const Client& client) const;

  struct FreeKey {
    void operator()(evp_pkey_st* key) const;
  };
  TlsMode mode = TlsMode::kVerifyFull;  // effective
  std::string ca, cert, key;
  std::string fingerprint;                           // digits
  std::unique_ptr<evp_pkey_st, FreeKey> server_key;  // pinned
  std::string server_key_file;
  bool tls_needed = false;
  bool local = false;  // a Unix socket
  // Why we did not go on, where the library only knows "failed".
  std::optional<Error> refused;
};

void RegisterLoginPlugins();

}  // namespace tailwater::mysql
