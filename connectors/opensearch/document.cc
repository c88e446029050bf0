#include "opensearch/document.h"

#include <openssl/evp.h>

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

Status AppendFieldValue(const Value& value, std::string& out) {
  if (value.has_value() && value.type() == ValueType::kBytes) {
    AppendBase64(value.bytes(), out);
    return {};
  }
  const size_t start = out.size();
  TW_TRY(AppendValueJson(value, out, {.strict = true}));
  if (!value.has_value() || value.type() != ValueType::kArray || out[start] != '{') return {};
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
