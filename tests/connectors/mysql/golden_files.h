// Captured packets of tests/golden/mysql, and what information_schema said then.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "mysql/table_facts.h"

namespace tailwater::mysql {

inline const std::filesystem::path kGoldenFolder = "tests/golden/mysql";

inline std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// "groups.mariadb", "groups.mysql", …
inline std::vector<std::string> GoldenCases() {
  std::vector<std::string> cases;
  for (const auto& entry : std::filesystem::directory_iterator(kGoldenFolder)) {
    if (entry.path().extension() == ".bin") cases.push_back(entry.path().stem());
  }
  std::sort(cases.begin(), cases.end());
  return cases;
}

inline bool IsOfMariadb(const std::string& name) { return name.ends_with(".mariadb"); }

// Each packet, without its status byte, stands behind its length, u32 big-endian.
inline std::vector<std::string> GoldenPackets(const std::string& name) {
  const std::string bytes = ReadFile(kGoldenFolder / (name + ".bin"));
  std::vector<std::string> packets;
  for (size_t at = 0; at + 4 <= bytes.size();) {
    uint32_t size = 0;
    for (int i = 0; i < 4; ++i) size = size << 8 | static_cast<uint8_t>(bytes[at++]);
    packets.push_back(bytes.substr(at, size));
    at += size;
  }
  return packets;
}

// Answers from a .facts file and a charsets file, as capture.py writes them.
class RecordedCatalog : public CatalogFacts {
 public:
  explicit RecordedCatalog(const std::string& name) {
    for (const std::vector<std::string>& field : Lines(name + ".facts")) {
      TableFacts& facts = tables_[field[1] + "." + field[2]];
      if (field[0] == "table") {
        facts.found = true;
        facts.system_versioned = field[3] == "1";
        facts.sequence = field[4] == "1";
      } else {
        facts.columns.push_back({.name = field[3],
                                 .column_type = field[4],
                                 .data_type = field[5],
                                 .generated = field[6] == "1",
                                 .json = field[7] == "1",
                                 .row_end = field[8] == "1"});
      }
    }
    const std::string server = IsOfMariadb(name) ? "mariadb" : "mysql";
    for (const std::vector<std::string>& field : Lines("charsets." + server)) {
      charsets_[static_cast<uint32_t>(std::stoul(field[0]))] = field[1];
    }
  }

  Result<TableFacts> Table(const TableName& table) override {
    ++table_calls;
    return tables_[table.schema + "." + table.name];
  }
  Result<std::string> Charset(uint32_t collation) override { return charsets_[collation]; }

  int table_calls = 0;

 private:
  static std::vector<std::vector<std::string>> Lines(const std::string& file) {
    std::vector<std::vector<std::string>> lines;
    std::istringstream in(ReadFile(kGoldenFolder / file));
    for (std::string line; std::getline(in, line);) {
      std::vector<std::string> fields(1);
      for (const char c : line) {
        if (c == '\t') {
          fields.emplace_back();
        } else {
          fields.back() += c;
        }
      }
      lines.push_back(std::move(fields));
    }
    return lines;
  }

  std::map<std::string, TableFacts> tables_;
  std::map<uint32_t, std::string> charsets_;
};

}  // namespace tailwater::mysql
