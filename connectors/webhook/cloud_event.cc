#include "webhook/cloud_event.h"

#include "support/change_json.h"
#include "support/text.h"
#include "webhook/change_data.h"
#include "webhook/encoding.h"

namespace tailwater::webhook {

Result<CloudEvent> CloudEvent::Make(std::string_view pipeline, const RowFields& fields) {
  const Change& change = fields.change();
  CloudEvent event;
  const auto add = [&](std::string_view name, std::string value) {
    if (!value.empty()) event.attributes.emplace_back(name, std::move(value));
  };
  TW_ASSIGN_OR_RETURN(const std::string key, KeyText(change));
  add("specversion", "1.0");
  add("id", fields.id());
  add("source", fmt::format("/tailwater/{}/{}", pipeline, change.source));
  add("type", "tailwater." + TypeName(change));
  add("subject", key);
  add("time", CommitTime(change));
  add("partitionkey",
      key.empty() ? std::string(change.table) : fmt::format("{}:{}", change.table, key));
  add("sequence", fmt::format("{:019}", change.version));
  add("traceparent", std::string(ValidTraceparent(change.traceparent)));
  return event;
}

void CloudEvent::AppendHeaders(std::vector<std::pair<std::string, std::string>>& headers) const {
  for (const auto& [name, value] : attributes) {
    std::string& text = headers.emplace_back("ce-" + std::string(name), "").second;
    AppendHeaderText(value, text);
  }
}

Status CloudEvent::AppendJson(std::string_view data, std::string& out) const {
  out += '{';
  for (const auto& [name, value] : attributes) {
    out.append("\"").append(name).append("\":");
    TW_TRY(AppendTextJson(value, out));
    out += ',';
  }
  out.append("\"datacontenttype\":\"application/json\",\"data\":").append(data).append("}");
  return {};
}

std::string_view ValidTraceparent(std::string_view text) {
  // 00-<32 hex>-<16 hex>-<2 hex>
  if (text.size() != 55) return {};
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 2 || i == 35 || i == 52;
    const bool hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
    if (dash ? text[i] != '-' : !hex) return {};
  }
  return text;
}

}  // namespace tailwater::webhook
