// Values as row images hold them (PROTOCOLS B9). Sizes of what has a fixed one are checked by
// ValueReader::Take().
#include <zlib.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "mysql/json_binary.h"
#include "mysql/packed_decimal.h"
#include "mysql/value_functions.h"
#include "support/json_text.h"
#include "support/shortest_float.h"
#include "support/utf8.h"
#include "tailwater/array.h"

namespace tailwater::mysql {
namespace {

// Of what is made before its length is known. Great ones are given back.
std::string& Scratch() {
  thread_local std::string scratch;
  if (scratch.capacity() > size_t{1} << 20) scratch = std::string();
  scratch.clear();
  return scratch;
}

}  // namespace

ReadOutcome DecodeInt8(const ValueReader&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Int64(LoadLittle<int8_t>(bytes.data()));
  return ReadOutcome::kOk;
}

ReadOutcome DecodeInt16(const ValueReader&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Int64(LoadLittle<int16_t>(bytes.data()));
  return ReadOutcome::kOk;
}

ReadOutcome DecodeInt24(const ValueReader&, std::string_view bytes, ChangeBatch&, Value& out) {
  const auto high = static_cast<uint32_t>(LoadLittle(bytes.data(), 3) << 8);
  out = Value::Int64(static_cast<int32_t>(high) >> 8);
  return ReadOutcome::kOk;
}

ReadOutcome DecodeInt32(const ValueReader&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Int64(LoadLittle<int32_t>(bytes.data()));
  return ReadOutcome::kOk;
}

ReadOutcome DecodeInt64(const ValueReader&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Int64(LoadLittle<int64_t>(bytes.data()));
  return ReadOutcome::kOk;
}

ReadOutcome DecodeUint8(const ValueReader&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Int64(LoadLittle<uint8_t>(bytes.data()));
  return ReadOutcome::kOk;
}

ReadOutcome DecodeUint16(const ValueReader&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Int64(LoadLittle<uint16_t>(bytes.data()));
  return ReadOutcome::kOk;
}

ReadOutcome DecodeUint24(const ValueReader&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Int64(static_cast<int64_t>(LoadLittle(bytes.data(), 3)));
  return ReadOutcome::kOk;
}

ReadOutcome DecodeUint32(const ValueReader&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Int64(LoadLittle<uint32_t>(bytes.data()));
  return ReadOutcome::kOk;
}

ReadOutcome DecodeUint64(const ValueReader&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Uint64(LoadLittle<uint64_t>(bytes.data()));
  return ReadOutcome::kOk;
}

ReadOutcome DecodeYear(const ValueReader&, std::string_view bytes, ChangeBatch&, Value& out) {
  const auto year = LoadLittle<uint8_t>(bytes.data());
  out = Value::Int64(year == 0 ? 0 : 1900 + year);
  return ReadOutcome::kOk;
}

ReadOutcome DecodeFloat(const ValueReader&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Float64(ShortestDouble(LoadLittle<float>(bytes.data())));
  return ReadOutcome::kOk;
}

ReadOutcome DecodeDouble(const ValueReader&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Float64(LoadLittle<double>(bytes.data()));
  return ReadOutcome::kOk;
}

ReadOutcome DecodeDecimal(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch,
                          Value& out) {
  const ValueForm& form = reader.form();
  char* const text = batch.arena().Allocate(kMostDecimalText, 1);
  const size_t size = UnpackDecimal(bytes, form.precision, form.scale, text);
  if (size == 0) return ReadOutcome::kMalformed;
  out = Value::Decimal({text, size});
  return ReadOutcome::kOk;
}

ReadOutcome DecodeBit(const ValueReader&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Uint64(LoadBig(bytes.data(), bytes.size()));
  return ReadOutcome::kOk;
}

ReadOutcome DecodeUtf8(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch,
                       Value& out) {
  if (!IsUtf8(bytes)) [[unlikely]]
    return TakeText(reader, bytes, batch, out);
  out = Value::Text(bytes);
  return ReadOutcome::kOk;
}

ReadOutcome DecodeText(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch,
                       Value& out) {
  return TakeText(reader, bytes, batch, out);
}

ReadOutcome TakeText(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch,
                     Value& out) {
  const Charset& charset = *reader.form().charset;
  if (charset.is_ascii_based() && AsciiPrefix(bytes) == bytes.size()) {
    out = Value::Text(bytes);
    return ReadOutcome::kOk;
  }
  std::string& text = Scratch();
  if (!charset.ToUtf8(bytes, text)) {
    switch (reader.form().options.invalid_text) {
      case InvalidText::kHalt:
        return ReadOutcome::kInvalidText;
      case InvalidText::kBytes:
        out = Value::Blob(bytes);
        return ReadOutcome::kOk;
      case InvalidText::kReplace:
        text.clear();
        charset.ToUtf8WithReplacements(bytes, text);
    }
  }
  out = Value::Text(batch.arena().Copy(text));
  return ReadOutcome::kOk;
}

ReadOutcome DecodeBytes(const ValueReader&, std::string_view bytes, ChangeBatch&, Value& out) {
  out = Value::Blob(bytes);
  return ReadOutcome::kOk;
}

// The zeros at the end of a BINARY(n) are not in the log.
std::string_view Padded(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch) {
  const size_t size = reader.form().size;
  if (bytes.size() >= size) return bytes;
  char* const padded = batch.arena().Allocate(size, 1);
  std::memcpy(padded, bytes.data(), bytes.size());
  std::memset(padded + bytes.size(), 0, size - bytes.size());
  return {padded, size};
}

ReadOutcome DecodeBinary(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch,
                         Value& out) {
  if (bytes.size() > reader.form().size) return ReadOutcome::kMalformed;
  out = Value::Blob(Padded(reader, bytes, batch));
  return ReadOutcome::kOk;
}

// A head byte: 0, and the value follows; else how it was deflated and how many bytes, big end
// first, say how long it is. No value of a column is longer than what a column can hold.
ReadOutcome DecodeCompressed(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch,
                             Value& out) {
  constexpr uint8_t kZlib = 0x80, kRaw = 0x08;
  constexpr uint64_t kMostRatio = 1032;  // of deflate
  std::string_view value = bytes;
  if (!bytes.empty()) {
    const auto head = static_cast<uint8_t>(bytes[0]);
    value = bytes.substr(1);
    if (head != 0) {
      const size_t length_size = head & 7;
      if ((head & 0xF0) != kZlib || length_size == 0 || length_size > 4 ||
          value.size() < length_size) {
        return ReadOutcome::kMalformed;
      }
      const uint64_t length = LoadBig(value.data(), length_size);
      value.remove_prefix(length_size);
      if (length > (value.size() + 8) * kMostRatio) return ReadOutcome::kMalformed;
      char* const plain = batch.arena().Allocate(length, 1);
      z_stream stream{};
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(value.data()));
      stream.avail_in = static_cast<uInt>(value.size());
      stream.next_out = reinterpret_cast<Bytef*>(plain);
      stream.avail_out = static_cast<uInt>(length);
      if (inflateInit2(&stream, (head & kRaw) != 0 ? -MAX_WBITS : MAX_WBITS) != Z_OK) {
        return ReadOutcome::kMalformed;
      }
      const int ended = inflate(&stream, Z_FINISH);
      inflateEnd(&stream);
      if (ended != Z_STREAM_END || stream.total_out != length) return ReadOutcome::kMalformed;
      value = {plain, length};
    }
  }
  if (reader.form().charset != nullptr) return TakeText(reader, value, batch, out);
  out = Value::Blob(value);
  return ReadOutcome::kOk;
}

ReadOutcome DecodeEnum(const ValueReader& reader, std::string_view bytes, ChangeBatch&,
                       Value& out) {
  const uint64_t index = LoadLittle(bytes.data(), bytes.size());
  if (index > reader.labels().size()) return ReadOutcome::kMalformed;
  out = Value::Enum(index == 0 ? std::string_view() : reader.labels()[index - 1]);
  return ReadOutcome::kOk;
}

ReadOutcome DecodeSet(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch,
                      Value& out) {
  uint64_t members = LoadLittle(bytes.data(), bytes.size());
  const auto& labels = reader.labels();
  if (std::bit_width(members) > labels.size()) return ReadOutcome::kMalformed;
  if (std::has_single_bit(members)) {
    out = Value::Text(labels[static_cast<size_t>(std::countr_zero(members))]);
    return ReadOutcome::kOk;
  }
  std::string& text = Scratch();
  for (; members != 0; members &= members - 1) {
    if (!text.empty()) text += ',';
    text += labels[static_cast<size_t>(std::countr_zero(members))];
  }
  out = Value::Text(batch.arena().Copy(text));
  return ReadOutcome::kOk;
}

ReadOutcome DecodeJson(const ValueReader&, std::string_view bytes, ChangeBatch& batch, Value& out) {
  std::string& text = Scratch();
  if (!AppendJsonText(bytes, text)) return ReadOutcome::kMalformed;
  if (!IsUtf8(text)) return ReadOutcome::kInvalidText;
  out = Value::Json(batch.arena().Copy(text));
  return ReadOutcome::kOk;
}

// The check that it is JSON can be switched off in a session: what is none stays text.
ReadOutcome DecodeJsonText(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch,
                           Value& out) {
  const ReadOutcome outcome = TakeText(reader, bytes, batch, out);
  if (outcome == ReadOutcome::kOk && out.type() == ValueType::kText && IsJsonText(out.bytes())) {
    out = Value::Json(out.bytes());
  }
  return outcome;
}

ReadOutcome DecodeVector(const ValueReader&, std::string_view bytes, ChangeBatch& batch,
                         Value& out) {
  if (bytes.size() % sizeof(float) != 0) return ReadOutcome::kMalformed;
  std::string& array = Scratch();
  ArrayWriter writer(array);
  if (!bytes.empty()) {
    writer.AddDimension({.length = static_cast<uint32_t>(bytes.size() / sizeof(float))});
  }
  for (size_t i = 0; i < bytes.size(); i += sizeof(float)) {
    writer.AddElement(Value::Float64(ShortestDouble(LoadLittle<float>(bytes.data() + i))));
  }
  out = Value::Array(batch.arena().Copy(array));
  return ReadOutcome::kOk;
}

ReadOutcome DecodeUuid(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch,
                       Value& out) {
  if (bytes.size() > reader.form().size) return ReadOutcome::kMalformed;
  out = Value::Uuid(Padded(reader, bytes, batch));
  return ReadOutcome::kOk;
}

}  // namespace tailwater::mysql
