#include "libhongbao/cli/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace hongbao::cli {

absl::StatusOr<std::string> ReadSecretFile(const std::string& path, absl::string_view what, size_t bytes_max,
                                           bool others_may_read) {
  const int descriptor = open(path == "-" ? "/dev/stdin" : path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", path, ": cannot be opened"));
  }
  struct stat facts = {};
  if (!others_may_read && fstat(descriptor, &facts) == 0 && S_ISREG(facts.st_mode) && (facts.st_mode & S_IROTH) != 0) {
    close(descriptor);
    return absl::PermissionDeniedError(
        absl::StrCat(what, " ", path, ": every user of this machine can read it; chmod o-rwx ", path));
  }
  std::string text(bytes_max + 1, '\0');
  size_t size = 0;
  ssize_t got = 0;
  do {
    got = read(descriptor, text.data() + size, text.size() - size);
    size += got > 0 ? static_cast<size_t>(got) : 0;
  } while ((got > 0 && size < text.size()) || (got < 0 && errno == EINTR));
  const int error = errno;
  close(descriptor);
  if (got < 0) {
    return absl::ErrnoToStatus(error, absl::StrCat(what, " ", path, ": cannot be read"));
  }
  text.resize(size);
  return text;
}

}  // namespace hongbao::cli
