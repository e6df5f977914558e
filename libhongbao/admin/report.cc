#include "libhongbao/admin/report.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace hongbao::admin {
namespace {

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::InternalError(absl::StrCat("cannot ", what, " ", path, ": ", std::strerror(errno)));
}

bool WriteAll(int file, absl::string_view contents) {
  while (!contents.empty()) {
    const ssize_t written = write(file, contents.data(), contents.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return false;
    }
    contents.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

// /dev/null, /dev/stdout, a pipe: a rename would replace the device itself.
bool IsDevice(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

absl::Status WriteInPlace(const std::string& path, absl::string_view contents) {
  const int file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  const absl::Status status = file >= 0 && WriteAll(file, contents) ? absl::OkStatus() : Failed("write", path);
  if (file >= 0) {
    close(file);
  }
  return status;
}

// A new file beside `path`, open for writing; its name goes to `name`.
int OpenTemporary(const std::string& path, std::string* name) {
  *name = path + "." + std::string(6, 'X');  // mkostemp(3) puts letters of its own in place of the last six
  const int file = mkostemp(name->data(), O_CLOEXEC);
  if (file >= 0) {
    // mkstemp makes it private; a report is as readable as any other file the user makes.
    const mode_t mask = umask(0);
    umask(mask);
    fchmod(file, 0666 & ~mask);
  }
  return file;
}

}  // namespace

absl::Status WriteFileAtomically(const std::string& path, absl::string_view contents) {
  if (IsDevice(path)) {
    return WriteInPlace(path, contents);
  }
  std::string temporary;
  const int file = OpenTemporary(path, &temporary);
  if (file < 0) {
    return Failed("write beside", path);
  }
  const bool written = WriteAll(file, contents) && fsync(file) == 0;
  const int written_errno = errno;
  close(file);
  if (written && rename(temporary.c_str(), path.c_str()) == 0) {
    return absl::OkStatus();
  }
  if (!written) {
    errno = written_errno;
  }
  const absl::Status failed = Failed("write", path);
  unlink(temporary.c_str());
  return failed;
}

absl::Status WriteReport(const std::string& path, const nlohmann::json& document) {
  return WriteFileAtomically(path, document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

absl::Status CheckReportPath(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
    errno = EISDIR;
    return Failed("write", path);
  }
  if (IsDevice(path)) {
    return absl::OkStatus();
  }
  std::string temporary;
  const int file = OpenTemporary(path, &temporary);
  if (file < 0) {
    return Failed("write beside", path);
  }
  close(file);
  unlink(temporary.c_str());
  return absl::OkStatus();
}

}  // namespace hongbao::admin
