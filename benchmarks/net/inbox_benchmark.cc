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

}  // namespace
}  // namespace hongbao::net
