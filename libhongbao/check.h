// Check: the one way to state an invariant. A broken one aborts, in release builds too, with the place and the reason.
//
// Owns nothing. Never used for bad input (that gets a Status, an enum or a counted close).
// Thread tag: thread-safe.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "libhongbao/cpp20.h"

namespace hongbao {

[[noreturn]] inline void CheckFailed(const char* what, const char* file, int line, const char* function) {
  std::fprintf(stderr, "hongbao: broken invariant: %s (%s:%d, %s)\n", what, file, line, function);
  std::abort();
}

// `what` says which promise is broken, in words a reader of a core dump understands. The place is the caller's: builtins
// that g++ and clang share, as clang 14 has no std::source_location.
inline void Check(bool holds, const char* what, const char* file = __builtin_FILE(), int line = __builtin_LINE(),
                  const char* function = __builtin_FUNCTION()) {
  if (!holds) [[unlikely]] {
    CheckFailed(what, file, line, function);
  }
}

}  // namespace hongbao
