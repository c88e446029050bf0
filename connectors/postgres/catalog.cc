#include "postgres/catalog.h"

#include "support/text.h"

namespace tailwater::postgres {

Result<RelationFacts> Catalog::Relation(uint32_t relation_oid) {
  RelationFacts facts;
  // One row per column, so that names need no quoting; the table's own facts in each.
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      session_.Query(
          "select a.attname, a.attgenerated <> '', "
          "coalesce(a.attnum = any (i.indkey[0:i.indnkeyatts - 1]), false), "
          "case when c.relkind = 'p' and c.relreplident = 'f' then not exists ("
          "  select from pg_partition_tree(c.oid) t join pg_class l on l.oid = t.relid "
          "  where t.isleaf and l.relreplident <> 'f') else true end "
          "from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not "
          "a.attisdropped "
          "left join pg_index i on i.indrelid = c.oid and i.indisprimary and i.indimmediate and "
          "i.indisvalid where c.oid = $1::oid order by a.attnum",
          {std::to_string(relation_oid)}));
  facts.found = !rows.empty();
  for (int i = 0; i < rows.size(); ++i) {
    if (rows.Bool(i, 1)) facts.generated_columns.push_back(rows.String(i, 0));
    if (rows.Bool(i, 2)) facts.primary_key.push_back(rows.String(i, 0));
    facts.old_rows_whole = rows.Bool(i, 3);
  }
  return facts;
}

Result<TypeFacts> Catalog::Type(uint32_t type_oid, int32_t typmod) {
  TypeFacts facts;
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      session_.Query(
          "select t.typtype, t.typcategory, t.typlen, t.typelem, t.typbasetype, "
          "t.typtypmod, format_type(t.oid, $2::int4), e.typdelim, t.typtype = 'b' and "
          "t.typcategory = 'A' and t.typlen = -1 and t.typelem <> 0, "
          "coalesce(s.prosrc = 'textsend' and l.lanname = 'internal', false) "
          "from pg_type t left join pg_type e on e.oid = t.typelem "
          "left join pg_proc s on s.oid = t.typsend left join pg_language l on l.oid = s.prolang "
          "where t.oid = $1::oid",
          {std::to_string(type_oid), std::to_string(typmod)}));
  if (rows.empty()) return facts;
  facts.found = true;
  facts.name = rows.String(0, 6);
  facts.category = rows.Text(0, 1)[0];
  facts.sends_text = rows.Bool(0, 9);
  switch (rows.Text(0, 0)[0]) {
    case 'd':
      facts.kind = TypeFacts::Kind::kDomain;
      facts.base_oid = static_cast<uint32_t>(rows.Number(0, 4));
      facts.base_typmod = static_cast<int32_t>(rows.Number(0, 5));
      break;
    case 'e':
      facts.kind = TypeFacts::Kind::kEnum;
      break;
    case 'c':
      facts.kind = TypeFacts::Kind::kComposite;
      break;
    case 'r':
      facts.kind = TypeFacts::Kind::kRange;
      break;
    case 'm':
      facts.kind = TypeFacts::Kind::kMultirange;
      break;
    default:  // b and p: base and pseudo-types; every other is read as the server's text
      facts.kind = TypeFacts::Kind::kBase;
      break;
  }
  if (rows.Bool(0, 8)) {
    facts.kind = TypeFacts::Kind::kArray;
    facts.element_oid = static_cast<uint32_t>(rows.Number(0, 3));
    facts.delimiter = rows.IsNull(0, 7) ? ',' : rows.Text(0, 7)[0];
  }
  return facts;
}

}  // namespace tailwater::postgres
