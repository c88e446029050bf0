// Bodies of requests, compressed as `Content-Encoding` names it.
#pragma once

#include <string>
#include <string_view>

#include "clickhouse/clickhouse_options.h"

namespace tailwater::clickhouse {

// "lz4", "zstd", "gzip"; empty for none.
std::string_view EncodingName(Compression compression);

// Empty if the library has no memory for it: then the text goes as it is.
std::string Compress(Compression compression, const std::string& text);

}  // namespace tailwater::clickhouse
