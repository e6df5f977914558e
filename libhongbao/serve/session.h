// Session: bytes in, replies out. What one connection may do, and what it gets.
//
// SessionDesk owns no connection and no socket: it is handed a Session, the bytes that came and a place for replies,
// and says how many bytes it has used and whether the connection is to be closed, and why. Everything it touches
// besides is its worker's own, or lock-free (directory, lucky pool). Nothing allocates, locks, logs or throws per
// message; a losing shake writes no line that another worker reads. Thread tag: worker-local.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "absl/types/span.h"
#include "libhongbao/count/cells.h"
#include "libhongbao/envelope/lucky_pool.h"
#include "libhongbao/net/connection.h"
#include "libhongbao/serve/counters.h"
#include "libhongbao/serve/directory.h"
#include "libhongbao/serve/gift_desk.h"
#include "libhongbao/serve/ledger_desk.h"
#include "libhongbao/serve/overload.h"
#include "libhongbao/time/clock.h"
#include "libhongbao/wire/codec.h"
#include "libhongbao/wire/frame.h"

namespace hongbao::serve {

// What is remembered of one connection. All zero bytes: nobody has logged in yet.
struct Session {
  uint32_t user = 0;
  wire::Version version = wire::Version::kUnknown;  // settled by the first frame
  bool logged_in = false;
  bool over_limit = false;  // one connection more than the server takes: its login gets "full"
  bool at_cap = false;      // the user has won as often as allowed
  uint64_t stamp_floor = 0;  // v2 with a ledger: a request of a stamp up to here may have an outcome already
};
static_assert(sizeof(Session) <= 16, "one per connection, a million of them");

// How a call to OnBytes ended.
struct Served {
  size_t consumed = 0;                               // whole frames; a part of one stays with the caller
  net::CloseReason close = net::CloseReason::kNone;  // other than kNone: close once the replies so far have left
};

struct SessionServices {
  uint32_t workers = 1;
  uint32_t wins_per_user = 0;  // shake wins of one user at most, 0 = no limit
  const time::Clock* clock = nullptr;
  Directory* directory = nullptr;
  const envelope::LuckyPool* pool = nullptr;
  envelope::LuckyClaimer* claimer = nullptr;
  GiftDesk* gifts = nullptr;
  Overload* overload = nullptr;
  LedgerDesk* ledger = nullptr;
  count::Cells<Counter>* cells = nullptr;
  PostFunction post;
};

class SessionDesk {
 public:
  explicit SessionDesk(SessionServices services);

  // From now on logins get "full or draining".
  void Drain() { draining_ = true; }

  // Handles every whole frame in `in`. `address`: the connection's (packed). `Out` is a net::Replies with a way to ask
  // whether the connection still takes bytes:
  //   std::byte* Append(size_t size);  // never null
  //   bool open() const;
  // Without a ledger no shake is decided before there is room for its answer, so an envelope is never claimed for a connection
  // that has failed (the prototype's defects 1 and 3). With one the ledger has it then, until the user comes back.
  template <class Out>
  Served OnBytes(Session& session, uint64_t address, absl::Span<const std::byte> in, Out& out);

  // The connection has ended.
  void OnClose(const Session& session, uint64_t address);

  // The ledger has settled a shake (kWin or kFindWin, not resumed): counts it. Whether anyone can be told is not asked.
  void CountShake(const ledger::Outcome& outcome);

  // Shakes whose outcome is not settled yet, and what was claimed for them.
  uint64_t pending_shakes() const { return pending_shakes_; }
  const envelope::Tally& pending_wins() const { return pending_wins_; }

 private:
  // The answer to any frame but a shake: at most one, 36 bytes at most.
  struct Reply {
    std::array<std::byte, 40> bytes;
    size_t size = 0;
    bool logged_in = false;  // the login that this answers has been accepted
  };

  // Decides one shake and writes its answer to `to` (kShakeResponseBytes).
  void Shake(Session& session, const std::byte* frame, std::byte* to);
  // Whether it may be a repeat of a request that has been decided. Then it is never told "overloaded" (nothing has happened).
  static bool MayHaveOutcome(const Session& session, uint64_t stamp) {
    return session.version == wire::Version::k2 && stamp <= session.stamp_floor;
  }
  // With a ledger: whether this shake may need it. If not, there is nothing to win.
  bool ConcernsLedger(const Session& session, const std::byte* frame) const {
    return services_.claimer->MayClaim() || MayHaveOutcome(session, wire::StampOf(frame));
  }
  // Then: the answer, or nothing when it will come with an outcome.
  std::optional<wire::ShakeResponse> ShakeForMoney(Session& session, uint64_t address, uint64_t stamp);
  void CountAnswer(wire::ShakeResult result);
  // False: the user may win no more. True with `envelope.id` 0: there was nothing.
  bool ClaimUnderCap(Session& session, envelope::LuckyEnvelope& envelope);
  bool AtCap(uint32_t user) const;
  ledger::Record RecordOf(const Session& session, uint64_t address, ledger::RecordKind kind, uint64_t stamp) const;
  wire::ShakeResponse DecideUnderCap(Session& session, uint64_t stamp);
  wire::ShakeResponse Won(Session& session, uint64_t stamp, const envelope::LuckyEnvelope& envelope);

  net::CloseReason Handle(Session& session, uint64_t address, wire::FrameType type, wire::FrameBytes frame,
                          Reply& reply);
  net::CloseReason Login(Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply);
  void Accept(Session& session, uint64_t address);
  net::CloseReason Open(const Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply);
  net::CloseReason Send(Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply);
  net::CloseReason State(const Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply);
  // Asks all owners for the gifts that the user has not opened, if there are any.
  void AskForNotices(const Session& session, uint64_t address);

  SessionServices services_;
  const bool durable_;
  bool draining_ = false;
  uint64_t pending_shakes_ = 0;
  envelope::Tally pending_wins_;
};

}  // namespace hongbao::serve

#include "libhongbao/serve/session_impl.h"
