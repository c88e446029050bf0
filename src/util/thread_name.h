// The name of a thread in `top -H`, a debugger and a core file.
#pragma once

#include <pthread.h>

#include <string>
#include <string_view>

namespace tailwater {

// Names the calling thread; the system keeps 15 characters.
inline void NameThread(std::string_view name) {
  pthread_setname_np(pthread_self(), std::string(name.substr(0, 15)).c_str());
}

}  // namespace tailwater
