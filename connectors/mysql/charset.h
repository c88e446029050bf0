// Text in the server's character sets, to UTF-8.
#pragma once

#include <string>
#include <string_view>

namespace tailwater::mysql {

// One per name, for the process. Threads: any.
class Charset {
 public:
  virtual ~Charset() = default;
  // Null: unknown. "binary" is none: ask before.
  static const Charset* Find(std::string_view mysql_name);
  // UTF-8 already (utf8mb4, utf8mb3, ascii): bytes are only checked.
  virtual bool is_utf8() const = 0;
  // Appends; false: `bytes` are not text of this set.
  virtual bool ToUtf8(std::string_view bytes, std::string& out) const = 0;
};

bool IsUtf8(std::string_view bytes);

}  // namespace tailwater::mysql
