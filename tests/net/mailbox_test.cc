#include "libhongbao/net/mailbox.h"

#include <gtest/gtest.h>
#include <poll.h>

namespace hongbao::net {
namespace {

bool Readable(int descriptor) {
  pollfd wanted = {.fd = descriptor, .events = POLLIN, .revents = 0};
  return poll(&wanted, 1, 0) == 1;
}

TEST(Mailbox, OnlyASleeperIsWoken) {
  Mailbox<int> mailbox(4);
  EXPECT_TRUE(mailbox.Post(1));
  EXPECT_FALSE(Readable(mailbox.wake_descriptor())) << "a system call for nothing";
  int value = 0;
  EXPECT_TRUE(mailbox.Pop(value));
  EXPECT_FALSE(mailbox.AnnounceSleep());
  EXPECT_TRUE(mailbox.Post(2));
  EXPECT_TRUE(Readable(mailbox.wake_descriptor()));
  mailbox.AnnounceAwake();
  mailbox.ClearWake();
  EXPECT_FALSE(Readable(mailbox.wake_descriptor()));
  EXPECT_TRUE(mailbox.Post(3));
  EXPECT_FALSE(Readable(mailbox.wake_descriptor()));
}

TEST(Mailbox, WhatCameBeforeTheSleepIsSeen) {
  Mailbox<int> mailbox(4);
  EXPECT_TRUE(mailbox.Post(1));
  EXPECT_TRUE(mailbox.AnnounceSleep()) << "must not sleep over a message";
}

TEST(Mailbox, FullInboxTakesNothingAndSaysSo) {
  Mailbox<int> mailbox(2);
  EXPECT_TRUE(mailbox.Post(1));
  EXPECT_TRUE(mailbox.Post(2));
  EXPECT_FALSE(mailbox.Post(3));
  int value = 0;
  EXPECT_TRUE(mailbox.Pop(value));
  EXPECT_TRUE(mailbox.Post(4));
  EXPECT_TRUE(mailbox.Pop(value));
  EXPECT_EQ(value, 2);
  EXPECT_TRUE(mailbox.Pop(value));
  EXPECT_EQ(value, 4);
}

TEST(Mailbox, ManyWakesAreOne) {
  Mailbox<int> mailbox(2);
  for (int i = 0; i < 1'000; ++i) {
    mailbox.Wake();
  }
  EXPECT_TRUE(Readable(mailbox.wake_descriptor()));
  mailbox.ClearWake();
  EXPECT_FALSE(Readable(mailbox.wake_descriptor()));
  mailbox.ClearWake();  // nothing there: does not block
}

}  // namespace
}  // namespace hongbao::net
