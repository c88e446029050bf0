#include "mysql/compressed.h"

#include <zlib.h>

#include "mysql/log_events.h"
#include "mysql/wire_bytes.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

// More than this zlib cannot make of a byte: a larger claim is a lie.
constexpr uint64_t kLargestRatio = 1032;

Error Malformed(std::string_view what) {
  return {
      Disposition::kFatal, "mysql_event_malformed",
      fmt::format("a compressed event: {}; keep the binlog file and report it with the server's "
                  "version",
                  what)};
}

}  // namespace

Status Inflate(std::string_view compressed, size_t at, std::string& storage, size_t& size) {
  if (compressed.empty()) return Malformed("it has no head");
  const auto head = static_cast<uint8_t>(compressed[0]);
  const size_t size_bytes = head & 7;
  if ((head & 0x80) == 0 || (head & 0x70) != 0 || size_bytes < 1 || size_bytes > 4 ||
      compressed.size() < 1 + size_bytes) {
    return Malformed("its compression is not known here");
  }
  const uint64_t claimed = LoadBig(compressed.data() + 1, size_bytes);
  compressed.remove_prefix(1 + size_bytes);
  if (claimed > kLargestEvent || claimed / kLargestRatio > compressed.size()) {
    return Malformed("its size cannot be true");
  }
  if (storage.size() < at + claimed) storage.resize(at + claimed);
  uLongf inflated = claimed;
  uLong used = compressed.size();
  const int code = uncompress2(reinterpret_cast<Bytef*>(storage.data() + at), &inflated,
                               reinterpret_cast<const Bytef*>(compressed.data()), &used);
  if (code != Z_OK || inflated != claimed || used != compressed.size()) {
    return Malformed("it cannot be decompressed");
  }
  size = claimed;
  return {};
}

Result<Event> Uncompress(const Event& event, const LogFormat& format, std::string& storage) {
  Event plain = event;
  bool is_update = false;
  switch (event.type) {
    case EventType::kWriteRowsCompressedV1:
      plain.type = EventType::kWriteRowsV1;
      break;
    case EventType::kUpdateRowsCompressedV1:
      plain.type = EventType::kUpdateRowsV1;
      is_update = true;
      break;
    case EventType::kDeleteRowsCompressedV1:
      plain.type = EventType::kDeleteRowsV1;
      break;
    default:
      return Malformed(EventName(event.type) + " is none");
  }
  std::string_view rest = event.body, skipped;
  uint64_t columns = 0;
  if (!TakeBytes(rest, format.table_id_bytes + 2u, skipped) || !TakeLenenc(rest, columns) ||
      columns > rest.size() * 8 ||
      !TakeBytes(rest, (columns + 7) / 8 * (is_update ? 2 : 1), skipped)) {
    return Malformed("it ends inside of its head");
  }
  const size_t head = event.body.size() - rest.size();
  if (storage.size() < head) storage.resize(head);
  event.body.copy(storage.data(), head);
  size_t size = 0;
  TW_TRY(Inflate(rest, head, storage, size));
  plain.body = std::string_view(storage).substr(0, head + size);
  return plain;
}

}  // namespace tailwater::mysql
