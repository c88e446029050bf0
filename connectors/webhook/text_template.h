// A text with references in braces: "Plan of {NEW.email} went to {NEW.plan}"; {{ and }} stand for
// the braces themselves.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "webhook/row_fields.h"

namespace tailwater::webhook {

class TextTemplate {
 public:
  using Part = std::variant<std::string, Reference>;

  // Nothing, and the problem in words, for a brace that begins no reference.
  static std::optional<TextTemplate> Parse(std::string_view text, std::string& problem);

  // The reference that is all of the text; null if there is more, or less.
  const Reference* only_reference() const;
  bool has_references() const;
  const std::vector<Part>& parts() const { return parts_; }

  // Appends the text. False: a reference is missing, whose name was appended to `missing`.
  Result<bool> Render(const RowFields& fields, std::string& out,
                      std::vector<std::string>& missing) const;

 private:
  std::vector<Part> parts_;
};

}  // namespace tailwater::webhook
