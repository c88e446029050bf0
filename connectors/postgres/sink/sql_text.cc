#include "postgres/sink/sql_text.h"

namespace tailwater::postgres {
namespace {

std::string Between(char quote, std::string_view text) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out += quote;
    out += c;
  }
  return out += quote;
}

}  // namespace

std::string QuotedName(std::string_view name) { return Between('"', name); }
std::string QuotedName(const TableName& table) {
  return QuotedName(table.schema) + "." + QuotedName(table.name);
}
std::string QuotedText(std::string_view text) { return Between('\'', text); }

}  // namespace tailwater::postgres
