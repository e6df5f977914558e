#include "libhongbao/cli/standard_streams.h"

#include "libhongbao/cli/exit_codes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace hongbao::cli {
namespace {

bool stdout_lost = false;

// A reader who left is no loss: a closed pipe, or a terminal whose window was closed.
bool NobodyReads(std::FILE* out, int error) {
  struct stat file {};
  return error == EPIPE || (error == EIO && fstat(fileno(out), &file) == 0 && S_ISCHR(file.st_mode));
}

}  // namespace

void HoldStandardStreams() {
  // The lowest free number is given out first; what is opened above 2 was one too many.
  int opened = 0;
  while (opened >= 0 && opened <= 2) {
    opened = open("/dev/null", O_RDWR);
  }
  if (opened > 2) {
    close(opened);
  }
}

bool WriteOut(std::FILE* out, absl::string_view text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), out) == text.size() && std::fflush(out) == 0) {
    return true;
  }
  const int error = errno;
  if (out == stdout && !NobodyReads(out, error) && !stdout_lost) {
    stdout_lost = true;
    std::fprintf(stderr, "error: cannot write to stdout: %s; its output is not complete\n", std::strerror(error));
  }
  return false;
}

int ExitCodeOfOutput(int code) { return code == kDone && stdout_lost ? kCouldNot : code; }

}  // namespace hongbao::cli
