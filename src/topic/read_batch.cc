#include <atomic>
#include <mutex>

#include "codec/codec.h"
#include "topic/topic.h"

namespace tailwater {

struct ReadBatch::Decoded {
  std::once_flag once;
  std::atomic<size_t> bytes = 0;
  ChangeBatch batch;
  Status status;
};

ReadBatch::ReadBatch() : decoded_(std::make_unique<Decoded>()) {}
ReadBatch::~ReadBatch() = default;

Result<std::span<const Change>> ReadBatch::Changes() const {
  std::call_once(decoded_->once, [this] {
    Decoder decoder;
    for (const Record& record : records) {
      decoded_->status = decoder.Decode(record.value, decoded_->batch);
      if (!decoded_->status) {
        decoded_->status = std::move(decoded_->status.error())
                               .Within("partition " + std::to_string(partition) + ", offset " +
                                       std::to_string(record.offset));
        return;
      }
    }
    decoded_->bytes = decoded_->batch.memory_bytes();
  });
  if (!decoded_->status) return decoded_->status.error();
  return decoded_->batch.changes();
}

size_t ReadBatch::memory_bytes() const {
  return bytes + records.capacity() * sizeof(Record) + decoded_->bytes;
}

}  // namespace tailwater
