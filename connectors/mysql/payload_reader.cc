#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "mysql/compressed.h"
#include "mysql/log_events.h"
#include "mysql/wire_bytes.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

constexpr size_t kHeaderSize = 19;
constexpr size_t kSizeAt = 9;  // u32, of the event with its header
constexpr size_t kFirstBuffer = 256 << 10;
// A buffer that grew beyond this for a large event does not stay.
constexpr size_t kKeptBuffer = 8 << 20;

Error Malformed(std::string_view what) {
  return {Disposition::kFatal, "mysql_payload_malformed",
          fmt::format("a transaction payload: {}; keep the binlog file and report it with the "
                      "server's version, or SET GLOBAL binlog_transaction_compression = OFF for "
                      "what is written from now on",
                      what)};
}

}  // namespace

// Bytes [begin, end) of the buffer are decompressed and not handed on yet.
struct PayloadReader::Impl {
  ~Impl() { ZSTD_freeDStream(stream); }

  Status ReadHead(const Event& event);
  // Makes at least `size` bytes of the payload stand in the buffer; false: it has less.
  Result<bool> Fill(size_t size);
  void MakeRoom(size_t size);

  ZSTD_DStream* stream = nullptr;
  std::string_view compressed;  // what is left of it
  bool plain = false;           // compression NONE: handed on from where it is
  bool inside_frame = false;
  uint64_t declared_size = 0;
  uint64_t size = 0;  // of what came out

  std::unique_ptr<char[]> buffer;
  size_t capacity = 0, begin = 0, end = 0;
};

PayloadReader::PayloadReader() : impl_(std::make_unique<Impl>()) {}
PayloadReader::~PayloadReader() = default;

Status PayloadReader::Begin(const Event& event) {
  Impl& impl = *impl_;
  impl.begin = impl.end = 0;
  impl.size = 0;
  impl.inside_frame = false;
  impl.compressed = {};
  if (impl.capacity > kKeptBuffer) {
    impl.buffer.reset();
    impl.capacity = 0;
  }
  TW_TRY(impl.ReadHead(event));
  if (impl.plain) return {};
  if (impl.stream == nullptr) impl.stream = ZSTD_createDStream();
  if (impl.stream == nullptr ||
      ZSTD_isError(ZSTD_DCtx_reset(impl.stream, ZSTD_reset_session_only))) {
    return Error{Disposition::kRetry, "mysql_payload_memory",
                 "no memory to decompress a transaction payload"};
  }
  return {};
}

Status PayloadReader::Impl::ReadHead(const Event& event) {
  enum Field : uint64_t { kEnd, kPayloadSize, kCompression, kUncompressedSize };
  std::string_view rest = event.body;
  uint64_t payload_size = 0, compression = 255;
  declared_size = 0;
  for (;;) {
    uint64_t field = 0, value = 0;
    if (!TakeLenenc(rest, field)) return Malformed("it ends inside of its head");
    if (field == kEnd) break;
    std::string_view bytes;
    if (!TakeLenencBytes(rest, bytes)) return Malformed("it ends inside of its head");
    if (field > kUncompressedSize) continue;
    if (!TakeLenenc(bytes, value)) return Malformed("a number of its head is none");
    if (field == kPayloadSize) payload_size = value;
    if (field == kCompression) compression = value;
    if (field == kUncompressedSize) declared_size = value;
  }
  if (compression != 0 && compression != 255) {
    return Error{Disposition::kFatal, "mysql_payload_unknown",
                 fmt::format("a transaction payload has compression {}, which is not known here: "
                             "SET GLOBAL binlog_transaction_compression = OFF for what is written "
                             "from now on, and upgrade tailwater",
                             compression)};
  }
  if (payload_size != rest.size()) return Malformed("its size is not that of its event");
  plain = compression == 255;
  if (plain && declared_size != 0 && declared_size != rest.size()) {
    return Malformed("its size is not the one it declares");
  }
  compressed = rest;
  return {};
}

Result<std::optional<std::string_view>> PayloadReader::Next() {
  Impl& impl = *impl_;
  const auto size_of = [](const char* header) {
    return static_cast<size_t>(LoadLittle<uint32_t>(header + kSizeAt));
  };
  if (impl.plain) {
    if (impl.compressed.empty()) return std::optional<std::string_view>();
    const size_t size = impl.compressed.size() < kHeaderSize ? 0 : size_of(impl.compressed.data());
    std::string_view event;
    if (size < kHeaderSize || !TakeBytes(impl.compressed, size, event)) {
      return Malformed("an event of it is cut off");
    }
    return std::optional(event);
  }
  TW_ASSIGN_OR_RETURN(const bool has_header, impl.Fill(kHeaderSize));
  if (!has_header) {
    if (impl.begin != impl.end) return Malformed("an event of it is cut off");
    if (impl.declared_size != 0 && impl.size != impl.declared_size) {
      return Malformed("its size is not the one it declares");
    }
    return std::optional<std::string_view>();
  }
  const size_t size = size_of(&impl.buffer[impl.begin]);
  if (size < kHeaderSize || size > kLargestEvent) {
    return Malformed("the size of an event of it cannot be true");
  }
  TW_ASSIGN_OR_RETURN(const bool whole, impl.Fill(size));
  if (!whole) return Malformed("an event of it is cut off");
  const std::string_view event(&impl.buffer[impl.begin], size);
  impl.begin += size;
  return std::optional(event);
}

Result<bool> PayloadReader::Impl::Fill(size_t wanted) {
  while (end - begin < wanted) {
    if (compressed.empty() && !inside_frame) return false;
    MakeRoom(wanted);
    ZSTD_inBuffer in{compressed.data(), compressed.size(), 0};
    ZSTD_outBuffer out{buffer.get(), capacity, end};
    const size_t left = ZSTD_decompressStream(stream, &out, &in);
    if (ZSTD_isError(left)) return Malformed(ZSTD_getErrorName(left));
    if (in.pos == 0 && out.pos == end && left != 0) return Malformed("it is cut off");
    compressed.remove_prefix(in.pos);
    size += out.pos - end;
    end = out.pos;
    inside_frame = left != 0;
    if (declared_size != 0 && size > declared_size) {
      return Malformed("it is larger than it declares");
    }
  }
  return true;
}

// Moves what is there to the front, and grows the buffer as bytes come: never by what a header of
// an event claims alone.
void PayloadReader::Impl::MakeRoom(size_t wanted) {
  const size_t held = end - begin;
  if (begin != 0 && capacity - begin < std::max(wanted, kHeaderSize)) {
    std::memmove(buffer.get(), &buffer[begin], held);
    begin = 0;
    end = held;
  }
  if (end < capacity) return;
  const size_t grown = std::max(kFirstBuffer, capacity * 2);
  auto larger = std::make_unique_for_overwrite<char[]>(grown);
  if (held != 0) std::memcpy(larger.get(), &buffer[begin], held);
  buffer = std::move(larger);
  capacity = grown;
  begin = 0;
  end = held;
}

}  // namespace tailwater::mysql
