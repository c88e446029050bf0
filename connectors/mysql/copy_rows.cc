#include "mysql/copy_rows.h"

#include <algorithm>

#include "support/text.h"

namespace tailwater::mysql {

CopiedRows::CopiedRows(const MappedTable& table, const KeyOrder& order)
    : table_(table), order_(order) {
  const std::vector<MapColumn>& columns = table.map.columns;
  for (size_t i = 0; i < columns.size(); ++i) {
    select_ += (i == 0 ? "" : ", ") +
               table.readers[i].SelectExpression(Connection::QuoteName(columns[i].name));
  }
  const std::vector<std::string> places = order.Select();
  size_t cells = columns.size();
  for (size_t i = 0; i < places.size(); ++i) {
    if (order.TextOf(i) == KeyOrder::Text::kOther) {
      select_ += ", " + places[i];
      key_cells_.push_back(cells++);
      continue;
    }
    const auto column = std::find_if(
        columns.begin(), columns.end(),
        [&](const MapColumn& candidate) { return candidate.name == order.columns()[i].name; });
    key_cells_.push_back(static_cast<size_t>(column - columns.begin()));
  }
  key_.resize(places.size());
}

Status CopiedRows::Add(Connection::Cells cells, ChangeBatch& batch) {
  const size_t columns = table_.readers.size();
  const std::span<Value> row = batch.NewRow(columns);
  for (size_t i = 0; i < columns; ++i) {
    if (cells[i].data() == nullptr) {
      row[i] = Value::Null();
      continue;
    }
    // Values are views of their text.
    const std::string_view text = batch.arena().Copy(cells[i]);
    Result<Value> value = table_.readers[i].ReadText(text, batch);
    if (!value) {
      return std::move(value).error().Within(
          fmt::format("{}.{}", table_.schema->table(), table_.map.columns[i].name));
    }
    row[i] = *value;
  }
  for (size_t i = 0; i < key_.size(); ++i) {
    const std::string_view cell = cells[key_cells_[i]];
    if (order_.TextOf(i) == KeyOrder::Text::kHex) {
      key_[i] = KeyOrder::Hex(cell);
    } else {
      key_[i] = cell;
    }
  }
  Change& change = batch.Append();
  change.operation = Operation::kRead;
  change.schema = table_.schema.get();
  change.table = table_.schema->table();
  change.after = row;
  return {};
}

}  // namespace tailwater::mysql
