// A stream of pgoutput messages, each behind its length (u32, big-endian) as in
// tests/golden/postgres/*.bin, which are the seeds:
//   cmake --preset fuzz && cmake --build build/fuzz --target pgoutput_fuzz &&
//   build/fuzz/tests/fuzz/pgoutput_fuzz -max_total_time=60 /tmp/corpus tests/golden/postgres
#include <cstddef>
#include <cstdint>
#include <string>

#include "postgres/change_decoder.h"
#include "tailwater/array.h"

namespace tailwater::postgres {
namespace {

// Every kind of type and table, chosen by the oid.
class EveryCatalog : public CatalogFacts {
 public:
  Result<RelationFacts> Relation(uint32_t oid) override {
    RelationFacts facts;
    facts.found = oid % 3 != 0;
    if (facts.found) facts.primary_key = {"id"};
    facts.old_rows_whole = oid % 5 != 0;
    return facts;
  }
  Result<TypeFacts> Type(uint32_t oid, int32_t) override {
    TypeFacts facts;
    facts.found = oid % 7 != 0;
    facts.kind = static_cast<TypeFacts::Kind>(oid % 7);
    facts.name = "public.fuzz";
    facts.category = oid % 2 == 0 ? 'S' : 'U';
    facts.base_oid = oid / 2;
    facts.element_oid = oid / 2;
    return facts;
  }
};

class EmptyReadBack : public ReadBack {
 public:
  Result<ReadBackAnswer> Read(const ReadBackRequest& request) override {
    ReadBackAnswer answer;
    answer.found = request.xid % 2 == 0;
    answer.values.resize(request.columns.size(), "1");
    return answer;
  }
};

void Check(Row row) {
  std::string text;
  for (const Value& value : row) {
    if (value.has_value() && value.type() == ValueType::kArray && !ReadArray(value.bytes())) {
      __builtin_trap();  // we wrote what we cannot read
    }
    AppendReadable(value, text);
  }
}

}  // namespace
}  // namespace tailwater::postgres

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tailwater;
  using namespace tailwater::postgres;
  EveryCatalog catalog;
  EmptyReadBack read_back;
  ChangeDecoder decoder({.selects_message = [](std::string_view) { return true; }}, catalog,
                        read_back);
  ChangeBatch batch;
  for (size_t at = 0; size - at >= 4;) {
    size_t length = 0;
    for (int i = 0; i < 4; ++i) length = length << 8 | data[at++];
    length = std::min(length, size - at);
    // Memory of its own, so that a read past the end shows.
    const std::string message(reinterpret_cast<const char*>(data + at), length);
    at += length;
    batch.Clear();
    if (!decoder.Decode(message, batch)) continue;  // a session would end; the fuzzer goes on
    for (const Change& change : batch.changes()) {
      Check(change.before);
      Check(change.after);
    }
  }
  return 0;
}
