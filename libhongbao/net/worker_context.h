// WorkerContext: what an application is given of its worker and of the others.
//
// Owns the messages that found a full inbox, until it has room. Never drops one.
// Thread tag: worker-local.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "libhongbao/net/mailbox.h"
#include "libhongbao/net/port.h"
#include "libhongbao/time/clock.h"

namespace hongbao::net {

template <class Message>
class WorkerContext {
 public:
  static constexpr uint64_t kCrowd = 16'384;

  WorkerContext(uint32_t index, const time::Clock& clock, std::vector<std::unique_ptr<Mailbox<Message>>>& mailboxes)
      : index_(index), clock_(clock), mailboxes_(mailboxes), outboxes_(mailboxes.size()) {}

  uint32_t index() const { return index_; }
  uint32_t workers() const { return static_cast<uint32_t>(mailboxes_.size()); }
  const time::Clock& clock() const { return clock_; }
  // This worker's ports; ports()[i]->index() == i.
  absl::Span<Port* const> ports() const { return ports_; }
  void AddPort(Port* port) { ports_.push_back(port); }

  // How long the worker slept before this turn: not time that a request waited for it.
  int64_t slept_ns() const { return slept_ns_; }
  void set_slept_ns(int64_t slept_ns) { slept_ns_ = slept_ns; }

  // To any worker, also this one; arrives in order per sender. A full inbox makes it wait here (only then memory is
  // allocated): messages are bounded by what each connection may be owed, and with many waiting anywhere no worker receives.
  void Post(uint32_t worker, const Message& message) {
    std::deque<Message>& outbox = outboxes_[worker];
    if (!outbox.empty() || !mailboxes_[worker]->Post(message)) {
      outbox.push_back(message);
      ++waiting_;
    }
  }

  uint64_t waiting() const { return waiting_; }
  // Whether more than kCrowd messages of one worker, this or another, wait for inboxes: what was asked is to be answered before
  // anybody asks for more. Not of this worker alone: questions leave it, and pile up as answers elsewhere.
  bool Crowded() {
    if (const bool crowded = waiting_ >= kCrowd; crowded != crowded_) {
      crowded_ = crowded;
      mailboxes_[index_]->SetCrowded(crowded);
    }
    bool any = crowded_;
    for (size_t worker = 0; worker < mailboxes_.size() && !any; ++worker) {
      any = mailboxes_[worker]->crowded();
    }
    return any;
  }
  // The worker ends: nobody waits for it any more.
  void Leave() { mailboxes_[index_]->SetCrowded(false); }

  // True while something still waits: the worker must not sleep.
  bool FlushOutboxes() {
    if (waiting_ == 0) {
      return false;
    }
    for (size_t worker = 0; worker < outboxes_.size(); ++worker) {
      std::deque<Message>& outbox = outboxes_[worker];
      while (!outbox.empty() && mailboxes_[worker]->Post(outbox.front())) {
        outbox.pop_front();
        --waiting_;
      }
    }
    return true;
  }

 private:
  uint32_t index_;
  const time::Clock& clock_;
  std::vector<std::unique_ptr<Mailbox<Message>>>& mailboxes_;
  std::vector<Port*> ports_;
  std::vector<std::deque<Message>> outboxes_;
  uint64_t waiting_ = 0;
  bool crowded_ = false;  // as the others know it
  int64_t slept_ns_ = 0;
};

}  // namespace hongbao::net
