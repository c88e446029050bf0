// One chunk between its two watermarks: which rows of its table changed since the low one, and what
// becomes of the chunk's rows because of them.
//
// A row that was read may be older or newer than a change that the stream brings in between. The
// change is published in any case, so the row is dropped; unless all changes of it were partial
// (they left columns out that the log does not repeat): those need a row beneath them, so it stays,
// with their columns laid over it. The columns that they left out did not change in the window.
//
// Pure, not thread-safe. What it keeps is copied: at most kMostBytes, then the chunk is spoiled.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "tailwater/change.h"

namespace tailwater {

class ChunkWindow {
 public:
  static constexpr size_t kMostBytes = 8 << 20;

  ChunkWindow(std::string chunk_id, std::string table, size_t most_bytes = kMostBytes)
      : chunk_id_(std::move(chunk_id)), table_(std::move(table)), most_bytes_(most_bytes) {}

  const std::string& chunk_id() const { return chunk_id_; }
  const std::string& table() const { return table_; }

  // A change of any table, as the stream brings it. `key`: the canonical record key.
  void Note(const Change& change, std::string_view key) {
    if (change.table == table_ && why_.empty()) NoteOwn(change, key);
  }

  // Why the chunk cannot be published, for people; empty if it can. `schema`: that of its rows.
  std::string WhyNot(const TableSchema& schema) const;

  // The row to publish for this one: itself, itself under what changed of it (valid until the next
  // call), or nothing.
  std::optional<Row> Resolve(std::string_view key, Row row);

 private:
  // What is known of a changed key: the columns to lay over its row; empty: it is dropped.
  using Overlay = std::span<Value>;

  void NoteOwn(const Change& change, std::string_view key);
  void NoteKey(std::string_view key, Row partial);
  Value Keep(const Value& value);
  void Spoil(std::string why);

  const std::string chunk_id_;
  const std::string table_;
  const size_t most_bytes_;
  std::string why_;
  std::optional<uint64_t> fingerprint_;  // of the schema that the changes have
  ChangeBatch kept_;                     // keys and overlays
  std::unordered_map<std::string_view, Overlay> changed_;
  size_t bytes_ = 0;
  ChangeBatch resolved_;
};

}  // namespace tailwater
