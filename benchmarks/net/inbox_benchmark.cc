// What a message between workers costs: through an inbox alone, and with the check for a sleeping receiver.
#include <benchmark/benchmark.h>

#include <cstdint>

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

// Thread 0 takes, the others post.
void InboxContended(benchmark::State& state) {
  static Inbox<Message> inbox(4'096);
  const Message message;
  Message taken;
  int64_t done = 0;
  for (auto _ : state) {
    done += (state.thread_index() == 0 ? inbox.Pop(taken) : inbox.Push(message)) ? 1 : 0;
  }
  state.SetItemsProcessed(state.thread_index() == 0 ? done : 0);
}
BENCHMARK(InboxContended)->ThreadRange(2, 4)->UseRealTime();

}  // namespace
}  // namespace hongbao::net
