#include "expression/sql_functions.h"

#include <locale.h>
#include <sqlite3.h>
#include <wctype.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "expression/decimal.h"
#include "expression/like.h"
#include "expression/temporal_text.h"

namespace tailwater::expression {
namespace {

using Call = sqlite3_context*;
using Arguments = sqlite3_value**;

bool IsNull(sqlite3_value* value) { return sqlite3_value_type(value) == SQLITE_NULL; }

std::string_view TextOf(sqlite3_value* value) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(value));
  if (text == nullptr) return {};
  return {text, static_cast<size_t>(sqlite3_value_bytes(value))};
}

void ReturnText(Call call, std::string_view text) {
  sqlite3_result_text64(call, text.empty() ? "" : text.data(), text.size(), SQLITE_TRANSIENT,
                        SQLITE_UTF8);
}

void ReturnExact(Call call, const std::optional<std::string>& number) {
  if (number) return ReturnText(call, *number);
  sqlite3_result_error(call, "a number of more than 1000 digits", -1);
}

bool AnyNull(Call call, int count, Arguments arguments) {
  for (int i = 0; i < count; ++i) {
    if (!IsNull(arguments[i])) continue;
    sqlite3_result_null(call);
    return true;
  }
  return false;
}

// The whole text must be one; blanks around it do not matter.
std::optional<std::string> ReadExact(sqlite3_value* value) {
  if (sqlite3_value_type(value) == SQLITE_FLOAT) {
    const double number = sqlite3_value_double(value);
    char digits[40];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
    return CanonicalDecimal({digits, static_cast<size_t>(end - digits)});
  }
  std::string_view text = TextOf(value);
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return CanonicalDecimal(text);
}

void ToExact(Call call, int, Arguments arguments) {
  if (IsNull(arguments[0])) return sqlite3_result_null(call);
  const std::optional<std::string> number = ReadExact(arguments[0]);
  if (number) return ReturnText(call, *number);
  sqlite3_result_null(call);
}

void ToReal(Call call, int, Arguments arguments) {
  if (IsNull(arguments[0])) return sqlite3_result_null(call);
  const int type = sqlite3_value_type(arguments[0]);
  if (type == SQLITE_INTEGER || type == SQLITE_FLOAT) {
    return sqlite3_result_double(call, sqlite3_value_double(arguments[0]));
  }
  const std::optional<std::string> number = ReadExact(arguments[0]);
  if (!number) return sqlite3_result_null(call);
  if (*number == "NaN") return ReturnText(call, "NaN");
  sqlite3_result_double(call, DecimalToDouble(*number));
}

void ToInteger(Call call, int, Arguments arguments) {
  if (IsNull(arguments[0])) return sqlite3_result_null(call);
  if (sqlite3_value_type(arguments[0]) == SQLITE_INTEGER) {
    return sqlite3_result_int64(call, sqlite3_value_int64(arguments[0]));
  }
  const std::optional<std::string> number = ReadExact(arguments[0]);
  int64_t integer = 0;
  if (number) {
    const char* const end = number->data() + number->size();
    const auto result = std::from_chars(number->data(), end, integer);
    if (result.ec == std::errc() && result.ptr == end) return sqlite3_result_int64(call, integer);
  }
  sqlite3_result_null(call);
}

void ToText(Call call, int, Arguments arguments) {
  if (IsNull(arguments[0])) return sqlite3_result_null(call);
  if (sqlite3_value_type(arguments[0]) != SQLITE_FLOAT)
    return ReturnText(call, TextOf(arguments[0]));
  const double number = sqlite3_value_double(arguments[0]);
  if (std::isinf(number)) return ReturnText(call, number < 0 ? "-Infinity" : "Infinity");
  char digits[40];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  ReturnText(call, {digits, static_cast<size_t>(end - digits)});
}

// NaN stands as text among the numbers.
void Finite(Call call, int, Arguments arguments) {
  if (sqlite3_value_type(arguments[0]) == SQLITE_TEXT) return sqlite3_result_null(call);
  sqlite3_result_value(call, arguments[0]);
}

void CompareExact(Call call, int count, Arguments arguments) {
  if (AnyNull(call, count, arguments)) return;
  sqlite3_result_int(call, CompareDecimals(TextOf(arguments[0]), TextOf(arguments[1])));
}

// value BETWEEN low AND high: false if either bound excludes it, even if the other is NULL.
void ExactBetween(Call call, int, Arguments arguments) {
  if (IsNull(arguments[0])) return sqlite3_result_null(call);
  const std::string_view value = TextOf(arguments[0]);
  const bool low_known = !IsNull(arguments[1]), high_known = !IsNull(arguments[2]);
  if ((low_known && CompareDecimals(value, TextOf(arguments[1])) < 0) ||
      (high_known && CompareDecimals(value, TextOf(arguments[2])) > 0)) {
    return sqlite3_result_int(call, 0);
  }
  if (!low_known || !high_known) return sqlite3_result_null(call);
  sqlite3_result_int(call, 1);
}

template <std::optional<std::string> (*operation)(std::string_view, std::string_view)>
void ExactArithmetic(Call call, int count, Arguments arguments) {
  if (AnyNull(call, count, arguments)) return;
  ReturnExact(call, operation(TextOf(arguments[0]), TextOf(arguments[1])));
}

void NegateExact(Call call, int count, Arguments arguments) {
  if (AnyNull(call, count, arguments)) return;
  ReturnText(call, NegateDecimal(TextOf(arguments[0])));
}

void AbsExact(Call call, int count, Arguments arguments) {
  if (AnyNull(call, count, arguments)) return;
  std::string_view number = TextOf(arguments[0]);
  if (number.starts_with('-')) number.remove_prefix(1);
  ReturnText(call, number);
}

void RoundExact(Call call, int count, Arguments arguments) {
  if (AnyNull(call, count, arguments)) return;
  ReturnText(call, RoundDecimal(TextOf(arguments[0]), sqlite3_value_int(arguments[1])));
}

// NULL if any is, as SQLite's own min and max.
template <int sign>
void ExtremeExact(Call call, int count, Arguments arguments) {
  if (AnyNull(call, count, arguments)) return;
  std::string_view best = TextOf(arguments[0]);
  for (int i = 1; i < count; ++i) {
    const std::string_view next = TextOf(arguments[i]);
    if (CompareDecimals(next, best) * sign > 0) best = next;
  }
  ReturnText(call, best);
}

void LikeMatch(Call call, int count, Arguments arguments) {
  if (AnyNull(call, count, arguments)) return;
  const std::string_view escape = count == 3 ? TextOf(arguments[2]) : std::string_view();
  switch (Like(TextOf(arguments[0]), TextOf(arguments[1]), escape)) {
    case LikeResult::kNo:
      return sqlite3_result_int(call, 0);
    case LikeResult::kYes:
      return sqlite3_result_int(call, 1);
    case LikeResult::kTooLong:
      return sqlite3_result_error(call, "LIKE takes too long for this text and pattern", -1);
    case LikeResult::kBadPattern:
      return sqlite3_result_error(call, "the pattern of LIKE ends with its ESCAPE character", -1);
  }
}

// memmem() is linear, other than SQLite's own search. By windows, since a sanitizer looks at all
// that one call is given, at each of many calls. Nothing is found at npos.
size_t Find(std::string_view text, std::string_view word, size_t from) {
  const size_t window = std::max<size_t>(4096, 2 * word.size());
  while (true) {
    const std::string_view part = text.substr(from, window);
    const void* found = memmem(part.data(), part.size(), word.data(), word.size());
    if (found != nullptr) {
      return static_cast<size_t>(static_cast<const char*>(found) - text.data());
    }
    if (from + part.size() == text.size()) return std::string_view::npos;
    from += part.size() - word.size() + 1;
  }
}

// Counts characters from 1; 0 if it is not there.
void InstrText(Call call, int count, Arguments arguments) {
  if (AnyNull(call, count, arguments)) return;
  const std::string_view text = TextOf(arguments[0]);
  const size_t found = Find(text, TextOf(arguments[1]), 0);
  if (found == std::string_view::npos) return sqlite3_result_int(call, 0);
  const auto begins = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
  sqlite3_result_int64(
      call, 1 + std::count_if(text.begin(), text.begin() + static_cast<ptrdiff_t>(found), begins));
}

void ReplaceText(Call call, int count, Arguments arguments) {
  if (AnyNull(call, count, arguments)) return;
  const std::string_view text = TextOf(arguments[0]);
  const std::string_view word = TextOf(arguments[1]);
  const std::string_view by = TextOf(arguments[2]);
  if (word.empty()) return ReturnText(call, text);
  const auto most =
      static_cast<size_t>(sqlite3_limit(sqlite3_context_db_handle(call), SQLITE_LIMIT_LENGTH, -1));
  std::string out;
  size_t at = 0;
  while (true) {
    const size_t found = Find(text, word, at);
    out += text.substr(at, found == std::string_view::npos ? found : found - at);
    if (found == std::string_view::npos) break;
    out += by;
    at = found + word.size();
    if (out.size() > most) return sqlite3_result_error_toobig(call);
  }
  ReturnText(call, out);
}

// One code point of valid UTF-8; others come back byte by byte.
char32_t NextCharacter(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at++);
  const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
  if (more == 0 || at + static_cast<size_t>(more) > text.size()) return lead;
  char32_t point = lead & (0x3f >> more);
  for (int i = 0; i < more; ++i) point = point << 6 | (byte(at + static_cast<size_t>(i)) & 0x3f);
  at += static_cast<size_t>(more);
  return point;
}

void AppendCharacter(char32_t point, std::string& out) {
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xc0 | point >> 6);
    out += static_cast<char>(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    out += static_cast<char>(0xe0 | point >> 12);
    out += static_cast<char>(0x80 | (point >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (point & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | point >> 18);
    out += static_cast<char>(0x80 | (point >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (point >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (point & 0x3f));
  }
}

// The C library's Unicode tables, whatever the locale of this process is.
locale_t Utf8Locale() {
  static const locale_t kLocale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return kLocale;
}

template <bool upper>
void Fold(Call call, int count, Arguments arguments) {
  if (AnyNull(call, count, arguments)) return;
  const std::string_view text = TextOf(arguments[0]);
  const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
  std::string out;
  out.reserve(text.size());
  if (ascii) {
    for (const char c : text) {
      const bool folds = upper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z';
      out += folds ? static_cast<char>(c ^ 32) : c;
    }
  } else {
    const locale_t locale = Utf8Locale();
    for (size_t at = 0; at < text.size();) {
      const auto point = static_cast<wint_t>(NextCharacter(text, at));
      AppendCharacter(upper ? towupper_l(point, locale) : towlower_l(point, locale), out);
    }
  }
  ReturnText(call, out);
}

template <int64_t per_unit_numerator, int64_t per_unit_divisor>
void Epoch(Call call, int count, Arguments arguments) {
  if (AnyNull(call, count, arguments)) return;
  const int64_t value = sqlite3_value_int64(arguments[0]);
  if (value == kMinusInfinity || value == kPlusInfinity) {
    return sqlite3_result_double(call, value < 0 ? -INFINITY : INFINITY);
  }
  sqlite3_result_double(call, static_cast<double>(value) * per_unit_numerator / per_unit_divisor);
}

struct Entry {
  const char* name;
  int arguments;
  void (*function)(Call, int, Arguments);
};
constexpr Entry kFunctions[] = {
    {"to_exact", 1, ToExact},
    {"to_real", 1, ToReal},
    {"to_integer", 1, ToInteger},
    {"to_text", 1, ToText},
    {"finite", 1, Finite},
    {"compare_exact", 2, CompareExact},
    {"exact_between", 3, ExactBetween},
    {"add_exact", 2, ExactArithmetic<AddDecimals>},
    {"subtract_exact", 2, ExactArithmetic<SubtractDecimals>},
    {"multiply_exact", 2, ExactArithmetic<MultiplyDecimals>},
    {"negate_exact", 1, NegateExact},
    {"abs_exact", 1, AbsExact},
    {"round_exact", 2, RoundExact},
    {"min_exact", -1, ExtremeExact<-1>},
    {"max_exact", -1, ExtremeExact<1>},
    {"like_match", 2, LikeMatch},
    {"like_match", 3, LikeMatch},
    {"instr_text", 2, InstrText},
    {"replace_text", 3, ReplaceText},
    {"lower_text", 1, Fold<false>},
    {"upper_text", 1, Fold<true>},
    {"epoch_of_micros", 1, Epoch<1, 1'000'000>},
    {"epoch_of_days", 1, Epoch<86'400, 1>},
};
// SQLite's own, and those of row_functions.h.
constexpr std::string_view kOthers[] = {"->",
                                        "->>",
                                        "abs",
                                        "coalesce",
                                        "hex",
                                        "ifnull",
                                        "iif",
                                        "json_extract",
                                        "json_type",
                                        "json_valid",
                                        "json_array_length",
                                        "length",
                                        "ltrim",
                                        "max",
                                        "min",
                                        "nullif",
                                        "round",
                                        "rtrim",
                                        "substr",
                                        "substring",
                                        "trim",
                                        "new_value",
                                        "old_value",
                                        "changed_value",
                                        "regexp_match"};

}  // namespace

Status RegisterSqlFunctions(sqlite::Database& database) {
  if (Utf8Locale() == nullptr) {
    return Error{Disposition::kNeedsOperator, "condition_limit",
                 "the locale C.UTF-8 is missing; reinstall the C library (package libc-bin)"};
  }
  constexpr int kFlags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
  for (const Entry& entry : kFunctions) {
    const int code =
        sqlite3_create_function_v2(database.handle(), entry.name, entry.arguments, kFlags, nullptr,
                                   entry.function, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return database.LastError("register functions");
  }
  return {};
}

bool IsAllowedFunction(const char* name) {
  const auto is_name = [name](const Entry& entry) { return std::strcmp(entry.name, name) == 0; };
  return std::any_of(std::begin(kFunctions), std::end(kFunctions), is_name) ||
         std::find(std::begin(kOthers), std::end(kOthers), name) != std::end(kOthers);
}

}  // namespace tailwater::expression
