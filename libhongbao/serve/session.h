// Session: bytes in, replies out. What one connection may do, and what it gets; for one user, or as a gateway for many.
//
// Sessions owns no connection and no socket: it is handed a Session, the bytes that came and a place for replies,
// and says how many bytes it has used and whether the connection is to be closed, and why. Everything it touches
// besides is its worker's own, or lock-free (directory, lucky pool). Nothing allocates, locks, logs or throws per
// message; a losing shake writes no line that another worker reads. Thread tag: worker-local.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "libhongbao/count/cells.h"
#include "libhongbao/envelope/lucky_pool.h"
#include "libhongbao/net/connection.h"
#include "libhongbao/serve/counters.h"
#include "libhongbao/serve/directory.h"
#include "libhongbao/serve/gateway_order.h"
#include "libhongbao/serve/gateways.h"
#include "libhongbao/serve/session_services.h"
#include "libhongbao/serve/session_state.h"
#include "libhongbao/serve/stamp_limit.h"
#include "libhongbao/wire/codec.h"
#include "libhongbao/wire/frame.h"

namespace hongbao::serve {

class Sessions {
 public:
  explicit Sessions(SessionServices services);

  // From now on logins get "full or draining".
  void Drain();
  bool draining() const { return draining_; }

  // From now on a request of v2 that is stamped above `unix_ns` is refused. Until the first call there is no limit.
  void LimitStamps(int64_t unix_ns) { stamps_.Set(static_cast<uint64_t>(unix_ns)); }
  // Whether a stamp is above it.
  bool IsAhead(uint64_t stamp) const { return stamps_.IsAhead(stamp); }

  // A new turn: so many users of gateways more may be logged in and out. True: some still wait for it.
  bool BeginTurn();

  // Handles every whole frame in `in`. `address`: the connection's (packed). `Out` is a net::Replies with a way to ask
  // whether the connection still takes bytes:
  //   std::byte* Append(size_t size);  // never null
  //   bool open() const;
  //   size_t Room() const;  // gateways only: bytes that may be appended in one piece
  // Without a ledger no shake is decided before there is room for its answer, so an envelope is never claimed for a connection
  // that has failed (the prototype's defects 1 and 3). With one the ledger has it then, until the user comes back.
  template <class Out>
  Served OnBytes(Session& session, uint64_t address, absl::Span<const std::byte> in, Out& out);

  // The connection has ended.
  void OnClose(const Session& session, uint64_t address);

  // Whether `user` is the session's, or one of its gateway's.
  bool Owns(const Session& session, uint32_t user) const {
    return session.gateway == Gateways::kNone ? user == session.user
                                              : user - session.user < gateways_.user_count(session.gateway);
  }

  // ---- a gateway's login: some of its users a turn, then the answer ----
  enum class Entered : uint8_t { kSome, kAll, kSuperseded };  // the last: by a newer gateway's login
  // From the login to its answer nothing that the gateway sends is to be handed to OnBytes.
  bool Entering(const Session& session) const {
    return session.gateway != Gateways::kNone && !gateways_.login(session.gateway).answered;
  }
  Entered EnterSome(Session& session, uint64_t address);
  // For one that changes its worker before any of its users has entered.
  Gateways& gateways() { return gateways_; }
  // kOk once all have entered. At most 36 bytes; returns how many.
  size_t AnswerGateway(const Session& session, wire::LoginResult result, std::byte* to);

  // After a gateway's login: asks for the gifts that its users from the `place`-th on have not opened, as AskForNotices does
  // for one, until `notices` may come of it (of one user at least). Returns the place to go on from, 0 when all have been
  // looked at.
  uint32_t AskForSomeNotices(const Session& session, uint64_t address, uint32_t place, uint32_t notices);

  // The ledger has settled a shake (kWin or kFindWin, not resumed): counts it. Whether anyone can be told is not asked.
  void OnShakeSettled(const ledger::Outcome& outcome);

  // Answers that come later, as messages, to requests served since the last call.
  uint32_t TakeOwed() { return std::exchange(owed_, 0U); }

  // Shakes whose outcome is not settled yet, and what was claimed for them.
  uint64_t pending_shakes() const { return pending_shakes_; }
  const envelope::Tally& pending_wins() const { return pending_wins_; }

 private:
  // The answer to any frame but a shake: at most one, 36 bytes at most.
  struct Reply {
    std::array<std::byte, 40> bytes{};
    size_t size = 0;
    bool logged_in = false;  // the login that this answers has been accepted
  };

  static constexpr uint32_t kBatch = 64;  // shakes of a gateway that are decided together

  // What a shake is to be told, on the way through the rules: Weigh, then a claim if that is what it says, then Settle.
  enum class Verdict : uint8_t {
    kAnswer,  // `response` says it
    kLater,   // nothing now: it comes with an outcome, or to a newer session
    kClaim,   // it may have what the pool has; Settle must follow, whether there was something or not
  };
  struct Shake {
    uint32_t user = 0;
    uint32_t login = 0;  // kClaim: see Directory::Decide
    Verdict verdict = Verdict::kAnswer;
    wire::ShakeResponse response{};
  };

  // ---- shakes: one (anybody's), or a gateway's in batches ----
  template <class Out>
  net::CloseReason ServeShake(Session& session, uint64_t address, const std::byte* frame, Out& out);
  template <class Out>
  net::CloseReason ServeMoney(Session& session, uint64_t address, uint32_t user, uint64_t stamp, Out& out);
  template <class Out>
  Served ServeOther(Session& session, uint64_t address, absl::Span<const std::byte> rest, Out& out);
  template <class Out>
  Served OnGatewayBytes(Session& session, uint64_t address, absl::Span<const std::byte> in, Out& out);
  template <class Out>
  net::CloseReason DecideBatch(Session& session, uint64_t address, const std::byte* frames, uint32_t count, Out& out);
  void AnswerLosers(const std::byte* frames, uint32_t count, std::byte* to);
  template <class Out>
  uint32_t DecideSome(Session& session, uint64_t address, const std::byte* frames, uint32_t count, Out& out);
  // How many whole shakes of the gateway's users, of plain stamps, stand at the start of `in`, `most` at most; the lowest stamp
  // among them.
  uint32_t LeadingShakes(const Session& session, absl::Span<const std::byte> in, uint32_t most, uint64_t* lowest) const;

  // Whether it may be a repeat of a request that has been decided. Then it is never told "overloaded" (nothing has happened).
  bool MayHaveOutcome(const Session& session, uint32_t user, uint64_t stamp) const {
    if (session.version != wire::Version::k2) {
      return false;
    }
    if (stamp > session.stamp_floor) {
      return !stamps_.IsPlain(stamp) && stamps_.Knows(user, stamp);
    }
    return session.gateway == Gateways::kNone || stamp <= services_.directory->last_stamp(user) || stamps_.Knows(user, stamp);
  }
  // False: there is nothing to win, and nothing was won.
  bool ConcernsMoney(const Session& session, uint32_t user, uint64_t stamp) const {
    return services_.claimer->MayClaim() || (durable_ && MayHaveOutcome(session, user, stamp));
  }
  bool IsTooFarAhead(const Session& session, uint32_t user, uint64_t stamp) const {
    return session.version == wire::Version::k2 && stamps_.IsTooFarAhead(user, stamp);
  }
  void AnswerAhead(const std::byte* frame, std::byte* to);
  void AnswerLoser(const Session& session, uint32_t user, const std::byte* frame, std::byte* to);
  void Weigh(Session& session, uint64_t address, Shake& shake);
  // `envelope`: what the claim brought; id 0 = nothing.
  void Settle(Session& session, uint64_t address, Shake& shake, const envelope::LuckyEnvelope& envelope);
  void CountAnswer(wire::ShakeResult result);
  bool AtCap(uint32_t user) const;
  ledger::Record RecordOf(const Session& session, uint64_t address, ledger::RecordKind kind, uint32_t user,
                          uint64_t stamp) const;
  wire::ShakeResponse Won(uint32_t user, uint64_t stamp, const envelope::LuckyEnvelope& envelope);

  net::CloseReason Handle(Session& session, uint64_t address, wire::FrameType type, wire::FrameBytes frame, Reply& reply);
  net::CloseReason Login(Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply);
  // Whether the login shows a token that is right for its users.
  bool Proves(const wire::LoginRequest& request) const;
  wire::LoginResult Judge(const Session& session, uint64_t address, const wire::LoginRequest& request, bool proved);
  // False: the user is a gateway's, and the login has proved nothing.
  bool Accept(Session& session, uint64_t address, const wire::LoginRequest& request, bool proved);
  void AcceptGateway(Session& session, uint64_t address, const wire::LoginRequest& request);
  void CountReplaced(uint32_t user, uint64_t replaced);
  void LeaveSome(uint64_t users);
  net::CloseReason Open(const Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply);
  net::CloseReason Send(Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply);
  net::CloseReason FindSend(const Session& session, uint64_t address, const wire::SendRequest& request);
  net::CloseReason State(const Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply);
  // Asks all owners for the gifts that the user has not opened, if there are any.
  void AskForNotices(uint32_t user, uint64_t address);

  SessionServices services_;
  const bool durable_;
  Gateways gateways_;
  StampLimit stamps_;
  // Users of gateways that have ended, to be logged out.
  struct Leaving {
    uint64_t address = 0;
    uint32_t next_user = 0;
    uint32_t users = 0;
  };
  std::vector<Leaving> leaving_;
  uint32_t users_left_;  // that may be logged in and out in this turn
  bool draining_ = false;
  uint32_t owed_ = 0;
  uint64_t pending_shakes_ = 0;
  envelope::Tally pending_wins_;
};

}  // namespace hongbao::serve

#include "libhongbao/serve/session_impl.h"
