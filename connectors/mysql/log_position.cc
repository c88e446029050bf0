#include "mysql/log_position.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace tailwater::mysql {
namespace {

constexpr std::string_view kUndecided = " undecided ";

// The digits behind the last dot, without leading zeros; nothing if there are none.
std::optional<std::string_view> FileNumber(std::string_view file) {
  const size_t dot = file.rfind('.');
  if (dot == std::string_view::npos || dot + 1 == file.size()) return std::nullopt;
  std::string_view digits = file.substr(dot + 1);
  if (digits.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size() - 1));
  return digits;
}

// Below 0: `a` comes first.
int CompareFiles(std::string_view a, std::string_view b) {
  if (a == b) return 0;
  const auto number_a = FileNumber(a), number_b = FileNumber(b);
  if (!number_a || !number_b) return a.compare(b);
  if (number_a->size() != number_b->size()) return number_a->size() < number_b->size() ? -1 : 1;
  const int order = number_a->compare(*number_b);
  return order != 0 ? order : a.compare(b);
}

bool NeedsEscape(char c) {
  return static_cast<unsigned char>(c) <= ' ' || c == ',' || c == '>' || c == '%' || c == 127;
}

std::optional<std::string> Unescape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      if (NeedsEscape(text[i])) return std::nullopt;
      out += text[i];
      continue;
    }
    uint8_t byte = 0;
    if (text.size() - i < 3) return std::nullopt;
    const auto [end, error] = std::from_chars(&text[i + 1], text.data() + i + 3, byte, 16);
    if (error != std::errc() || end != text.data() + i + 3) return std::nullopt;
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

std::string_view SplitAtComma(std::string_view& rest) {
  const size_t at = rest.find(',');
  const std::string_view part = rest.substr(0, at);
  rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + 1);
  return part;
}

}  // namespace

bool FilePosition::Before(const FilePosition& other) const {
  const int order = CompareFiles(file, other.file);
  return order != 0 ? order < 0 : offset < other.offset;
}

std::optional<FilePosition> FilePosition::Parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size() ||
      text[colon + 1] < '0' || text[colon + 1] > '9') {
    return std::nullopt;
  }
  auto file = Unescape(text.substr(0, colon));
  if (!file) return std::nullopt;
  FilePosition position{.file = std::move(*file)};
  const char* const all = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data() + colon + 1, all, position.offset);
  if (error != std::errc() || end != all) return std::nullopt;
  return position;
}

std::string FilePosition::ToString() const {
  std::string text;
  AppendTo(text);
  return text;
}

void FilePosition::AppendTo(std::string& out) const {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  for (const char c : file) {
    if (!NeedsEscape(c)) {
      out += c;
      continue;
    }
    out += '%';
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[c & 15];
  }
  char digits[20];
  (out += ':').append(digits, std::to_chars(digits, digits + sizeof digits, offset).ptr);
}

std::string ToString(const GroupId& group) {
  std::string text;
  AppendTo(group, text);
  return text;
}

void AppendTo(const GroupId& group, std::string& out) {
  std::visit([&](const auto& id) { id.AppendTo(out); }, group);
}

std::optional<LogPosition> LogPosition::Parse(Form form, std::string_view text) {
  if (form == Form::kMysqlGtid) {
    auto set = MysqlGtidSet::Parse(text);
    if (!set) return std::nullopt;
    return LogPosition(std::move(*set));
  }
  const size_t behind = text.find(kUndecided);
  const std::string_view place = text.substr(0, behind);
  std::string_view rest;
  if (behind != std::string_view::npos) {
    rest = text.substr(behind + kUndecided.size());
    if (rest.empty() || rest.back() == ',') return std::nullopt;
  }
  if (form == Form::kFile) {
    auto file = FilePosition::Parse(place);
    if (!file) return std::nullopt;
    LogPosition position(std::move(*file));
    while (!rest.empty()) {
      auto group = FilePosition::Parse(SplitAtComma(rest));
      if (!group) return std::nullopt;
      position.undecided_.emplace_back(std::move(*group));
    }
    return position;
  }
  auto state = MariadbGtidState::Parse(place);
  if (!state) return std::nullopt;
  LogPosition position(std::move(*state));
  while (!rest.empty()) {
    const std::string_view item = SplitAtComma(rest);
    const size_t arrow = item.find('>');
    if (arrow == std::string_view::npos) return std::nullopt;
    const auto group = MariadbGtid::Parse(item.substr(arrow + 1));
    const auto in_front = MariadbGtid::Parse(item.substr(0, arrow));
    if (!group || (arrow != 0 && (!in_front || in_front->domain != group->domain))) {
      return std::nullopt;
    }
    position.undecided_.emplace_back(*group);
    position.in_front_.push_back(in_front);
  }
  return position;
}

std::string LogPosition::ToString() const {
  if (form() == Form::kMysqlGtid) return mysql().ToString();
  std::string text;
  AppendTo(text);
  return text;
}

void LogPosition::AppendTo(std::string& out) const {
  std::visit([&](const auto& place) { place.AppendTo(out); }, place_);
  if (form() == Form::kMysqlGtid || undecided_.empty()) return;
  out += kUndecided;
  for (size_t i = 0; i < undecided_.size(); ++i) {
    if (i != 0) out += ',';
    if (form() == Form::kMariadbGtid) {
      if (in_front_[i]) in_front_[i]->AppendTo(out);
      out += '>';
    }
    mysql::AppendTo(undecided_[i], out);
  }
}

void LogPosition::Pass(const GroupId& group, const FilePosition& end) {
  switch (form()) {
    case Form::kMysqlGtid:
      return std::get<MysqlGtidSet>(place_).Add(std::get<MysqlGtid>(group));
    case Form::kMariadbGtid:
      return std::get<MariadbGtidState>(place_).Set(std::get<MariadbGtid>(group));
    case Form::kFile:
      place_ = end;
      return;
  }
}

void LogPosition::PassUndecided(const GroupId& group, const FilePosition& end) {
  if (IsUndecided(group)) return;
  undecided_.push_back(group);
  if (form() == Form::kMysqlGtid) return;
  if (form() == Form::kMariadbGtid) {
    const MariadbGtid* const last = mariadb().Find(std::get<MariadbGtid>(group).domain);
    in_front_.push_back(last == nullptr ? std::nullopt : std::optional(*last));
  }
  Pass(group, end);
}

void LogPosition::Decide(const GroupId& group) {
  const auto found = std::find(undecided_.begin(), undecided_.end(), group);
  if (found == undecided_.end()) return;
  if (form() == Form::kMysqlGtid) {
    std::get<MysqlGtidSet>(place_).Add(std::get<MysqlGtid>(group));
  }
  if (form() == Form::kMariadbGtid)
    in_front_.erase(in_front_.begin() + (found - undecided_.begin()));
  undecided_.erase(found);
}

bool LogPosition::IsUndecided(const GroupId& group) const {
  return !undecided_.empty() &&
         std::find(undecided_.begin(), undecided_.end(), group) != undecided_.end();
}

bool LogPosition::Contains(const GroupId& group) const {
  switch (form()) {
    case Form::kMysqlGtid:
      return mysql().Contains(std::get<MysqlGtid>(group));
    case Form::kMariadbGtid:
      return mariadb().Contains(std::get<MariadbGtid>(group)) && !IsUndecided(group);
    case Form::kFile:
      return std::get<FilePosition>(group).Before(file()) && !IsUndecided(group);
  }
  return false;
}

bool LogPosition::Contains(const LogPosition& other) const {
  switch (form()) {
    case Form::kMysqlGtid: {
      if (mysql().Contains(other.mysql())) return true;
      if (undecided_.empty()) return false;
      MysqlGtidSet with_undecided = mysql();
      for (const GroupId& group : undecided_) with_undecided.Add(std::get<MysqlGtid>(group));
      return with_undecided.Contains(other.mysql());
    }
    case Form::kMariadbGtid:
      return mariadb().Contains(other.mariadb());
    case Form::kFile:
      return !file().Before(other.file());
  }
  return false;
}

LogPosition LogPosition::ReadFrom() const {
  LogPosition from = *this;
  from.undecided_.clear();
  from.in_front_.clear();
  if (undecided_.empty() || form() == Form::kMysqlGtid) return from;
  if (form() == Form::kFile) {
    from.place_ = std::get<FilePosition>(undecided_.front());
    return from;
  }
  auto& state = std::get<MariadbGtidState>(from.place_);
  for (size_t i = undecided_.size(); i-- > 0;) {  // the first one of a domain counts
    if (in_front_[i]) {
      state.Set(*in_front_[i]);
    } else {
      state.Forget(std::get<MariadbGtid>(undecided_[i]).domain);
    }
  }
  return from;
}

}  // namespace tailwater::mysql
