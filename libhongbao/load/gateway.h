// Gateway: one connection that carries many users: its slice of them, what it has in flight, and how its requests look.
//
// It owns the slice's schedule (Walker), the windows of unanswered shakes and statement requests, the opens under way and
// the stamps, which are strictly increasing over all it sends: that is what lets an answer be found without an index.
// It never counts, never decides when to send (gateway_carrier.h does), and never knows a socket: bytes go to an Out,
// which is net::Replies or a stand-in with Room() and Append(size).
// Thread tag: worker-local.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "libhongbao/load/gateway_window.h"
#include "libhongbao/load/member.h"
#include "libhongbao/time/permutation.h"
#include "libhongbao/time/schedule.h"
#include "libhongbao/time/walker.h"
#include "libhongbao/wire/codec.h"
#include "libhongbao/wire/messages.h"

namespace hongbao::load {

// Pipelined, and few enough that a slow server is asked slowly.
inline constexpr uint32_t kGatewayStatementsMax = 128;
// Above it a notice is not opened; they leave behind a reconnect's repeats, and are found by looking through them.
inline constexpr size_t kGatewayOpensMax = 1'024;

struct GatewayOpen {
  uint64_t stamp = 0;
  uint32_t user = 0;
  uint32_t envelope_id = 0;
  bool sent = false;  // at least once
};

// How a gateway sends: what the schedule says, or as fast as the window allows.
struct GatewayPace {
  bool max_rate = false;
  uint64_t quota = 0;  // max_rate: requests to be sent in all
};

class Gateway : public Member {
 public:
  // `users`: two or more. `schedule` must outlive the gateway.
  Gateway(time::UserRange users, const time::Schedule& schedule, uint64_t total_users, uint32_t window, GatewayPace pace,
          int64_t steady_ns);

  uint32_t first_user() const { return static_cast<uint32_t>(users_.first); }
  uint32_t user_count() const { return static_cast<uint32_t>(users_.size()); }
  bool owns(uint32_t user) const { return user - first_user() < user_count(); }
  time::Walker& walker() { return walker_; }
  GatewayWindow& window() { return window_; }
  GatewayWindow& statements() { return statements_; }
  uint64_t quota() const { return pace_.quota; }

  // The wall clock has been set: it is now `shift_s` ahead of the steady time.
  void FollowWall(int64_t shift_s, int64_t steady_ns) {
    walker_.FollowWall(shift_s, steady_ns);
    stepped_stamp_ = last_stamp;
  }
  // Whether the request was sent before the last step.
  bool BeforeStep(const GatewayRequest& request) const { return request.stamp <= stepped_stamp_; }

  // A login has been answered: what has a stamp up to now and is not in flight may have been answered before.
  void LoggedIn() { horizon_ = last_stamp; }
  bool MayRepeat(uint64_t stamp) const { return stamp <= horizon_; }

  // How many requests of 16 bytes may be sent now.
  template <class Out>
  size_t RoomFor(const Out& out, const GatewayWindow& window) const {
    return std::min<size_t>(window.room(), out.Room() / wire::kShakeRequestBytes);
  }

  // Sends these shakes: at most RoomFor(out, window()). `shift_ns`: agreed less steady time.
  template <class Out>
  void SendDue(Out& out, absl::Span<const time::DueUser> due, int64_t shift_ns, int64_t now_ns) {
    std::byte* to = out.Append(due.size() * wire::kShakeRequestBytes);
    uint64_t last = last_stamp;
    window_.Append(due.size(), now_ns, [&](size_t i) {
      const int64_t due_ns = due[i].due_ns + shift_ns;
      last = std::max(last + 1, static_cast<uint64_t>(due_ns));
      wire::EncodeShakeRequest(to + i * wire::kShakeRequestBytes, {.stamp = last, .user_id = due[i].user});
      return GatewayRequest::Of(last, due_ns, due[i].user);
    });
    last_stamp = last;
  }

  // max_rate: sends `n` shakes, at most RoomFor(out, window()) and quota(), of the next users in turn.
  template <class Out>
  void SendNext(Out& out, size_t n, int64_t wall_ns, int64_t now_ns) {
    std::byte* to = out.Append(n * wire::kShakeRequestBytes);
    uint64_t last = std::max(last_stamp, static_cast<uint64_t>(std::max<int64_t>(wall_ns, 1)) - 1);
    uint64_t place = next_place_;
    window_.Append(n, now_ns, [&](size_t i) {
      const uint32_t user = first_user() + static_cast<uint32_t>(place);
      place += step_;  // the order's multiplier: the next place, without a division
      place -= place >= users_.size() ? users_.size() : 0;
      wire::EncodeShakeRequest(to + i * wire::kShakeRequestBytes, {.stamp = ++last, .user_id = user});
      return GatewayRequest::Of(last, std::min(static_cast<int64_t>(last), std::max<int64_t>(wall_ns, 1)), user);
    });
    last_stamp = last;
    next_place_ = place;
    pace_.quota -= n;
  }

  // Sends again, with the stamps they had, what the connection before has left unanswered. Returns how many.
  template <class Out>
  static size_t Repeat(Out& out, GatewayWindow& window, wire::FrameType type) {
    const size_t n = std::min<size_t>(window.to_repeat(), out.Room() / wire::kShakeRequestBytes);
    if (n > 0) {
      std::byte* to = out.Append(n * wire::kShakeRequestBytes);
      window.Repeat(n, [&](const GatewayRequest& request) {
        wire::StoreHeader(to, type, wire::kShakeRequestBytes, request.stamp);
        wire::StoreU32(to + wire::kHeaderBytes, request.user);
        to += wire::kShakeRequestBytes;
      });
    }
    return n;
  }

  // Asks for the statements of the next `n` users from `next_statement` on; room as for shakes.
  template <class Out>
  void AskStatements(Out& out, size_t n, int64_t wall_ns, int64_t now_ns) {
    std::byte* to = out.Append(n * wire::kStatementRequestBytes);
    statements_.Append(n, now_ns, [&](size_t i) {
      const auto user = static_cast<uint32_t>(next_statement++);
      const uint64_t stamp = NextStamp(*this, wall_ns);
      wire::EncodeStatementRequest(to + i * wire::kStatementRequestBytes, {.stamp = stamp, .user_id = user});
      return GatewayRequest::Of(stamp, static_cast<int64_t>(stamp), user);
    });
  }
  // Waits for no statement any more; returns for how many it did. Their answers may still be on their way.
  uint64_t GiveUpStatements();
  // Whether an answer of any kind is waited for.
  bool Waits() const { return window_.in_flight() > 0 || statements_.in_flight() > 0 || !opens.empty(); }
  bool AllAsked() const { return next_statement == users_.end; }

  // Under way, in the order of their stamps; those from `opens_sent` on have not been sent on this connection.
  std::vector<GatewayOpen> opens;
  size_t opens_sent = 0;
  // Takes the open of that stamp, user and envelope. False when none is under way.
  bool TakeOpen(uint64_t stamp, uint32_t user, uint32_t envelope_id);

  // The connection has ended: everything unanswered is to be sent on the next one.
  void Rewind();

  // ---- the carrier's ----
  bool has_bases = false;
  int64_t next_send_ns = 0;     // kOnline: not before, so that what is due leaves in batches
  int64_t idle_ns = 0;          // when it last had nothing in flight, as far as was looked; monotonic
  uint64_t next_statement = 0;  // user to be asked for next

 private:
  const time::UserRange users_;
  GatewayPace pace_;
  time::Walker walker_;  // of no user at max_rate
  GatewayWindow window_;
  GatewayWindow statements_{kGatewayStatementsMax};
  uint64_t stepped_stamp_ = 0;  // the last one before the wall clock was set
  uint64_t horizon_ = 0;
  uint64_t next_place_ = 0;  // max_rate: in 0..user_count-1
  uint64_t step_;
};

}  // namespace hongbao::load
