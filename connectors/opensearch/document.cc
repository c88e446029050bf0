#include "opensearch/document.h"

#include <openssl/evp.h>
#include <rapidjson/document.h>

#include <map>
#include <set>
#include <vector>

#include "opensearch/document_id.h"
#include "support/change_json.h"
#include "support/text.h"
#include "tailwater/sink.h"

namespace tailwater::opensearch {
namespace {

// The form of the `binary` type.
void AppendBase64(std::string_view bytes, std::string& out) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // the library writes a final zero
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  out += '"';
  out += text;
  out += '"';
}

// A bulk request has one document per line; line breaks stand between tokens only.
void AppendOnOneLine(std::string_view json, std::string& out) {
  for (const char c : json) out += c == '\n' || c == '\r' ? ' ' : c;
}

// Whether an object of this valid JSON has two members of one name. False also if it holds a name
// with half of a surrogate pair, which cannot be compared.
bool NamesAMemberTwice(std::string_view json) {
  std::vector<std::set<std::string>> open;  // the names in the objects around
  bool twice = false;
  for (size_t at = 0; at < json.size(); ++at) {
    if (json[at] == '{') open.emplace_back();
    if (json[at] == '}') open.pop_back();
    if (json[at] != '"') continue;
    const size_t start = at;
    bool escaped = false;
    for (++at; json[at] != '"'; ++at) {
      if (json[at] != '\\') continue;
      escaped = true;
      ++at;
    }
    const size_t next = json.find_first_not_of(" \t\r\n", at + 1);
    if (next == json.npos || json[next] != ':') continue;
    std::string name(json.substr(start + 1, at - start - 1));
    if (escaped) {
      rapidjson::Document document;
      document.Parse(json.data() + start, at + 1 - start);
      if (document.HasParseError()) return false;
      name.assign(document.GetString(), document.GetStringLength());
    }
    if (!open.back().insert(std::move(name)).second) twice = true;
  }
  return twice;
}

// Deeper ones are refused by every server that is not told otherwise.
constexpr int kDeepestJson = 1000;

// Of members with one name the last, as jsonb and most readers have it.
void AppendLastMembers(JsonView json, int depth, std::string& out) {
  const size_t start = out.size();
  const auto separate = [&] {
    if (out.size() > start + 1) out += ',';
  };
  if (depth < kDeepestJson && json.is_object()) {
    std::map<std::string, JsonView> members;
    json.ForEachMember(
        [&](const std::string& name, JsonView value) { members.insert_or_assign(name, value); });
    out += '{';
    for (const auto& [name, value] : members) {
      separate();
      AppendQuoted(name, out);
      out += ':';
      AppendLastMembers(value, depth + 1, out);
    }
    out += '}';
  } else if (depth < kDeepestJson && json.is_array()) {
    out += '[';
    json.ForEachElement([&](JsonView element) {
      separate();
      AppendLastMembers(element, depth + 1, out);
    });
    out += ']';
  } else {
    out += json.raw();
  }
}

Status AppendFieldValue(const Value& value, std::string& out) {
  if (value.has_value() && value.type() == ValueType::kBytes) {
    AppendBase64(value.bytes(), out);
    return {};
  }
  const size_t start = out.size();
  TW_TRY(AppendValueJson(value, out, {.strict = true}));
  if (!value.has_value()) return {};
  const bool is_array = value.type() == ValueType::kArray;
  if ((is_array || value.type() == ValueType::kJson) &&
      NamesAMemberTwice(std::string_view(out).substr(start))) {
    // The server would refuse the whole document.
    const std::string all = out.substr(start);
    out.resize(start);
    AppendLastMembers(*JsonView::Parse(all), 0, out);
  }
  if (!is_array || out[start] != '{') return {};
  // An array that does not count from 1: a search wants its elements only.
  const auto array = JsonView::Parse(std::string_view(out).substr(start));
  const std::string elements(array->Find("elements")->raw());
  out.replace(start, out.size() - start, elements);
  return {};
}

void AppendMeta(const TablePlan& plan, int64_t version, std::optional<int64_t> refused,
                std::string& out) {
  AppendQuoted(kMetaField, out);
  out += R"(:{"origin":)";
  AppendQuoted(plan.origin, out);
  out += fmt::format(R"(,"version":{})", version);
  if (refused) out += fmt::format(R"(,"refused":{})", *refused);
  out += '}';
}

}  // namespace

Result<DocumentPlace> PlaceOfRow(const TablePlan& plan, const TableSchema& schema, Row key_row) {
  DocumentPlace place;
  place.index = plan.index;
  TW_ASSIGN_OR_RETURN(place.id, DocumentId(plan.origin, schema, key_row, plan.id_columns));
  if (plan.routing) {
    AppendReadable(key_row[*plan.routing], place.routing);
    if (!IsUtf8(place.routing)) {
      return Error{Disposition::kReject, "text_not_utf8",
                   "the column of `routing` holds bytes that are no UTF-8"};
    }
  }
  return place;
}

Status AppendDocument(const TablePlan& plan, const TableSchema& schema, Row row, int64_t version,
                      const std::optional<JsonView>& base, std::string& out) {
  out += '{';
  for (const PlannedField& field : plan.fields) {
    out += field.quoted;
    const Value& value = row[field.column];
    if (value.is_unchanged()) {
      const auto held = base ? base->Find(field.name) : std::nullopt;
      if (!held) {
        return Error{Disposition::kReject, kBaseMissing,
                     fmt::format("column {} is unchanged, and the index does not hold it",
                                 schema.columns()[field.column].name)};
      }
      AppendOnOneLine(held->raw(), out);
    } else if (Status status = AppendFieldValue(value, out); !status) {
      return std::move(status).error().Within("column " + schema.columns()[field.column].name);
    }
    out += ',';
  }
  AppendMeta(plan, version, std::nullopt, out);
  out += '}';
  return {};
}

void AppendMarkedDocument(const TablePlan& plan, JsonView document, int64_t version,
                          int64_t refused, std::string& out) {
  out += '{';
  document.ForEachMember([&](const std::string& name, JsonView value) {
    if (name == kMetaField) return;
    AppendQuoted(name, out);
    out += ':';
    AppendOnOneLine(value.raw(), out);
    out += ',';
  });
  AppendMeta(plan, version, refused, out);
  out += '}';
}

void AppendActionLine(std::string_view action, const DocumentPlace& place, int64_t version,
                      std::string& out) {
  out += R"({")";
  out += action;
  out += R"(":{"_index":)";
  AppendQuoted(place.index, out);
  out += R"(,"_id":)";
  AppendQuoted(place.id, out);
  if (!place.routing.empty()) {
    out += R"(,"routing":)";
    AppendQuoted(place.routing, out);
  }
  out += fmt::format(R"(,"version":{},"version_type":"external_gte"}}}})", version);
  out += '\n';
}

}  // namespace tailwater::opensearch
