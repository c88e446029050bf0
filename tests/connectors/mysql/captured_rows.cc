#include "captured_rows.h"

#include <zlib.h>

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace tailwater::mysql {
namespace {

std::string FromHex(std::string_view text) {
  if (text.starts_with('z')) {
    const size_t colon = text.find(':');
    const std::string deflated = FromHex(text.substr(colon + 1));
    std::string out(std::stoul(std::string(text.substr(1, colon))), '\0');
    uLongf size = out.size();
    if (uncompress(reinterpret_cast<Bytef*>(out.data()), &size,
                   reinterpret_cast<const Bytef*>(deflated.data()), deflated.size()) != Z_OK ||
        size != out.size()) {
      throw std::runtime_error("golden rows: not deflated");
    }
    return out;
  }
  std::string out;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    out += static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
  }
  return out;
}

std::vector<std::string> Split(const std::string& line) {
  std::vector<std::string> fields(1);
  for (const char c : line) {
    if (c == '\t') {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

}  // namespace

Result<TableFacts> Captured::Table(const TableName& table) {
  for (const CapturedTable& captured : tables) {
    if (captured.name == table.name) return captured.facts;
  }
  return TableFacts{};
}

Result<std::string> Captured::Charset(uint32_t collation) {
  const auto found = charsets.find(collation);
  return found == charsets.end() ? std::string() : found->second;
}

Captured ReadCaptured(const std::string& flavour) {
  std::ifstream in("tests/golden/mysql/rows/" + flavour + ".txt");
  if (!in) throw std::runtime_error("golden rows of " + flavour + " are not there");
  Captured captured;
  std::string line;
  while (std::getline(in, line)) {
    const std::vector<std::string> fields = Split(line);
    if (fields[0] == "table") {
      captured.tables.push_back({.name = fields[1], .map = FromHex(fields[2])});
      captured.tables.back().facts.found = true;
    } else if (fields[0] == "fact") {
      captured.tables.back().facts.columns.push_back({.name = fields[1],
                                                      .column_type = fields[2],
                                                      .data_type = fields[3],
                                                      .generated = fields[4] == "generated",
                                                      .json = fields[5] == "json"});
    } else if (fields[0] == "select") {
      captured.tables.back().select.assign(fields.begin() + 1, fields.end());
    } else if (fields[0] == "values") {
      auto& row = captured.tables.back().selected.emplace_back();
      for (size_t i = 1; i < fields.size(); ++i) {
        row.push_back(fields[i] == "NULL" ? std::nullopt : std::optional(FromHex(fields[i])));
      }
    } else if (fields[0] == "converted") {
      auto& row = captured.tables.back().converted.emplace_back();
      for (size_t i = 1; i < fields.size(); ++i) row.push_back(FromHex(fields[i]));
    } else if (fields[0] == "event") {
      captured.tables.back().events.emplace_back(static_cast<uint8_t>(std::stoi(fields[1])),
                                                 FromHex(fields[2]));
    } else if (fields[0] == "charset") {
      captured.charsets[static_cast<uint32_t>(std::stoul(fields[1]))] = fields[2];
    }
  }
  return captured;
}

}  // namespace tailwater::mysql
