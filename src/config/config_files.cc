#include "config/config_files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace tailwater {

namespace fs = std::filesystem;

std::vector<std::string> FindConfigFiles(const std::vector<std::string>& paths,
                                         Problems& problems) {
  std::vector<std::string> files;
  std::set<std::string> seen;
  const auto add = [&](const std::string& file) {
    std::error_code error;
    const fs::path canonical = fs::weakly_canonical(file, error);
    if (seen.insert(error ? file : canonical.string()).second) files.push_back(file);
  };
  for (const std::string& path : paths) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      add(path);
      // The settings of the process lie beside its pipeline files.
      const fs::path settings = fs::path(path).parent_path() / kDaemonFile;
      if (fs::exists(settings, error)) add(settings.string());
      continue;
    }
    std::vector<std::string> found;
    for (const fs::directory_entry& entry : fs::directory_iterator(path, error)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with('.') || entry.is_directory(error)) continue;
      if (name.ends_with(".yaml")) found.push_back(entry.path().string());
      if (name.ends_with(".yml")) {
        problems.Add({entry.path().string(), 0, 0},
                     "is not read: only files that end in .yaml are; rename it or move it away");
      }
    }
    if (error) {
      problems.Add({path, 0, 0}, "the folder cannot be read: " + error.message());
    } else if (found.empty()) {
      problems.Add({path, 0, 0}, "the folder holds no file that ends in .yaml");
    }
    std::sort(found.begin(), found.end());
    for (const std::string& file : found) add(file);
  }
  return files;
}

std::optional<std::string> ReadConfigFile(const std::string& path, Problems& problems) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file && file.peek() != std::ifstream::traits_type::eof()) text << file.rdbuf();
  if (!file.is_open() || file.bad()) {
    problems.Add({path, 0, 0}, std::string("cannot be read: ") + std::strerror(errno));
    return std::nullopt;
  }
  return text.str();
}

}  // namespace tailwater
