// What a call says about one change, as JSON, and the names that it goes by.
#pragma once

#include <string>

#include "webhook/row_fields.h"

namespace tailwater::webhook {

// "public.user_plans.update": table and operation in letters, digits, dots and underscores;
// "message.<prefix>" for a logical message.
std::string TypeName(const Change& change);

// The commit time, 2026-01-31T12:00:00.5Z; empty if it is not known.
std::string CommitTime(const Change& change);

// The key's values as text, parted by commas (a comma or percent sign within one is %XX where there
// are several); empty for what has no key.
Result<std::string> KeyText(const Change& change);

// Appends
//   {"id":"shop:7:0/16B3748:0:0","op":"update","source":"shop","table":"public.user_plans",
//    "key":{"id":1},"before":{…},"after":{…},"changed":["plan"],"version":"60129542144123",
//    "time":"2026-01-31T12:00:00.5Z","transaction":"741"}
// `changed` stands in updates alone, and is null if the log did not send the old row. "unchanged"
// and "omitted" name columns of `after` that the log did not send, "snapshot" is true for a copied
// row: these appear only where they apply. Thin: no before and after. A logical message has
// "prefix", and "content" or, where that is no UTF-8, "content_base64".
// kReject "text_not_utf8", "json_malformed"; kFatal "record_malformed".
Status AppendChangeData(const RowFields& fields, bool thin, bool wide_integers_as_text,
                        std::string& out);

}  // namespace tailwater::webhook
