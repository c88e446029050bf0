// Messages in, changes out: one transaction after the other, one event at a time.
//
//   ChangeBatch batch;
//   for each XLogData payload:
//     batch.Clear();
//     TW_ASSIGN_OR_RETURN(const Event event, decoder.Decode(payload, batch));
//     switch (event.kind) { kBegin: out.Begin(…event.begin…); kChanges: out.Append(each of
//     batch.changes()); kCommit: out.Commit(event.commit.end_lsn); kAlone: out.AppendAlone(the one
//     change, event.message_lsn); kNothing: }
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "postgres/catalog_facts.h"
#include "postgres/lsn.h"
#include "postgres/pgoutput.h"
#include "postgres/read_back.h"
#include "postgres/relation.h"
#include "tailwater/change.h"
#include "tailwater/result.h"

namespace tailwater::postgres {

struct DecodedEvent {
  enum class Kind : uint8_t {
    kNothing,  // Relation, Type, Origin, and events that nobody selected
    kBegin,    // `begin`
    kChanges,  // parts 0, 1, … of one event of the open transaction
    kCommit,   // `commit`
    kAlone,    // one non-transactional message; nothing if it is not selected, see `message_lsn`
    kMark,     // `mark`: a watermark of ours inside the open transaction; never a change
  };
  Kind kind = Kind::kNothing;
  BeginMessage begin;
  CommitMessage commit;
  Lsn message_lsn;        // kAlone: the frontier behind the message
  std::string_view mark;  // kMark: what was written, see watermarks.h; views the message
};

class ChangeDecoder {
 public:
  struct Options {
    std::function<bool(const TableName&)> selects_table;    // empty: every table
    std::function<bool(std::string_view)> selects_message;  // by prefix; empty: none
    TableName mark_table;                                   // holds watermarks and nothing else
  };

  // `catalog` and `read_back` outlive the decoder.
  ChangeDecoder(Options options, CatalogFacts& catalog, ReadBack& read_back);

  // Whether the stream was asked for binary values. Then a table with a column that has no binary
  // form of ours, and a value that only its text can tell, are kRetry "pg_text_needed": read on
  // from the checkpoint, asking for text. Before the first message of a session.
  void ExpectBinary(bool binary) { binary_ = binary; }

  // Decodes one pgoutput message. Sets operation, table, schema, ordinal, part and rows (or message
  // fields) of the changes it appends to `batch`; their views point into `message`, the batch's
  // arena and the decoder's schemas, which live until the next call.
  // kFatal: "pg_message_malformed", "pg_message_unknown", "pg_message_out_of_place",
  // "pg_relation_unknown", "pg_tuple_mismatch", "pg_key_missing", "pg_value_malformed"; and what
  // CatalogFacts and ReadBack return. kRetry: "pg_text_needed".
  Result<DecodedEvent> Decode(std::string_view message, ChangeBatch& batch);

  // After kBegin: the rest of this transaction is not for us (its commit record lies strictly below
  // the frontier). Relation and Type messages in it are still heeded; kCommit is still reported.
  void SkipTransaction() { skipping_ = true; }

  // Before a new stream: forgets the open transaction and all relations; the server sends them
  // again.
  void Reset();

  bool in_transaction() const { return in_transaction_; }
  uint64_t next_ordinal() const { return next_ordinal_; }

 private:
  Result<DecodedEvent> DecodeMessage(std::string_view message, ChangeBatch& batch);
  static Result<DecodedEvent> DecodeMark(const Relation& relation, const RowMessage& row);
  Result<DecodedEvent> DecodeRow(const RowMessage& row, ChangeBatch& batch);
  Result<DecodedEvent> DecodeTruncate(const TruncateMessage& truncate, ChangeBatch& batch);
  Result<DecodedEvent> DecodeLogical(const LogicalMessage& message, ChangeBatch& batch);
  Status Insert(const Relation& relation, const RowMessage& row, ChangeBatch& batch);
  Status Update(const Relation& relation, const RowMessage& row, ChangeBatch& batch);
  Status Delete(const Relation& relation, const RowMessage& row, ChangeBatch& batch);
  // Columns of a new row that the log left out are read from the source, or become omitted.
  Status ReadBackUnchanged(const Relation& relation, const RowMessage& row, std::span<Value> after,
                           ChangeBatch& batch);
  Change& Append(const Relation& relation, Operation operation, uint32_t part, ChangeBatch& batch);

  const Options options_;
  ReadBack& read_back_;
  MessageParser parser_;
  Message message_;
  RelationCache relations_;
  bool in_transaction_ = false;
  bool skipping_ = false;
  bool binary_ = false;
  uint32_t xid_ = 0;
  Lsn final_lsn_;
  uint64_t next_ordinal_ = 0;
  std::vector<uint32_t> wanted_;  // scratch of ReadBackUnchanged
  std::vector<KeyField> key_;     // scratch of ReadBackUnchanged
};

}  // namespace tailwater::postgres
