#include "mysql/gtid.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace tailwater::mysql {
namespace {

constexpr int64_t kLargestNumber = std::numeric_limits<int64_t>::max() - 1;
constexpr size_t kLongestTag = 32;

template <class Number>
void AppendNumber(Number number, std::string& out) {
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

// All of `text` is one number without a sign.
template <class Number>
bool ParseNumber(std::string_view text, Number& out) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

// What stands in front of the next `separator`, which goes with it.
std::string_view Split(std::string_view& rest, char separator) {
  const size_t at = rest.find(separator);
  const std::string_view part = rest.substr(0, at);
  rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + 1);
  return Trim(part);
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsDashAt(size_t byte) { return byte == 4 || byte == 6 || byte == 8 || byte == 10; }

void AppendUuid(const Uuid& uuid, std::string& out) {
  static constexpr char kDigits[] = "0123456789abcdef";
  char text[36];
  char* to = text;
  for (size_t i = 0; i < uuid.bytes.size(); ++i) {
    if (IsDashAt(i)) *to++ = '-';
    *to++ = kDigits[uuid.bytes[i] >> 4];
    *to++ = kDigits[uuid.bytes[i] & 15];
  }
  out.append(text, sizeof text);
}

// In lower case, as the server keeps it.
std::optional<std::string> ParseTag(std::string_view text) {
  if (text.empty() || text.size() > kLongestTag || (text[0] >= '0' && text[0] <= '9')) {
    return std::nullopt;
  }
  std::string tag(text);
  for (char& c : tag) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return std::nullopt;
  }
  return tag;
}

void AppendLittle(uint64_t value, std::string& out) {
  for (int i = 0; i < 8; ++i) out += static_cast<char>(value >> (8 * i) & 255);
}

// Little-endian bytes from the front; false: there are not so many.
bool TakeLittle(std::string_view& bytes, uint64_t& out) {
  if (bytes.size() < 8) return false;
  out = 0;
  for (size_t i = 0; i < 8; ++i) out |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  bytes.remove_prefix(8);
  return true;
}

struct KeyView {
  const Uuid& uuid;
  std::string_view tag;
};

}  // namespace

std::optional<Uuid> Uuid::Parse(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  Uuid uuid;
  const char* from = text.data();
  for (size_t i = 0; i < uuid.bytes.size(); ++i) {
    if (IsDashAt(i) && *from++ != '-') return std::nullopt;
    const int high = HexDigit(*from++), low = HexDigit(*from++);
    if (high < 0 || low < 0) return std::nullopt;
    uuid.bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return uuid;
}

std::string Uuid::ToString() const {
  std::string text;
  AppendUuid(*this, text);
  return text;
}

std::optional<MysqlGtid> MysqlGtid::Parse(std::string_view text) {
  std::string_view rest = text;
  const auto uuid = Uuid::Parse(Split(rest, ':'));
  if (!uuid) return std::nullopt;
  MysqlGtid gtid{.uuid = *uuid};
  if (rest.find(':') != std::string_view::npos) {
    auto tag = ParseTag(Split(rest, ':'));
    if (!tag) return std::nullopt;
    gtid.tag = std::move(*tag);
  }
  if (!ParseNumber(Trim(rest), gtid.number) || gtid.number < 1 || gtid.number > kLargestNumber) {
    return std::nullopt;
  }
  return gtid;
}

std::string MysqlGtid::ToString() const {
  std::string text;
  AppendTo(text);
  return text;
}

void MysqlGtid::AppendTo(std::string& out) const {
  AppendUuid(uuid, out);
  out += ':';
  if (!tag.empty()) out.append(tag) += ':';
  AppendNumber(number, out);
}

// Writes the text again from interval `from` on; `printed` intervals are in it now.
void MysqlGtidSet::Numbers::Print(size_t from, size_t printed) {
  size_t keep = text.size();
  for (size_t i = printed; i > from; --i) keep = text.rfind(':', keep - 1);
  if (from == 0) keep = 0;
  text.resize(keep);
  for (size_t i = from; i < intervals.size(); ++i) {
    text += ':';
    AppendNumber(intervals[i].first, text);
    if (intervals[i].last != intervals[i].first) {
      text += '-';
      AppendNumber(intervals[i].last, text);
    }
  }
}

void MysqlGtidSet::Numbers::Add(int64_t number) {
  const size_t printed = intervals.size();
  // The first interval that ends at `number` or behind it; most often there is none.
  auto next = intervals.end();
  if (!intervals.empty() && intervals.back().last >= number) {
    next = std::lower_bound(intervals.begin(), intervals.end(), number,
                            [](const Interval& a, int64_t b) { return a.last < b; });
    if (next->first <= number) return;
  }
  const bool extends_previous = next != intervals.begin() && (next - 1)->last == number - 1;
  const bool extends_next = next != intervals.end() && next->first == number + 1;
  size_t changed = static_cast<size_t>(next - intervals.begin());
  if (extends_previous) {
    --changed;
    (next - 1)->last = extends_next ? next->last : number;
    if (extends_next) intervals.erase(next);
  } else if (extends_next) {
    next->first = number;
  } else {
    intervals.insert(next, {number, number});
  }
  Print(std::min(changed, printed), printed);
}

void MysqlGtidSet::Numbers::Add(std::vector<Interval> others) {
  intervals.insert(intervals.end(), others.begin(), others.end());
  std::sort(intervals.begin(), intervals.end());
  size_t kept = 0;
  for (size_t i = 1; i < intervals.size(); ++i) {
    if (intervals[i].first - 1 <= intervals[kept].last) {
      intervals[kept].last = std::max(intervals[kept].last, intervals[i].last);
    } else {
      intervals[++kept] = intervals[i];
    }
  }
  intervals.resize(std::min(kept + 1, intervals.size()));
  Print(0, 0);
}

void MysqlGtidSet::Numbers::Remove(const std::vector<Interval>& others) {
  std::vector<Interval> left;
  auto other = others.begin();
  for (Interval interval : intervals) {
    while (other != others.end() && other->last < interval.first) ++other;
    for (auto hole = other; hole != others.end() && hole->first <= interval.last; ++hole) {
      if (hole->first > interval.first) left.push_back({interval.first, hole->first - 1});
      interval.first = hole->last + 1;
      if (interval.first > interval.last) break;
    }
    if (interval.first <= interval.last) left.push_back(interval);
  }
  intervals = std::move(left);
  Print(0, 0);
}

bool MysqlGtidSet::Numbers::Contains(int64_t number) const {
  if (intervals.back().last < number) return false;
  const auto found = std::lower_bound(intervals.begin(), intervals.end(), number,
                                      [](const Interval& a, int64_t b) { return a.last < b; });
  return found->first <= number;
}

bool MysqlGtidSet::Numbers::Contains(const std::vector<Interval>& others) const {
  auto mine = intervals.begin();
  for (const Interval& other : others) {
    while (mine != intervals.end() && mine->last < other.first) ++mine;
    if (mine == intervals.end() || mine->first > other.first || mine->last < other.last) {
      return false;
    }
  }
  return true;
}

void MysqlGtidSet::AddIntervals(const Uuid& uuid, std::string_view tag,
                                std::vector<Interval> intervals) {
  if (intervals.empty()) return;
  auto found = sets_.find(KeyView{uuid, tag});
  if (found == sets_.end()) found = sets_.try_emplace(Key{uuid, std::string(tag)}).first;
  found->second.Add(std::move(intervals));
}

std::optional<MysqlGtidSet> MysqlGtidSet::Parse(std::string_view text) {
  MysqlGtidSet set;
  std::string_view rest = Trim(text);
  const bool ends_with_comma = !rest.empty() && rest.back() == ',';
  while (!rest.empty()) {
    std::string_view entry = Split(rest, ',');
    const auto uuid = Uuid::Parse(Split(entry, ':'));
    if (!uuid || entry.empty() || entry.back() == ':') return std::nullopt;
    std::string tag;
    std::vector<Interval> intervals;
    bool tag_is_open = false;  // a tag without a number behind it
    while (!entry.empty()) {
      std::string_view part = Split(entry, ':');
      if (part.empty()) return std::nullopt;
      if (part[0] < '0' || part[0] > '9') {
        auto parsed = ParseTag(part);
        if (!parsed || tag_is_open) return std::nullopt;
        set.AddIntervals(*uuid, tag, std::exchange(intervals, {}));
        tag = std::move(*parsed);
        tag_is_open = true;
        continue;
      }
      tag_is_open = false;
      Interval interval{};
      const bool is_range = part.find('-') != std::string_view::npos;
      if (!ParseNumber(Split(part, '-'), interval.first)) return std::nullopt;
      interval.last = interval.first;
      if (is_range && !ParseNumber(Trim(part), interval.last)) return std::nullopt;
      if (interval.first < 1 || interval.last < interval.first || interval.last > kLargestNumber) {
        return std::nullopt;
      }
      intervals.push_back(interval);
    }
    if (tag_is_open) return std::nullopt;
    set.AddIntervals(*uuid, tag, std::move(intervals));
  }
  if (ends_with_comma) return std::nullopt;
  return set;
}

std::optional<MysqlGtidSet> MysqlGtidSet::Decode(std::string_view bytes) {
  uint64_t head = 0;
  if (!TakeLittle(bytes, head)) return std::nullopt;
  const bool tagged = head >> 56 == 1;
  if (tagged) {
    if ((head & 255) != 1) return std::nullopt;
    head = head >> 8 & 0xFFFFFFFFFFFF;
  }
  MysqlGtidSet set;
  for (uint64_t i = 0; i < head; ++i) {
    Uuid uuid;
    if (bytes.size() < uuid.bytes.size()) return std::nullopt;
    std::copy_n(bytes.begin(), uuid.bytes.size(), uuid.bytes.begin());
    bytes.remove_prefix(uuid.bytes.size());
    std::string tag;
    if (tagged) {
      // A varint: the lowest bit clear, so one byte, as no tag has more than 32.
      if (bytes.empty() || (bytes[0] & 1) != 0) return std::nullopt;
      const size_t length = static_cast<uint8_t>(bytes[0]) >> 1;
      bytes.remove_prefix(1);
      if (length > bytes.size()) return std::nullopt;
      if (length != 0) {
        auto parsed = ParseTag(bytes.substr(0, length));
        if (!parsed) return std::nullopt;
        tag = std::move(*parsed);
      }
      bytes.remove_prefix(length);
    }
    uint64_t count = 0;
    if (!TakeLittle(bytes, count) || count > bytes.size() / 16) return std::nullopt;
    std::vector<Interval> intervals;
    intervals.reserve(count);
    for (uint64_t k = 0; k < count; ++k) {
      uint64_t first = 0, end = 0;
      if (!TakeLittle(bytes, first) || !TakeLittle(bytes, end) || first < 1 || end <= first ||
          end > uint64_t{kLargestNumber} + 1) {
        return std::nullopt;
      }
      intervals.push_back({static_cast<int64_t>(first), static_cast<int64_t>(end - 1)});
    }
    set.AddIntervals(uuid, tag, std::move(intervals));
  }
  if (!bytes.empty()) return std::nullopt;
  return set;
}

std::string MysqlGtidSet::Encode() const {
  const bool tagged = std::any_of(sets_.begin(), sets_.end(),
                                  [](const auto& entry) { return !entry.first.tag.empty(); });
  std::string out;
  AppendLittle(tagged ? uint64_t{1} << 56 | sets_.size() << 8 | 1 : sets_.size(), out);
  for (const auto& [key, numbers] : sets_) {
    out.append(key.uuid.bytes.begin(), key.uuid.bytes.end());
    if (tagged) (out += static_cast<char>(key.tag.size() << 1)).append(key.tag);
    AppendLittle(numbers.intervals.size(), out);
    for (const Interval& interval : numbers.intervals) {
      AppendLittle(static_cast<uint64_t>(interval.first), out);
      AppendLittle(static_cast<uint64_t>(interval.last) + 1, out);
    }
  }
  return out;
}

void MysqlGtidSet::Add(const MysqlGtid& gtid) {
  auto found = sets_.find(gtid);  // KeyLess takes anything with a uuid and a tag
  if (found == sets_.end()) found = sets_.try_emplace(Key{gtid.uuid, gtid.tag}).first;
  found->second.Add(gtid.number);
}

void MysqlGtidSet::Add(const MysqlGtidSet& other) {
  if (&other == this) return;
  for (const auto& [key, numbers] : other.sets_) AddIntervals(key.uuid, key.tag, numbers.intervals);
}

void MysqlGtidSet::Remove(const MysqlGtidSet& other) {
  if (&other == this) return sets_.clear();
  for (const auto& [key, numbers] : other.sets_) {
    const auto found = sets_.find(key);
    if (found == sets_.end()) continue;
    found->second.Remove(numbers.intervals);
    if (found->second.intervals.empty()) sets_.erase(found);
  }
}

bool MysqlGtidSet::Contains(const MysqlGtid& gtid) const {
  const auto found = sets_.find(gtid);
  return found != sets_.end() && found->second.Contains(gtid.number);
}

bool MysqlGtidSet::Contains(const MysqlGtidSet& other) const {
  for (const auto& [key, numbers] : other.sets_) {
    const auto found = sets_.find(key);
    if (found == sets_.end() || !found->second.Contains(numbers.intervals)) return false;
  }
  return true;
}

uint64_t MysqlGtidSet::count() const {
  uint64_t count = 0;
  for (const auto& [key, numbers] : sets_) {
    for (const Interval& interval : numbers.intervals) {
      count += static_cast<uint64_t>(interval.last - interval.first) + 1;
    }
  }
  return count;
}

size_t MysqlGtidSet::intervals() const {
  size_t count = 0;
  for (const auto& [key, numbers] : sets_) count += numbers.intervals.size();
  return count;
}

std::string MysqlGtidSet::ToString() const {
  std::string text;
  size_t size = 0;
  for (const auto& [key, numbers] : sets_) size += 38 + key.tag.size() + numbers.text.size();
  text.reserve(size);
  AppendTo(text);
  return text;
}

void MysqlGtidSet::AppendTo(std::string& out) const {
  const Uuid* previous = nullptr;
  for (const auto& [key, numbers] : sets_) {
    if (previous == nullptr || *previous != key.uuid) {
      if (previous != nullptr) out += ',';
      AppendUuid(key.uuid, out);
      previous = &key.uuid;
    }
    if (!key.tag.empty()) (out += ':').append(key.tag);
    out.append(numbers.text);
  }
}

std::optional<MariadbGtid> MariadbGtid::Parse(std::string_view text) {
  MariadbGtid gtid;
  const size_t first = text.find('-');
  if (first == std::string_view::npos) return std::nullopt;
  const size_t second = text.find('-', first + 1);
  if (second == std::string_view::npos || !ParseNumber(text.substr(0, first), gtid.domain) ||
      !ParseNumber(text.substr(first + 1, second - first - 1), gtid.server) ||
      !ParseNumber(text.substr(second + 1), gtid.sequence)) {
    return std::nullopt;
  }
  return gtid;
}

std::string MariadbGtid::ToString() const {
  std::string text;
  AppendTo(text);
  return text;
}

void MariadbGtid::AppendTo(std::string& out) const {
  AppendNumber(domain, out);
  out += '-';
  AppendNumber(server, out);
  out += '-';
  AppendNumber(sequence, out);
}

std::optional<MariadbGtidState> MariadbGtidState::Parse(std::string_view text) {
  MariadbGtidState state;
  std::string_view rest = Trim(text);
  const bool ends_with_comma = !rest.empty() && rest.back() == ',';
  while (!rest.empty()) {
    const auto gtid = MariadbGtid::Parse(Split(rest, ','));
    if (!gtid || !state.last_.try_emplace(gtid->domain, *gtid).second) return std::nullopt;
  }
  if (ends_with_comma) return std::nullopt;
  return state;
}

const MariadbGtid* MariadbGtidState::Find(uint32_t domain) const {
  const auto found = last_.find(domain);
  return found == last_.end() ? nullptr : &found->second;
}

bool MariadbGtidState::Contains(const MariadbGtid& gtid) const {
  const MariadbGtid* const last = Find(gtid.domain);
  return last != nullptr && last->sequence >= gtid.sequence;
}

bool MariadbGtidState::Contains(const MariadbGtidState& other) const {
  for (const auto& [domain, gtid] : other.last_) {
    if (!Contains(gtid)) return false;
  }
  return true;
}

std::string MariadbGtidState::ToString() const {
  std::string text;
  AppendTo(text);
  return text;
}

void MariadbGtidState::AppendTo(std::string& out) const {
  bool first = true;
  for (const auto& [domain, gtid] : last_) {
    if (!std::exchange(first, false)) out += ',';
    gtid.AppendTo(out);
  }
}

}  // namespace tailwater::mysql
