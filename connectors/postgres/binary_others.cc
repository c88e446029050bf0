// Types whose value is the server's text, written here as the server would. pg_lsn is not among
// them: how many digits it has depends on the version.
#include <algorithm>
#include <charconv>
#include <cstdint>

#include "postgres/big_endian.h"
#include "postgres/binary_values.h"

namespace tailwater::postgres {
namespace {

template <class Int>
char* PutNumber(Int number, char* next, int base = 10) {
  return std::to_chars(next, next + 20, number, base).ptr;
}

char* PutHexByte(char byte, char* next) {
  constexpr char kDigits[] = "0123456789abcdef";
  *next++ = kDigits[static_cast<uint8_t>(byte) >> 4];
  *next++ = kDigits[static_cast<uint8_t>(byte) & 15];
  return next;
}

bool Finish(const char* text, const char* end, ChangeBatch& batch, Value& out) {
  out = Value::Other(batch.arena().Copy({text, static_cast<size_t>(end - text)}));
  return true;
}

char* PutV4(const char* address, char* next) {
  for (int i = 0; i < 4; ++i) {
    if (i != 0) *next++ = '.';
    next = PutNumber(static_cast<unsigned>(static_cast<uint8_t>(address[i])), next);
  }
  return next;
}

// "::" for the first of the longest runs of two zeros or more; the end as IPv4 where the address
// embeds one.
char* PutV6(const char* address, char* next) {
  uint16_t words[8];
  for (int i = 0; i < 8; ++i) words[i] = LoadBig<uint16_t>(address + 2 * i);
  int best = -1, best_length = 1;
  for (int i = 0; i < 8; ++i) {
    int length = 0;
    while (i + length < 8 && words[i + length] == 0) ++length;
    if (length > best_length) best = i, best_length = length;
    i += length;
  }
  for (int i = 0; i < 8; ++i) {
    if (best >= 0 && i >= best && i < best + best_length) {
      if (i == best) *next++ = ':';
      continue;
    }
    if (i != 0) *next++ = ':';
    if (i == 6 && best == 0 && (best_length == 6 || (best_length == 5 && words[5] == 0xffff))) {
      return PutV4(address + 12, next);
    }
    next = PutNumber(static_cast<unsigned>(words[i]), next, 16);
  }
  if (best >= 0 && best + best_length == 8) *next++ = ':';
  return next;
}

}  // namespace

bool DecodeOtherText(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Other(bytes);
  return true;
}

bool DecodeJsonpath(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out) {
  if (bytes.empty() || bytes[0] != 1) return false;  // the version of the form
  out = Value::Other(bytes.substr(1));
  return true;
}

bool DecodeXid(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out) {
  if (bytes.size() != 4) return false;
  char text[20];
  return Finish(text, PutNumber(LoadBig<uint32_t>(bytes.data()), text), batch, out);
}

bool DecodeTid(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out) {
  if (bytes.size() != 6) return false;
  char text[48];
  char* next = text;
  *next++ = '(';
  next = PutNumber(LoadBig<uint32_t>(bytes.data()), next);
  *next++ = ',';
  next = PutNumber(static_cast<unsigned>(LoadBig<uint16_t>(bytes.data() + 4)), next);
  *next++ = ')';
  return Finish(text, next, batch, out);
}

// Family, bits of the mask, whether it is a cidr, bytes of the address, the address.
bool DecodeInet(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out) {
  if (bytes.size() < 4) return false;
  const bool v6 = bytes[0] == 3;
  const auto bits = static_cast<uint8_t>(bytes[1]);
  const size_t size = v6 ? 16 : 4;
  if ((!v6 && bytes[0] != 2) || static_cast<uint8_t>(bytes[2]) > 1 ||
      static_cast<uint8_t>(bytes[3]) != size || bytes.size() != 4 + size || bits > size * 8) {
    return false;
  }
  char text[80];
  char* next = v6 ? PutV6(bytes.data() + 4, text) : PutV4(bytes.data() + 4, text);
  if (bytes[2] == 1 || bits != size * 8) {
    *next++ = '/';
    next = PutNumber(static_cast<unsigned>(bits), next);
  }
  return Finish(text, next, batch, out);
}

bool DecodeMacaddr(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out) {
  if (bytes.size() != 6 && bytes.size() != 8) return false;
  char text[24];
  char* next = text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i != 0) *next++ = ':';
    next = PutHexByte(bytes[i], next);
  }
  return Finish(text, next, batch, out);
}

// How many, then eight to a byte, the first in the highest bit.
bool DecodeBits(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out) {
  if (bytes.size() < 4) return false;
  const auto count = LoadBig<uint32_t>(bytes.data());
  if (bytes.size() - 4 != (uint64_t{count} + 7) / 8) return false;
  char* const text = batch.arena().Allocate(count, 1);
  for (size_t i = 0; i < count; ++i) {
    text[i] = static_cast<char>('0' + (static_cast<uint8_t>(bytes[4 + i / 8]) >> (7 - i % 8) & 1));
  }
  out = Value::Other({text, count});
  return true;
}

// "xmin:xmax:xip,xip"
bool DecodeSnapshot(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out) {
  if (bytes.size() < 20) return false;
  const auto count = LoadBig<uint32_t>(bytes.data());
  if (bytes.size() - 20 != uint64_t{count} * 8) return false;
  const size_t numbers = 2 + size_t{count};
  char* const text = batch.arena().Allocate(numbers * 21, 1);
  char* next = text;
  for (size_t i = 0; i < numbers; ++i) {
    if (i != 0) *next++ = i < 3 ? ':' : ',';
    next = PutNumber(LoadBig<uint64_t>(bytes.data() + 4 + 8 * i), next);
  }
  if (count == 0) *next++ = ':';
  out = Value::Other({text, static_cast<size_t>(next - text)});
  return true;
}

}  // namespace tailwater::postgres
