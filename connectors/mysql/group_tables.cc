#include "mysql/group_tables.h"

#include <utility>

#include "mysql/value_reader.h"

namespace tailwater::mysql {
namespace {

// What walks over the rows of a table that nobody wants: sizes are all it knows. Null: a type that
// we do not know; the rows of such a table count as one per event.
std::shared_ptr<const MappedTable> Uncaptured(const Event& event, const LogFormat& format) {
  auto map = TableMap::Parse(event, format);
  if (!map) return nullptr;
  auto table = std::make_shared<MappedTable>();
  table->readers.reserve(map->columns.size());
  for (MapColumn column : map->columns) {
    column.collation = 0;
    column.labels.clear();
    auto reader = ValueReader::Make(column, nullptr, {}, {});
    if (!reader) return nullptr;
    table->readers.push_back(*std::move(reader));
  }
  table->map = *std::move(map);
  return table;
}

}  // namespace

GroupTables::GroupTables(std::function<bool(const TableName&)> selects, const ValueOptions& values,
                         CatalogFacts& facts)
    : selects_(std::move(selects)), cache_(values, facts) {}

Status GroupTables::Add(const Event& event, const LogFormat& format) {
  TW_ASSIGN_OR_RETURN(const TableMapHead head, TableMapHead::Parse(event, format));
  // From the one name to the other, with what stands between: as unique as both.
  const std::string_view names(
      head.database.data(),
      static_cast<size_t>(head.table.data() + head.table.size() - head.database.data()));
  auto known = known_.find(names);
  if (known == known_.end()) {
    const TableName name{.schema = std::string(head.database), .name = std::string(head.table)};
    known = known_.try_emplace(std::string(names)).first;
    known->second.selected = Selects(name);
  }
  Known& table = known->second;
  if (table.selected) {
    TW_ASSIGN_OR_RETURN(table.table, cache_.Find(event, format));
  } else if (const std::string_view bytes = event.body.substr(format.table_id_bytes);
             table.bytes != bytes) {
    table.bytes = bytes;
    table.table = Uncaptured(event, format);
  }
  for (Entry& entry : entries_) {
    if (entry.id != head.table_id) continue;
    entry = {head.table_id, table.selected, table.table};
    return {};
  }
  entries_.push_back({head.table_id, table.selected, table.table});
  return {};
}

const GroupTables::Entry* GroupTables::Find(uint64_t id) const {
  for (const Entry& entry : entries_) {
    if (entry.id == id) return &entry;
  }
  return nullptr;
}

SchemaPtr GroupTables::SchemaOf(const TableName& name) const {
  for (const auto& [names, known] : known_) {
    if (known.selected && known.table != nullptr && known.table->map.name == name) {
      return known.table->schema;
    }
  }
  return nullptr;
}

void GroupTables::Reset() {
  cache_.Reset();
  known_.clear();
  entries_.clear();
}

}  // namespace tailwater::mysql
