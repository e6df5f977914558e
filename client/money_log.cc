#include "client/money_log.h"

#include <cerrno>
#include <cinttypes>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace hongbao::client {

absl::Status MoneyLog::Open(const std::string& path) {
  file_.reset(std::fopen(path.c_str(), "we"));
  if (file_ == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot write the money log ", path, ": ", std::strerror(errno)));
  }
  end_ = {.path = path};
  std::fputs("kind,user,stamp,envelope,fen\n", file_.get());
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
