#include "opensearch/document_id.h"

#include <openssl/evp.h>

#include "opensearch/json_view.h"
#include "support/text.h"

namespace tailwater::opensearch {
namespace {

constexpr size_t kMostBytes = 512;

void AppendEscaped(std::string_view text, std::string& out) {
  constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '%' || c == ',' || c == ':' || c == '#' || byte < 0x20 || byte == 0x7f) {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
}

std::string Sha256Hex(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr);
  std::string out;
  for (unsigned int i = 0; i < size; ++i) out += fmt::format("{:02x}", digest[i]);
  return out;
}

}  // namespace

std::string OriginOf(std::string_view source, std::string_view table) {
  std::string origin;
  AppendEscaped(source, origin);
  origin += ':';
  AppendEscaped(table, origin);
  return origin;
}

Result<std::string> DocumentId(std::string_view origin, const TableSchema& schema, Row key_row,
                               std::span<const uint32_t> columns) {
  std::string id(origin);
  id += ':';
  std::string text;
  for (size_t i = 0; i < columns.size(); ++i) {
    const Value& value = key_row[columns[i]];
    if (!value.has_value()) {
      return Error{Disposition::kReject, "opensearch_key_incomplete",
                   fmt::format("column {} is part of the document's id, and the record has no "
                               "value for it",
                               schema.columns()[columns[i]].name)};
    }
    text.clear();
    AppendReadable(value, text);
    if (i > 0) id += ',';
    AppendEscaped(text, id);
  }
  if (!IsUtf8(id)) {
    return Error{Disposition::kReject, "text_not_utf8",
                 "the key holds bytes that are no UTF-8, which no document id may have"};
  }
  if (id.size() <= kMostBytes) return id;
  const std::string hash = Sha256Hex(id);
  const bool origin_fits = origin.size() + 2 + hash.size() <= kMostBytes;
  return fmt::format("{}#{}", origin_fits ? std::string(origin) + ":" : "", hash);
}

}  // namespace tailwater::opensearch
