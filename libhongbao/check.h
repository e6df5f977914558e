// Check: the one way to state an invariant. A broken one aborts, in release builds too, with the place and the reason.
//
// Owns nothing. Never used for bad input (that gets a Status, an enum or a counted close).
// Thread tag: thread-safe.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <source_location>

namespace hongbao {

[[noreturn]] inline void CheckFailed(const char* what, std::source_location where) {
  std::fprintf(stderr, "hongbao: broken invariant: %s (%s:%u, %s)\n", what, where.file_name(),
               static_cast<unsigned>(where.line()), where.function_name());
  std::abort();
}

// `what` says which promise is broken, in words a reader of a core dump understands.
inline void Check(bool holds, const char* what,
                  std::source_location where = std::source_location::current()) {
  if (!holds) [[unlikely]] {
    CheckFailed(what, where);
  }
}

}  // namespace hongbao
