#include "postgres/relation.h"

#include <algorithm>

#include "postgres/watermarks.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

constexpr int kMaxTypeNesting = 32;  // domains over domains over arrays …

uint64_t TypeKey(uint32_t oid, int32_t typmod) {
  return uint64_t{oid} << 32 | static_cast<uint32_t>(typmod);
}

// As format_type quotes names, keywords aside.
void AppendIdentifier(std::string_view name, std::string& out) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  if (!name.empty() && std::all_of(name.begin(), name.end(), plain) &&
      (name[0] < '0' || name[0] > '9')) {
    out += name;
    return;
  }
  out += '"';
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

bool Contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Result<TypeCache::Resolved> TypeCache::Resolve(uint32_t oid, int32_t typmod) {
  return ResolveNested(oid, typmod, 0);
}

Result<TypeCache::Resolved> TypeCache::ResolveNested(uint32_t oid, int32_t typmod, int depth) {
  if (const BuiltinType* builtin = FindBuiltinType(oid)) {
    return Resolved{builtin->parser, FormatBuiltinType(*builtin, typmod)};
  }
  const uint64_t key = TypeKey(oid, typmod);
  if (const auto found = resolved_.find(key); found != resolved_.end()) return found->second;

  TW_ASSIGN_OR_RETURN(const TypeFacts facts, catalog_.Type(oid, typmod));
  Resolved resolved{&OtherParser(), facts.name};
  if (!facts.found || depth == kMaxTypeNesting) {
    if (!facts.found) {
      const auto streamed = streamed_names_.find(oid);
      resolved.name =
          streamed != streamed_names_.end() ? streamed->second : fmt::format("oid {}", oid);
    }
    return resolved;  // not kept: it may turn up
  }
  switch (facts.kind) {
    case TypeFacts::Kind::kDomain: {
      TW_ASSIGN_OR_RETURN(const Resolved base,
                          ResolveNested(facts.base_oid, facts.base_typmod, depth + 1));
      resolved.parser = base.parser;
      break;
    }
    case TypeFacts::Kind::kEnum:
      resolved.parser = &EnumParser();
      break;
    case TypeFacts::Kind::kArray: {
      TW_ASSIGN_OR_RETURN(const Resolved element,
                          ResolveNested(facts.element_oid, typmod, depth + 1));
      // Arrays of a domain over an array: their elements stay text, for arrays do not nest.
      const ValueParser* parser =
          element.parser->type == ValueType::kArray ? &OtherParser() : element.parser;
      auto& array = arrays_[{parser, facts.delimiter}];
      if (array == nullptr) {
        array = std::make_unique<ValueParser>(ArrayParser(*parser, facts.delimiter));
      }
      resolved.parser = array.get();
      break;
    }
    case TypeFacts::Kind::kBase:
      if (facts.category == 'S') {
        resolved.parser = facts.sends_text ? &TextParser() : &TextOnlyParser();
      }
      break;
    case TypeFacts::Kind::kComposite:
    case TypeFacts::Kind::kRange:
    case TypeFacts::Kind::kMultirange:
      break;
  }
  resolved_[key] = resolved;
  return resolved;
}

void TypeCache::OnType(const TypeMessage& message) {
  std::string& name = streamed_names_[message.oid];
  name.clear();
  AppendIdentifier(message.schema, name);
  name += '.';
  AppendIdentifier(message.name, name);
  resolved_.clear();
}

void TypeCache::Clear() {
  resolved_.clear();
  streamed_names_.clear();
}

RelationCache::RelationCache(CatalogFacts& catalog,
                             std::function<bool(const TableName&)> selects_table,
                             TableName mark_table)
    : catalog_(catalog),
      selects_table_(std::move(selects_table)),
      mark_table_(std::move(mark_table)),
      types_(catalog) {}

Status RelationCache::OnRelation(const RelationMessage& message) {
  last_ = nullptr;
  TableName name{std::string(message.schema), std::string(message.name)};
  Relation relation;
  relation.oid = message.oid;
  const bool marks = !mark_table_.name.empty() && name == mark_table_;
  relation.selected = !marks && (!selects_table_ || selects_table_(name));
  if (!relation.selected) {
    for (size_t i = 0; marks && i < message.columns.size(); ++i) {
      if (message.columns[i].name == kMarkColumn) relation.mark_column = i;
    }
    relations_[message.oid] = std::move(relation);
    return {};
  }

  TW_ASSIGN_OR_RETURN(const RelationFacts facts, catalog_.Relation(message.oid));
  relation.old_rows_whole = facts.old_rows_whole;
  // Under FULL the flags mark every column, so the catalog tells the key. It shows *now*: a primary
  // key with a column that the stream calls otherwise is none of this relation's.
  const bool full = message.identity == ReplicaIdentity::kFull;
  const auto streamed = [&](const std::string& key_column) {
    return std::any_of(message.columns.begin(), message.columns.end(),
                       [&](const RelationColumn& column) { return column.name == key_column; });
  };
  const bool full_has_key =
      full && std::all_of(facts.primary_key.begin(), facts.primary_key.end(), streamed);

  std::vector<Column> columns;
  columns.reserve(message.columns.size());
  relation.parsers.reserve(message.columns.size());
  for (const RelationColumn& streamed_column : message.columns) {
    TW_ASSIGN_OR_RETURN(TypeCache::Resolved type,
                        types_.Resolve(streamed_column.type_oid, streamed_column.typmod));
    Column column;
    column.name = streamed_column.name;
    column.type = type.parser->type;
    column.type_name = std::move(type.name);
    switch (message.identity) {
      case ReplicaIdentity::kDefault:
      case ReplicaIdentity::kIndex:  // the server marks columns of immediate indexes only
        column.key = streamed_column.identity;
        break;
      case ReplicaIdentity::kFull:
        column.key = full_has_key && Contains(facts.primary_key, streamed_column.name);
        break;
      case ReplicaIdentity::kNothing:
        break;
    }
    column.generated = Contains(facts.generated_columns, streamed_column.name);
    columns.push_back(std::move(column));
    relation.parsers.push_back(type.parser);
  }

  Relation& kept = relations_[message.oid];
  if (kept.schema != nullptr && kept.schema->name() == name && kept.schema->columns() == columns) {
    relation.schema = kept.schema;
  } else {
    relation.schema = TableSchema::Make(std::move(name), std::move(columns));
  }
  kept = std::move(relation);
  return {};
}

const Relation* RelationCache::FindSlow(uint32_t oid) {
  const auto found = relations_.find(oid);
  if (found == relations_.end()) return nullptr;
  return last_ = &found->second;
}

void RelationCache::Clear() {
  last_ = nullptr;
  relations_.clear();
  types_.Clear();
}

}  // namespace tailwater::postgres
