// What the target's catalogs say of a table that is to be written.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "postgres/sink/target_session.h"
#include "tailwater/schema.h"

namespace tailwater::postgres {

struct TargetColumn {
  std::string type;  // as format_type() prints it
  bool not_null = false;
  bool has_default = false;
  bool computed = false;  // GENERATED ALWAYS AS (…): nobody writes it
  bool always_identity = false;
};

// A unique index without a condition or an expression.
struct TargetIndex {
  std::string name;
  std::set<std::string> columns;
  bool immediate = true;  // else deferrable: no ON CONFLICT goes by it
  bool constraint = false;
};

struct TargetDescription {
  bool is_table = true;  // or a partitioned table; nothing else is written to
  std::map<std::string, TargetColumn> columns;
  std::vector<TargetIndex> indexes;
};

// Nothing: there is no such table.
Result<std::optional<TargetDescription>> DescribeTarget(TargetSession& session,
                                                        const TableName& table);

// Whether the target knows a type of this name.
class TypeCatalog {
 public:
  explicit TypeCatalog(TargetSession& session) : session_(session) {}
  Result<bool> Knows(const std::string& type);
  void Forget() { known_.clear(); }

 private:
  TargetSession& session_;
  std::map<std::string, bool> known_;
};

}  // namespace tailwater::postgres
