// Certificates made on the spot: an authority of the test's own, and what it signs.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <filesystem>
#include <memory>
#include <string>

namespace tailwater {

struct TestCertificate {
  std::string certificate_file;  // PEM
  std::string key_file;          // PEM
};

class TestAuthority {
 public:
  // Files are written to `folder`, named after `name`.
  TestAuthority(std::filesystem::path folder, const std::string& name);

  const std::string& ca_file() const { return own_.certificate_file; }

  enum class Validity : uint8_t { kNow, kExpired };
  // `subjects` as OpenSSL writes alternative names: "IP:127.0.0.1,DNS:example.com".
  TestCertificate Issue(const std::string& name, const std::string& subjects = "IP:127.0.0.1",
                        Validity validity = Validity::kNow) const;
  TestCertificate SelfSigned(const std::string& name) const;

 private:
  using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

  Certificate Make(const std::string& name, const std::string& subjects, Validity validity,
                   EVP_PKEY* key, EVP_PKEY* signer, const X509* issuer) const;
  TestCertificate Save(const std::string& name, X509* certificate, EVP_PKEY* key) const;

  std::filesystem::path folder_;
  Key key_;
  Certificate certificate_;
  TestCertificate own_;
};

}  // namespace tailwater
