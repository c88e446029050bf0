#include "postgres/key_order.h"

#include <algorithm>

#include "support/snapshot_key.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

std::string Quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out.push_back(quote);
    out.push_back(c);
  }
  return out + quote;
}

std::string Operator(const KeyColumn& column, const std::string& name) {
  return fmt::format("OPERATOR({}.{})", column.schema, name);
}

std::string Name(const KeyColumn& column) {
  const std::string name = Quoted(column.name, '"');
  return column.collation.empty() ? name : name + " COLLATE " + column.collation;
}

std::string Literal(const KeyColumn& column, const std::string& value) {
  return fmt::format("{}::{}", Quoted(value, '\''), column.type);
}

std::string Signature(const std::vector<KeyColumn>& columns) {
  std::string text;
  for (const KeyColumn& column : columns) {
    text += fmt::format("{}{} {} {} {}.{}", text.empty() ? "" : ", ", Quoted(column.name, '"'),
                        column.type, column.collation, column.schema, column.less);
  }
  return text;
}

}  // namespace

std::string KeyOrder::OrderBy() const {
  std::string list;
  for (const KeyColumn& column : columns_) {
    list += fmt::format("{}{} USING {}", list.empty() ? "" : ", ", Name(column),
                        Operator(column, column.less));
  }
  return list;
}

std::string KeyOrder::Compare(const std::vector<std::string>& values, bool behind) const {
  const auto last = [&](const KeyColumn& column) -> const std::string& {
    return behind ? column.greater : column.less_or_equal;
  };
  const bool alike = std::all_of(columns_.begin(), columns_.end(), [&](const KeyColumn& column) {
    return column.schema == columns_[0].schema && last(column) == last(columns_[0]);
  });
  if (columns_.size() == 1 || alike) {
    // A row comparison, which an index scan takes as its bound.
    std::string names, literals;
    for (size_t i = 0; i < columns_.size(); ++i) {
      names += (i == 0 ? "" : ", ") + Name(columns_[i]);
      literals += (i == 0 ? "" : ", ") + Literal(columns_[i], values[i]);
    }
    const std::string op = Operator(columns_[0], last(columns_[0]));
    return columns_.size() == 1 ? fmt::format("{} {} {}", names, op, literals)
                                : fmt::format("ROW({}) {} ROW({})", names, op, literals);
  }
  // Operators of several families: written out, with a bound on the first column for the index.
  std::string text;
  for (size_t i = columns_.size(); i-- > 0;) {
    const KeyColumn& column = columns_[i];
    const std::string literal = Literal(column, values[i]);
    if (text.empty()) {
      text = fmt::format("{} {} {}", Name(column), Operator(column, last(column)), literal);
      continue;
    }
    const std::string& strict = behind ? column.greater : column.less;
    text = fmt::format("({0} {1} {2} OR ({0} {3} {2} AND {4}))", Name(column),
                       Operator(column, strict), literal, Operator(column, column.equal), text);
  }
  const KeyColumn& first = columns_[0];
  return fmt::format("{} {} {} AND {}", Name(first),
                     Operator(first, behind ? first.greater_or_equal : first.less_or_equal),
                     Literal(first, values[0]), text);
}

std::string KeyOrder::Behind(const std::vector<std::string>& values) const {
  return Compare(values, true);
}

std::string KeyOrder::UpTo(const std::vector<std::string>& values) const {
  return Compare(values, false);
}

SnapshotKey KeyOrder::Pack(const std::vector<std::string>& values) const {
  return PackKey(Signature(columns_), values);
}

std::optional<std::vector<std::string>> KeyOrder::Unpack(const SnapshotKey& key) const {
  return UnpackKey(key, Signature(columns_), columns_.size());
}

Result<std::vector<KeyColumn>> ReadKeyColumns(Connection& sql, const TableFacts& table) {
  std::vector<KeyColumn> columns;
  if (table.identity == 'n') return columns;
  // Operators of the index's own family; for enums, arrays and the like they take a polymorphic
  // type.
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      sql.Query(
          fmt::format(
              "select a.attname, quote_ident(tn.nspname) || '.' || quote_ident(b.typname), "
              "case when k.coll <> 0 then quote_ident(cn.nspname) || '.' || "
              "quote_ident(co.collname) end, quote_ident(opn.nspname), "
              "max(op.oprname) filter (where am.amopstrategy = 1), "
              "max(op.oprname) filter (where am.amopstrategy = 2), "
              "max(op.oprname) filter (where am.amopstrategy = 3), "
              "max(op.oprname) filter (where am.amopstrategy = 4), "
              "max(op.oprname) filter (where am.amopstrategy = 5) "
              "from pg_index i "
              "cross join lateral unnest(i.indkey::int2[], i.indclass::oid[], "
              "i.indcollation::oid[]) with ordinality k(attnum, opclass, coll, place) "
              "join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum "
              "cross join lateral (with recursive base as ("
              "select t.oid, t.typtype, t.typbasetype, t.typname, t.typnamespace from pg_type t "
              "where t.oid = a.atttypid union all "
              "select t.oid, t.typtype, t.typbasetype, t.typname, t.typnamespace from base "
              "join pg_type t on t.oid = base.typbasetype where base.typtype = 'd') "
              "select * from base where typtype <> 'd') b "
              "join pg_namespace tn on tn.oid = b.typnamespace "
              "left join pg_collation co on co.oid = k.coll "
              "left join pg_namespace cn on cn.oid = co.collnamespace "
              "join pg_opclass oc on oc.oid = k.opclass "
              "join pg_amop am on am.amopfamily = oc.opcfamily and am.amoplefttype = oc.opcintype "
              "and am.amoprighttype = oc.opcintype "
              "join pg_operator op on op.oid = am.amopopr "
              "join pg_namespace opn on opn.oid = op.oprnamespace "
              "where i.indrelid = $1::oid and i.indimmediate and i.indisvalid and {} and "
              "k.place <= i.indnkeyatts group by k.place, 1, 2, 3, 4 order by k.place",
              table.identity == 'i' ? "i.indisreplident" : "i.indisprimary"),
          {std::to_string(table.oid)}));
  for (int i = 0; i < rows.size(); ++i) {
    columns.push_back({rows.String(i, 0), rows.String(i, 1), rows.String(i, 2), rows.String(i, 3),
                       rows.String(i, 4), rows.String(i, 5), rows.String(i, 6), rows.String(i, 7),
                       rows.String(i, 8)});
  }
  return columns;
}

}  // namespace tailwater::postgres
