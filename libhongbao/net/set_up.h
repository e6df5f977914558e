// SetUp: what is thrown while a program starts becomes an error with cause and cure.
//
// Set-up allocates, maps and starts threads, and may be refused all three (ulimit -v, vm.overcommit_memory=2, a limit of tasks).
// Nothing is thrown once it serves. Owns nothing. Thread tag: thread-safe.
#pragma once

#include <cstdio>
#include <new>
#include <string>
#include <system_error>

#include "absl/status/status.h"
#include "libhongbao/cpp20.h"

namespace hongbao::net {

absl::Status NoMemory();                                // std::bad_alloc: who limits it, and what raises that
absl::Status NoThread(const std::system_error& error);  // std::thread was refused

// What `work` returns, or why it could not be done.
template <class Work>
absl::Status SetUp(Work&& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return NoMemory();
  } catch (const std::system_error& error) {
    return NoThread(error);
  }
}

// A program's main: its exit code, or 1 and the reason on stderr when it was refused what it needs to start.
template <class Main>
int RunMain(const char* program, Main&& main) {
  int code = 1;
  const absl::Status status = SetUp([&] {
    code = main();
    return absl::OkStatus();
  });
  if (!status.ok()) {
    std::fprintf(stderr, "%s: %s\n", program, std::string(status.message()).c_str());
    return 1;
  }
  return code;
}

}  // namespace hongbao::net
