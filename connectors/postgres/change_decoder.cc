#include "postgres/change_decoder.h"

#include <cassert>
#include <utility>

#include "postgres/watermarks.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

constexpr DecodedEvent kNothing{};
constexpr DecodedEvent kChanges{DecodedEvent::Kind::kChanges};

Error OutOfPlace(std::string_view what) {
  return {Disposition::kFatal, "pg_message_out_of_place",
          fmt::format("{}; nothing was skipped: check what lies between this daemon and the server "
                      "(proxy, pooler), then restart the source",
                      what)};
}

Error RelationUnknown(uint32_t oid) {
  return {
      Disposition::kFatal, "pg_relation_unknown",
      fmt::format("the server sent a change of relation {} without describing it first; nothing "
                  "was skipped: restart the source, and report the server's version",
                  oid)};
}

Error TupleMismatch(const Relation& relation, size_t columns) {
  return {
      Disposition::kFatal, "pg_tuple_mismatch",
      fmt::format("{}: a row of {} columns arrived where {} were announced; nothing was skipped: "
                  "restart the source, and report the server's version",
                  relation.schema->table(), columns, relation.parsers.size())};
}

Error KeyMissing(const Relation& relation) {
  return {
      Disposition::kFatal, "pg_key_missing",
      fmt::format("{}: the log holds no key of the old row; nothing was skipped: give the table "
                  "and all of its partitions the same replica identity, then copy it again",
                  relation.schema->table())};
}

Error TextNeeded(const Relation& relation, size_t index) {
  const Column& column = relation.schema->columns()[index];
  return {Disposition::kRetry, "pg_text_needed",
          fmt::format("{}.{} of type {} can only be read as text; nothing was skipped: connecting "
                      "again, and asking for text from now on",
                      relation.schema->table(), column.name, column.type_name)};
}

Error ValueMalformed(const Relation& relation, size_t index) {
  const Column& column = relation.schema->columns()[index];
  return {Disposition::kFatal, "pg_value_malformed",
          fmt::format("{}.{}: the server's text is no value of type {}; nothing was skipped: check "
                      "that no pooler resets the session's DateStyle, IntervalStyle, bytea_output",
                      relation.schema->table(), column.name, column.type_name)};
}

// Reads column `index` of the row.
Status ReadField(const Relation& relation, size_t index, const Field& field, ChangeBatch& batch,
                 Value& out) {
  const ValueParser& parser = *relation.parsers[index];
  if (field.kind == Field::Kind::kBinary) {
    if (!parser.Decode(field.bytes(), batch, out)) return TextNeeded(relation, index);
  } else if (!parser(field.bytes(), batch, out)) {
    return ValueMalformed(relation, index);
  }
  return {};
}

// Reads the columns of `tuple` into `row`; unchanged ones stay unchanged, and `unchanged` tells
// whether there are any.
Status ReadTuple(const Relation& relation, Tuple tuple, std::span<Value> row, ChangeBatch& batch,
                 bool& unchanged) {
  unchanged = false;
  const ValueParser* const* const parsers = relation.parsers.data();
  for (size_t i = 0; i < tuple.size(); ++i) {
    const Field& field = tuple[i];
    switch (field.kind) {
      case Field::Kind::kText:
        if (!(*parsers[i])(field.bytes(), batch, row[i])) return ValueMalformed(relation, i);
        break;
      case Field::Kind::kBinary:
        if (!parsers[i]->Decode(field.bytes(), batch, row[i])) return TextNeeded(relation, i);
        break;
      case Field::Kind::kNull:
        row[i] = Value::Null();
        break;
      case Field::Kind::kUnchanged:
        row[i] = Value::Unchanged();
        unchanged = true;
        break;
    }
  }
  return {};
}

Status CheckBinaryForms(const Relation& relation) {
  for (size_t i = 0; i < relation.parsers.size(); ++i) {
    if (!relation.parsers[i]->has_binary_form()) return TextNeeded(relation, i);
  }
  return {};
}

// Whether `row` holds every column of the old tuple, or its key columns alone.
bool IsWhole(const Relation& relation, const RowMessage& row) {
  return row.old_kind == RowMessage::Old::kWhole && relation.old_rows_whole;
}

// The old row, as far as the log has it: all columns, or the key with the rest omitted.
Status ReadOldRow(const Relation& relation, const RowMessage& row, std::span<Value> before,
                  ChangeBatch& batch) {
  if (IsWhole(relation, row)) {
    bool unchanged;
    TW_TRY(ReadTuple(relation, row.old_tuple, before, batch, unchanged));
    if (!unchanged) return {};
    for (Value& value : before) {
      if (value.is_unchanged()) value = Value::Omitted();  // there was one, and it is not here
    }
    return {};
  }
  if (relation.schema->keyless()) return KeyMissing(relation);
  for (const uint32_t i : relation.schema->key_columns()) {
    const Field& field = row.old_tuple[i];
    if (!field.has_value()) return KeyMissing(relation);
    TW_TRY(ReadField(relation, i, field, batch, before[i]));
  }
  return {};
}

// By the server's bytes, which are the same for the same value. An unchanged key column of the new
// row did not change.
bool KeyChanged(const Relation& relation, const RowMessage& row) {
  for (const uint32_t i : relation.schema->key_columns()) {
    const Field& after = row.new_tuple[i];
    if (after.kind == Field::Kind::kUnchanged) continue;
    const Field& before = row.old_tuple[i];
    if (after.kind != before.kind || after.bytes() != before.bytes()) return true;
  }
  return false;
}

}  // namespace

ChangeDecoder::ChangeDecoder(Options options, CatalogFacts& catalog, ReadBack& read_back)
    : options_(std::move(options)),
      read_back_(read_back),
      relations_(catalog, options_.selects_table, options_.mark_table) {}

Result<DecodedEvent> ChangeDecoder::Decode(std::string_view message, ChangeBatch& batch) {
  Result<DecodedEvent> event = DecodeMessage(message, batch);
  if (!event && in_transaction_) {
    Lsn::Buffer buffer;
    return std::move(event).error().Within(fmt::format("transaction {} (xid {}), event {}",
                                                       final_lsn_.Print(buffer), xid_,
                                                       next_ordinal_ == 0 ? 0 : next_ordinal_ - 1));
  }
  return event;
}

Result<DecodedEvent> ChangeDecoder::DecodeMessage(std::string_view message, ChangeBatch& batch) {
  TW_TRY(parser_.Parse(message, message_));
  if (const auto* row = std::get_if<RowMessage>(&message_)) return DecodeRow(*row, batch);
  if (const auto* begin = std::get_if<BeginMessage>(&message_)) {
    if (in_transaction_) return OutOfPlace("a transaction began inside another");
    in_transaction_ = true;
    skipping_ = false;
    xid_ = begin->xid;
    final_lsn_ = begin->final_lsn;
    next_ordinal_ = 0;
    return DecodedEvent{.kind = DecodedEvent::Kind::kBegin, .begin = *begin};
  }
  if (const auto* commit = std::get_if<CommitMessage>(&message_)) {
    if (!in_transaction_) return OutOfPlace("a commit arrived outside of any transaction");
    in_transaction_ = false;
    skipping_ = false;
    return DecodedEvent{.kind = DecodedEvent::Kind::kCommit, .commit = *commit};
  }
  if (const auto* relation = std::get_if<RelationMessage>(&message_)) {
    // Changes already in the batch may still point to the schema that this one replaces.
    if (const Relation* old = relations_.Find(relation->oid); old && !batch.changes().empty()) {
      batch.Keep(old->schema);
    }
    TW_TRY(relations_.OnRelation(*relation));
    if (binary_) TW_TRY(CheckBinaryForms(*relations_.Find(relation->oid)));
    return kNothing;
  }
  if (const auto* type = std::get_if<TypeMessage>(&message_)) {
    relations_.OnType(*type);
    return kNothing;
  }
  if (const auto* truncate = std::get_if<TruncateMessage>(&message_)) {
    return DecodeTruncate(*truncate, batch);
  }
  if (const auto* logical = std::get_if<LogicalMessage>(&message_)) {
    return DecodeLogical(*logical, batch);
  }
  if (std::holds_alternative<OriginMessage>(message_) && !in_transaction_) {
    return OutOfPlace("an origin arrived outside of any transaction");
  }
  return kNothing;  // an origin, or the one stray message that is known to mean nothing
}

Result<DecodedEvent> ChangeDecoder::DecodeRow(const RowMessage& row, ChangeBatch& batch) {
  if (!in_transaction_) return OutOfPlace("a row change arrived outside of any transaction");
  if (skipping_) return kNothing;
  ++next_ordinal_;
  const Relation* const relation = relations_.Find(row.relation_oid);
  if (relation == nullptr) return RelationUnknown(row.relation_oid);
  if (!relation->selected) return DecodeMark(*relation, row);
  const size_t columns = relation->parsers.size();
  if (row.kind != RowMessage::Kind::kDelete && row.new_tuple.size() != columns) {
    return TupleMismatch(*relation, row.new_tuple.size());
  }
  if (row.old_kind != RowMessage::Old::kNone && row.old_tuple.size() != columns) {
    return TupleMismatch(*relation, row.old_tuple.size());
  }
  switch (row.kind) {
    case RowMessage::Kind::kInsert:
      TW_TRY(Insert(*relation, row, batch));
      break;
    case RowMessage::Kind::kUpdate:
      TW_TRY(Update(*relation, row, batch));
      break;
    case RowMessage::Kind::kDelete:
      TW_TRY(Delete(*relation, row, batch));
      break;
  }
  return kChanges;
}

Result<DecodedEvent> ChangeDecoder::DecodeMark(const Relation& relation, const RowMessage& row) {
  if (!relation.mark_column || *relation.mark_column >= row.new_tuple.size()) return kNothing;
  const Field& field = row.new_tuple[*relation.mark_column];
  if (!field.has_value()) return kNothing;
  return DecodedEvent{.kind = DecodedEvent::Kind::kMark, .mark = field.bytes()};  // text: its bytes
}

Change& ChangeDecoder::Append(const Relation& relation, Operation operation, uint32_t part,
                              ChangeBatch& batch) {
  Change& change = batch.Append();
  change.operation = operation;
  change.schema = relation.schema.get();
  change.table = relation.schema->table();
  change.ordinal = next_ordinal_ - 1;
  change.part = part;
  return change;
}

Status ChangeDecoder::Insert(const Relation& relation, const RowMessage& row, ChangeBatch& batch) {
  const std::span<Value> after = batch.NewRow(row.new_tuple.size());
  bool unchanged;
  TW_TRY(ReadTuple(relation, row.new_tuple, after, batch, unchanged));
  // An update that entered a row filter arrives as an insert, and may leave columns out.
  if (unchanged) TW_TRY(ReadBackUnchanged(relation, row, after, batch));
  Append(relation, Operation::kInsert, 0, batch).after = after;
  return {};
}

Status ChangeDecoder::Update(const Relation& relation, const RowMessage& row, ChangeBatch& batch) {
  const std::span<Value> after = batch.NewRow(row.new_tuple.size());
  bool unchanged;
  TW_TRY(ReadTuple(relation, row.new_tuple, after, batch, unchanged));
  if (row.old_kind == RowMessage::Old::kNone) {
    Append(relation, Operation::kUpdate, 0, batch).after = after;
    return {};
  }

  const std::span<Value> before = batch.NewRow(row.old_tuple.size());
  TW_TRY(ReadOldRow(relation, row, before, batch));
  // What the old row holds fills what the new one left out: the whole row, or a toasted key.
  for (size_t i = 0; unchanged && i < after.size(); ++i) {
    if (after[i].is_unchanged() && !before[i].is_omitted()) after[i] = before[i];
  }
  if (!KeyChanged(relation, row)) {
    Change& change = Append(relation, Operation::kUpdate, 0, batch);
    change.after = after;
    if (IsWhole(relation, row)) change.before = before;
    return {};
  }
  if (unchanged) TW_TRY(ReadBackUnchanged(relation, row, after, batch));
  Append(relation, Operation::kDelete, 0, batch).before = before;
  Append(relation, Operation::kInsert, 1, batch).after = after;
  return {};
}

Status ChangeDecoder::Delete(const Relation& relation, const RowMessage& row, ChangeBatch& batch) {
  const std::span<Value> before = batch.NewRow(row.old_tuple.size());
  TW_TRY(ReadOldRow(relation, row, before, batch));
  Append(relation, Operation::kDelete, 0, batch).before = before;
  return {};
}

Status ChangeDecoder::ReadBackUnchanged(const Relation& relation, const RowMessage& row,
                                        std::span<Value> after, ChangeBatch& batch) {
  wanted_.clear();
  for (uint32_t i = 0; i < after.size(); ++i) {
    if (after[i].is_unchanged()) wanted_.push_back(i);
  }
  if (wanted_.empty()) return {};

  key_.clear();
  for (const uint32_t i : relation.schema->key_columns()) {
    const Field& field = row.new_tuple[i].kind == Field::Kind::kUnchanged && !row.old_tuple.empty()
                             ? row.old_tuple[i]
                             : row.new_tuple[i];
    if (!field.has_value()) return KeyMissing(relation);
    key_.push_back({field.bytes(), field.kind == Field::Kind::kBinary});
  }
  ReadBackAnswer answer;
  if (!relation.schema->keyless()) {
    ReadBackRequest request;
    request.relation_oid = relation.oid;
    request.schema = relation.schema.get();
    request.key = key_;
    request.columns = wanted_;
    request.xid = xid_;
    TW_ASSIGN_OR_RETURN(answer, read_back_.Read(request));
  }
  for (size_t n = 0; n < wanted_.size(); ++n) {
    Value& value = after[wanted_[n]];
    value = Value::Omitted();
    if (!answer.found || (!answer.gone.empty() && answer.gone[n])) continue;
    assert(answer.values.size() == wanted_.size());
    if (!answer.values[n]) {
      value = Value::Null();
    } else if (!(*relation.parsers[wanted_[n]])(batch.arena().Copy(*answer.values[n]), batch,
                                                value)) {
      value = Value::Omitted();  // of another type by now: the schema change follows
    }
  }
  return {};
}

Result<DecodedEvent> ChangeDecoder::DecodeTruncate(const TruncateMessage& truncate,
                                                   ChangeBatch& batch) {
  if (!in_transaction_) return OutOfPlace("a truncate arrived outside of any transaction");
  if (skipping_) return kNothing;
  ++next_ordinal_;
  bool selected = false;
  uint32_t part = 0;
  for (const uint32_t oid : truncate.relation_oids) {
    const Relation* const relation = relations_.Find(oid);
    if (relation == nullptr) return RelationUnknown(oid);
    if (relation->selected) {
      Append(*relation, Operation::kTruncate, part, batch);
      selected = true;
    }
    ++part;
  }
  return selected ? kChanges : kNothing;
}

Result<DecodedEvent> ChangeDecoder::DecodeLogical(const LogicalMessage& message,
                                                  ChangeBatch& batch) {
  if (message.transactional != in_transaction_) {
    return OutOfPlace(message.transactional
                          ? "a transactional message arrived outside of any transaction"
                          : "a non-transactional message arrived inside a transaction");
  }
  if (skipping_) return kNothing;
  DecodedEvent event;
  if (message.transactional) {
    ++next_ordinal_;
  } else {
    event.kind = DecodedEvent::Kind::kAlone;
    event.message_lsn = message.lsn;
  }
  if (message.prefix == kMarkPrefix) {
    // One that somebody wrote outside of any transaction means nothing.
    if (message.transactional) {
      event.kind = DecodedEvent::Kind::kMark;
      event.mark = message.content;
    }
    return event;
  }
  if (!options_.selects_message || !options_.selects_message(message.prefix)) return event;
  Change& change = batch.Append();
  change.operation = Operation::kMessage;
  change.message_prefix = message.prefix;
  change.message_content = message.content;
  if (message.transactional) {
    change.ordinal = next_ordinal_ - 1;
    event.kind = DecodedEvent::Kind::kChanges;
  }
  return event;
}

void ChangeDecoder::Reset() {
  relations_.Clear();
  in_transaction_ = false;
  skipping_ = false;
  next_ordinal_ = 0;
}

}  // namespace tailwater::postgres
