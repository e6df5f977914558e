#include "libhongbao/watch/record_sender.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

namespace hongbao::watch {
namespace {

TEST(RecordSlots, SayLifeProcessAndEnd) {
  wire::CounterRecord record;
  SetLife(record, {.began_unix_ns = 1'486'824'165'000'000'000, .process_id = 4711});
  EXPECT_EQ(record.Count(wire::Slot::kLife), 1'486'824'165'000'000'000u);
  EXPECT_EQ(record.Total(wire::Slot::kLife), 4711u);
  SetProcess(record, {.user_s = 1, .system_s = 0.5}, {.rss_bytes = 100, .rss_max_bytes = 200, .user_s = 1.25, .system_s = 0.75});
  EXPECT_EQ(record.Count(wire::Slot::kCpuUs), 500'000u);
  EXPECT_EQ(record.Total(wire::Slot::kCpuUs), 2'000'000u);
  EXPECT_EQ(record.Count(wire::Slot::kMemory), 100u);
  EXPECT_EQ(record.Total(wire::Slot::kMemory), 200u);
  SetProcess(record, {}, {});
  EXPECT_EQ(record.Count(wire::Slot::kMemory), 0u) << "what could not be read is no 2^64 - 1";
  SetEnd(record, 130);
  EXPECT_EQ(record.Count(wire::Slot::kEnd), 1u);
  EXPECT_EQ(record.Total(wire::Slot::kEnd), 130u);
}

// A sender towards a socket that is never read by anyone but the test.
class RecordSenderTest : public testing::Test {
 protected:
  void SetUp() override {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(listen(listener_, 8), 0);
    socklen_t length = sizeof(address);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    monitor_ = {.host = "127.0.0.1", .port = ntohs(address.sin_port)};
  }
  void TearDown() override { close(listener_); }

  // Everything that came until the sender closed.
  std::vector<wire::CounterRecord> ReadAll() const {
    std::vector<wire::CounterRecord> records;
    const int peer = accept(listener_, nullptr, nullptr);
    std::array<std::byte, wire::kCounterRecordBytes> bytes;
    while (recv(peer, bytes.data(), bytes.size(), MSG_WAITALL) == static_cast<ssize_t>(bytes.size())) {
      EXPECT_TRUE(wire::DecodeCounterRecord(bytes, records.emplace_back()));
    }
    close(peer);
    return records;
  }

  static wire::CounterRecord Of(int64_t second) { return {.unix_s = second, .role = wire::Role::kServer}; }

  int listener_ = -1;
  HostPort monitor_;
  const time::RealClock clock_;
};

TEST_F(RecordSenderTest, SendsEachSecondOnceAndTheEndLast) {
  RecordSender sender("test", monitor_, clock_);
  const std::vector<int64_t> seconds = {10, 11, 12};
  sender.Add(Of(10));
  sender.Add(Of(11));
  sender.Tick();
  sender.Tick();
  sender.Add(Of(12));
  sender.End(4);
  const auto records = ReadAll();
  ASSERT_EQ(records.size(), 3u);
  for (size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(records[i].unix_s, seconds[i]);
    EXPECT_EQ(records[i].Count(wire::Slot::kMemory) > 0, i > 0) << "what is sampled goes with the newest record";
    EXPECT_EQ(records[i].Total(wire::Slot::kLife), static_cast<uint64_t>(getpid()));
    EXPECT_EQ(records[i].Count(wire::Slot::kEnd), i == 2 ? 1u : 0u);
  }
  EXPECT_EQ(records[2].Total(wire::Slot::kEnd), 4u);
}

TEST_F(RecordSenderTest, TheEndRepeatsTheLastSecondWhenThereIsNoNewOne) {
  RecordSender sender("test", monitor_, clock_);
  sender.Add(Of(10));
  sender.Tick();
  sender.End(0);
  const auto records = ReadAll();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[1].unix_s, 10);
  EXPECT_EQ(records[0].Count(wire::Slot::kEnd), 0u);
  EXPECT_EQ(records[1].Count(wire::Slot::kEnd), 1u);
}

TEST_F(RecordSenderTest, WithoutAMonitorNothingHappens) {
  RecordSender sender("test", {}, clock_);
  EXPECT_FALSE(sender.on());
  sender.Add(Of(10));
  sender.Tick();
  sender.End(0);
  EXPECT_EQ(sender.link(), nullptr);
}

}  // namespace
}  // namespace hongbao::watch
