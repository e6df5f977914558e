// Set: one ring with the connections on it, the unit of scale. A worker drives one or more.
//
// Owns nothing (the worker owns ring, port and listener) but decides what happens on each completion: accept and connect,
// receive and frame, send, close. The rules that keep it right:
//   - a completion is believed only if its generation is the slot's; a buffer goes back whether or not it is;
//   - one receive and one send of a connection in flight at most; replies made meanwhile wait and leave together;
//   - a slot is free only when nothing of it is in flight.
// Written against a ring as a concept (push, enter, reap), so that tests can script every completion. Never blocks.
// Thread tag: worker-local.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "libhongbao/net/application.h"
#include "libhongbao/net/connection.h"
#include "libhongbao/net/counters.h"
#include "libhongbao/net/port.h"
#include "libhongbao/ring/completion.h"

namespace hongbao::net {

template <class RingT, class App>
class Set {
 public:
  Set(RingT& ring, Port& port, App& app, Counters& counters) : ring_(ring), port_(port), app_(app), counters_(counters) {}

  // Starts to accept on `listener`, until StopAccept.
  void Accept(int listener);
  void StopAccept();
  bool accepting() const { return accept_armed_; }

  bool HasWork() const { return ring_.HasWork() || HasHousekeeping(); }

  // Enters the kernel, handles what completed, sends what was answered. Returns how many completions there were.
  // `rounds`: one brings requests and queues their replies, the next hands those over too (if there are many, or nothing else
  // would).
  uint32_t Turn(int rounds);
  // The same without entering, for who enters before and after: handles what has completed, and queues what was answered.
  uint32_t Serve();
  // Handles what the application did outside completions (OnTurn, OnMessage): sends, closes, connects.
  void Flush();
  // Deadlines, and accepts that were paused; `tick` in DeadlineWheel::kTickMs since the start.
  void Tick(uint32_t tick);

  // Hands over what is queued, and takes nothing in: for a worker that has too much to do.
  void HandOver();

  // Whether something is to be done as soon as what was queued has been sent in silence: before that nobody may wait.
  bool AwaitsSends() const;
  // Whether nothing is left to do before something completes. Asked of a ring that is waited in.
  bool MayWait() const { return !ring_.HasCompletions() && !ring_.Overflowed() && !HasHousekeeping(); }

  // True once after the worker's eventfd was seen readable.
  bool TakeWoken() { return std::exchange(woken_, false); }

  // Drain: closes, once flushed, up to `limit` connections that are still open. Returns how many are left to visit.
  uint32_t DrainSome(uint32_t limit);

 private:
  static constexpr uint32_t kArrivals = 1u << 30;  // ids of arrivals begin where no slot is, see Port's limit
  static constexpr uint32_t kWorthAnEnter = 8;     // sends, of one visit among those to several sets
  static constexpr uint32_t kReapLimit = 512;      // bounds the time before replies leave and the memory they wait in

  bool HasHousekeeping() const {
    return !port_.dirty_.empty() || !port_.closing_.empty() || !port_.dials_.empty() || !port_.switching_.empty() ||
           !port_.starved_.empty() || !port_.arrivals_.empty();
  }
  void Handle(const ring::Completion& completion);
  void HandleAccept(const ring::Completion& completion);
  void HandleConnect(Connection& connection, int32_t result);
  void HandleReceive(Connection& connection, const ring::Completion& completion);
  void HandleSend(Connection& connection, int32_t result);
  void FinishSend(Connection& connection);
  void SettleSilentSends();
  void HandleClosed(Connection& connection);

  void Opened(Connection& connection);
  void ArmReceive(Connection& connection);
  void StopReceiving(Connection& connection);
  void ServeParked();
  void RearmStarved();
  void CancelReceives();
  void Deliver(Connection& connection, absl::Span<const std::byte> bytes);
  size_t DeliverToPartial(Connection& connection, absl::Span<const std::byte> bytes, Replies& replies);
  void StartSend(Connection& connection);
  void ContinueSend(Connection& connection, bool silently);
  void TakeOut(Connection& connection);
  void HandleTakenOut(Connection& connection, int32_t result);
  void Stay(Connection& connection);
  void StartArrivals();
  void HandleTakenIn(const ring::Completion& completion);
  void Settle(Arrival& arrival, int slot);
  void StartDials();
  void FinishCloses();
  void LetGo(Connection& connection);
  void ReleaseIfQuiet(Connection& connection);

  RingT& ring_;
  Port& port_;
  App& app_;
  Counters& counters_;
  int listener_ = -1;
  bool accept_armed_ = false;
  bool accept_paused_ = false;  // ended by want of descriptors or memory: armed again at the next tick
  bool woken_ = false;
  std::vector<uint32_t> silent_;  // slots: their sends are queued, or were handed over and nothing has been heard yet
  uint32_t drained_ = 0;          // slots that DrainSome has visited
  std::vector<std::unique_ptr<Arrival>> taking_in_;  // the kernel looks for their slots
  uint32_t next_arrival_ = 0;
};

}  // namespace hongbao::net

#include "libhongbao/net/set_impl.h"  // IWYU pragma: export
