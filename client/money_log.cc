#include "client/money_log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace hongbao::client {

namespace {

constexpr std::string_view kHeader = "kind,user,stamp,envelope,fen\n";

// Whether the file, which has something in it, is a money log: it begins with the header, or with as much of it as a crash left.
bool IsMoneyLog(std::FILE* file) {
  char start[kHeader.size()] = {};
  std::rewind(file);
  const size_t got = std::fread(start, 1, sizeof(start), file);
  return std::string_view(start, got) == kHeader.substr(0, got);
}

// Makes the end of the file the end of a line: of one that a crash has cut off the start goes, nobody could read it. False:
// errno says why not.
bool EndWithALine(std::FILE* file) {
  struct stat stat {};
  if (fstat(fileno(file), &stat) != 0) {
    return false;
  }
  off_t end = stat.st_size;
  for (char last = 0; end > 0 && last != '\n'; end -= last != '\n' ? 1 : 0) {
    if (pread(fileno(file), &last, 1, end - 1) != 1) {
      return false;
    }
  }
  return end == stat.st_size || ftruncate(fileno(file), end) == 0;
}

}  // namespace

absl::Status MoneyLog::Open(const std::string& path) {
  if (path == "-") {
    return absl::InvalidArgumentError("the money log goes to a file, stdout has the rows; /dev/stdout with --quiet is one");
  }
  file_.reset(std::fopen(path.c_str(), "a+e"));
  const bool seekable = file_ != nullptr && std::fseek(file_.get(), 0, SEEK_END) == 0 && std::ftell(file_.get()) > 0;
  if (seekable && !IsMoneyLog(file_.get())) {
    file_.reset();
    return absl::AlreadyExistsError(
        absl::StrCat("--money-log ", path, " holds something else, which is left as it is: give another name, or move it away"));
  }
  if (file_ == nullptr && (errno == ESPIPE || errno == EACCES)) {  // a pipe, or a file that may be written but not read
    file_.reset(std::fopen(path.c_str(), "ae"));
  }
  if (file_ == nullptr || (seekable && !EndWithALine(file_.get()))) {
    const int error = errno;
    file_.reset();
    return absl::UnavailableError(absl::StrCat("cannot write the money log ", path, ": ", std::strerror(error)));
  }
  end_ = {.path = path};
  std::fseek(file_.get(), 0, SEEK_END);
  if (std::ftell(file_.get()) <= 0) {
    std::fputs(kHeader.data(), file_.get());
  }
  std::fflush(file_.get());
  return absl::OkStatus();
}

void MoneyLog::Write(const load::MoneyRecord& record) {
  const char* kind = record.kind == load::MoneyKind::kShake ? "shake" : "open";
  const int length = std::fprintf(file_.get(), "%s,%" PRIu32 ",%" PRIu64 ",%" PRIu32 ",%" PRIu32 "\n", kind, record.user,
                                  record.stamp, record.envelope_id, record.fen);
  end_.failed |= length < 0;
  ++end_.written;
}

void MoneyLog::WriteAll(load::Client& client) {
  if (!open()) {
    return;
  }
  const uint64_t before = end_.written;
  client.TakeMoney([this](const load::MoneyRecord& record) { Write(record); });
  if (end_.written != before) {
    end_.failed |= std::fflush(file_.get()) != 0;
  }
}

void MoneyLog::Close() {
  if (open()) {
    end_.failed |= std::fclose(file_.release()) != 0;
  }
}

}  // namespace hongbao::client
