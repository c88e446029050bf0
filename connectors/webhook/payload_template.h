// A body of one's own: a map of fields, nested as deep as one likes.
//
//   payload: {user: "{NEW.user_id}", text: "{NEW.email} went to {NEW.plan}", urgent: true}
//
// A value that is one reference and nothing else keeps its JSON type; in a longer text references
// are put in as text. What comes from a row is a JSON string or value of its own, whatever it
// holds: it cannot end a string or add a field. A reference whose value the log did not send makes
// the field null and stands in the list "missing" at the end of the body, which is there only then.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tailwater/config.h"
#include "tailwater/tables.h"
#include "webhook/row_fields.h"
#include "webhook/text_template.h"

namespace tailwater::webhook {

class PayloadTemplate {
 public:
  // Null if there were problems. `node` is a map.
  static std::shared_ptr<const PayloadTemplate> Parse(const ConfigNode& node, Problems& problems);

  // Appends a JSON object. kReject: a value is no UTF-8 or no JSON.
  Status Render(const RowFields& fields, bool wide_integers_as_text, std::string& out) const;

  // Its columns; `entry` is left to the caller.
  const std::vector<ColumnUse>& column_uses() const { return column_uses_; }

 private:
  struct Node {
    enum class Kind : uint8_t { kJson, kText, kMap, kList };
    Kind kind = Kind::kJson;
    std::string name;  // as JSON, in a map
    std::string json;  // kJson: the value
    TextTemplate text;
    std::vector<Node> children;
  };
  struct Rendering;

  void ParseNode(const ConfigNode& config, Node& node, Problems& problems);
  Status RenderNode(const Node& node, Rendering& rendering) const;

  Node root_;
  std::vector<ColumnUse> column_uses_;
};

// The columns of a template, placed where `node` stands.
void AppendColumnUses(const TextTemplate& text, const ConfigNode& node,
                      std::vector<ColumnUse>& uses);

}  // namespace tailwater::webhook
