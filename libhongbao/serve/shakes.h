// Shakes: which of them win, and the answer to each; one at a time, or a gateway's in batches.
//
// Without a ledger no shake is decided before there is room for its answer, so an envelope is never claimed for a connection
// that has failed (the prototype's defects 1 and 3). With one the ledger has it then, until the user comes back. A losing shake
// writes no line that another worker reads. Owns the limit of stamps and what it has claimed that the ledger has not settled.
// Thread tag: worker-local.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "libhongbao/count/cells.h"
#include "libhongbao/envelope/lucky_pool.h"
#include "libhongbao/net/connection.h"
#include "libhongbao/serve/gateways.h"
#include "libhongbao/serve/session_services.h"
#include "libhongbao/serve/stamp_limit.h"
#include "libhongbao/wire/codec.h"

namespace hongbao::serve {

class Shakes : SessionPart {
 public:
  static constexpr uint32_t kBatch = 64;  // shakes of a gateway that are decided together

  // `owed` counts answers that come later.
  Shakes(const SessionOptions& options, const SessionServices& services, const Gateways& gateways, uint32_t& owed);

  // From now on nothing new is decided when there is a ledger.
  void Drain() { draining_ = true; }

  // From now on a request of v2 that is stamped above `unix_ns` is refused. Until the first call there is no limit.
  void LimitStamps(int64_t unix_ns) { stamps_.Set(static_cast<uint64_t>(unix_ns)); }
  const StampLimit& stamps() const { return stamps_; }

  // One shake of a direct session, or one that stands alone on a gateway. `Out`: see Sessions::OnBytes.
  template <class Out>
  net::CloseReason ServeOne(Session& session, uint64_t address, const std::byte* frame, Out& out);

  // Whole shakes of a gateway's users, of plain stamps.
  struct Batch {
    const std::byte* frames = nullptr;
    uint32_t count = 0;
    bool may_repeat = false;  // a stamp among them is not above the session's floor
  };
  // Those at the start of `in`, `most` at most.
  Batch LeadingShakes(const Session& session, absl::Span<const std::byte> in, uint32_t most) const;
  // There is room for all answers.
  template <class Out>
  net::CloseReason ServeBatch(Session& session, uint64_t address, const Batch& batch, Out& out);

  // The ledger has settled a shake (kWin or kFindWin, not resumed). Whether anyone can be told is not asked.
  void OnShakeSettled(const ledger::Outcome& outcome);

  // Shakes whose outcome is not settled yet, and what was claimed for them.
  uint64_t pending_shakes() const { return pending_shakes_; }
  const envelope::Tally& pending_wins() const { return pending_wins_; }

 private:
  // What a shake is to be told, on the way through the rules: Weigh, then a claim if that is what it says, then FinishClaim.
  enum class Verdict : uint8_t {
    kAnswer,  // `response` says it
    kLater,   // nothing now: it comes with an outcome, or to a newer session
    kClaim,   // it may have what the pool has; FinishClaim must follow, whether there was something or not
  };
  struct Shake {
    uint32_t user = 0;
    uint32_t login = 0;  // kClaim: see Directory::Decide
    Verdict verdict = Verdict::kAnswer;
    wire::ShakeResponse response{};
  };

  template <class Out>
  net::CloseReason ServeMoney(Session& session, uint64_t address, uint32_t user, uint64_t stamp, Out& out);
  template <class Out>
  net::CloseReason DecideBatch(Session& session, uint64_t address, const std::byte* frames, uint32_t count, Out& out);
  template <class Out>
  uint32_t DecideSome(Session& session, uint64_t address, const std::byte* frames, uint32_t count, Out& out);

  // Whether it may be a repeat of a request that has been decided. Then it is never told "overloaded" (nothing has happened).
  bool MayHaveOutcome(const Session& session, uint32_t user, uint64_t stamp) const {
    if (session.version != wire::Version::k2) {
      return false;
    }
    if (stamp > session.stamp_floor) {
      return !stamps_.IsPlain(stamp) && stamps_.Knows(user, stamp);
    }
    return !session.is_gateway() || stamp <= directory_.last_stamp(user) || stamps_.Knows(user, stamp);
  }
  // False: there is nothing to win, and nothing was won.
  bool ConcernsMoney(const Session& session, uint32_t user, uint64_t stamp) const {
    return claimer_.MayClaim() || (durable_ && MayHaveOutcome(session, user, stamp));
  }
  bool IsTooFarAhead(const Session& session, uint32_t user, uint64_t stamp) const {
    return session.version == wire::Version::k2 && stamps_.IsTooFarAhead(user, stamp);
  }
  // How many shakes of the gateway's users, of plain stamps not below `lowest`, stand at the start of `in`, `most` at most.
  uint32_t CountLeading(const Session& session, absl::Span<const std::byte> in, uint32_t most, uint64_t lowest) const;
  void AnswerAhead(const std::byte* frame, std::byte* to);
  void AnswerLoser(const Session& session, uint32_t user, const std::byte* frame, std::byte* to);
  void AnswerLosers(const Batch& batch, std::byte* to);
  void CountAnswer(wire::ShakeResult result);

  void Weigh(Session& session, uint64_t address, Shake& shake);
  // `envelope`: what the claim brought; id 0 = nothing.
  void FinishClaim(Session& session, uint64_t address, Shake& shake, const envelope::LuckyEnvelope& envelope);
  void AnswerWin(Shake& shake, const envelope::LuckyEnvelope& envelope);
  void SubmitWin(Session& session, uint64_t address, const Shake& shake, const envelope::LuckyEnvelope& envelope);
  bool IsAtCap(uint32_t user) const;  // not inline: it would keep AnswerLoser from being so

  const uint32_t wins_per_user_;
  envelope::LuckyClaimer& claimer_;
  const Gateways& gateways_;
  uint32_t& owed_;
  StampLimit stamps_;
  uint64_t pending_shakes_ = 0;
  envelope::Tally pending_wins_;
};

}  // namespace hongbao::serve

#include "libhongbao/serve/shakes_impl.h"
