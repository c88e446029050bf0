// The document of a row, as JSON, and the lines of a bulk request.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "opensearch/json_view.h"
#include "opensearch/table_plan.h"
#include "tailwater/change.h"

namespace tailwater::opensearch {

struct DocumentPlace {
  std::string index;
  std::string id;
  std::string routing;  // empty: none
};

// The id and the shard of a row. As DocumentId().
Result<DocumentPlace> PlaceOfRow(const TablePlan& plan, const TableSchema& schema, Row key_row);

// Appends {field: value, …, "_tailwater": {origin, version}}. What is `unchanged` is copied from
// `base`, the document that the index holds, to the byte; omitted columns become null. kReject
// kBaseMissing: an unchanged column without a base, or the base lacks it. kReject "text_not_utf8",
// "json_malformed"; kFatal "record_malformed".
Status AppendDocument(const TablePlan& plan, const TableSchema& schema, Row row, int64_t version,
                      const std::optional<JsonView>& base, std::string& out);

// Appends a document that is held already, marked: the change of version `refused` of its row was
// refused, so it is no base for what comes behind that.
void AppendMarkedDocument(const TablePlan& plan, JsonView document, int64_t version,
                          int64_t refused, std::string& out);

// Appends the first line of an `index` or `delete`, with its end.
void AppendActionLine(std::string_view action, const DocumentPlace& place, int64_t version,
                      std::string& out);

}  // namespace tailwater::opensearch
