// The encodings that signatures and headers are written in.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tailwater::webhook {

std::string Base64(std::string_view bytes);
// With - and _ for + and /, and no padding.
std::string Base64Url(std::string_view bytes);
// Strict: whole groups with their padding, nothing else.
std::optional<std::string> DecodeBase64(std::string_view text);

std::string Sha256(std::string_view bytes);
std::string HmacSha256(std::string_view key, std::string_view bytes);

// %XX for blank, quote, percent sign and all outside 0x21 to 0x7E: what comes out can stand in a
// header, whatever went in.
void AppendHeaderText(std::string_view text, std::string& out);

// Everything but letters, digits, dot and underscore becomes an underscore.
void AppendTypeName(std::string_view text, std::string& out);

}  // namespace tailwater::webhook
