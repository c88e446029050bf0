#include "mysql/charset.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "mysql/charset_multibyte.h"
#include "mysql/charset_tables.h"
#include "mysql/wire_bytes.h"
#include "support/utf8.h"

namespace tailwater::mysql {
void AppendCodePoint(uint32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

namespace {

class Utf8 final : public Charset {
 public:
  explicit Utf8(size_t most_bytes) : most_bytes_(most_bytes) {}
  bool is_utf8() const override { return true; }
  size_t most_bytes() const override { return most_bytes_; }
  size_t Convert(std::string_view bytes, std::string& out) const override {
    const size_t size = Utf8Prefix(bytes);
    out.append(bytes.substr(0, size));
    return size;
  }

 private:
  const size_t most_bytes_;
};

class Ascii final : public Charset {
 public:
  size_t Convert(std::string_view bytes, std::string& out) const override {
    const size_t size = AsciiPrefix(bytes);
    out.append(bytes.substr(0, size));
    return size;
  }
};

// ucs2, utf16, utf16le, utf32.
class Unicode final : public Charset {
 public:
  Unicode(size_t unit_bytes, bool little, bool surrogates)
      : unit_bytes_(unit_bytes), little_(little), surrogates_(surrogates) {}
  bool is_ascii_based() const override { return false; }
  size_t least_bytes() const override { return unit_bytes_; }
  size_t most_bytes() const override { return surrogates_ ? 4 : unit_bytes_; }
  size_t Convert(std::string_view bytes, std::string& out) const override {
    size_t i = 0;
    while (i + unit_bytes_ <= bytes.size()) {
      uint64_t code = Unit(bytes.data() + i);
      size_t size = unit_bytes_;
      if (surrogates_ && (code & 0xFC00) == 0xD800) {
        if (i + 4 > bytes.size()) return i;
        const uint64_t low = Unit(bytes.data() + i + 2);
        if ((low & 0xFC00) != 0xDC00) return i;
        code = 0x10000 + ((code & 0x3FF) << 10 | (low & 0x3FF));
        size = 4;
      }
      if (code > 0x10FFFF || (code & ~uint64_t{0x7FF}) == 0xD800) return i;
      AppendCodePoint(static_cast<uint32_t>(code), out);
      i += size;
    }
    return i;
  }

 private:
  uint64_t Unit(const char* bytes) const {
    return little_ ? LoadLittle(bytes, unit_bytes_) : LoadBig(bytes, unit_bytes_);
  }
  const size_t unit_bytes_;
  const bool little_;
  const bool surrogates_;
};

// cp1252; the five bytes that it leaves open are the control characters of that number.
class Latin1 final : public Charset {
 public:
  size_t Convert(std::string_view bytes, std::string& out) const override {
    static constexpr uint16_t kWindows[32] = {
        0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};
    for (const char c : bytes) {
      const auto byte = static_cast<uint8_t>(c);
      AppendCodePoint(byte >= 0x80 && byte < 0xA0 ? kWindows[byte - 0x80] : byte, out);
    }
    return bytes.size();
  }
};

class SingleByte final : public Charset {
 public:
  explicit SingleByte(std::u16string_view high) : high_(high) {}
  size_t Convert(std::string_view bytes, std::string& out) const override {
    for (size_t i = 0; i < bytes.size(); ++i) {
      const auto byte = static_cast<uint8_t>(bytes[i]);
      const char16_t character = byte < 0x80 ? byte : high_[byte - 0x80U];
      if (character == 0xFFFD) return i;
      AppendCodePoint(character, out);
    }
    return bytes.size();
  }

 private:
  const std::u16string_view high_;
};

// Seven bits, some of them Swedish.
class Swe7 final : public Charset {
 public:
  bool is_ascii_based() const override { return false; }
  size_t Convert(std::string_view bytes, std::string& out) const override {
    static constexpr std::string_view kBytes = "@[\\]^`{|}~";
    static constexpr uint16_t kMeant[] = {0xC9, 0xC4, 0xD6, 0xC5, 0xDC,
                                          0xE9, 0xE4, 0xF6, 0xE5, 0xFC};
    for (size_t i = 0; i < bytes.size(); ++i) {
      const auto byte = static_cast<uint8_t>(bytes[i]);
      if (byte >= 0x7F) return i;
      const size_t swedish = kBytes.find(bytes[i]);
      AppendCodePoint(swedish == std::string_view::npos ? byte : kMeant[swedish], out);
    }
    return bytes.size();
  }
};

std::unique_ptr<const Charset> MakeCharset(std::string_view name) {
  if (name == "utf8mb4") return std::make_unique<Utf8>(4);
  if (name == "utf8mb3" || name == "utf8") return std::make_unique<Utf8>(3);
  if (name == "ascii") return std::make_unique<Ascii>();
  if (name == "latin1") return std::make_unique<Latin1>();
  if (name == "ucs2") return std::make_unique<Unicode>(2, false, false);
  if (name == "utf16") return std::make_unique<Unicode>(2, false, true);
  if (name == "utf16le") return std::make_unique<Unicode>(2, true, true);
  if (name == "utf32") return std::make_unique<Unicode>(4, false, false);
  if (name == "swe7") return std::make_unique<Swe7>();
  for (const SingleByteTable& table : SingleByteTables()) {
    if (table.name == name) return std::make_unique<SingleByte>(table.high);
  }
  return MakeMultibyteCharset(name);
}

}  // namespace

// Made when first asked for: tables of the great ones take some milliseconds.
const Charset* Charset::Find(std::string_view mysql_name) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<const Charset>, std::less<>> made;
  const std::lock_guard lock(mutex);
  const auto found = made.find(mysql_name);
  if (found != made.end()) return found->second.get();
  auto charset = MakeCharset(mysql_name);
  if (charset == nullptr) return nullptr;
  return made.emplace(mysql_name, std::move(charset)).first->second.get();
}

void Charset::ToUtf8WithReplacements(std::string_view bytes, std::string& out) const {
  for (;;) {
    bytes.remove_prefix(Convert(bytes, out));
    if (bytes.empty()) return;
    out += "\xEF\xBF\xBD";
    bytes.remove_prefix(std::min(least_bytes(), bytes.size()));
  }
}

}  // namespace tailwater::mysql
