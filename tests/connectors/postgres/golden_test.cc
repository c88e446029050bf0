// Real bytes in, readable events out: one file per case. TAILWATER_UPDATE_GOLDEN=1 writes the
// expectations anew.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "connectors/postgres/golden_files.h"
#include "postgres/change_decoder.h"
#include "support/matchers.h"
#include "tailwater/array.h"

namespace tailwater::postgres {
namespace {

// Answers "read back" for the first wanted column and NULL for the rest, and writes down what it
// was asked.
class ScriptedReadBack : public ReadBack {
 public:
  Result<ReadBackAnswer> Read(const ReadBackRequest& request) override {
    asked += "  read back " + request.schema->table() + " where";
    for (size_t i = 0; i < request.key.size(); ++i) {
      const Column& column = request.schema->columns()[request.schema->key_columns()[i]];
      asked.append(" ").append(column.name).append("=").append(request.key[i].bytes);
    }
    asked += ":";
    for (const uint32_t i : request.columns) asked += " " + request.schema->columns()[i].name;
    asked += "\n";
    ReadBackAnswer answer;
    answer.found = found;
    answer.values.resize(request.columns.size());
    answer.values[0] = "read back";
    return answer;
  }
  bool found = true;
  std::string asked;
};

void AppendShortened(std::string text, std::string& out) {
  for (size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) {
    text.replace(at, 1, "\\n");
  }
  if (text.size() > 600) {
    out += text.substr(0, 20) + "… " + std::to_string(text.size()) + " bytes";
  } else {
    out += text;
  }
}

std::string ReadableArray(const Value& value) {
  std::string out;
  const auto array = ReadArray(value.bytes());
  if (!array) return "malformed array";
  for (const ArrayDimension& dimension : array->dimensions) {
    out +=
        "[" + std::to_string(dimension.lower_bound) + "+" + std::to_string(dimension.length) + "]";
  }
  for (const Value& element : array->elements) {
    out += " ";
    if (element.has_value()) {
      out.append(ValueTypeName(element.type())).append(":<");
      AppendReadable(element, out);
      out += ">";
    } else {
      AppendReadable(element, out);
    }
  }
  return out;
}

void AppendRow(std::string_view name, const TableSchema& schema, Row row, std::string& out) {
  if (row.empty()) return;
  out.append("  ").append(name).append("\n");
  for (size_t i = 0; i < row.size(); ++i) {
    const Value& value = row[i];
    out += "    " + schema.columns()[i].name + " = ";
    if (!value.has_value()) {
      AppendReadable(value, out);
    } else {
      if (value.type() != schema.columns()[i].type) {
        out.append(ValueTypeName(value.type())).append(" ");
      }
      std::string text;
      if (value.type() == ValueType::kArray) {
        text = ReadableArray(value);
      } else {
        AppendReadable(value, text);
      }
      AppendShortened(text, out);
    }
    out += "\n";
  }
}

std::string Describe(const std::string& name) {
  RecordedCatalog catalog(name);
  ScriptedReadBack read_back;
  ChangeDecoder decoder(
      {.selects_table = [](const TableName& table) { return !table.name.starts_with("skipped"); },
       .selects_message = [](std::string_view prefix) { return prefix.starts_with("app."); }},
      catalog, read_back);
  ChangeBatch batch;
  std::string out;
  const TableSchema* described = nullptr;
  std::vector<SchemaPtr> kept;
  for (const std::string& message : GoldenMessages(name)) {
    batch.Clear();
    const auto event = decoder.Decode(message, batch);
    if (!event) {
      return out + "error " + std::string(event.error().code) + ": " + event.error().message + "\n";
    }
    if (event->kind == DecodedEvent::Kind::kBegin) out += "begin\n";
    if (event->kind == DecodedEvent::Kind::kCommit) out += "commit\n";
    if (event->kind == DecodedEvent::Kind::kAlone) out += "alone\n";
    out += read_back.asked;
    read_back.asked.clear();
    for (const Change& change : batch.changes()) {
      if (change.schema != nullptr && change.schema != described) {
        described = change.schema;
        out += "schema " + described->table() + "\n";
        for (const Column& column : described->columns()) {
          out += "  " + column.name + " " + column.type_name + ": " +
                 std::string(ValueTypeName(column.type)) + (column.key ? " key" : "") +
                 (column.generated ? " generated" : "") + "\n";
        }
      }
      out += std::string(OperationName(change.operation)) + " " + std::to_string(change.ordinal) +
             "." + std::to_string(change.part) + " " + std::string(change.table) + "\n";
      if (change.operation == Operation::kMessage) {
        out.append("  ").append(change.message_prefix).append(": ");
        AppendShortened(std::string(change.message_content), out);
        out += "\n";
      } else {
        AppendRow("before", *change.schema, change.before, out);
        AppendRow("after", *change.schema, change.after, out);
      }
    }
  }
  return out;
}

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, CapturedBytesGiveTheExpectedEvents) {
  const std::string described = Describe(GetParam());
  const auto path = kGoldenFolder / (GetParam() + ".txt");
  if (std::getenv("TAILWATER_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path, std::ios::binary) << described;
  }
  EXPECT_EQ(described, ReadFile(path));
}

TEST_P(Golden, EveryPrefixOfAMessageIsAnError) {
  MessageParser parser;
  for (const std::string& message : GoldenMessages(GetParam())) {
    for (size_t size = 0; size < message.size(); ++size) {
      if (size > 400 && size % 97 != 0) continue;
      const std::string prefix = message.substr(0, size);  // of its own, so that overruns show
      Message parsed;
      ASSERT_THAT(parser.Parse(prefix, parsed), IsErrorWith("pg_message_malformed"));
    }
    Message parsed;
    ASSERT_OK(parser.Parse(message, parsed));
    ASSERT_THAT(parser.Parse(message + '\0', parsed), IsErrorWith("pg_message_malformed"));
  }
}

// Each byte of each message turned into others: a change or an error, but never a crash.
TEST_P(Golden, DamagedMessagesNeverCrash) {
  const std::vector<std::string> messages = GoldenMessages(GetParam());
  for (size_t damaged = 0; damaged < messages.size(); ++damaged) {
    if (damaged > 20) break;
    for (size_t at = 0; at < messages[damaged].size(); at += at < 200 ? 7 : 101) {
      RecordedCatalog catalog(GetParam());
      ScriptedReadBack read_back;
      ChangeDecoder decoder({}, catalog, read_back);
      ChangeBatch batch;
      for (size_t i = 0; i <= damaged; ++i) {
        std::string message = messages[i];
        if (i == damaged) message[at] = static_cast<char>(message[at] ^ (1 << at % 8));
        batch.Clear();
        if (!decoder.Decode(message, batch)) break;
      }
    }
  }
}

std::string Name(const testing::TestParamInfo<std::string>& info) { return info.param; }
INSTANTIATE_TEST_SUITE_P(Captures, Golden, testing::ValuesIn(GoldenCases()), Name);

// Columns that the server computed itself stand beside each value.
TEST(Properties, ValuesAreWhatTheServerMakesOfThem) {
  RecordedCatalog catalog("properties");
  ScriptedReadBack read_back;
  ChangeDecoder decoder({}, catalog, read_back);
  ChangeBatch batch;
  size_t rows = 0;
  for (const std::string& message : GoldenMessages("properties")) {
    batch.Clear();
    ASSERT_OK(decoder.Decode(message, batch));
    for (const Change& change : batch.changes()) {
      ++rows;
      const auto at = [&](std::string_view name) {
        const auto& columns = change.schema->columns();
        const auto found = std::find_if(columns.begin(), columns.end(),
                                        [&](const Column& column) { return column.name == name; });
        return change.after[static_cast<size_t>(found - columns.begin())];
      };
      SCOPED_TRACE(at("id").as_int64());
      const auto whole = [&](std::string_view name) { return at(name).as_int64(); };
      // A year BC has no number.
      if (at("ts").type() != ValueType::kOther) {
        EXPECT_EQ(whole("ts"), whole("ts_micros"));
      }
      if (at("tz").type() != ValueType::kOther) {
        EXPECT_EQ(whole("tz"), whole("tz_micros"));
      }
      EXPECT_EQ(at("d").type(), ValueType::kDate);
      EXPECT_EQ(whole("d"), whole("d_days"));
      EXPECT_EQ(whole("tm"), whole("tm_micros"));
      const Interval interval = at("iv").as_interval();
      EXPECT_EQ(interval.months, whole("iv_months"));
      EXPECT_EQ(interval.days, whole("iv_days"));
      EXPECT_EQ(interval.micros, whole("iv_micros"));
      const auto big_endian = [&](std::string_view name) {
        uint64_t bits = 0;
        for (const char byte : at(name).bytes()) bits = bits << 8 | static_cast<uint8_t>(byte);
        return bits;
      };
      EXPECT_EQ(at("f8").as_uint64(), big_endian("f8_hex"));
      const auto single = static_cast<float>(at("f4").as_float64());
      uint32_t single_bits;
      std::memcpy(&single_bits, &single, sizeof single);
      EXPECT_EQ(single_bits, big_endian("f4_hex"));
      EXPECT_EQ(at("u").bytes(), at("u_hex").bytes());
      EXPECT_EQ(at("i8").as_uint64(), big_endian("i8_hex"));
      EXPECT_EQ(at("n").bytes(), at("n_text").bytes());
      int64_t sum = 0;
      const auto array = ReadArray(at("a").bytes());
      ASSERT_OK(array);
      for (const Value& element : array->elements) {
        if (element.has_value()) sum += element.as_int64();
      }
      EXPECT_EQ(sum, whole("a_sum"));
    }
  }
  EXPECT_EQ(rows, 400u);
}

}  // namespace
}  // namespace tailwater::postgres
