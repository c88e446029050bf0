#include "support/test_certificates.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdio>
#include <stdexcept>

namespace tailwater {
namespace {

constexpr long kDay = 24 * 60 * 60;

void Check(bool succeeded, const char* what) {
  if (!succeeded) throw std::runtime_error(what);
}

}  // namespace

TestAuthority::TestAuthority(std::filesystem::path folder, const std::string& name)
    : folder_(std::move(folder)),
      key_(EVP_EC_gen("P-256"), &EVP_PKEY_free),
      certificate_(Make(name, "", Validity::kNow, key_.get(), key_.get(), nullptr)),
      own_(Save(name, certificate_.get(), key_.get())) {}

TestCertificate TestAuthority::Issue(const std::string& name, const std::string& subjects,
                                     Validity validity) const {
  const Key key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  return Save(name, Make(name, subjects, validity, key.get(), key_.get(), certificate_.get()).get(),
              key.get());
}

TestCertificate TestAuthority::SelfSigned(const std::string& name) const {
  const Key key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  return Save(name, Make(name, "IP:127.0.0.1", Validity::kNow, key.get(), key.get(), nullptr).get(),
              key.get());
}

// Without an issuer it is its own; without subjects it is an authority.
TestAuthority::Certificate TestAuthority::Make(const std::string& name, const std::string& subjects,
                                               Validity validity, EVP_PKEY* key, EVP_PKEY* signer,
                                               const X509* issuer) const {
  static std::atomic<long> serial = 0;
  Certificate certificate(X509_new(), &X509_free);
  X509* const x509 = certificate.get();
  X509_set_version(x509, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(x509), -2 * kDay);
  X509_gmtime_adj(X509_getm_notAfter(x509), validity == Validity::kNow ? kDay : -kDay);
  X509_set_pubkey(x509, key);
  X509_NAME* const subject = X509_get_subject_name(x509);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(x509, issuer == nullptr ? subject : X509_get_subject_name(issuer));

  const auto extend = [&](int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer == nullptr ? x509 : const_cast<X509*>(issuer), x509, nullptr,
                   nullptr, 0);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    Check(extension != nullptr, "a certificate's extension cannot be made");
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
  };
  extend(NID_basic_constraints, subjects.empty() ? "critical,CA:TRUE" : "CA:FALSE");
  if (!subjects.empty()) extend(NID_subject_alt_name, subjects);
  Check(X509_sign(x509, signer, EVP_sha256()) != 0, "a certificate cannot be signed");
  return certificate;
}

TestCertificate TestAuthority::Save(const std::string& name, X509* certificate,
                                    EVP_PKEY* key) const {
  TestCertificate files{folder_ / (name + ".crt"), folder_ / (name + ".key")};
  const auto write = [](const std::string& path, const auto& put) {
    std::FILE* const file = std::fopen(path.c_str(), "w");
    Check(file != nullptr && put(file) == 1, "a PEM file cannot be written");
    std::fclose(file);
  };
  write(files.certificate_file, [&](std::FILE* file) { return PEM_write_X509(file, certificate); });
  write(files.key_file, [&](std::FILE* file) {
    return PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
  return files;
}

}  // namespace tailwater
