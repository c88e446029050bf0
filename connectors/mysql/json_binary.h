// MySQL's binary JSON (PROTOCOLS B10) to the text that the server makes of it. Pure; every offset,
// depth and size is checked, and work is bounded by the document's length.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tailwater::mysql {

enum class JsonType : uint8_t {
  kSmallObject = 0,
  kLargeObject = 1,
  kSmallArray = 2,
  kLargeArray = 3,
  kLiteral = 4,
  kInt16 = 5,
  kUint16 = 6,
  kInt32 = 7,
  kUint32 = 8,
  kInt64 = 9,
  kUint64 = 10,
  kDouble = 11,
  kString = 12,
  kOpaque = 15,
};

constexpr int kMostJsonDepth = 100;  // the server's

// One value: what its type is, and its bytes with whatever may follow them.
struct JsonValue {
  JsonType type{};
  std::string_view bytes;

  bool is_object() const { return type <= JsonType::kLargeObject; }
  bool is_array() const { return type == JsonType::kSmallArray || type == JsonType::kLargeArray; }
  // Of a document; an empty one is null, as rows have it that are older than their column.
  static bool OfDocument(std::string_view document, JsonValue& out);
};

// What is in an object or array.
class JsonContainer {
 public:
  // False: its bytes are none.
  bool Open(const JsonValue& value);
  uint32_t count() const { return count_; }
  bool Key(uint32_t index, std::string_view& out) const;  // objects
  bool Element(uint32_t index, JsonValue& out) const;
  // Bytes of its tables: what an honest document has for it alone.
  size_t own_bytes() const { return values_at_ + size_t{count_} * value_entry_; }

 private:
  std::string_view bytes_;
  uint32_t count_ = 0;
  uint8_t offset_size_ = 2;
  size_t keys_at_ = 0;
  size_t values_at_ = 0;
  size_t value_entry_ = 3;
};

// Appends. False: malformed; `budget` is what bytes of a document are left for scalars.
bool AppendJsonScalar(const JsonValue& value, size_t& budget, std::string& out);
void AppendJsonString(std::string_view text, std::string& out);

// Appends the document's text. False: malformed.
bool AppendJsonText(std::string_view document, std::string& out);

}  // namespace tailwater::mysql
