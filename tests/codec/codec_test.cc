#include "codec/codec.h"

#include <xxhash.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "support/matchers.h"
#include "support/random_change.h"
#include "tailwater/array.h"
#include "tailwater/change.pb.h"

namespace tailwater {
namespace {

constexpr int kSeeds = 5000;

void FillValue(const Value& value, v1::Value& out) {
  switch (value.state()) {
    case ColumnState::kOmitted:
      return;
    case ColumnState::kNull:
      return out.set_absence(v1::NULL_VALUE);
    case ColumnState::kUnchanged:
      return out.set_absence(v1::UNCHANGED);
    case ColumnState::kValue:
      break;
  }
  const std::string bytes = Value::IsBytes(value.type()) ? std::string(value.bytes()) : "";
  switch (value.type()) {
    case ValueType::kBool:
      return out.set_bool_value(value.as_bool());
    case ValueType::kInt64:
      return out.set_int64_value(value.as_int64());
    case ValueType::kUint64:
      return out.set_uint64_value(value.as_uint64());
    case ValueType::kFloat64:
      return out.set_float64_value(value.as_float64());
    case ValueType::kDecimal:
      return out.set_decimal(bytes);
    case ValueType::kText:
      return out.set_text(bytes);
    case ValueType::kBytes:
      return out.set_bytes(bytes);
    case ValueType::kDate:
      return out.set_date_days(value.as_int64());
    case ValueType::kTime:
      return out.set_time_micros(value.as_int64());
    case ValueType::kTimestamp:
      return out.set_timestamp_micros(value.as_int64());
    case ValueType::kTimestampTz:
      return out.set_timestamptz_micros(value.as_int64());
    case ValueType::kInterval:
      out.mutable_interval()->set_months(value.as_interval().months);
      out.mutable_interval()->set_days(value.as_interval().days);
      out.mutable_interval()->set_micros(value.as_interval().micros);
      return;
    case ValueType::kUuid:
      return out.set_uuid(bytes);
    case ValueType::kJson:
      return out.set_json(bytes);
    case ValueType::kEnum:
      return out.set_enum_label(bytes);
    case ValueType::kOther:
      return out.set_other(bytes);
    case ValueType::kArray: {
      const Result<ArrayView> array = ReadArray(value.bytes());
      ASSERT_OK(array);
      v1::Array& message = *out.mutable_array();
      for (const ArrayDimension& dimension : array->dimensions) {
        v1::Dimension& one = *message.add_dimensions();
        one.set_length(dimension.length);
        one.set_lower_bound(dimension.lower_bound);
      }
      for (const Value& element : array->elements) FillValue(element, *message.add_elements());
      return;
    }
  }
}

void FillRow(Row row, v1::Row& out) {
  for (const Value& value : row) FillValue(value, *out.add_values());
}

v1::Change ToProto(const Change& change, bool with_fence = true) {
  v1::Change out;
  out.set_format(1);
  out.set_operation(static_cast<v1::Operation>(change.operation));
  out.set_source(std::string(change.source));
  out.set_table(std::string(change.table));
  out.set_snapshot(static_cast<v1::SnapshotMark>(change.snapshot));
  out.set_version(change.version);
  out.set_epoch(change.epoch);
  out.set_position(std::string(change.position));
  out.set_ordinal(change.ordinal);
  out.set_part(change.part);
  out.set_source_time_micros(change.source_time_micros);
  out.set_transaction_id(std::string(change.transaction_id));
  out.set_addressee(std::string(change.addressee));
  out.set_traceparent(std::string(change.traceparent));
  if (change.schema != nullptr) {
    v1::Schema& schema = *out.mutable_schema();
    schema.set_schema(change.schema->name().schema);
    schema.set_name(change.schema->name().name);
    for (const Column& column : change.schema->columns()) {
      v1::Column& one = *schema.add_columns();
      one.set_name(column.name);
      one.set_type(static_cast<uint32_t>(column.type));
      one.set_type_name(column.type_name);
      one.set_key(column.key);
      one.set_generated(column.generated);
    }
    const std::string block = schema.SerializeAsString();
    out.set_schema_fingerprint(XXH3_64bits(block.data(), block.size()));
  }
  if (!change.before.empty()) FillRow(change.before, *out.mutable_before());
  if (!change.after.empty()) FillRow(change.after, *out.mutable_after());
  if (change.operation == Operation::kMessage) {
    out.mutable_message()->set_prefix(std::string(change.message_prefix));
    out.mutable_message()->set_content(std::string(change.message_content));
  }
  if (change.operation == Operation::kFrontier) {
    out.mutable_frontier()->set_position(std::string(change.frontier));
    out.mutable_frontier()->set_log_id(std::string(change.log_id));
  }
  out.set_sweep_below(change.sweep_below);
  for (const PartitionOffset& offset : with_fence ? change.fence : decltype(change.fence)()) {
    v1::PartitionOffset& one = *out.add_fence();
    one.set_partition(offset.partition);
    one.set_offset(offset.offset);
  }
  return out;
}

// Everything but the fence, which a cut can shorten.
void ExpectSameChange(const Change& actual, const Change& expected) {
  EXPECT_EQ(actual.operation, expected.operation);
  EXPECT_EQ(actual.snapshot, expected.snapshot);
  EXPECT_EQ(actual.source, expected.source);
  EXPECT_EQ(actual.table, expected.table);
  EXPECT_EQ(Id(actual), Id(expected));
  EXPECT_EQ(actual.version, expected.version);
  EXPECT_EQ(actual.source_time_micros, expected.source_time_micros);
  EXPECT_EQ(actual.transaction_id, expected.transaction_id);
  EXPECT_EQ(actual.addressee, expected.addressee);
  EXPECT_EQ(actual.traceparent, expected.traceparent);
  EXPECT_EQ(actual.message_prefix, expected.message_prefix);
  EXPECT_EQ(actual.message_content, expected.message_content);
  EXPECT_EQ(actual.frontier, expected.frontier);
  EXPECT_EQ(actual.log_id, expected.log_id);
  EXPECT_EQ(actual.sweep_below, expected.sweep_below);
  ASSERT_EQ(actual.schema == nullptr, expected.schema == nullptr);
  if (actual.schema != nullptr) {
    EXPECT_EQ(actual.schema->name(), expected.schema->name());
    EXPECT_EQ(actual.schema->columns(), expected.schema->columns());
    EXPECT_EQ(actual.schema->key_columns(), expected.schema->key_columns());
    EXPECT_EQ(actual.schema->fingerprint(), expected.schema->fingerprint());
  }
  EXPECT_TRUE(std::ranges::equal(actual.before, expected.before));
  EXPECT_TRUE(std::ranges::equal(actual.after, expected.after));
}

std::string Encode(const Change& change) {
  std::string wire;
  Encoder().EncodeChange(change, wire);
  return wire;
}

SchemaPtr OrdersSchema() {
  return TableSchema::Make({"public", "orders"},
                           {{"id", ValueType::kInt64, "int8", true, false},
                            {"total", ValueType::kDecimal, "numeric(12,2)", false, false}});
}

// One insert into public.orders.
const Change& AppendOrder(const SchemaPtr& schema, ChangeBatch& batch) {
  batch.Keep(schema);
  Change& change = batch.Append();
  change.source = "shop";
  change.table = schema->table();
  change.schema = schema.get();
  change.epoch = 7;
  change.position = "0/1A2B3C";
  change.ordinal = 3;
  change.version = (int64_t{7} << 31) + 1;
  const std::span<Value> row = batch.NewRow(2);
  row[0] = Value::Int64(42);
  row[1] = Value::Decimal("19.90");
  change.after = row;
  return change;
}

TEST(Encoder, WritesTheBytesOfTheProtobufRuntime) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    ChangeBatch batch;
    const Change& change = RandomChange(seed).Append(batch);
    v1::Change fence;  // stands last
    *fence.mutable_fence() = ToProto(change).fence();
    ASSERT_EQ(Encode(change),
              ToProto(change, false).SerializeAsString() + fence.SerializeAsString())
        << "seed " << seed;
  }
}

TEST(Encoder, AppendsBehindWhatIsThere) {
  ChangeBatch batch;
  const Change& change = AppendOrder(OrdersSchema(), batch);
  std::string out = "before";
  Encoder encoder;
  encoder.EncodeChange(change, out);
  encoder.EncodeChange(change, out);
  EXPECT_EQ(out, "before" + Encode(change) + Encode(change));
}

TEST(Encoder, WritesKeysAsTheProtobufRuntime) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    ChangeBatch batch;
    const Change& change = RandomChange(seed).Append(batch);
    v1::Key key;
    key.set_source(std::string(change.source));
    key.set_table(std::string(change.table));
    if (change.schema != nullptr && !change.key_row().empty()) {
      for (const uint32_t column : change.schema->key_columns()) {
        FillValue(change.key_row()[column], *key.add_values());
      }
    }
    std::string wire;
    Encoder().EncodeKey(change, wire);
    ASSERT_EQ(wire, key.SerializeAsString()) << "seed " << seed;
  }
}

TEST(Encoder, KeyIsThatOfTheNewRowElseOfTheOld) {
  const SchemaPtr schema = OrdersSchema();
  ChangeBatch batch;
  Change change = AppendOrder(schema, batch);
  std::string of_insert, of_delete, of_row;
  Encoder encoder;
  encoder.EncodeKey(change, of_insert);
  std::swap(change.before, change.after);
  change.operation = Operation::kDelete;
  encoder.EncodeKey(change, of_delete);
  encoder.EncodeKey("shop", *schema, change.before, of_row);
  EXPECT_EQ(of_insert, of_delete);
  EXPECT_EQ(of_insert, of_row);
}

TEST(Encoder, AppendsAFenceAsARepeatedField) {
  const SchemaPtr schema = OrdersSchema();
  ChangeBatch batch;
  Change change = AppendOrder(schema, batch);
  change.operation = Operation::kSweep;
  change.after = {};
  std::string appended = Encode(change);
  const std::vector<PartitionOffset> fence = {{1, 500}, {2, 0}, {0, int64_t{1} << 40}};
  for (const PartitionOffset& offset : fence) AppendFence(offset, appended);
  change.fence = fence;
  EXPECT_EQ(appended, Encode(change));
}

TEST(Decoder, GivesBackWhatWasEncoded) {
  Decoder decoder;
  for (int seed = 0; seed < kSeeds; ++seed) {
    ChangeBatch batch;
    const Change& change = RandomChange(seed).Append(batch);
    const std::string wire = Encode(change);
    ChangeBatch decoded;
    ASSERT_OK(decoder.Decode(wire, decoded)) << "seed " << seed;
    ASSERT_EQ(decoded.changes().size(), 1u);
    ExpectSameChange(decoded.changes()[0], change);
    EXPECT_TRUE(std::ranges::equal(decoded.changes()[0].fence, change.fence));
    ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
  }
}

TEST(Decoder, NeverTakesAShortenedRecordForAnotherChange) {
  for (int seed = 0; seed < 400; ++seed) {
    ChangeBatch batch;
    const Change& change = RandomChange(seed).Append(batch);
    const std::string wire = Encode(change);
    const size_t step = 1 + wire.size() / 2000;
    Decoder decoder;
    for (size_t size = 0; size < wire.size(); size += step) {
      // A copy of its own, so that the sanitizer sees a read behind the end.
      const std::unique_ptr<char[]> bytes(new char[size]);
      std::copy_n(wire.data(), size, bytes.get());
      ChangeBatch decoded;
      if (decoder.Decode({bytes.get(), size}, decoded)) {
        // A sweep without its end removes nothing.
        Change expected = change;
        if (decoded.changes()[0].sweep_below == 0) expected.sweep_below = 0;
        ExpectSameChange(decoded.changes()[0], expected);
        EXPECT_LE(decoded.changes()[0].fence.size(), change.fence.size());
      } else {
        EXPECT_TRUE(decoded.changes().empty());
      }
      (void)PeekHeaders({bytes.get(), size}).has_value();
      ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed << " size " << size;
    }
  }
}

TEST(Decoder, SurvivesDamagedRecords) {
  std::mt19937_64 random(1);
  Decoder decoder;
  for (int seed = 0; seed < kSeeds; ++seed) {
    ChangeBatch batch;
    std::string wire = Encode(RandomChange(seed).Append(batch));
    for (uint64_t flips = 1 + random() % 4; flips > 0; --flips) {
      wire[random() % wire.size()] = static_cast<char>(random());
    }
    ChangeBatch decoded;
    if (!decoder.Decode(wire, decoded)) continue;
    std::string readable;
    for (const Value& value : decoded.changes()[0].after) AppendReadable(value, readable);
  }
}

TEST(Decoder, SkipsUnknownFields) {
  ChangeBatch batch;
  const Change& change = AppendOrder(OrdersSchema(), batch);
  std::string wire = Encode(change);
  wire += std::string("\xc8\x06\x05", 3);  // 105: varint
  wire += std::string(
      "\xd2\x06\x03"
      "abc",
      6);  // 106: bytes
  wire += std::string(
      "\xd9\x06"
      "12345678",
      10);  // 107: fixed64
  wire += std::string(
      "\xe5\x06"
      "1234",
      6);  // 108: fixed32
  ChangeBatch decoded;
  ASSERT_OK(Decoder().Decode(wire, decoded));
  ExpectSameChange(decoded.changes()[0], change);
  wire += std::string("\xeb\x06", 2);  // 109: a group, which proto3 does not have
  EXPECT_THAT(Decoder().Decode(wire, decoded), IsErrorWith("record_malformed"));
}

TEST(Decoder, StopsAtAFormatThatItDoesNotKnow) {
  ChangeBatch batch;
  std::string wire = Encode(AppendOrder(OrdersSchema(), batch));
  wire[1] = 2;
  ChangeBatch decoded;
  const Status status = Decoder().Decode(wire, decoded);
  EXPECT_THAT(status, IsErrorWith("record_format_unknown"));
  EXPECT_EQ(status.error().disposition, Disposition::kFatal);
  EXPECT_THAT(PeekHeaders(wire), IsErrorWith("record_format_unknown"));
}

TEST(Decoder, StopsAtAnOperationThatItDoesNotKnow) {
  ChangeBatch batch;
  std::string wire = Encode(AppendOrder(OrdersSchema(), batch));
  wire[3] = 10;
  ChangeBatch decoded;
  EXPECT_THAT(Decoder().Decode(wire, decoded), IsErrorWith("record_malformed"));
  EXPECT_THAT(PeekHeaders(wire), IsErrorWith("record_malformed"));
}

TEST(Decoder, TakesNoValueOfAnUnknownKindForAnOmittedOne) {
  ChangeBatch batch;
  v1::Change message = ToProto(AppendOrder(OrdersSchema(), batch));
  v1::Value& value = *message.mutable_after()->mutable_values(1);
  value.Clear();
  value.GetReflection()->MutableUnknownFields(&value)->AddVarint(19, 1);
  ChangeBatch decoded;
  EXPECT_THAT(Decoder().Decode(message.SerializeAsString(), decoded),
              IsErrorWith("record_malformed"));
}

TEST(Decoder, RefusesARowThatIsNotAsWideAsItsSchema) {
  ChangeBatch batch;
  v1::Change message = ToProto(AppendOrder(OrdersSchema(), batch));
  message.mutable_after()->add_values();
  ChangeBatch decoded;
  EXPECT_THAT(Decoder().Decode(message.SerializeAsString(), decoded),
              IsErrorWith("record_malformed"));
  message.mutable_after()->mutable_values()->DeleteSubrange(1, 2);
  EXPECT_THAT(Decoder().Decode(message.SerializeAsString(), decoded),
              IsErrorWith("record_malformed"));
}

TEST(Decoder, RefusesASchemaThatIsNotItsFingerprints) {
  ChangeBatch batch;
  Decoder decoder;
  const std::string good = Encode(AppendOrder(OrdersSchema(), batch));
  ASSERT_OK(decoder.Decode(good, batch));
  std::string bad = good;
  bad[bad.find("orders")] = 'O';
  bad[bad.rfind("orders")] = 'O';
  EXPECT_THAT(decoder.Decode(bad, batch), IsErrorWith("record_malformed"));
  EXPECT_THAT(Decoder().Decode(bad, batch), IsErrorWith("record_malformed"));
}

TEST(Decoder, SharesOneSchemaPerFingerprint) {
  ChangeBatch batch;
  const std::string wire = Encode(AppendOrder(OrdersSchema(), batch));
  Decoder decoder;
  ChangeBatch first, second;
  ASSERT_OK(decoder.Decode(wire, first));
  ASSERT_OK(decoder.Decode(wire, second));
  EXPECT_EQ(first.changes()[0].schema, second.changes()[0].schema);
}

TEST(Decoder, KeepsSchemasAliveWithTheBatch) {
  ChangeBatch decoded;
  std::string wire;
  {
    ChangeBatch batch;
    wire = Encode(AppendOrder(OrdersSchema(), batch));
    ASSERT_OK(Decoder().Decode(wire, decoded));
  }
  EXPECT_EQ(decoded.changes()[0].schema->table(), "public.orders");
}

TEST(Decoder, ReadsRowsOfATableWithoutColumns) {
  const SchemaPtr schema = TableSchema::Make({"public", "nothing"}, {});
  ChangeBatch batch, decoded;
  Change& change = batch.Append();
  change.schema = schema.get();
  change.table = schema->table();
  const std::string wire = Encode(change);
  ASSERT_OK(Decoder().Decode(wire, decoded));
  ExpectSameChange(decoded.changes()[0], change);
}

TEST(PeekHeaders, AgreesWithTheDecoder) {
  for (int seed = 0; seed < 1000; ++seed) {
    ChangeBatch batch;
    const Change& change = RandomChange(seed).Append(batch);
    const std::string wire = Encode(change);
    const Result<RecordHeaders> headers = PeekHeaders(wire);
    ASSERT_OK(headers);
    EXPECT_EQ(headers->operation, change.operation);
    EXPECT_EQ(headers->snapshot, change.snapshot);
    EXPECT_EQ(headers->source, change.source);
    EXPECT_EQ(headers->table, change.table);
    EXPECT_EQ(headers->position, change.position);
    EXPECT_EQ(headers->addressee, change.addressee);
    EXPECT_EQ(headers->version, change.version);
    EXPECT_EQ(headers->epoch, change.epoch);
    EXPECT_EQ(headers->ordinal, change.ordinal);
    EXPECT_EQ(headers->part, change.part);
    EXPECT_EQ(headers->source_time_micros, change.source_time_micros);
  }
}

// The wire form is a promise to readers in any language and to topics written long ago.
TEST(Golden, ARecordIsWhatItWasInTheFirstRelease) {
  ChangeBatch batch;
  std::string readable;
  AppendReadable(Value::Blob(Encode(AppendOrder(OrdersSchema(), batch))), readable);
  EXPECT_EQ(readable,
            "\\x080110011a0473686f70220d7075626c69632e6f7264657273308180808038380742"
            "08302f3141324233434803795b13ad46f55a24f682013a0a067075626c696312066f72646572731a0e0a02"
            "696410021a04696e743820011a180a05746f74616c10051a0d6e756d657269632831322c322992010d0a02"
            "18540a07320531392e3930");
}

// One file per operation; they seed the fuzzer, too.
TEST(Golden, RecordsOfTheFirstReleaseCanBeReadAndWrittenAgain) {
  std::set<Operation> seen;
  for (const auto& file : std::filesystem::directory_iterator("tests/golden/codec")) {
    std::ifstream stream(file.path(), std::ios::binary);
    const std::string wire((std::istreambuf_iterator<char>(stream)), {});
    ChangeBatch batch;
    ASSERT_OK(Decoder().Decode(wire, batch)) << file.path();
    EXPECT_EQ(Encode(batch.changes()[0]), wire) << file.path();
    EXPECT_EQ(file.path().stem(), OperationName(batch.changes()[0].operation));
    seen.insert(batch.changes()[0].operation);
  }
  EXPECT_EQ(seen.size(), 9u);
}

TEST(Golden, FingerprintsAreStable) {
  EXPECT_EQ(OrdersSchema()->fingerprint(), 0xf6245af546ad135bu);
  EXPECT_NE(TableSchema::Make({"public", "orders"}, {})->fingerprint(),
            OrdersSchema()->fingerprint());
}

// The values of Kafka's own tests.
TEST(Partition, Murmur2IsThatOfKafka) {
  EXPECT_EQ(static_cast<int32_t>(Murmur2("21")), -973932308);
  EXPECT_EQ(static_cast<int32_t>(Murmur2("foobar")), -790332482);
  EXPECT_EQ(static_cast<int32_t>(Murmur2("a-little-bit-long-string")), -985981536);
  EXPECT_EQ(static_cast<int32_t>(Murmur2("a-little-bit-longer-string")), -1486304829);
  EXPECT_EQ(static_cast<int32_t>(Murmur2("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8")),
            -58897971);
  EXPECT_EQ(static_cast<int32_t>(Murmur2("abc")), 479470107);
}

TEST(Partition, IsInRangeAndReachesAll) {
  std::set<int32_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const int32_t partition = PartitionOf("key" + std::to_string(i), 7);
    EXPECT_GE(partition, 0);
    EXPECT_LT(partition, 7);
    seen.insert(partition);
  }
  EXPECT_EQ(seen.size(), 7u);
  EXPECT_EQ(PartitionOf("foobar", 1), 0);
}

}  // namespace
}  // namespace tailwater
