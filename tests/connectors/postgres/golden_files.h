// Captured pgoutput messages of tests/golden/postgres, and the catalog as it was then.
#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "postgres/catalog_facts.h"

namespace tailwater::postgres {

inline const std::filesystem::path kGoldenFolder = "tests/golden/postgres";

inline std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline std::vector<std::string> GoldenCases() {
  std::vector<std::string> cases;
  for (const auto& entry : std::filesystem::directory_iterator(kGoldenFolder)) {
    if (entry.path().extension() == ".bin") cases.push_back(entry.path().stem());
  }
  std::sort(cases.begin(), cases.end());
  return cases;
}

// Each message stands behind its length, u32 big-endian.
inline std::vector<std::string> GoldenMessages(const std::string& name) {
  const std::string bytes = ReadFile(kGoldenFolder / (name + ".bin"));
  std::vector<std::string> messages;
  for (size_t at = 0; at + 4 <= bytes.size();) {
    uint32_t size = 0;
    for (int i = 0; i < 4; ++i) size = size << 8 | static_cast<uint8_t>(bytes[at++]);
    messages.push_back(bytes.substr(at, size));
    at += size;
  }
  return messages;
}

inline std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

// Answers from a .facts file: lines of tab-separated fields, as capture.py writes them.
class RecordedCatalog : public CatalogFacts {
 public:
  explicit RecordedCatalog(const std::string& name) {
    for (const std::string& line : Split(ReadFile(kGoldenFolder / (name + ".facts")), '\n')) {
      const std::vector<std::string> field = Split(line, '\t');
      if (field[0] == "relation") {
        RelationFacts& facts = relations_[static_cast<uint32_t>(std::stoul(field[1]))];
        facts.found = true;
        if (!field[2].empty()) facts.primary_key = Split(field[2], ',');
        if (!field[3].empty()) facts.generated_columns = Split(field[3], ',');
        facts.old_rows_whole = field[4] == "true";
      } else if (field[0] == "type") {
        static const std::map<char, TypeFacts::Kind> kKinds = {
            {'b', TypeFacts::Kind::kBase},     {'d', TypeFacts::Kind::kDomain},
            {'e', TypeFacts::Kind::kEnum},     {'a', TypeFacts::Kind::kArray},
            {'r', TypeFacts::Kind::kRange},    {'m', TypeFacts::Kind::kMultirange},
            {'c', TypeFacts::Kind::kComposite}};
        TypeFacts& facts = types_[static_cast<uint32_t>(std::stoul(field[1]))];
        facts.found = true;
        facts.kind = kKinds.at(field[2][0]);
        facts.category = field[3][0];
        facts.base_oid = static_cast<uint32_t>(std::stoul(field[4]));
        facts.base_typmod = std::stoi(field[5]);
        facts.element_oid = static_cast<uint32_t>(std::stoul(field[6]));
        facts.delimiter = field[7][0];
        facts.name = field[8];
      }
    }
  }

  Result<RelationFacts> Relation(uint32_t oid) override {
    ++relation_calls;
    return relations_[oid];
  }
  Result<TypeFacts> Type(uint32_t oid, int32_t) override { return types_[oid]; }

  int relation_calls = 0;

 private:
  std::map<uint32_t, RelationFacts> relations_;
  std::map<uint32_t, TypeFacts> types_;
};

}  // namespace tailwater::postgres
