#include "tools/monitor/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace hongbao::monitor {

LineFile::~LineFile() {
  if (file_ >= 0) {
    close(file_);
  }
}

absl::Status LineFile::Open(const std::string& path, absl::string_view header) {
  if (path == "-") {
    return absl::InvalidArgumentError(
        "stdout has the rows: --json for all columns of them there, or /dev/stdout with --quiet for a CSV file there");
  }
  path_ = path;
  file_ = open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (file_ < 0) {
    return absl::UnavailableError(absl::StrCat("cannot write ", path, ": ", std::strerror(errno)));
  }
  struct stat status {};
  if (fstat(file_, &status) == 0 && (status.st_size == 0 || !S_ISREG(status.st_mode))) {
    Write(header);
  } else {
    std::string first(header.size() + 1, '\0');
    if (pread(file_, first.data(), first.size(), 0) != static_cast<ssize_t>(first.size()) ||
        first != absl::StrCat(header, "\n")) {
      return absl::FailedPreconditionError(absl::StrCat(path, " has other columns than are written now: give another file"));
    }
    char last = '\n';
    cut_off_ = pread(file_, &last, 1, status.st_size - 1) == 1 && last != '\n';
  }
  return absl::OkStatus();
}

void LineFile::Write(absl::string_view line) {
  if (file_ < 0) {
    return;
  }
  const std::string text = absl::StrCat(cut_off_ ? "\n" : "", line, "\n");
  const ssize_t written = write(file_, text.data(), text.size());
  if (written == static_cast<ssize_t>(text.size())) {
    cut_off_ = false;
    return;
  }
  if (++lost_ == 1) {
    std::fprintf(stderr, "hongbao-monitor: cannot write %s: %s; going on without the line\n", path_.c_str(),
                 written < 0 ? std::strerror(errno) : "only a part of the line found room");
  }
  cut_off_ = cut_off_ || written > 0;
}

}  // namespace hongbao::monitor
