#include "webhook/text_template.h"

#include <algorithm>

namespace tailwater::webhook {
namespace {

// The brace that ends a reference; one within double quotes does not.
size_t FindEnd(std::string_view text, size_t from) {
  bool quoted = false;
  for (size_t i = from; i < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (text[i] == '}' && !quoted) return i;
  }
  return text.npos;
}

}  // namespace

std::optional<TextTemplate> TextTemplate::Parse(std::string_view text, std::string& problem) {
  TextTemplate result;
  std::string literal;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c == '{' || c == '}') && i + 1 < text.size() && text[i + 1] == c) {
      literal += c;
      ++i;
      continue;
    }
    if (c != '{') {
      literal += c;
      continue;
    }
    const size_t end = FindEnd(text, i + 1);
    if (end == text.npos) {
      problem = "'{' has no closing '}'; write {{ for a brace";
      return std::nullopt;
    }
    auto reference = Reference::Parse(text.substr(i + 1, end - i - 1), problem);
    if (!reference) return std::nullopt;
    if (!literal.empty()) result.parts_.emplace_back(std::move(literal));
    literal.clear();
    result.parts_.emplace_back(*std::move(reference));
    i = end;
  }
  if (!literal.empty()) result.parts_.emplace_back(std::move(literal));
  return result;
}

const Reference* TextTemplate::only_reference() const {
  return parts_.size() == 1 ? std::get_if<Reference>(&parts_[0]) : nullptr;
}

bool TextTemplate::has_references() const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [](const Part& part) { return std::holds_alternative<Reference>(part); });
}

Result<bool> TextTemplate::Render(const RowFields& fields, std::string& out,
                                  std::vector<std::string>& missing) const {
  bool whole = true;
  for (const Part& part : parts_) {
    if (const auto* literal = std::get_if<std::string>(&part)) {
      out += *literal;
      continue;
    }
    const Reference& reference = std::get<Reference>(part);
    const FieldValue field = fields.Get(reference);
    if (field.missing()) {
      missing.push_back(reference.ToString());
      whole = false;
    } else {
      TW_TRY(AppendFieldText(field.value, out));
    }
  }
  return whole;
}

}  // namespace tailwater::webhook
