#include "mysql/login.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdarg>
#include <cstring>
#include <string_view>
#include <vector>

#include "support/text.h"

#ifdef TAILWATER_CONNECTOR_C
#include <mysql/plugin_auth.h>
#else
#include <client_plugin.h>
#endif

namespace tailwater::mysql {
namespace {

constexpr const char* kSystemCa = "/etc/ssl/certs/ca-certificates.crt";

Status CheckReadable(std::string_view option, const std::string& file) {
  if (file.empty() || access(file.c_str(), R_OK) == 0) return {};
  return Error{Disposition::kNeedsOperator, "mysql_tls_failed",
               fmt::format("tls.{}: {} cannot be read: {}; check path and permissions", option,
                           file, std::strerror(errno))};
}

Error InsecureLogin() {
  return Error{Disposition::kNeedsOperator, "mysql_insecure_login",
               "the server asks for the password, and nothing proves that it is the server: "
               "nothing was sent. Set tls.mode: require or more, or give server_public_key the "
               "file of the server's RSA key (SHOW STATUS LIKE "
               "'Caching_sha2_password_rsa_public_key'), or use a Unix socket"};
}

}  // namespace

void LoginRules::FreeKey::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

Result<LoginRules> LoginRules::Make(const MysqlConfig& config) {
  LoginRules rules;
  rules.local = !config.host.empty() && config.host[0] == '/';
  rules.mode = rules.local ? TlsMode::kDisable : EffectiveTlsMode(config);
  rules.tls_needed = rules.mode != TlsMode::kDisable && rules.mode != TlsMode::kPrefer;
  const bool verifies = rules.mode == TlsMode::kVerifyCa || rules.mode == TlsMode::kVerifyFull;
  if (rules.mode != TlsMode::kDisable) {
    rules.cert = config.tls.cert;
    rules.key = config.tls.key;
    rules.fingerprint = FingerprintDigits(config.tls.fingerprint);
    if (verifies) rules.ca = config.tls.ca.empty() ? kSystemCa : config.tls.ca;
    TW_TRY(CheckReadable("ca", rules.ca));
    TW_TRY(CheckReadable("cert", rules.cert));
    TW_TRY(CheckReadable("key", rules.key));
  }
#ifndef TAILWATER_CONNECTOR_C
  if (!rules.fingerprint.empty()) {
    return Error{Disposition::kNeedsOperator, "mysql_tls_failed",
                 "tls.fingerprint: the client library of this build (libmysqlclient) cannot look "
                 "at it: use tls.ca"};
  }
#endif
  if (!config.server_public_key.empty()) {
    rules.server_key_file = config.server_public_key;
    const std::unique_ptr<BIO, decltype(&BIO_free)> file(
        BIO_new_file(config.server_public_key.c_str(), "r"), &BIO_free);
    if (file != nullptr)
      rules.server_key.reset(PEM_read_bio_PUBKEY(file.get(), nullptr, nullptr, nullptr));
    if (rules.server_key == nullptr || EVP_PKEY_base_id(rules.server_key.get()) != EVP_PKEY_RSA) {
      return Error{Disposition::kNeedsOperator, "mysql_public_key",
                   fmt::format("server_public_key: {} holds no RSA key that can be read: save what "
                               "SHOW STATUS LIKE 'Caching_sha2_password_rsa_public_key' shows, "
                               "asked on the server itself",
                               config.server_public_key)};
    }
  }
  return rules;
}

Status LoginRules::Check(const Client& client) const {
  if (tls_needed && !client.uses_tls()) {
    return Error{Disposition::kNeedsOperator, "mysql_tls_failed",
                 "the server does not offer TLS, and tls.mode asks for it"};
  }
  return {};
}

#ifdef TAILWATER_CONNECTOR_C

namespace {

// What Connector/C keeps of a way to log in; its own header needs one that is not installed.
struct AuthPlugin {
  int type;
  unsigned interface_version;
  const char* name;
  const char* author;
  const char* description;
  unsigned version[3];
  const char* license;
  void* api;
  int (*init)(char*, size_t, int, va_list);
  int (*deinit)();
  int (*options)(const char*, const void*);
  int (*authenticate)(MYSQL_PLUGIN_VIO*, MYSQL*);
};
constexpr int kAuthentication = 2;
constexpr unsigned kInterface = 0x0100;
constexpr unsigned kScrambleBytes = 20;

constexpr unsigned kAuthPluginErr = 2061;
constexpr unsigned kTlsError = 2026;

// Ends the login; `mysql` says so in the library's way, `rules` in ours.
int Refuse(MYSQL* mysql, LoginRules& rules, unsigned number, Error error) {
  mysql->methods->set_error(mysql, number, "HY000", "%s", "refused");
  mysql->net.read_pos[0] = 0;  // or a request to change the plugin would still be obeyed
  rules.refused = std::move(error);
  return CR_ERROR;
}

bool IsSecret(MYSQL_PLUGIN_VIO* vio, MYSQL* mysql) {
  MYSQL_PLUGIN_VIO_INFO info{};
  vio->info(vio, &info);
  return info.protocol == MYSQL_PLUGIN_VIO_INFO::MYSQL_VIO_SOCKET ||
         mysql_get_ssl_cipher(mysql) != nullptr;
}

// The digits of the digest of the server's certificate: of SHA-1 or SHA-256, as long as `expected`.
std::string CertificateDigits(MYSQL* mysql, size_t expected) {
  const char* library = nullptr;
  if (mariadb_get_infov(mysql, MARIADB_TLS_LIBRARY, &library) != 0 || library == nullptr ||
      std::string_view(library).substr(0, 7) != "OpenSSL" || mysql->net.pvio->ctls == nullptr)
    return {};
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      SSL_get1_peer_certificate(static_cast<SSL*>(mysql->net.pvio->ctls->ssl)), &X509_free);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (certificate == nullptr ||
      X509_digest(certificate.get(), expected == 40 ? EVP_sha1() : EVP_sha256(), digest.data(),
                  &size) != 1)
    return {};
  std::string digits;
  for (unsigned i = 0; i < size; ++i) digits += fmt::format("{:02x}", digest[i]);
  return digits;
}

// The first plugin, under a name that no server has: it sends the account's name alone. The server
// then names the plugin that the account has.
int LookFirst(MYSQL_PLUGIN_VIO* vio, MYSQL* mysql) {
  ClientCall* call = ClientCall::Current();
  if (call == nullptr || call->login == nullptr) return CR_ERROR;
  LoginRules& rules = *call->login;
  if (rules.tls_needed && (mysql->server_capabilities & CLIENT_SSL) == 0) {
    return Refuse(mysql, rules, kTlsError,
                  Error{Disposition::kNeedsOperator, "mysql_tls_failed",
                        "the server does not offer TLS: switch it on there (ssl_cert, ssl_key), or "
                        "set tls.mode: prefer and server_public_key"});
  }
  // TLS would block in reads otherwise, where no stop reaches it.
  const int fd = static_cast<int>(mysql_get_socket(mysql));
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  unsigned char* packet = nullptr;
  const int size = vio->read_packet(vio, &packet);
  if (rules.tls_needed && mysql_get_ssl_cipher(mysql) == nullptr) {
    if (mysql_errno(mysql) != 0) return CR_ERROR;
    return Refuse(mysql, rules, kTlsError,
                  Error{Disposition::kNeedsOperator, "mysql_tls_failed", "TLS did not come about"});
  }
  if (!rules.fingerprint.empty()) {
    const std::string digits = CertificateDigits(mysql, rules.fingerprint.size());
    if (digits != rules.fingerprint) {
      return Refuse(
          mysql, rules, kTlsError,
          Error{Disposition::kNeedsOperator, "mysql_tls_failed",
                digits.empty()
                    ? "the client library shows no certificate: use tls.ca in place of "
                      "tls.fingerprint"
                    : fmt::format("the server's certificate has the fingerprint {}, not that of "
                                  "tls.fingerprint: it was replaced, or somebody else answers",
                                  digits)});
    }
  }
  // At once: an account without a password, or the server asks nobody for one.
  if (size > 0 && packet[0] == 0) return CR_OK_HANDSHAKE_COMPLETE;
  return CR_ERROR;  // the request to change the plugin, or the server's error, lies in the packet
}

bool Sha256(std::string_view a, std::string_view b, std::array<unsigned char, 32>& out) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  return context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1 &&
         EVP_DigestUpdate(context.get(), a.data(), a.size()) == 1 &&
         EVP_DigestUpdate(context.get(), b.data(), b.size()) == 1 &&
         EVP_DigestFinal_ex(context.get(), out.data(), nullptr) == 1;
}

std::string_view View(const std::array<unsigned char, 32>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The password with its final NUL, under the scramble, encrypted to the pinned key.
std::vector<unsigned char> Encrypt(std::string_view password, std::string_view scramble,
                                   EVP_PKEY* key) {
  std::vector<unsigned char> plain(password.begin(), password.end());
  plain.push_back(0);
  for (size_t i = 0; i < plain.size(); ++i)
    plain[i] ^= static_cast<unsigned char>(scramble[i % scramble.size()]);
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
      EVP_PKEY_CTX_new(key, nullptr), &EVP_PKEY_CTX_free);
  std::vector<unsigned char> out(static_cast<size_t>(EVP_PKEY_size(key)));
  size_t size = out.size();
  if (context == nullptr || EVP_PKEY_encrypt_init(context.get()) <= 0 ||
      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) <= 0 ||
      EVP_PKEY_encrypt(context.get(), out.data(), &size, plain.data(), plain.size()) <= 0)
    size = 0;
  OPENSSL_cleanse(plain.data(), plain.size());
  out.resize(size);
  return out;
}

// In clear inside of TLS and of a Unix socket, else encrypted to the pinned key, else not at all.
int SendPassword(MYSQL_PLUGIN_VIO* vio, MYSQL* mysql, std::string_view password,
                 std::string_view scramble) {
  if (IsSecret(vio, mysql)) {
    return vio->write_packet(vio, reinterpret_cast<const unsigned char*>(password.data()),
                             static_cast<int>(password.size()) + 1) != 0
               ? CR_ERROR
               : CR_OK;
  }
  ClientCall* call = ClientCall::Current();
  if (call == nullptr || call->login == nullptr) return CR_ERROR;
  LoginRules& rules = *call->login;
  if (rules.server_key == nullptr) return Refuse(mysql, rules, kAuthPluginErr, InsecureLogin());
  const std::vector<unsigned char> sealed = Encrypt(password, scramble, rules.server_key.get());
  if (sealed.empty() || vio->write_packet(vio, sealed.data(), static_cast<int>(sealed.size())) != 0)
    return CR_ERROR;
  return CR_OK;
}

int CachingSha2(MYSQL_PLUGIN_VIO* vio, MYSQL* mysql) {
  unsigned char* packet = nullptr;
  int size = vio->read_packet(vio, &packet);
  if (size < static_cast<int>(kScrambleBytes)) return CR_ERROR;
  const std::string scramble(reinterpret_cast<const char*>(packet), kScrambleBytes);
  const std::string_view password = mysql->passwd == nullptr ? "" : mysql->passwd;
  if (password.empty()) return vio->write_packet(vio, nullptr, 0) != 0 ? CR_ERROR : CR_OK;

  // SHA256(password) xor SHA256(SHA256(SHA256(password)), scramble): enough if the server has the
  // account in its cache.
  std::array<unsigned char, 32> once, twice, mixed;
  if (!Sha256(password, {}, once) || !Sha256(View(once), {}, twice) ||
      !Sha256(View(twice), scramble, mixed))
    return CR_ERROR;
  for (size_t i = 0; i < mixed.size(); ++i) mixed[i] ^= once[i];
  if (vio->write_packet(vio, mixed.data(), mixed.size()) != 0) return CR_ERROR;
  size = vio->read_packet(vio, &packet);
  if (size < 1) return CR_ERROR;
  constexpr unsigned char kKnown = 3, kSendPassword = 4;
  if (packet[0] == kKnown) return CR_OK;
  if (packet[0] != kSendPassword) return CR_ERROR;
  return SendPassword(vio, mysql, password, scramble);
}

int Sha256Password(MYSQL_PLUGIN_VIO* vio, MYSQL* mysql) {
  unsigned char* packet = nullptr;
  if (vio->read_packet(vio, &packet) < static_cast<int>(kScrambleBytes)) return CR_ERROR;
  const std::string scramble(reinterpret_cast<const char*>(packet), kScrambleBytes);
  const std::string_view password = mysql->passwd == nullptr ? "" : mysql->passwd;
  if (password.empty()) {
    const unsigned char none = 0;
    return vio->write_packet(vio, &none, 1) != 0 ? CR_ERROR : CR_OK;
  }
  return SendPassword(vio, mysql, password, scramble);
}

AuthPlugin Plugin(const char* name, int (*authenticate)(MYSQL_PLUGIN_VIO*, MYSQL*)) {
  return {.type = kAuthentication,
          .interface_version = kInterface,
          .name = name,
          .author = "tailwater",
          .description = "never to whoever answers",
          .version = {1, 0, 0},
          .license = "",
          .api = nullptr,
          .init = nullptr,
          .deinit = nullptr,
          .options = nullptr,
          .authenticate = authenticate};
}

// The library keeps pointers to them.
AuthPlugin look_first = Plugin("tailwater_look_first", LookFirst);
AuthPlugin caching_sha2 = Plugin("caching_sha2_password", CachingSha2);
AuthPlugin sha256 = Plugin("sha256_password", Sha256Password);
bool looks_first = false;  // written once, before the first login
bool own_caching_sha2 = false;
bool own_sha256 = false;

bool Register(MYSQL* mysql, AuthPlugin& plugin) {
  auto* generic = reinterpret_cast<st_mysql_client_plugin*>(&plugin);
  return mysql_client_register_plugin(mysql, generic) == generic;
}

}  // namespace

void RegisterLoginPlugins() {
  MYSQL* mysql = mysql_init(nullptr);
  if (mysql == nullptr) return;
  looks_first = Register(mysql, look_first);
  own_caching_sha2 = Register(mysql, caching_sha2);
  own_sha256 = Register(mysql, sha256);
  mysql_close(mysql);
}

void LoginRules::Apply(MYSQL* handle) const {
  const my_bool encrypt = mode != TlsMode::kDisable;
  const my_bool check_name = mode == TlsMode::kVerifyFull;
  mysql_optionsv(handle, MYSQL_OPT_SSL_ENFORCE, &encrypt);
  mysql_optionsv(handle, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &check_name);
  if (!ca.empty()) mysql_optionsv(handle, MYSQL_OPT_SSL_CA, ca.c_str());
  if (!cert.empty()) mysql_optionsv(handle, MYSQL_OPT_SSL_CERT, cert.c_str());
  if (!key.empty()) mysql_optionsv(handle, MYSQL_OPT_SSL_KEY, key.c_str());
  // What a server may ask for. mysql_native_password and ed25519 answer a challenge; the library's
  // versions of MySQL's own ways would fetch a key unasked.
  const bool is_secret = local || tls_needed;
  std::string allowed = "tailwater_look_first mysql_native_password client_ed25519 parsec";
  if (own_caching_sha2 || is_secret) allowed += " caching_sha2_password";
  if (own_sha256 || is_secret) allowed += " sha256_password";
  if (is_secret) allowed += " mysql_clear_password dialog auth_gssapi_client";
  mysql_optionsv(handle, MARIADB_OPT_RESTRICTED_AUTH, allowed.c_str());
  if (looks_first) mysql_optionsv(handle, MYSQL_DEFAULT_AUTH, "tailwater_look_first");
}

Error LoginRules::Explain(unsigned, Error error) const { return error; }

#else  // libmysqlclient: its caching_sha2_password fetches no key unless told to

namespace {

// sha256_password, which a server may ask for at any time, fetches the key unasked if none is
// pinned: so one is pinned that nobody has the other half of.
const std::string& NobodysKey() {
  static const std::string path = [] {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_RSA_gen(2048),
                                                                  &EVP_PKEY_free);
    const std::unique_ptr<BIO, decltype(&BIO_free)> text(BIO_new(BIO_s_mem()), &BIO_free);
    const int fd = memfd_create("tailwater_nobodys_key", MFD_CLOEXEC);
    char* bytes = nullptr;
    if (key == nullptr || text == nullptr || fd < 0 ||
        PEM_write_bio_PUBKEY(text.get(), key.get()) != 1)
      return std::string();
    const long size = BIO_get_mem_data(text.get(), &bytes);
    if (write(fd, bytes, static_cast<size_t>(size)) != size) return std::string();
    return fmt::format("/proc/self/fd/{}", fd);
  }();
  return path;
}

}  // namespace

namespace {

// What libmysqlclient keeps of a way to log in.
struct AuthPlugin {
  MYSQL_CLIENT_PLUGIN_HEADER
  int (*authenticate)(MYSQL_PLUGIN_VIO*, MYSQL*);
  net_async_status (*authenticate_nonblocking)(MYSQL_PLUGIN_VIO*, MYSQL*, int*);
};

std::array<unsigned char, 20> Sha1(std::string_view a, std::string_view b) {
  std::array<unsigned char, 20> out{};
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  if (context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha1(), nullptr) == 1) {
    EVP_DigestUpdate(context.get(), a.data(), a.size());
    EVP_DigestUpdate(context.get(), b.data(), b.size());
    EVP_DigestFinal_ex(context.get(), out.data(), nullptr);
  }
  return out;
}

std::string_view View(const std::array<unsigned char, 20>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// SHA1(password) xor SHA1(scramble, SHA1(SHA1(password))).
int NativePassword(MYSQL_PLUGIN_VIO* vio, MYSQL* mysql) {
  unsigned char* packet = nullptr;
  if (vio->read_packet(vio, &packet) < 20) return CR_ERROR;
  const std::string scramble(reinterpret_cast<const char*>(packet), 20);
  const std::string_view password = mysql->passwd == nullptr ? "" : mysql->passwd;
  if (password.empty()) return vio->write_packet(vio, nullptr, 0) != 0 ? CR_ERROR : CR_OK;
  const auto once = Sha1(password, {});
  auto mixed = Sha1(scramble, View(Sha1(View(once), {})));
  for (size_t i = 0; i < mixed.size(); ++i) mixed[i] ^= once[i];
  return vio->write_packet(vio, mixed.data(), mixed.size()) != 0 ? CR_ERROR : CR_OK;
}

AuthPlugin native_password = {
    .type = MYSQL_CLIENT_AUTHENTICATION_PLUGIN,
    .interface_version = MYSQL_CLIENT_AUTHENTICATION_PLUGIN_INTERFACE_VERSION,
    .name = "mysql_native_password",
    .author = "tailwater",
    .desc = "for accounts of MariaDB",
    .version = {1, 0, 0},
    .license = "",
    .mysql_api = nullptr,
    .init = nullptr,
    .deinit = nullptr,
    .options = nullptr,
    .get_options = nullptr,
    .authenticate = NativePassword,
    .authenticate_nonblocking = nullptr};

}  // namespace

// 9 and later no longer have the way in which most accounts of MariaDB log in.
void RegisterLoginPlugins() {
  MYSQL* mysql = mysql_init(nullptr);
  if (mysql == nullptr) return;
  mysql_client_register_plugin(mysql, reinterpret_cast<st_mysql_client_plugin*>(&native_password));
  mysql_close(mysql);
}

Error LoginRules::Explain(unsigned number, Error error) const {
  const bool maybe_plain = !local && !tls_needed && server_key == nullptr;
  if ((number == 1045 || number == 2061) && maybe_plain)
    error.message += "; or nothing proved that it is the server: " + InsecureLogin().message;
  return error;
}

void LoginRules::Apply(MYSQL* handle) const {
  unsigned ssl_mode = SSL_MODE_DISABLED;
  switch (mode) {
    case TlsMode::kDisable:
      break;
    case TlsMode::kPrefer:
      ssl_mode = SSL_MODE_PREFERRED;
      break;
    case TlsMode::kRequire:
      ssl_mode = SSL_MODE_REQUIRED;
      break;
    case TlsMode::kVerifyCa:
      ssl_mode = SSL_MODE_VERIFY_CA;
      break;
    case TlsMode::kAuto:
    case TlsMode::kVerifyFull:
      ssl_mode = SSL_MODE_VERIFY_IDENTITY;
  }
  mysql_options(handle, MYSQL_OPT_SSL_MODE, &ssl_mode);
  if (!ca.empty()) mysql_options(handle, MYSQL_OPT_SSL_CA, ca.c_str());
  if (!cert.empty()) mysql_options(handle, MYSQL_OPT_SSL_CERT, cert.c_str());
  if (!key.empty()) mysql_options(handle, MYSQL_OPT_SSL_KEY, key.c_str());
  const bool fetch = false;
  mysql_options(handle, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, &fetch);
  mysql_options(handle, MYSQL_SERVER_PUBLIC_KEY,
                server_key_file.empty() ? NobodysKey().c_str() : server_key_file.c_str());
}

#endif

}  // namespace tailwater::mysql
