// GatewayCarrier: a fleet whose members are gateways, each a connection with many users.
//
// It owns the gateways and the accounts of their users. It sends in large batches, and never drops a request: what
// finds the window or the socket full stays in the schedule, is sent late and counted late, and its latency counts from
// the intended time all the same. The latency of one request in 64 is recorded; every request and every win is counted.
// Concept Carrier (fleet.h) says what each function is for.
// Thread tag: worker-local; any thread may read the WorkerTally that it writes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/types/span.h"
#include "libhongbao/load/fleet.h"
#include "libhongbao/load/gateway.h"
#include "libhongbao/net/lazy_array.h"
#include "libhongbao/time/schedule.h"

namespace hongbao::load {

class GatewayCarrier {
 public:
  using MemberT = Gateway;
  static constexpr bool kOneUser = false;

  explicit GatewayCarrier(FleetContext& context);

  struct Account {
    uint64_t fen = 0;
    uint32_t grants = 0;
    uint32_t unused = 0;
  };
  static_assert(sizeof(Account) == 16, "touched by those who got something only");

  absl::Span<Gateway> members() { return absl::MakeSpan(gateways_); }
  uint32_t first_address() const { return context_.options.first_gateway; }
  static uint32_t FirstUser(const Gateway& gateway) { return gateway.first_user(); }
  static uint32_t UserCount(const Gateway& gateway) { return gateway.user_count(); }
  static bool Owns(const Gateway& gateway, uint32_t id) { return gateway.owns(id); }
  Account& AccountOf(const Gateway&, uint32_t id) { return accounts_[id - context_.options.own.first]; }

  void FollowWall();
  void BeginTurn();
  void Send(int64_t until_ns, int64_t steady_ns);
  uint64_t ScheduledBetween(int64_t from_ns, int64_t to_ns);
  void EndTurn();
  int64_t NextTurnNs();
  void StopSending();
  void StartAsking();
  void AbandonStatements();

  static uint64_t ResumeAfter(const Gateway&, uint64_t) { return 0; }  // rule 7: what has no answer is sent again
  static bool LetIn(net::Port& port, net::Connection& connection);
  static void LoggedIn(Gateway& gateway, bool, net::Replies&) { gateway.LoggedIn(); }
  bool WantsBases(const Gateway& gateway) const { return context_.options.statements && !gateway.has_bases; }
  static bool HasBases(Gateway& gateway) { return gateway.AllAsked() && gateway.statements().in_flight() == 0; }
  static void Entered(Gateway& gateway) { gateway.has_bases = true; }
  static void SessionEnded(Gateway&, net::CloseReason) {}
  static void Disconnected(Gateway& gateway) { gateway.Rewind(); }
  static void ConnectFailed(Gateway&) {}
  static bool ComesBackToStop(const Gateway&) { return true; }

  static bool Waits(const Gateway& gateway) { return gateway.Waits(); }
  static bool AnyWaits() { return true; }  // looking is what tells when a gateway was idle
  int64_t WaitedNs(Gateway& gateway);
  static int64_t silence_round_ns() { return time::kNsPerSecond; }
  bool GiveUpShake(Gateway& gateway, FinishedRequest& shake);
  template <class Each>
  void ForEachWaiting(Each each) {
    for (Gateway& gateway : gateways_) {
      gateway.window().ForEachSample([&](const GatewayRequest& one) { each(DueOf(gateway, one)); });
    }
  }

  size_t TakeNothings(Gateway& gateway, absl::Span<const std::byte> in);
  Match TakeShake(Gateway& gateway, uint64_t stamp, uint32_t id, FinishedRequest& shake);
  Match TakeOpen(Gateway& gateway, uint64_t stamp, uint32_t id, uint32_t envelope_id, FinishedRequest& open);
  Match TakeStatement(Gateway& gateway, const wire::Statement& answer, bool& is_base);
  static bool HoldsOpen(const Gateway& gateway, uint32_t id, uint32_t envelope_id);
  static bool HasRoomForOpen(const Gateway& gateway) { return gateway.opens.size() < kGatewayOpensMax; }
  static void NoteGift(Gateway&) {}
  void Open(Gateway& gateway, uint32_t id, uint32_t envelope_id, net::Replies& out);

 private:
  static constexpr size_t kBatch = 1'024;  // requests whose due times are worked out together: 16 KiB

  // When it was due, in steady time.
  int64_t DueOf(const Gateway& gateway, const GatewayRequest& request) const {
    return context_.clock.DueSteady(request.due_ns(), gateway.BeforeStep(request));
  }
  FinishedRequest Finished(const Gateway& gateway, const GatewayAnswered& answered) const;
  // Of a stamp that is not in flight.
  static Match NotInFlight(const Gateway& gateway, uint64_t stamp) {
    return gateway.MayRepeat(stamp) ? Match::kRepeated : Match::kNone;
  }

  void SendOf(Gateway& gateway, int64_t until_ns, int64_t steady_ns);
  bool RepeatUnanswered(Gateway& gateway, net::Replies& out);
  void SendOpens(Gateway& gateway, net::Replies& out);
  void SendScheduled(Gateway& gateway, net::Replies& out, int64_t until_ns, int64_t steady_ns);
  void SendAtMaxRate(Gateway& gateway, net::Replies& out);
  int64_t NextSendNs(Gateway& gateway);
  void MissUntil(Gateway& gateway, int64_t steady_ns, Counter why);
  void NoteSentAll();

  void AskSome(Gateway& gateway, net::Replies& out);
  void AskStatements();
  void SkipStatements(Gateway& gateway);

  FleetContext& context_;
  std::vector<Gateway> gateways_;
  net::LazyArray<Account> accounts_;  // by user, from own.first on
  std::array<time::DueUser, kBatch> due_;
  size_t first_ = 0;      // gateway that sends first in this turn
  bool planned_ = false;  // something was, when this turn began
};

using GatewayFleet = Fleet<GatewayCarrier>;
extern template class Fleet<GatewayCarrier>;

}  // namespace hongbao::load
