// Where the stream's thread and a source's snapshots meet. CaptureWriter calls it while it has the
// turn (see capture_writer.h), so never from two threads at once, but for Durable(), which comes
// from the topic's thread; SnapshotRun implements it, under a mutex of its own, for its workers and
// the API come from other threads.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/change.h"
#include "tailwater/result.h"
#include "tailwater/snapshot.h"

namespace tailwater {

// A control record that a snapshot wants published: the sweep at a unit's end, or in front of a
// copy that starts over.
struct SnapshotMarker {
  SchemaPtr schema;         // of the table
  int64_t sweep_below = 0;  // 0: everything in front of the marker; the version that it gets itself
  std::string addressee;
};

// What one topic transaction stores of snapshots, beside the checkpoint.
struct SnapshotNotes {
  std::vector<SnapshotMarker> markers;       // published in this order, behind the chunk's rows
  std::map<std::string, std::string> state;  // keys and values of the topic's state; empty: gone
  bool empty() const { return markers.empty() && state.empty(); }
};

// A chunk that was read and whose high watermark the stream is about to meet.
struct ReadyChunk {
  Chunk chunk;
  std::string addressee;
  bool last_of_unit = false;  // the last row that is published is marked kLastOfTable
};

class SnapshotPort {
 public:
  virtual ~SnapshotPort() = default;

  // The stream was heard for the first time in this run: workers may begin.
  virtual void Streaming() = 0;

  // Something waits to be stored: TakeNotes() would answer it. Cheap enough for every commit.
  bool wants_turn() const { return wants_turn_.load(std::memory_order_acquire); }
  // What to store now. `next_version`: rows published from here on have it or a greater one; it
  // becomes the `sweep_below` of units that are taken in by this call. The caller puts the notes
  // into a batch before it lets go of the turn.
  virtual SnapshotNotes TakeNotes(int64_t next_version) = 0;

  // The chunk's low watermark was met: the table whose changes its window has to look out for.
  // Nothing: nobody waits for this chunk any more. Asked again at later marks, so that the window
  // of a chunk that was given up does not stay open.
  virtual std::optional<std::string> OpenWindow(std::string_view chunk_id) = 0;
  // Its high one: the rows. Nothing: nobody waits for it any more.
  virtual std::optional<ReadyChunk> TakeChunk(std::string_view chunk_id) = 0;
  // At the high mark, before or after TakeChunk(): the chunk cannot be published; it will be read
  // again. `why` for people. Nothing happens if nobody waits for it.
  virtual void Discard(std::string_view chunk_id, std::string_view why) = 0;
  // After TakeChunk(): the topic cannot take one of its rows, and reading it again would not help.
  virtual void Refuse(std::string_view chunk_id, const Error& error) {
    Discard(chunk_id, error.message);
  }
  // `rows` of its rows go into the batch that carries these notes.
  virtual SnapshotNotes Publish(std::string_view chunk_id, uint64_t rows) = 0;

  // Of a copy of a keyless table (ChangeWriter::ServeCopy): the next rows, or that it has ended.
  struct CopyStep {
    // Published in front of the rows, in the same batch: what the topic holds of the table by now
    // may be in the copy, too, and without a key nobody can tell.
    std::vector<SnapshotMarker> before;
    std::optional<ReadyChunk> chunk;  // publish it, then call Publish()
    bool ended = false;
  };
  virtual CopyStep NextOfCopy(std::string_view chunk_id, std::chrono::milliseconds timeout) = 0;

  // As ChangeWriter::RowsReplaced(): nobody waits any more for chunks of this table that are under
  // way, and TakeNotes() has to follow before the turn ends.
  virtual void RowsReplaced(std::string_view table, std::string_view why) = 0;

  // Everything that TakeNotes() and Publish() answered so far is durable. Must not block.
  virtual void Durable() = 0;

 protected:
  std::atomic<bool> wants_turn_{false};
};

}  // namespace tailwater
