// A server that a script of tests/servers runs for this process: one JSON line per state, commands
// on its standard input. It ends when this object does.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace tailwater {

class ServerProcess {
 public:
  // `script` relative to the repository, which tests run in.
  ServerProcess(std::string script, const std::vector<std::string>& arguments)
      : script_(std::move(script)) {
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
      throw std::runtime_error("no pipe");
    pid_ = fork();
    if (pid_ == 0) {
      dup2(in[0], 0);
      dup2(out[1], 1);
      std::vector<std::string> all = {"/usr/bin/python3", script_, "run"};
      all.insert(all.end(), arguments.begin(), arguments.end());
      std::vector<char*> raw;
      for (std::string& argument : all) raw.push_back(argument.data());
      raw.push_back(nullptr);
      execv(raw[0], raw.data());
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to_ = fdopen(in[1], "w");
    from_ = fdopen(out[0], "r");
    Read();
  }
  ~ServerProcess() {
    fclose(to_);  // ends it
    fclose(from_);
    int status;
    waitpid(pid_, &status, 0);
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Returns once it is done.
  void Command(const std::string& command) {
    fprintf(to_, "%s\n", command.c_str());
    fflush(to_);
    Read();
  }
  const nlohmann::json& state() const { return state_; }

 private:
  void Read() {
    char line[4096];
    if (fgets(line, sizeof line, from_) == nullptr)
      throw std::runtime_error(script_ + " ended; run it by hand to see why");
    state_ = nlohmann::json::parse(line);
  }

  const std::string script_;
  pid_t pid_ = 0;
  FILE* to_ = nullptr;
  FILE* from_ = nullptr;
  nlohmann::json state_;
};

}  // namespace tailwater
