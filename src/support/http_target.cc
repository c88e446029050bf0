#include "support/http_target.h"

#include <string>
#include <system_error>
#include <utility>

#include "support/tls_files.h"

namespace tailwater {

Result<std::unique_ptr<HttpClient>> OpenHttpClient(HttpClientOptions options) {
  TW_TRY(CheckTlsFiles(options.ca_file, options.certificate_file, options.key_file));
  try {
    return std::make_unique<HttpClient>(std::move(options));
  } catch (const std::system_error& error) {
    return Error{Disposition::kRetry, "http_no_resources",
                 std::string("the HTTP client cannot start: ") + error.what() +
                     "; raise the limits on open files and threads"};
  }
}

AddressGuard AnyAddress() {
  return AddressGuard({*AddressRange::Parse("0.0.0.0/0"), *AddressRange::Parse("::/0")});
}

std::string_view HostOf(std::string_view url) {
  const size_t scheme = url.find("//");
  if (scheme != url.npos) url.remove_prefix(scheme + 2);
  return url.substr(0, url.find('/'));
}

std::future<HttpAnswer> SendHttp(HttpClient& client, HttpCall call) {
  auto promise = std::make_shared<std::promise<HttpAnswer>>();
  std::future<HttpAnswer> answer = promise->get_future();
  client.Send(std::move(call),
              [promise](HttpAnswer reply) { promise->set_value(std::move(reply)); });
  return answer;
}

bool WasOutOfReach(const HttpAnswer& answer) {
  return answer.code == "http_connect_failed" || answer.code == "http_name_unknown" ||
         answer.code == "http_reset" || answer.code == "http_tls_failed";
}

}  // namespace tailwater
