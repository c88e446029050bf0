#include "postgres/pgoutput.h"

#include <cstring>

#include "support/text.h"

namespace tailwater::postgres {
namespace {

// Reads big-endian fields off the front of a message. After the first short read everything reads
// as zero and ok() stays false, so that a parser checks once, at its end.
class Reader {
 public:
  explicit Reader(std::string_view bytes)
      : next_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  template <class T>
  T Int() {
    if (static_cast<size_t>(end_ - next_) < sizeof(T)) return Fail(), T{};
    std::make_unsigned_t<T> value;
    std::memcpy(&value, next_, sizeof value);
    next_ += sizeof value;
    if constexpr (sizeof(T) == 8) value = __builtin_bswap64(value);
    if constexpr (sizeof(T) == 4) value = __builtin_bswap32(value);
    if constexpr (sizeof(T) == 2) value = __builtin_bswap16(value);
    return static_cast<T>(value);
  }
  Lsn ReadLsn() { return {Int<uint64_t>()}; }
  int64_t ReadTime() {
    int64_t micros;
    if (__builtin_add_overflow(Int<int64_t>(), kPostgresEpochMicros, &micros)) return Fail(), 0;
    return micros;
  }

  std::string_view Bytes(size_t size) {
    if (static_cast<size_t>(end_ - next_) < size) return Fail(), std::string_view();
    const std::string_view bytes(next_, size);
    next_ += size;
    return bytes;
  }
  std::string_view CString() {
    const void* zero = next_ == end_ ? nullptr : std::memchr(next_, 0, end_ - next_);
    if (zero == nullptr) return Fail(), std::string_view();
    const std::string_view text(next_, static_cast<const char*>(zero) - next_);
    next_ = static_cast<const char*>(zero) + 1;
    return text;
  }

  bool ReadTuple(std::vector<Field>& fields) {
    const int16_t columns = Int<int16_t>();
    // Each column takes at least its kind byte, so a wild count allocates nothing.
    if (!ok_ || columns < 0 || columns > end_ - next_) return Fail(), false;
    fields.resize(static_cast<size_t>(columns));
    for (Field& field : fields) {
      if (next_ == end_) return Fail(), false;
      switch (*next_++) {
        case 'n':
          field = {nullptr, 0, Field::Kind::kNull};
          break;
        case 'u':
          field = {nullptr, 0, Field::Kind::kUnchanged};
          break;
        case 't':
        case 'b': {
          const auto kind = static_cast<Field::Kind>(next_[-1]);
          const int32_t size = Int<int32_t>();
          if (!ok_ || size < 0 || size > end_ - next_) return Fail(), false;
          field = {next_, static_cast<uint32_t>(size), kind};
          next_ += size;
          break;
        }
        default:
          return Fail(), false;
      }
    }
    return true;
  }

  void Fail() {
    ok_ = false;
    next_ = end_;
  }
  bool ok() const { return ok_; }
  bool finished() const { return ok_ && next_ == end_; }
  size_t remaining() const { return static_cast<size_t>(end_ - next_); }

 private:
  const char* next_;
  const char* end_;
  bool ok_ = true;
};

std::string_view SchemaName(std::string_view name) { return name.empty() ? "pg_catalog" : name; }

std::string PrintType(char type) {
  return type > ' ' && type < 127 ? fmt::format("'{}'", type)
                                  : fmt::format("{:#04x}", static_cast<unsigned char>(type));
}

Error Malformed(std::string_view bytes) {
  return {
      Disposition::kFatal, "pg_message_malformed",
      fmt::format("pgoutput message {} of {} bytes is malformed; nothing was skipped: check the "
                  "server and what lies between (proxy, pooler), and report the server's version",
                  bytes.empty() ? "without a type" : PrintType(bytes[0]), bytes.size())};
}

Error Unknown(char type) {
  const std::string_view streamed = "SEcbPKrp";
  return {
      Disposition::kFatal, "pg_message_unknown",
      fmt::format("pgoutput message type {} ({}) does not belong to protocol 1 without streaming "
                  "and two-phase; nothing was skipped: {}",
                  PrintType(type), static_cast<unsigned char>(type),
                  streamed.find(type) != std::string_view::npos
                      ? "drop and re-create the slot with two_phase off if it was made by hand"
                      : "use a Tailwater release that knows this server's version")};
}

}  // namespace

Status MessageParser::Parse(std::string_view bytes, Message& out) {
  if (bytes.empty()) return Malformed(bytes);
  const char type = bytes[0];
  Reader in(bytes.substr(1));
  switch (type) {
    case 'I': {
      RowMessage row{RowMessage::Kind::kInsert};
      row.relation_oid = in.Int<uint32_t>();
      if (in.Int<uint8_t>() != 'N' || !in.ReadTuple(new_fields_)) in.Fail();
      row.new_tuple = new_fields_;
      out = row;
      break;
    }
    case 'U': {
      RowMessage row{RowMessage::Kind::kUpdate};
      row.relation_oid = in.Int<uint32_t>();
      auto marker = in.Int<uint8_t>();
      if (marker == 'K' || marker == 'O') {
        row.old_kind = static_cast<RowMessage::Old>(marker);
        if (!in.ReadTuple(old_fields_)) in.Fail();
        row.old_tuple = old_fields_;
        marker = in.Int<uint8_t>();
      }
      if (marker != 'N' || !in.ReadTuple(new_fields_)) in.Fail();
      row.new_tuple = new_fields_;
      out = row;
      break;
    }
    case 'D': {
      RowMessage row{RowMessage::Kind::kDelete};
      row.relation_oid = in.Int<uint32_t>();
      const auto marker = in.Int<uint8_t>();
      if ((marker != 'K' && marker != 'O') || !in.ReadTuple(old_fields_)) in.Fail();
      row.old_kind = static_cast<RowMessage::Old>(marker);
      row.old_tuple = old_fields_;
      out = row;
      break;
    }
    case 'B': {
      BeginMessage begin;
      begin.final_lsn = in.ReadLsn();
      begin.commit_time_micros = in.ReadTime();
      begin.xid = in.Int<uint32_t>();
      out = begin;
      break;
    }
    case 'C': {
      CommitMessage commit;
      if (in.Int<uint8_t>() != 0) in.Fail();  // flags: none is defined
      commit.commit_lsn = in.ReadLsn();
      commit.end_lsn = in.ReadLsn();
      commit.commit_time_micros = in.ReadTime();
      out = commit;
      break;
    }
    case 'O': {
      OriginMessage origin;
      origin.origin_commit_lsn = in.ReadLsn();
      origin.name = in.CString();
      out = origin;
      break;
    }
    case 'R': {
      RelationMessage relation;
      relation.oid = in.Int<uint32_t>();
      relation.schema = SchemaName(in.CString());
      relation.name = in.CString();
      relation.identity = static_cast<ReplicaIdentity>(in.Int<uint8_t>());
      if (std::string_view("dnfi").find(static_cast<char>(relation.identity)) ==
          std::string_view::npos) {
        in.Fail();
      }
      const int16_t columns = in.Int<int16_t>();
      if (columns < 0) in.Fail();
      columns_.clear();
      for (int i = 0; in.ok() && i < columns; ++i) {
        RelationColumn column;
        const auto flags = in.Int<uint8_t>();
        if (flags > 1) in.Fail();
        column.identity = flags == 1;
        column.name = in.CString();
        column.type_oid = in.Int<uint32_t>();
        column.typmod = in.Int<int32_t>();
        columns_.push_back(column);
      }
      relation.columns = columns_;
      out = relation;
      break;
    }
    case 'Y': {
      TypeMessage type_message;
      type_message.oid = in.Int<uint32_t>();
      type_message.schema = SchemaName(in.CString());
      type_message.name = in.CString();
      out = type_message;
      break;
    }
    case 'T': {
      TruncateMessage truncate;
      const int32_t relations = in.Int<int32_t>();
      const auto flags = in.Int<uint8_t>();
      if (relations < 0 || flags > 3) in.Fail();
      truncate.cascade = (flags & 1) != 0;
      truncate.restart_identity = (flags & 2) != 0;
      oids_.clear();
      for (int32_t i = 0; in.ok() && i < relations; ++i) oids_.push_back(in.Int<uint32_t>());
      truncate.relation_oids = oids_;
      out = truncate;
      break;
    }
    case 'M': {
      LogicalMessage message;
      const auto flags = in.Int<uint8_t>();
      if (flags > 1) in.Fail();
      message.transactional = flags == 1;
      message.lsn = in.ReadLsn();
      message.prefix = in.CString();
      const int32_t size = in.Int<int32_t>();
      if (size < 0) in.Fail();
      message.content = in.Bytes(in.ok() ? static_cast<size_t>(size) : 0);
      out = message;
      break;
    }
    case 'A':  // xid and subxid; nothing was streamed, so nothing is undone
      in.Int<uint32_t>();
      in.Int<uint32_t>();
      out = StrayStreamAbort{};
      break;
    default:
      return Unknown(type);
  }
  if (!in.finished()) return Malformed(bytes);
  return {};
}

}  // namespace tailwater::postgres
