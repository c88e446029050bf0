// Seeded random changes of every shape that the wire form can hold; for tests of the codec.
#pragma once

#include <random>
#include <string>

#include "tailwater/change.h"

namespace tailwater {

class RandomChange {
 public:
  explicit RandomChange(uint64_t seed) : random_(seed) {}

  SchemaPtr Schema();
  // Appends a change to `batch`, with all that it points to.
  const Change& Append(ChangeBatch& batch);
  // A value of any state and type.
  Value AnyValue(ChangeBatch& batch);
  uint64_t Below(uint64_t limit) { return random_() % limit; }

 private:
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  int64_t Number();                           // of any magnitude, often at an edge
  std::string_view Text(ChangeBatch& batch);  // UTF-8; empty, short, or long
  std::string_view Bytes(ChangeBatch& batch, size_t size);
  Value ValueOf(ValueType type, ChangeBatch& batch);
  Row AnyRow(const TableSchema& schema, ChangeBatch& batch);

  std::mt19937_64 random_;
};

}  // namespace tailwater
