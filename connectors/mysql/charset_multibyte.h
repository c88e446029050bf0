// The East Asian character sets: what the system's iconv says, but where the servers say otherwise.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "mysql/charset.h"

namespace tailwater::mysql {

// Null: no such set, or the system cannot convert from it (gconv modules are missing).
std::unique_ptr<const Charset> MakeMultibyteCharset(std::string_view mysql_name);

void AppendCodePoint(uint32_t code, std::string& out);  // charset.cc

}  // namespace tailwater::mysql
