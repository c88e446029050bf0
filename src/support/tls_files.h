// Whether PEM files can be used, asked when a client is opened: a wrong path is known before the
// first change comes.
#pragma once

#include <string>

#include "tailwater/result.h"

namespace tailwater {

// Empty names are not looked at; a key file belongs to the certificate. kNeedsOperator
// "http_certificate_unreadable", naming option and file; kRetry "http_no_resources".
Status CheckTlsFiles(const std::string& ca_file, const std::string& certificate_file,
                     const std::string& key_file);

}  // namespace tailwater
