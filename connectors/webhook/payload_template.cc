#include "webhook/payload_template.h"

#include <algorithm>

#include "support/change_json.h"

namespace tailwater::webhook {
namespace {

// -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?
bool IsJsonNumber(std::string_view text) {
  size_t i = 0;
  const auto digits = [&] {
    const size_t start = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    return i - start;
  };
  if (i < text.size() && text[i] == '-') ++i;
  const bool leading_zero = i < text.size() && text[i] == '0';
  const size_t whole = digits();
  if (whole == 0 || (leading_zero && whole > 1)) return false;
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (digits() == 0) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

void Add(const ConfigNode& node, const std::string& message, Problems& problems) {
  problems.Add(node.location, node.path + ": " + message);
}

// As JSON; a problem if it is none.
std::string TextJson(std::string_view text, const ConfigNode& node, Problems& problems) {
  std::string json;
  if (const Status status = AppendTextJson(text, json); !status) {
    Add(node, "is no valid UTF-8", problems);
  }
  return json;
}

}  // namespace

struct PayloadTemplate::Rendering {
  const RowFields& fields;
  const bool wide_integers_as_text;
  std::string& out;
  std::vector<std::string> missing;
};

void AppendColumnUses(const TextTemplate& text, const ConfigNode& node,
                      std::vector<ColumnUse>& uses) {
  for (const TextTemplate::Part& part : text.parts()) {
    const auto* reference = std::get_if<Reference>(&part);
    if (reference == nullptr || reference->column.empty()) continue;
    uses.push_back({.before = reference->kind == Reference::Kind::kOld,
                    .column = reference->column,
                    .location = node.location,
                    .path = node.path});
  }
}

std::shared_ptr<const PayloadTemplate> PayloadTemplate::Parse(const ConfigNode& node,
                                                              Problems& problems) {
  const size_t before = problems.list().size();
  auto result = std::make_shared<PayloadTemplate>();
  result->ParseNode(node, result->root_, problems);
  if (const ConfigNode* missing = node.Find("missing")) {
    Add(*missing, "the name 'missing' is taken: it lists what the log did not send; choose another",
        problems);
  }
  return problems.list().size() == before ? result : nullptr;
}

void PayloadTemplate::ParseNode(const ConfigNode& config, Node& node, Problems& problems) {
  switch (config.kind) {
    case ConfigNode::Kind::kNull:
      node.json = "null";
      return;
    case ConfigNode::Kind::kMap:
      node.kind = Node::Kind::kMap;
      for (const ConfigNode::Entry& entry : config.entries) {
        Node& child = node.children.emplace_back();
        child.name = TextJson(entry.key, entry.value, problems);
        ParseNode(entry.value, child, problems);
      }
      return;
    case ConfigNode::Kind::kList:
      node.kind = Node::Kind::kList;
      for (const ConfigNode& item : config.items) {
        ParseNode(item, node.children.emplace_back(), problems);
      }
      return;
    case ConfigNode::Kind::kScalar:
      break;
  }
  if (!config.quoted &&
      (config.scalar == "true" || config.scalar == "false" || IsJsonNumber(config.scalar))) {
    node.json = config.scalar;
    return;
  }
  std::string text;
  const size_t before = problems.list().size();
  ParseScalar(config, text, problems);
  if (problems.list().size() != before) return;
  std::string problem;
  auto parsed = TextTemplate::Parse(text, problem);
  if (!parsed) {
    Add(config, problem, problems);
    return;
  }
  static_cast<void>(TextJson(text, config, problems));
  node.kind = Node::Kind::kText;
  node.text = *std::move(parsed);
  AppendColumnUses(node.text, config, column_uses_);
}

Status PayloadTemplate::RenderNode(const Node& node, Rendering& rendering) const {
  std::string& out = rendering.out;
  switch (node.kind) {
    case Node::Kind::kJson:
      out += node.json;
      return {};
    case Node::Kind::kMap:
    case Node::Kind::kList: {
      const bool map = node.kind == Node::Kind::kMap;
      out += map ? '{' : '[';
      for (const Node& child : node.children) {
        if (&child != &node.children.front()) out += ',';
        if (map) out += child.name + ':';
        TW_TRY(RenderNode(child, rendering));
      }
      out += map ? '}' : ']';
      return {};
    }
    case Node::Kind::kText:
      break;
  }
  if (const Reference* reference = node.text.only_reference()) {
    const FieldValue field = rendering.fields.Get(*reference);
    if (field.missing()) rendering.missing.push_back(reference->ToString());
    const JsonForm form{
        .wide_integers_as_text = rendering.wide_integers_as_text && field.wide_integers,
        .strict = true};
    Status status = AppendValueJson(field.value, out, form);
    if (!status) return std::move(status).error().Within(reference->ToString());
    return {};
  }
  std::string text;
  TW_ASSIGN_OR_RETURN(const bool whole,
                      node.text.Render(rendering.fields, text, rendering.missing));
  if (!whole) {
    out += "null";
    return {};
  }
  Status status = AppendTextJson(text, out);
  if (!status) return std::move(status).error().Within("field " + node.name);
  return {};
}

Status PayloadTemplate::Render(const RowFields& fields, bool wide_integers_as_text,
                               std::string& out) const {
  const size_t start = out.size();
  Rendering rendering{fields, wide_integers_as_text, out, {}};
  TW_TRY(RenderNode(root_, rendering));
  if (rendering.missing.empty()) return {};
  std::vector<std::string>& missing = rendering.missing;
  std::sort(missing.begin(), missing.end());
  missing.erase(std::unique(missing.begin(), missing.end()), missing.end());
  out.pop_back();  // the closing brace
  if (out.size() > start + 1) out += ',';
  out += "\"missing\":[";
  for (const std::string& name : missing) {
    if (&name != &missing.front()) out += ',';
    TW_TRY(AppendTextJson(name, out));
  }
  out += "]}";
  return {};
}

}  // namespace tailwater::webhook
