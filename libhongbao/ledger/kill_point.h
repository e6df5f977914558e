// Kill points: named places at which a test may have the process killed, as kill -9 would.
//
// Owns a countdown, armed by the environment: HONGBAO_KILL_AT=after_commit:3 kills at the third passing. Unarmed (always, in
// service) a passing is one test of a member. Never used to end a process in order; passings of several
// threads at the same moment may count as one. Thread tag: thread-compatible.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "libhongbao/cpp20.h"

namespace hongbao::ledger {

enum class KillPoint : uint8_t {
  kNone,
  kAfterClaim,    // "after_claim": a worker has taken a share; the record is not in its lane yet
  kBeforeCommit,  // "before_commit": the batch is applied
  kAfterCommit,   // "after_commit": the batch is durable, no outcome has been delivered
  kCheckpoint,    // "checkpoint": the write-ahead log is about to be written back
  kCancel,        // "cancel": a cancelled order is durable, its caller has not been told
  kRecovery,      // "recovery": the file is open, the start's own changes are not committed
};

class KillPlan {
 public:
  KillPlan() = default;
  KillPlan(KillPoint point, int64_t passing) : point_(point), left_(passing) {}

  // From "name" or "name:N"; InvalidArgument lists the names. Empty: no plan.
  static absl::StatusOr<KillPlan> Parse(const std::string& text);

  void Pass(KillPoint point) {
    if (point == point_) [[unlikely]] {
      CountDown();
    }
  }

 private:
  void CountDown();

  KillPoint point_ = KillPoint::kNone;
  int64_t left_ = 0;
};

}  // namespace hongbao::ledger
