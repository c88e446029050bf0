#include "mysql/gtid.h"

#include "support/text.h"

namespace tailwater::mysql {

std::string Uuid::ToString() const {
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", bytes[i]);
  }
  return text;
}

}  // namespace tailwater::mysql
