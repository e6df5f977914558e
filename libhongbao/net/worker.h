// Worker: one thread that drives one or more sets, its application and its mailbox.
//
// Owns rings, ports, sets and the application, all made on its own thread. The loop is Run: ask the application what is
// due, take messages, turn the sets that have something to do, and sleep. With one set every turn ends in its ring: the enter
// that waits also hands over what the turn has queued. With several it sleeps when a turn did nothing, on an eventfd that all
// rings write to.
// Thread tag: worker-local, but for Drain, Stop and counters (thread-safe).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "libhongbao/net/application.h"
#include "libhongbao/net/counters.h"
#include "libhongbao/net/mailbox.h"
#include "libhongbao/net/set.h"
#include "libhongbao/net/worker_context.h"
#include "libhongbao/net/worker_options.h"
#include "libhongbao/ring/kernel_features.h"
#include "libhongbao/ring/kernel_ring.h"
#include "libhongbao/time/clock.h"

namespace hongbao::net {

template <class App>
class Worker {
 public:
  using Message = typename MessageOf<App>::Type;
  using Context = WorkerContext<Message>;
  using RingT = ring::KernelRing;

  Worker(uint32_t index, const time::Clock& clock, std::vector<std::unique_ptr<Mailbox<Message>>>& mailboxes)
      : mailbox_(*mailboxes[index]), context_(index, clock, mailboxes) {}

  // On the worker's thread, once, before Run. `listeners` has one descriptor per set, or is empty. ResourceExhausted: smaller
  // rings may do.
  template <class Factory>
  absl::Status Init(const WorkerOptions& options, const ring::Features& features, const std::vector<int>& listeners,
                    Factory&& make_app);
  // Until drained or stopped.
  void Run();

  // From any thread: stop accepting, flush and close every connection, then leave Run; at `deadline_ns` (monotonic) leave
  // in any case.
  void Drain(int64_t deadline_ns) {
    drain_deadline_ns_.store(deadline_ns, std::memory_order_release);  // whatever was decided before it
    mailbox_.Wake();
  }

  App& app() { return *app_; }
  const Counters& counters() const { return counters_; }

 private:
  enum class Stage { kServing, kStopping, kClosing, kDone };
  static constexpr int kRounds = 3;
  static constexpr int64_t kTickNs = int64_t{DeadlineWheel::kTickMs} * 1'000'000;
  static constexpr uint32_t kMessagesPerTurn = 1024;
  static constexpr uint32_t kMessagesPerBusyTurn = 16 * kMessagesPerTurn;  // while messages of ours wait for others
  // From here on waits are batched: 5,000 completions a second, over enough connections that no peer is alone with us
  // (to one that asks again when it is answered, the wait would be all it sees).
  static constexpr uint32_t kBatchCompletionsPerTick = 500;
  // With one set, which needs no look into others: only when a wait really gathers some, at 10,000 a second.
  static constexpr uint32_t kBatchCompletionsPerTickOfOne = 1'000;
  static constexpr uint32_t kBatchConnections = 256;
  static constexpr uint32_t kBatchMax = 64;        // completions that end a batched wait early
  static constexpr uint32_t kDrainPerTurn = 1000;  // closes, so that replies owed to others still leave in time

  struct Unit {
    std::unique_ptr<RingT> ring;
    std::unique_ptr<Port> port;
    std::unique_ptr<Set<RingT, App>> set;
  };

  // From here on the sends of a turn are handed over by an enter of their own: their time is not to be taken for sleep.
  static constexpr uint32_t kTooManyForAWait = 32;

  bool TakeMessages();
  bool HasOneSet() const { return units_.size() == 1; }
  uint32_t TurnSets();
  uint32_t HandOverSets();  // no completions: what is queued leaves, and nothing is taken in
  void TickIfDue(int64_t now_ns);
  void SetAlarmIfDue(int64_t now_ns);
  void DrainStep(int64_t now_ns);
  void StopListening();
  void Leave();
  // Until `wake_at_ns`, a completion or a message. Returns when the sleep began; kNever: there was none.
  int64_t Sleep(int64_t now_ns, int64_t wake_at_ns);
  // Hands over what is queued, and may sleep in the ring.
  int64_t EndTurnInRing(int64_t now_ns, int64_t wake_at_ns);
  void WaitInRing(int64_t now_ns, int64_t wake_at_ns);
  void SleepOnEventfd(int64_t timeout_ns);  // kNever: the alarm ends it
  void Nap(int64_t nap_ns);

  Mailbox<Message>& mailbox_;
  Context context_;
  Counters counters_;
  std::vector<Unit> units_;
  std::unique_ptr<App> app_;
  std::vector<int> listeners_;  // one per set; the service owns them
  uint32_t batch_wait_us_ = 0;
  uint32_t completions_this_tick_ = 0;
  bool batching_ = false;
  bool napped_ = false;  // looked again after a nap, and found nothing: time for a real sleep
  Stage stage_ = Stage::kServing;
  int64_t started_ns_ = 0;
  int64_t next_tick_ns_ = 0;
  int64_t alarm_ns_ = 0;  // the first ring wakes the worker then
  // What the peers' deadlines count: time in which this worker received. Who is not heard, because the worker stood still or
  // because messages wait, is not late.
  int64_t receiving_ns_ = 0;
  std::atomic<int64_t> drain_deadline_ns_{kNever};
};

template <class App>
void Worker<App>::Run() {
  int64_t asleep_at_ns = kNever;
  int64_t turned_ns = started_ns_;
  while (stage_ != Stage::kDone) {
    const int64_t now_ns = context_.clock().MonotonicNs();
    context_.set_slept_ns(asleep_at_ns == kNever ? 0 : now_ns - asleep_at_ns);
    asleep_at_ns = kNever;
    int64_t wake_at_ns = kNever;
    if constexpr (HasOnTurn<App>) {
      wake_at_ns = app_->OnTurn(now_ns);
    }
    bool did = TakeMessages();
    const bool receives = !context_.Crowded();
    const uint32_t completions = receives ? TurnSets() : HandOverSets();
    completions_this_tick_ += completions;
    did |= completions > 0;
    const bool others_are_full = context_.FlushOutboxes();
    TickIfDue(now_ns);
    DrainStep(now_ns);
    receiving_ns_ += receives ? std::min(now_ns - turned_ns, kTickNs) : 0;
    turned_ns = now_ns;
    counters_.events.Add(Counter::kTurns);
    napped_ = napped_ && !did;
    if ((!did || HasOneSet()) && stage_ != Stage::kDone) {
      const int64_t turned_at_ns = context_.clock().MonotonicNs();
      asleep_at_ns = Sleep(turned_at_ns, others_are_full ? turned_at_ns : std::min(wake_at_ns, next_tick_ns_));
    }
  }
  Leave();
}

}  // namespace hongbao::net

#include "libhongbao/net/worker_impl.h"  // IWYU pragma: export
