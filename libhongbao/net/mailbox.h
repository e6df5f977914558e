// Mailbox: a worker's inbox together with the means to wake that worker.
//
// Owns the inbox and the eventfd. The worker announces that it goes to sleep; only who finds it asleep pays for a system
// call. A message that finds the inbox full is kept by the sender (see WorkerContext::Post), so none is lost.
// Thread tag: Post and Wake thread-safe; the rest worker-local.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "libhongbao/check.h"
#include "libhongbao/net/inbox.h"

namespace hongbao::net {

template <class Message>
class Mailbox {
 public:
  explicit Mailbox(uint32_t capacity) : inbox_(capacity), wake_descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    Check(wake_descriptor_ >= 0, "no descriptor for a worker's eventfd (ulimit -n)");
  }
  ~Mailbox() { close(wake_descriptor_); }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  bool Post(const Message& message) {
    if (!inbox_.Push(message)) {
      return false;
    }
    // Pairs with AnnounceSleep: either we see that it sleeps, or it sees our message.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    // The first who finds it asleep wakes it; until it has woken, the others need not. Relaxed: the fence above is what orders.
    if (asleep_.load(std::memory_order_relaxed) && asleep_.exchange(false, std::memory_order_relaxed)) {
      Wake();
    }
    return true;
  }

  void Wake() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(wake_descriptor_, &one, sizeof(one));  // full = already awake
  }

  bool Pop(Message& message) { return inbox_.Pop(message); }

  // To be followed by a last look at everything that could be waiting; true when a message is.
  bool AnnounceSleep() {
    asleep_.store(true, std::memory_order_seq_cst);  // before the look into the inbox, see Post
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return !inbox_.Empty();
  }
  void AnnounceAwake() { asleep_.store(false, std::memory_order_relaxed); }  // late news cost a spare wake-up
  void ClearWake() {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = read(wake_descriptor_, &count, sizeof(count));  // nothing there is fine
  }

  // Its worker says whether too much of its own waits for others' inboxes; anybody may look.
  // Relaxed: a hint, acted upon a turn sooner or later.
  void SetCrowded(bool crowded) { crowded_.store(crowded, std::memory_order_relaxed); }
  bool crowded() const { return crowded_.load(std::memory_order_relaxed); }

  int wake_descriptor() const { return wake_descriptor_; }

 private:
  Inbox<Message> inbox_;
  int wake_descriptor_;
  alignas(64) std::atomic<bool> asleep_{false};
  alignas(64) std::atomic<bool> crowded_{false};  // apart from what senders write
};

}  // namespace hongbao::net
