#include "pipeline/column_omitter.h"

#include <algorithm>
#include <utility>

namespace tailwater {
namespace {

size_t Bytes(Row row, size_t column) {
  if (column >= row.size() || !row[column].has_value()) return 0;
  return Value::IsBytes(row[column].type()) ? row[column].bytes().size() : sizeof(int64_t);
}

void OmitColumn(std::vector<Value>& row, size_t column) {
  if (column < row.size() && row[column].has_value()) row[column] = Value::Omitted();
}

}  // namespace

std::vector<std::string> ColumnOmitter::Omit(Change& change, size_t bytes) {
  if (change.schema == nullptr) return {};
  const auto& columns = change.schema->columns();
  std::vector<std::pair<size_t, size_t>> largest;  // bytes, column
  for (size_t column = 0; column < columns.size(); ++column) {
    const size_t size = Bytes(change.before, column) + Bytes(change.after, column);
    if (!columns[column].key && size > 0) largest.emplace_back(size, column);
  }
  std::sort(largest.rbegin(), largest.rend());
  size_t omitted = 0;
  size_t count = 0;
  while (count < largest.size() && omitted < bytes) omitted += largest[count++].first;
  if (omitted < bytes) return {};

  std::vector<Value> before(change.before.begin(), change.before.end());
  std::vector<Value> after(change.after.begin(), change.after.end());
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) {
    OmitColumn(before, largest[i].second);
    OmitColumn(after, largest[i].second);
    names.push_back(columns[largest[i].second].name);
  }
  before_ = std::move(before);
  after_ = std::move(after);
  change.before = before_;
  change.after = after_;
  return names;
}

}  // namespace tailwater
