#include "postgres/binary_values.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>

#include "postgres/big_endian.h"
#include "support/shortest_float.h"

namespace tailwater::postgres {
namespace {

// Every NaN prints as "NaN", whatever its bits.
template <class Float>
Float OneNan(Float number) {
  return number != number ? std::numeric_limits<Float>::quiet_NaN() : number;
}

// Room for the exact decimal digits of half a denormal single.
using DigitBuffer = std::array<char, 192>;

// "d.ddde±xx" with `precision` digits behind the point; all that there are if it is large enough.
std::string_view Scientific(double number, int precision, DigitBuffer& buffer) {
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number,
                                 std::chars_format::scientific, precision)
                       .ptr;
  return {buffer.data(), static_cast<size_t>(end - buffer.data())};
}

// Whether `digits` ("d.ddde±xx") are, to the last digit, what `number` is.
bool IsExactly(std::string_view digits, double number) {
  DigitBuffer buffer;
  const std::string_view exact = Scientific(number, 150, buffer);
  const size_t exponent = digits.find('e'), exact_exponent = exact.find('e');
  if (digits.substr(exponent) != exact.substr(exact_exponent)) return false;
  const std::string_view mantissa = digits.substr(0, exponent);
  const std::string_view rest = exact.substr(0, exact_exponent);
  if (!rest.starts_with(mantissa)) return false;
  return rest.find_first_not_of(".0", mantissa.size()) == std::string_view::npos;
}

double ReadDouble(std::string_view digits) {
  double number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

// The double of the shortest text that the server has for a positive single. to_chars also takes a
// decimal in the very middle between two singles, from where the even one is read back; the server
// does not. Middles are doubles.
double ServersShortest(float single) {
  const double wide = ShortestDouble(single);
  const double exact = single;
  const double below = std::nextafter(single, 0.0F);
  const double above = std::nextafter(single, std::numeric_limits<float>::infinity());
  const double low = (exact + below) / 2;
  const double high = std::isinf(above) ? exact + (exact - below) / 2 : (exact + above) / 2;
  if (wide != low && wide != high) return wide;
  DigitBuffer buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), single,
                                 std::chars_format::scientific)
                       .ptr;
  const std::string_view digits(buffer.data(), static_cast<size_t>(end - buffer.data()));
  if (!IsExactly(digits, wide)) return wide;
  for (int precision = 0; precision < 9; ++precision) {
    const double longer = ReadDouble(Scientific(exact, precision, buffer));
    if (low < longer && longer < high) return longer;
  }
  return exact;
}

}  // namespace

bool DecodeBool(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out) {
  if (bytes.size() != 1 || static_cast<uint8_t>(bytes[0]) > 1) return false;
  out = Value::Bool(bytes[0] == 1);
  return true;
}

bool DecodeInt(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out) {
  switch (bytes.size()) {
    case 8:
      out = Value::Int64(LoadBig<int64_t>(bytes.data()));
      return true;
    case 4:
      out = Value::Int64(LoadBig<int32_t>(bytes.data()));
      return true;
    case 2:
      out = Value::Int64(LoadBig<int16_t>(bytes.data()));
      return true;
    default:
      return false;
  }
}

bool DecodeUint(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out) {
  if (bytes.size() != 4) return false;
  out = Value::Int64(LoadBig<uint32_t>(bytes.data()));
  return true;
}

bool DecodeUint64(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out) {
  if (bytes.size() != 8) return false;
  out = Value::Uint64(LoadBig<uint64_t>(bytes.data()));
  return true;
}

// As ParseFloat32 makes it of the text.
bool DecodeFloat32(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out) {
  if (bytes.size() != 4) return false;
  const auto single = OneNan(std::bit_cast<float>(LoadBig<uint32_t>(bytes.data())));
  if (single == 0 || !std::isfinite(single)) {
    out = Value::Float64(single);
    return true;
  }
  const double shortest = std::copysign(ServersShortest(std::fabs(single)), single);
  out = Value::Float64(static_cast<float>(shortest) == single ? shortest : single);
  return true;
}

bool DecodeFloat64(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out) {
  if (bytes.size() != 8) return false;
  out = Value::Float64(OneNan(std::bit_cast<double>(LoadBig<uint64_t>(bytes.data()))));
  return true;
}

namespace {

constexpr unsigned kBase = 10'000;

struct Numeric {
  const char* groups;
  int count;
  int weight;  // of the first group: times 10,000 to the power of it

  // The group that stands `place` behind the first; zero where none was stored.
  unsigned Group(int place) const {
    return place < 0 || place >= count ? 0 : LoadBig<uint16_t>(groups + 2 * place);
  }
};

char* PutFourDigits(unsigned group, char* next) {
  next[0] = static_cast<char>('0' + group / 1000);
  next[1] = static_cast<char>('0' + group / 100 % 10);
  next[2] = static_cast<char>('0' + group / 10 % 10);
  next[3] = static_cast<char>('0' + group % 10);
  return next + 4;
}

}  // namespace

bool DecodeNumeric(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out) {
  constexpr unsigned kNegative = 0x4000, kNan = 0xC000, kInfinity = 0xD000,
                     kNegativeInfinity = 0xF000, kMaxScale = 0x3FFF;
  if (bytes.size() < 8) return false;
  const unsigned count = LoadBig<uint16_t>(bytes.data());
  const Numeric numeric{bytes.data() + 8, static_cast<int>(count),
                        LoadBig<int16_t>(bytes.data() + 2)};
  const unsigned sign = LoadBig<uint16_t>(bytes.data() + 4);
  const unsigned scale = LoadBig<uint16_t>(bytes.data() + 6);
  if (bytes.size() != 8 + size_t{2} * count || scale > kMaxScale) return false;
  if (sign == kNan || sign == kInfinity || sign == kNegativeInfinity) {
    if (count != 0) return false;
    out = Value::Decimal(sign == kNan ? "NaN" : sign == kInfinity ? "Infinity" : "-Infinity");
    return true;
  }
  if (sign != 0 && sign != kNegative) return false;
  for (unsigned i = 0; i < count; ++i) {
    if (numeric.Group(static_cast<int>(i)) >= kBase) return false;
  }
  const size_t most = 1 + 4 * static_cast<size_t>(std::max(numeric.weight + 1, 1)) + 1 + scale + 3;
  char* const text = batch.arena().Allocate(most, 1);
  char* next = text;
  if (sign == kNegative) *next++ = '-';
  if (numeric.weight < 0) {
    *next++ = '0';
  } else {
    next = std::to_chars(next, next + 4, numeric.Group(0)).ptr;
    for (int place = 1; place <= numeric.weight; ++place) {
      next = PutFourDigits(numeric.Group(place), next);
    }
  }
  if (scale != 0) {
    *next++ = '.';
    char* const end = next + scale;
    for (int place = numeric.weight + 1; next < end; ++place) {
      next = PutFourDigits(numeric.Group(place), next);
    }
    next = end;
  }
  out = Value::Decimal({text, static_cast<size_t>(next - text)});
  return true;
}

bool DecodeText(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Text(bytes);
  return true;
}

// What the server prints of a byte above 127 depends on its version and encoding.
bool DecodeChar(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out) {
  if (bytes.size() != 1 || static_cast<uint8_t>(bytes[0]) >= 0x80) return false;
  out = Value::Text(bytes.substr(0, bytes[0] == 0 ? 0 : 1));
  return true;
}

bool DecodeJson(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Json(bytes);
  return true;
}

bool DecodeJsonb(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out) {
  if (bytes.empty() || bytes[0] != 1) return false;  // the version of the form
  out = Value::Json(bytes.substr(1));
  return true;
}

bool DecodeEnum(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Enum(bytes);
  return true;
}

bool DecodeBytea(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Blob(bytes);
  return true;
}

bool DecodeUuid(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out) {
  if (bytes.size() != 16) return false;
  out = Value::Uuid(bytes);
  return true;
}

}  // namespace tailwater::postgres
