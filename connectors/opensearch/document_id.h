// The `_id` of a row's document: "shop:public.orders:42", for several key columns
// "shop:public.seats:3,17".
//
// Always with source and table, so rows of different tables or databases never meet in one index.
// One to one: what parts the pieces is written %XX inside of them. An id longer than 512 bytes,
// which no server takes, becomes "shop:public.orders:#" and a SHA-256 of the whole.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tailwater/change.h"
#include "tailwater/result.h"

namespace tailwater::opensearch {

// "shop:public.orders"
std::string OriginOf(std::string_view source, std::string_view table);

// kReject "text_not_utf8"; kReject "opensearch_key_incomplete": the record lacks a key column.
Result<std::string> DocumentId(std::string_view origin, const TableSchema& schema, Row key_row,
                               std::span<const uint32_t> columns);

}  // namespace tailwater::opensearch
