// What a message between workers costs: through an inbox alone, with the check for a sleeping receiver, and from one
// thread to another that looks all the time.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdint>
#include <thread>

#include "libhongbao/net/mailbox.h"

namespace hongbao::net {
namespace {

struct Message {
  uint64_t words[8] = {};
};

void InboxPushPop(benchmark::State& state) {
  Inbox<Message> inbox(4'096);
  const Message message;
  Message taken;
  for (auto _ : state) {
    benchmark::DoNotOptimize(inbox.Push(message));
    benchmark::DoNotOptimize(inbox.Pop(taken));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(InboxPushPop);

void MailboxPostPopAwake(benchmark::State& state) {
  Mailbox<Message> mailbox(4'096);
  const Message message;
  Message taken;
  for (auto _ : state) {
    benchmark::DoNotOptimize(mailbox.Post(message));
    benchmark::DoNotOptimize(mailbox.Pop(taken));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(MailboxPostPopAwake);

// The receiver sleeps each time: one system call to wake it, one to clear.
void MailboxPostPopAsleep(benchmark::State& state) {
  Mailbox<Message> mailbox(4'096);
  const Message message;
  Message taken;
  for (auto _ : state) {
    benchmark::DoNotOptimize(mailbox.AnnounceSleep());
    benchmark::DoNotOptimize(mailbox.Post(message));
    mailbox.AnnounceAwake();
    mailbox.ClearWake();
    benchmark::DoNotOptimize(mailbox.Pop(taken));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(MailboxPostPopAsleep);

// There and back between two threads, one message under way: the time is of one hop.
void HopBetweenTwoThreads(benchmark::State& state) {
  constexpr int64_t kTrips = 10'000;
  Mailbox<Message> there(4'096);
  Mailbox<Message> back(4'096);
  std::atomic<bool> ended{false};
  std::thread other([&] {
    Message message;
    while (!ended.load(std::memory_order_relaxed)) {  // relaxed: nothing else hangs on it
      if (there.Pop(message)) back.Post(message);
    }
  });
  Message message;
  for (auto _ : state) {
    for (int64_t i = 0; i < kTrips; ++i) {
      there.Post(message);
      while (!back.Pop(message)) {
      }
    }
  }
  ended.store(true, std::memory_order_relaxed);
  other.join();
  state.SetItemsProcessed(state.iterations() * kTrips * 2);
}
BENCHMARK(HopBetweenTwoThreads)->UseRealTime();

// As fast as the receiver takes them: many under way.
void StreamBetweenTwoThreads(benchmark::State& state) {
  constexpr uint64_t kMessages = 100'000;
  Mailbox<Message> mailbox(4'096);
  std::atomic<uint64_t> taken{0};
  std::atomic<bool> ended{false};
  std::thread other([&] {
    Message message;
    uint64_t count = 0;
    while (!ended.load(std::memory_order_relaxed)) {
      if (mailbox.Pop(message)) {
        taken.store(++count, std::memory_order_relaxed);  // only a count; nobody reads what came with it
      }
    }
  });
  const Message message;
  uint64_t sent = 0;
  for (auto _ : state) {
    for (uint64_t i = 0; i < kMessages;) i += uint64_t{mailbox.Post(message)};  // full: again
    sent += kMessages;
    while (taken.load(std::memory_order_relaxed) < sent) {
    }
  }
  ended.store(true, std::memory_order_relaxed);
  other.join();
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kMessages));
}
BENCHMARK(StreamBetweenTwoThreads)->UseRealTime();

}  // namespace
}  // namespace hongbao::net
