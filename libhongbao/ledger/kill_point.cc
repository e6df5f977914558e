#include "libhongbao/ledger/kill_point.h"

#include <signal.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace hongbao::ledger {
namespace {

constexpr std::pair<const char*, KillPoint> kNames[] = {{"after_claim", KillPoint::kAfterClaim},
                                                        {"before_commit", KillPoint::kBeforeCommit},
                                                        {"after_commit", KillPoint::kAfterCommit},
                                                        {"checkpoint", KillPoint::kCheckpoint},
                                                        {"cancel", KillPoint::kCancel},
                                                        {"recovery", KillPoint::kRecovery}};

}  // namespace

absl::StatusOr<KillPlan> KillPlan::Parse(const std::string& text) {
  if (text.empty()) {
    return KillPlan();
  }
  const size_t colon = text.find(':');
  const std::string name = text.substr(0, colon);
  int64_t passing = 1;
  std::string names;
  for (const auto& [known, point] : kNames) {
    if (name == known &&
        (colon == std::string::npos || (absl::SimpleAtoi(absl::string_view(text).substr(colon + 1), &passing) && passing > 0))) {
      return KillPlan(point, passing);
    }
    absl::StrAppend(&names, names.empty() ? "" : ", ", known);
  }
  return absl::InvalidArgumentError(absl::StrCat("HONGBAO_KILL_AT is ", text, "; it takes NAME or NAME:PASSING with ", names));
}

void KillPlan::CountDown() {
  if (--left_ == 0) {
    kill(getpid(), SIGKILL);
  }
}

}  // namespace hongbao::ledger
