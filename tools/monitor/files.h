// LineFile: a file that gets a line a second, each flushed at once, so that what is in it survives a kill.
//
// Owns the file. Goes on where an earlier run of the program has left off. A full disk is said once and counted, and never
// ends anything; a line that was cut off is ended before the next. Thread tag: thread-compatible.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace hongbao::monitor {

class LineFile {
 public:
  LineFile() = default;
  ~LineFile();
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;

  // Appends; writes `header` into an empty file, and refuses one with another. The Status names the path and the cause.
  absl::Status Open(const std::string& path, absl::string_view header);
  // Does nothing when no file is open.
  void Write(absl::string_view line);

  uint64_t lost() const { return lost_; }  // lines that the disk did not take

 private:
  int file_ = -1;
  std::string path_;
  uint64_t lost_ = 0;
  bool cut_off_ = false;
};

}  // namespace hongbao::monitor
