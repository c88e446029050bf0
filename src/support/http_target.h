// What connectors share that speak HTTP to servers which the configuration names.
#pragma once

#include <future>
#include <memory>
#include <string_view>

#include "support/http_client.h"

namespace tailwater {

// A client, once the TLS files of `options` can be used. kNeedsOperator
// "http_certificate_unreadable", naming option and file; kRetry "http_no_resources".
Result<std::unique_ptr<HttpClient>> OpenHttpClient(HttpClientOptions options);

// Lets everything through: the configuration names the servers, no row has a say in it.
AddressGuard AnyAddress();

// "search-1.example.com:9200" of a URL.
std::string_view HostOf(std::string_view url);

// As HttpClient::Send(), for one who waits. Nobody may wait any more once the client is gone.
std::future<HttpAnswer> SendHttp(HttpClient& client, HttpCall call);

// Another server of the same data may know more: this one was not reached, or ended the connection
// without a reply.
bool WasOutOfReach(const HttpAnswer& answer);

}  // namespace tailwater
