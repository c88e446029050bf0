// The HTTP client that a webhook sink calls with.
#pragma once

#include <memory>

#include "support/http_client.h"
#include "tailwater/result.h"
#include "webhook/webhook_options.h"

namespace tailwater::webhook {

// Reads the certificate files first, so that a wrong path is known before the first change comes.
// kNeedsOperator "http_certificate_unreadable": one of the files, named, cannot be read or holds
// something else, or the key is not the certificate's. kRetry "http_no_resources": no file
// descriptors or threads.
Result<std::unique_ptr<HttpClient>> OpenClient(const WebhookConfig& config);

}  // namespace tailwater::webhook
