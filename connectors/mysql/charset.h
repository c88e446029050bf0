// Text in the server's character sets, to UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tailwater::mysql {

// One per name, for the process. Threads: any.
class Charset {
 public:
  virtual ~Charset() = default;
  // Null: unknown. "binary" is none: ask before.
  static const Charset* Find(std::string_view mysql_name);

  // Bytes are UTF-8 already (utf8mb4, utf8mb3): to be checked only.
  virtual bool is_utf8() const { return false; }
  // Bytes below 0x80 alone are the same text in UTF-8.
  virtual bool is_ascii_based() const { return true; }
  virtual size_t least_bytes() const { return 1; }  // of one character
  virtual size_t most_bytes() const { return 1; }
  // Appends the text of the longest start of `bytes` that is text of this set; returns its length.
  virtual size_t Convert(std::string_view bytes, std::string& out) const = 0;

  // Appends; false: `bytes` are not text of this set.
  bool ToUtf8(std::string_view bytes, std::string& out) const {
    return Convert(bytes, out) == bytes.size();
  }
  // Appends; what is no text becomes U+FFFD, one for each least_bytes() of it.
  void ToUtf8WithReplacements(std::string_view bytes, std::string& out) const;
};

}  // namespace tailwater::mysql
