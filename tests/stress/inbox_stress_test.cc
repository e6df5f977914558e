// Many producers and one consumer that sleeps: no message is lost, torn or out of its sender's order, and no wake-up is
// lost. Run it under ThreadSanitizer.
#include <gtest/gtest.h>
#include <poll.h>

#include <cstdint>
#include <thread>
#include <vector>

#include "libhongbao/net/mailbox.h"

namespace hongbao::net {
namespace {

constexpr uint32_t kProducers = 4;

struct Message {
  uint32_t producer = 0;
  uint64_t number = 0;
  uint64_t copies[8] = {};
};

Message Make(uint32_t producer, uint64_t number) {
  Message message = {.producer = producer, .number = number};
  for (uint64_t& copy : message.copies) {
    copy = number * 31 + producer;
  }
  return message;
}

// Each producer posts `messages`, waiting where the inbox is full, and pausing now and then so that the consumer sleeps.
void Produce(Mailbox<Message>& mailbox, uint32_t producer, uint64_t messages) {
  for (uint64_t number = 0; number < messages; ++number) {
    while (!mailbox.Post(Make(producer, number))) {
      std::this_thread::yield();
    }
    if (number % 64 == producer) {
      std::this_thread::sleep_for(std::chrono::microseconds(number % 200));
    }
  }
}

// Sleeps as net::Worker does; a wait of ten seconds means that a wake-up was lost.
void Consume(Mailbox<Message>& mailbox, uint64_t messages, uint64_t& sleeps) {
  std::vector<uint64_t> next(kProducers, 0);
  Message message;
  for (uint64_t taken = 0; taken < messages;) {
    if (mailbox.Pop(message)) {
      ASSERT_LT(message.producer, kProducers);
      ASSERT_EQ(message.number, next[message.producer]) << "lost, doubled or out of order";
      for (const uint64_t copy : message.copies) {
        ASSERT_EQ(copy, message.number * 31 + message.producer) << "torn";
      }
      ++next[message.producer];
      ++taken;
      continue;
    }
    if (!mailbox.AnnounceSleep()) {
      ++sleeps;
      pollfd wake = {.fd = mailbox.wake_descriptor(), .events = POLLIN, .revents = 0};
      ASSERT_EQ(poll(&wake, 1, 10'000), 1) << "slept over a message, after " << taken;
      mailbox.ClearWake();
    }
    mailbox.AnnounceAwake();
  }
}

TEST(InboxStress, ManyProducersOneSleepingConsumer) {
  for (const uint32_t capacity : {2u, 64u, 4'096u}) {
    const uint64_t each = capacity < 64 ? 5'000 : 20'000;
    Mailbox<Message> mailbox(capacity);
    std::vector<std::thread> producers;
    for (uint32_t producer = 0; producer < kProducers; ++producer) {
      producers.emplace_back([&mailbox, producer, each] { Produce(mailbox, producer, each); });
    }
    uint64_t sleeps = 0;
    Consume(mailbox, each * kProducers, sleeps);
    for (std::thread& producer : producers) {
      producer.join();
    }
    Message message;
    EXPECT_FALSE(mailbox.Pop(message));
  }
}

// One message at a time, so that each one meets a consumer that is just falling asleep.
TEST(InboxStress, NoWakeUpIsLostBetweenTwoThatPlayPingPong) {
  constexpr uint64_t kRounds = 20'000;
  Mailbox<Message> ping(2);
  Mailbox<Message> pong(2);
  const auto wait = [](Mailbox<Message>& mailbox, uint64_t number) {
    Message message;
    while (!mailbox.Pop(message)) {
      if (!mailbox.AnnounceSleep()) {
        pollfd wake = {.fd = mailbox.wake_descriptor(), .events = POLLIN, .revents = 0};
        ASSERT_EQ(poll(&wake, 1, 10'000), 1) << "slept over message " << number;
        mailbox.ClearWake();
      }
      mailbox.AnnounceAwake();
    }
    ASSERT_EQ(message.number, number);
  };
  std::thread other([&] {
    for (uint64_t round = 0; round < kRounds && !testing::Test::HasFatalFailure(); ++round) {
      wait(ping, round);
      EXPECT_TRUE(pong.Post(Make(1, round)));
    }
  });
  for (uint64_t round = 0; round < kRounds && !HasFatalFailure(); ++round) {
    EXPECT_TRUE(ping.Post(Make(0, round)));
    wait(pong, round);
  }
  other.join();
}

}  // namespace
}  // namespace hongbao::net
