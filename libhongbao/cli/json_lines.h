// JsonLines: --json on stdout: one JSON document a line, each flushed as it is made.
//
// Owns nothing but whether the reader is still there: one that went away ends the lines, not the run. Bytes that are no
// UTF-8 are replaced, never a reason to fail. Thread tag: thread-compatible (the reporter's thread).
#pragma once

#include <cstdio>

#include "libhongbao/cpp20.h"
#include "nlohmann/json_fwd.hpp"

namespace hongbao::cli {

class JsonLines {
 public:
  // `out` is not owned.
  explicit JsonLines(std::FILE* out) : out_(out) {}

  void Write(const nlohmann::json& document);

 private:
  std::FILE* out_;
  bool gone_ = false;
};

}  // namespace hongbao::cli
