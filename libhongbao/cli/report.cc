#include "libhongbao/cli/report.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libhongbao/cli/exact_json.h"
#include "libhongbao/cli/standard_streams.h"
#include "nlohmann/json.hpp"

namespace hongbao::cli {
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

// What `path` means where it is a symbolic link, also to a file that is not there yet. A rename would replace the link.
absl::StatusOr<std::string> TargetOf(const std::string& path) {
  std::string target = path;
  for (int links = 0; links < 40; ++links) {  // as many as the kernel follows
    char text[4096];
    const ssize_t size = readlink(target.c_str(), text, sizeof text);
    if (size < 0) {
      return target;
    }
    const absl::string_view to(text, static_cast<size_t>(size));
    const size_t slash = target.rfind('/');
    target =
        absl::StartsWith(to, "/") || slash == std::string::npos ? std::string(to) : absl::StrCat(target.substr(0, slash + 1), to);
  }
  errno = ELOOP;
  return Failed("write", path);
}

bool IsStdout(const std::string& path) { return path == "-"; }

// A new file beside `path`, open for writing; its name goes to `name`.
int OpenTemporary(const std::string& path, std::string* name) {
  *name = path + "." + std::string(6, 'X');  // mkostemp(3) puts letters of its own in place of the last six
  const int file = mkostemp(name->data(), O_CLOEXEC);
  if (file >= 0) {
    // mkstemp makes it private; a report is as readable as any other file the user makes.
    const mode_t mask = umask(0);
    umask(mask);
    struct stat before {};
    fchmod(file, stat(path.c_str(), &before) == 0 ? before.st_mode & 0777 : 0666 & ~mask);
  }
  return file;
}

}  // namespace

absl::Status WriteFileAtomically(const std::string& asked, absl::string_view contents) {
  if (IsStdout(asked)) {
    WriteOut(stdout, contents);  // which says what it did not take, and makes the exit code 1
    return absl::OkStatus();
  }
  const absl::StatusOr<std::string> target = TargetOf(asked);
  if (!target.ok()) {
    return target.status();
  }
  const std::string& path = *target;
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
  return WriteFileAtomically(path, Dump(document, 2) + "\n");
}

absl::Status CheckReportPath(const std::string& asked) {
  if (IsStdout(asked)) {
    return absl::OkStatus();
  }
  const absl::StatusOr<std::string> target = TargetOf(asked);
  if (!target.ok()) {
    return target.status();
  }
  const std::string& path = *target;
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

}  // namespace hongbao::cli
