// Looks into JSON text without changing it: what is not asked for stays the bytes that were sent,
// so a number of any length and a document's own spelling survive.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tailwater::opensearch {

// One value. A view: the text outlives it.
class JsonView {
 public:
  // Nothing if the text is not one whole JSON value. Depth costs no stack.
  static std::optional<JsonView> Parse(std::string_view text);

  std::string_view raw() const { return raw_; }
  bool is_object() const { return raw_[0] == '{'; }
  bool is_array() const { return raw_[0] == '['; }
  bool is_string() const { return raw_[0] == '"'; }
  bool is_true() const { return raw_ == "true"; }

  // A text without quotes and escapes; any other value as it stands.
  std::string Text() const;
  std::optional<int64_t> Integer() const;

  // The member of an object; nothing if there is none, or this is no object.
  std::optional<JsonView> Find(std::string_view name) const;
  // Find() of one after the other.
  template <class... Names>
  std::optional<JsonView> Find(std::string_view name, Names... inner) const {
    const auto found = Find(name);
    return found ? found->Find(inner...) : std::nullopt;
  }

  // Calls f(std::string name, JsonView value) for each member of an object.
  template <class F>
  void ForEachMember(F f) const {
    if (!is_object()) return;
    for (size_t at = SkipBlank(1); raw_[at] != '}';) {
      const size_t name_end = ValueEnd(at);
      const JsonView name(raw_.substr(at, name_end - at));
      at = SkipBlank(SkipBlank(name_end) + 1);  // the colon
      const size_t end = ValueEnd(at);
      f(name.Text(), JsonView(raw_.substr(at, end - at)));
      at = SkipBlank(end);
      if (raw_[at] == ',') at = SkipBlank(at + 1);
    }
  }
  // Calls f(JsonView element) for each element of an array.
  template <class F>
  void ForEachElement(F f) const {
    if (!is_array()) return;
    for (size_t at = SkipBlank(1); raw_[at] != ']';) {
      const size_t end = ValueEnd(at);
      f(JsonView(raw_.substr(at, end - at)));
      at = SkipBlank(end);
      if (raw_[at] == ',') at = SkipBlank(at + 1);
    }
  }

 private:
  explicit JsonView(std::string_view raw) : raw_(raw) {}
  size_t SkipBlank(size_t at) const;
  size_t ValueEnd(size_t at) const;

  std::string_view raw_;
};

// Appends a text in quotes, escaped. The text is UTF-8.
void AppendQuoted(std::string_view text, std::string& out);
bool IsUtf8(std::string_view text);

}  // namespace tailwater::opensearch
