// Structured log lines: an event and key=value fields, one Logger per component.
//   logger.Info("streaming started", {{"slot", slot}, {"lsn", lsn}});   ->   streaming started
//   slot=orders lsn=16/B374D848
// Row values, keys and secrets never go into a line. Thread-safe.
#pragma once

#include <concepts>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace tailwater {

struct LogField {
  LogField(std::string_view key, std::string_view value) : key(key), value(value) {}
  LogField(std::string_view key, const char* value) : key(key), value(value) {}
  LogField(std::string_view key, const std::string& value) : key(key), value(value) {}
  template <std::integral T>
  LogField(std::string_view key, T value) : key(key), value(std::to_string(value)) {}
  LogField(std::string_view key, double value) : key(key), value(std::to_string(value)) {}
  std::string_view key;
  std::string value;
};

class Logger {
 public:
  explicit Logger(std::string component) : component_(std::move(component)) {}
  using Fields = std::initializer_list<LogField>;
  void Error(std::string_view event, Fields fields = {}) const {
    Write(4, event, fields);
  }  // data at risk, or a person is needed
  void Warn(std::string_view event, Fields fields = {}) const {
    Write(3, event, fields);
  }  // unexpected, handled, nothing lost
  void Info(std::string_view event, Fields fields = {}) const {
    Write(2, event, fields);
  }  // lifecycle
  void Debug(std::string_view event, Fields fields = {}) const {
    Write(1, event, fields);
  }  // at most one per transaction
  const std::string& component() const { return component_; }

 private:
  void Write(int level, std::string_view event, Fields fields) const;
  std::string component_;
};

}  // namespace tailwater
