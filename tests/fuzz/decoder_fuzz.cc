// Any bytes as a topic record: an error or a change that encodes again, never anything else.
//   cmake --preset fuzz && cmake --build build/fuzz --target decoder_fuzz &&
//   build/fuzz/tests/fuzz/decoder_fuzz -max_total_time=60 /tmp/corpus tests/golden/codec
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "codec/codec.h"
#include "tailwater/array.h"

namespace tailwater {
namespace {

void Use(Row row, std::string& out) {
  for (const Value& value : row) {
    AppendReadable(value, out);
    if (value.has_value() && value.type() == ValueType::kArray) {
      static_cast<void>(ReadArray(value.bytes()).has_value());
    }
  }
}

void DecodeOne(std::string_view bytes) {
  static_cast<void>(PeekHeaders(bytes).has_value());
  ChangeBatch batch;
  if (!Decoder().Decode(bytes, batch)) return;
  const Change& change = batch.changes()[0];
  std::string readable;
  Use(change.before, readable);
  Use(change.after, readable);
  std::string again;
  Encoder encoder;
  encoder.EncodeChange(change, again);
  encoder.EncodeKey(change, readable);
  ChangeBatch second;
  if (!Decoder().Decode(again, second)) std::abort();
  if (Id(second.changes()[0]) != Id(change)) std::abort();
}

}  // namespace
}  // namespace tailwater

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tailwater::DecodeOne({reinterpret_cast<const char*>(data), size});
  return 0;
}
