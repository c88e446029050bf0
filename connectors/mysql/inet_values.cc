// MariaDB's INET4 and INET6: the text that the server prints.
#include <array>

#include "mysql/value_functions.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

constexpr size_t kWords = 8;

// The longest run of zero words, the first of several; nothing below two.
struct ZeroRun {
  size_t at = kWords;
  size_t length = 0;
};
ZeroRun LongestZeroRun(const std::array<unsigned, kWords>& words) {
  ZeroRun best;
  for (size_t i = 0; i < kWords; ++i) {
    size_t length = 0;
    while (i + length < kWords && words[i + length] == 0) ++length;
    if (length > best.length) best = {i, length};
    i += length;
  }
  return best;
}

template <size_t kSize>
bool Pad(std::string_view bytes, std::array<uint8_t, kSize>& out) {
  if (bytes.size() > kSize) return false;
  out = {};
  for (size_t i = 0; i < bytes.size(); ++i) out[i] = static_cast<uint8_t>(bytes[i]);
  return true;
}

std::string Dotted(const uint8_t* bytes) {
  return fmt::format("{}.{}.{}.{}", bytes[0], bytes[1], bytes[2], bytes[3]);
}

}  // namespace

ReadOutcome DecodeInet4(const ValueReader&, std::string_view bytes, ChangeBatch& batch,
                        Value& out) {
  std::array<uint8_t, 4> address;
  if (!Pad(bytes, address)) return ReadOutcome::kMalformed;
  out = Value::Other(batch.arena().Copy(Dotted(address.data())));
  return ReadOutcome::kOk;
}

ReadOutcome DecodeInet6(const ValueReader&, std::string_view bytes, ChangeBatch& batch,
                        Value& out) {
  std::array<uint8_t, 16> address;
  if (!Pad(bytes, address)) return ReadOutcome::kMalformed;
  std::array<unsigned, kWords> words;
  for (size_t i = 0; i < kWords; ++i) {
    words[i] = static_cast<unsigned>(address[2 * i] << 8 | address[2 * i + 1]);
  }
  const ZeroRun zeros = LongestZeroRun(words);
  const bool holds_inet4 =
      zeros.at == 0 && (zeros.length == 6 || (zeros.length == 5 && words[5] == 0xFFFF));
  std::string text;
  for (size_t i = 0; i < kWords;) {
    if (i == zeros.at) {
      text += "::";
      i += zeros.length;
    } else if (i == 6 && holds_inet4) {
      if (!text.ends_with(':')) text += ':';
      text += Dotted(address.data() + 12);
      break;
    } else {
      if (!text.empty() && !text.ends_with(':')) text += ':';
      text += fmt::format("{:x}", words[i]);
      ++i;
    }
  }
  out = Value::Other(batch.arena().Copy(text));
  return ReadOutcome::kOk;
}

}  // namespace tailwater::mysql
