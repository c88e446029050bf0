// What the stream does not say about tables and types, asked of the server's catalogs. The catalogs
// show *now*: what is already gone or renamed is answered as "not found", never as an error.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tailwater/result.h"

namespace tailwater::postgres {

struct RelationFacts {
  bool found = false;
  // Columns of the primary key if its index is immediate and valid; empty if there is none, or it
  // is deferrable. Needed under REPLICA IDENTITY FULL alone: otherwise the stream's flags tell.
  std::vector<std::string> primary_key;
  std::vector<std::string> generated_columns;  // attgenerated <> ''
  // False for a partition root under REPLICA IDENTITY FULL of which some leaf is not FULL: the
  // server then marks old tuples as whole although they hold key columns only.
  bool old_rows_whole = true;
};

struct TypeFacts {
  enum class Kind : uint8_t {
    kBase,    // and what is none of the others (pseudo)
    kDomain,  // base_oid, base_typmod
    kEnum,
    kArray,  // element_oid, delimiter (typdelim of the element). Only varlena arrays
             // (typlen = -1, typelem <> 0, typcategory 'A'), never int2vector and oidvector
    kComposite,
    kRange,
    kMultirange,
  };
  bool found = false;
  Kind kind = Kind::kBase;
  // format_type(oid, typmod) with an empty search_path: "public.mood",
  // "public.geometry(Point,4326)"
  std::string name;
  char category = 'U';      // typcategory: 'S' (citext) is read as text
  bool sends_text = false;  // kBase: its send function is the one of text
  uint32_t base_oid = 0;
  int32_t base_typmod = -1;
  uint32_t element_oid = 0;
  char delimiter = ',';
};

// Called by the decoder while it handles a Relation message or an unknown type oid, on the thread
// of Source::Run(), at most once per Relation message and type. An error ends the decoding of that
// message and is returned as it is (kRetry: the catalog connection was lost).
class CatalogFacts {
 public:
  virtual ~CatalogFacts() = default;
  virtual Result<RelationFacts> Relation(uint32_t relation_oid) = 0;
  virtual Result<TypeFacts> Type(uint32_t type_oid, int32_t typmod) = 0;
};

}  // namespace tailwater::postgres
