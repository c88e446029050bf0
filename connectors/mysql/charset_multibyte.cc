#include "mysql/charset_multibyte.h"

#include <iconv.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "mysql/wire_bytes.h"

namespace tailwater::mysql {
namespace {

struct Named {
  std::string_view mysql;
  const char* iconv;
};
constexpr Named kSets[] = {{"big5", "BIG5"}, {"cp932", "CP932"},     {"eucjpms", "EUC-JP-MS"},
                           {"euckr", "UHC"}, {"gb18030", "GB18030"}, {"gb2312", "EUC-CN"},
                           {"gbk", "GBK"},   {"sjis", "SJIS"},       {"ujis", "EUC-JP-MS"}};

// Codes one after the other that the servers map otherwise, to characters one after the other.
struct Exception {
  std::string_view mysql;
  uint32_t code;
  uint16_t character;
  uint16_t count;
};
constexpr Exception kExceptions[] = {{"big5", 0xA145, 0x2022, 1},
                                     {"big5", 0xA14E, 0xFF64, 1},
                                     {"big5", 0xA1C2, 0x203E, 1},
                                     {"big5", 0xA1E3, 0x223C, 1},
                                     {"big5", 0xA1F2, 0x2641, 1},
                                     {"big5", 0xA1F3, 0x2609, 1},
                                     {"big5", 0xA241, 0xFF0F, 1},
                                     {"big5", 0xA242, 0xFF3C, 1},
                                     {"big5", 0xA244, 0xA5, 1},
                                     {"big5", 0xA246, 0xA2, 2},
                                     {"big5", 0xC6A1, 0x30FE, 1},
                                     {"big5", 0xC6A2, 0x309D, 2},
                                     {"big5", 0xC6A4, 0x3005, 1},
                                     {"big5", 0xC6A5, 0x3041, 83},
                                     {"big5", 0xC6F8, 0x30A1, 7},
                                     {"big5", 0xC740, 0x30A8, 63},
                                     {"big5", 0xC7A1, 0x30E7, 16},
                                     {"big5", 0xC7B1, 0x414, 2},
                                     {"big5", 0xC7B3, 0x401, 1},
                                     {"big5", 0xC7B4, 0x416, 7},
                                     {"big5", 0xC7BB, 0x423, 19},
                                     {"big5", 0xC7CE, 0x451, 1},
                                     {"big5", 0xC7CF, 0x436, 26},
                                     {"big5", 0xC7E9, 0x2460, 10},
                                     {"big5", 0xC7F3, 0x2474, 10},
                                     {"ujis", 0x8FA2B7, 0x7E, 1},
                                     {"ujis", 0x8FA2C3, 0xA6, 1},
                                     {"ujis", 0xA1C0, 0x5C, 1},
                                     {"ujis", 0xA1C1, 0x301C, 1},
                                     {"ujis", 0xA1C2, 0x2016, 1},
                                     {"ujis", 0xA1DD, 0x2212, 1},
                                     {"ujis", 0xA1F1, 0xA2, 2},
                                     {"ujis", 0xA2CC, 0xAC, 1},
                                     {"sjis", 0x5C, 0x5C, 1},
                                     {"sjis", 0x7E, 0x7E, 1},
                                     {"sjis", 0x815F, 0x5C, 1},
                                     {"gb18030", 0x82359037, 0x9FB4, 3},
                                     {"gb18030", 0x82359130, 0x9FB7, 5},
                                     {"gb18030", 0x84318236, 0xFE10, 4},
                                     {"gb18030", 0x84318330, 0xFE14, 6},
                                     {"gb18030", 0xA6D9, 0xE78D, 7},
                                     {"gb18030", 0xA6EC, 0xE794, 2},
                                     {"gb18030", 0xA6F3, 0xE796, 1},
                                     {"gb18030", 0xFE51, 0xE816, 3},
                                     {"gb18030", 0xFE59, 0xE81E, 1},
                                     {"gb18030", 0xFE61, 0xE826, 1},
                                     {"gb18030", 0xFE66, 0xE82B, 2},
                                     {"gb18030", 0xFE6C, 0xE831, 2},
                                     {"gb18030", 0xFE76, 0xE83B, 1},
                                     {"gb18030", 0xFE7E, 0xE843, 1},
                                     {"gb18030", 0xFE90, 0xE854, 2},
                                     {"gb18030", 0xFEA0, 0xE864, 1}};

class Iconv {
 public:
  explicit Iconv(const char* name) : handle_(iconv_open("UTF-32LE", name)) {}
  ~Iconv() {
    if (ok()) iconv_close(handle_);
  }
  Iconv(const Iconv&) = delete;
  Iconv& operator=(const Iconv&) = delete;
  bool ok() const { return handle_ != reinterpret_cast<iconv_t>(-1); }

  // The character that `size` bytes of `code`, big end first, are; 0: none, or more than one.
  uint32_t Character(uint32_t code, size_t size) {
    char in[4], out[16];
    for (size_t i = 0; i < size; ++i) in[i] = static_cast<char>(code >> 8 * (size - 1 - i));
    char *next_in = in, *next_out = out;
    size_t left_in = size, left_out = sizeof out;
    iconv(handle_, nullptr, nullptr, nullptr, nullptr);
    if (iconv(handle_, &next_in, &left_in, &next_out, &left_out) != 0 || left_in != 0) return 0;
    iconv(handle_, nullptr, nullptr, &next_out, &left_out);  // EUC and Shift JIS hold one back
    return next_out - out == 4 ? LoadLittle<uint32_t>(out) : 0;
  }

 private:
  const iconv_t handle_;
};

// Codes of four bytes (GB18030) count in a mixed radix.
constexpr uint32_t kFourBase = 12'600, kFourMiddle = 1'260, kFourLow = 10;
constexpr uint32_t kFourInPlane0 = 39'420;     // up to U+FFFF
constexpr uint32_t kFourSupplement = 189'000;  // U+10000

bool FourIndex(const uint8_t* bytes, uint32_t& index) {
  const auto digit = [](uint8_t byte) { return byte >= 0x30 && byte <= 0x39; };
  const auto lead = [](uint8_t byte) { return byte >= 0x81 && byte <= 0xFE; };
  if (!lead(bytes[0]) || !digit(bytes[1]) || !lead(bytes[2]) || !digit(bytes[3])) return false;
  index = (bytes[0] - 0x81U) * kFourBase + (bytes[1] - 0x30U) * kFourMiddle +
          (bytes[2] - 0x81U) * kFourLow + (bytes[3] - 0x30U);
  return true;
}

// Filled once from iconv; 0: no character.
class Multibyte final : public Charset {
 public:
  Multibyte(std::string_view name, Iconv& iconv)
      : has_three_(name == "ujis" || name == "eucjpms"), has_four_(name == "gb18030") {
    for (uint32_t code = 0; code < 0x100; ++code) one_[code] = Narrow(iconv.Character(code, 1));
    two_.resize(0x10000);
    for (uint32_t code = 0x8130; code < 0xFF00; ++code) {
      if (one_[code >> 8] == 0) two_[code] = Narrow(iconv.Character(code, 2));
    }
    if (has_three_) {
      three_.resize(0x10000);
      for (uint32_t code = 0xA1A1; code < 0xFF00; ++code) {
        three_[code] = Narrow(iconv.Character(0x8F0000 | code, 3));
      }
    }
    if (has_four_) {
      four_.resize(kFourInPlane0);
      for (uint32_t i = 0; i < kFourInPlane0; ++i) {
        const uint32_t code = (0x81 + i / kFourBase) << 24 | (0x30 + i / kFourMiddle % 10) << 16 |
                              (0x81 + i / kFourLow % 126) << 8 | (0x30 + i % kFourLow);
        four_[i] = Narrow(iconv.Character(code, 4));
      }
    }
    for (const Exception& exception : kExceptions) {
      if (exception.mysql != name) continue;
      for (uint32_t i = 0; i < exception.count; ++i) {
        Put(exception.code + i, static_cast<uint16_t>(exception.character + i));
      }
    }
  }

  size_t most_bytes() const override { return has_four_ ? 4 : has_three_ ? 3 : 2; }
  size_t Convert(std::string_view bytes, std::string& out) const override {
    const auto* const data = reinterpret_cast<const uint8_t*>(bytes.data());
    size_t i = 0;
    while (i < bytes.size()) {
      uint32_t character = 0;
      const size_t size = Read(data + i, bytes.size() - i, character);
      if (size == 0) break;
      AppendCodePoint(character, out);
      i += size;
    }
    return i;
  }

 private:
  // Outside of the first plane is only what GB18030 computes; surrogates are none.
  static uint16_t Narrow(uint32_t character) {
    const bool surrogate = (character & ~uint32_t{0x7FF}) == 0xD800;
    return character > 0xFFFF || surrogate ? 0 : static_cast<uint16_t>(character);
  }
  void Put(uint32_t code, uint16_t character) {
    if (code < 0x100) {
      one_[code] = character;
    } else if (code < 0x10000) {
      two_[code] = character;
    } else if (code < 0x1000000) {
      three_[code & 0xFFFF] = character;
    } else {
      const uint8_t bytes[] = {static_cast<uint8_t>(code >> 24), static_cast<uint8_t>(code >> 16),
                               static_cast<uint8_t>(code >> 8), static_cast<uint8_t>(code)};
      uint32_t index = 0;
      if (FourIndex(bytes, index) && index < four_.size()) four_[index] = character;
    }
  }
  // Bytes of the first character; 0: there is none.
  size_t Read(const uint8_t* bytes, size_t left, uint32_t& character) const {
    if (bytes[0] == 0) return 1;
    if ((character = one_[bytes[0]]) != 0) return 1;
    if (has_three_ && bytes[0] == 0x8F) {
      if (left < 3) return 0;
      character = three_[static_cast<size_t>(bytes[1] << 8 | bytes[2])];
      return character != 0 ? 3 : 0;
    }
    if (left < 2) return 0;
    if ((character = two_[static_cast<size_t>(bytes[0] << 8 | bytes[1])]) != 0) return 2;
    uint32_t index = 0;
    if (!has_four_ || left < 4 || !FourIndex(bytes, index)) return 0;
    if (index < kFourInPlane0) {
      character = four_[index];
      return character != 0 ? 4 : 0;
    }
    if (index < kFourSupplement || index - kFourSupplement > 0xFFFFF) return 0;
    character = 0x10000 + index - kFourSupplement;
    return 4;
  }

  const bool has_three_;
  const bool has_four_;
  std::array<uint16_t, 0x100> one_{};
  std::vector<uint16_t> two_;
  std::vector<uint16_t> three_;  // behind 8F
  std::vector<uint16_t> four_;
};

}  // namespace

std::unique_ptr<const Charset> MakeMultibyteCharset(std::string_view mysql_name) {
  for (const Named& set : kSets) {
    if (set.mysql != mysql_name) continue;
    Iconv iconv(set.iconv);
    if (!iconv.ok()) return nullptr;
    return std::make_unique<Multibyte>(mysql_name, iconv);
  }
  return nullptr;
}

}  // namespace tailwater::mysql
