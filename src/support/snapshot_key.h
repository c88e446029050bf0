// What the snapshot readers of databases share: names that come back as text, and places in a table
// as SnapshotKey.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/schema.h"
#include "tailwater/snapshot.h"

namespace tailwater {

// "public.orders", parts quoted as TableName::ToString() does. Nothing: it is no such name.
std::optional<TableName> ParseTableName(std::string_view text);

// Values of a key's columns, behind words that say which key it is: the place of another key is
// recognised.
SnapshotKey PackKey(std::string_view signature, const std::vector<std::string>& values);
std::optional<std::vector<std::string>> UnpackKey(const SnapshotKey& key,
                                                  std::string_view signature, size_t columns);

}  // namespace tailwater
