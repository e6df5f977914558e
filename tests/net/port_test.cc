// What a port does by itself, without a set: replies, dials, what it leaves behind.
#include "libhongbao/net/port.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "port_tester.h"

namespace hongbao::net {
namespace {

constexpr uint32_t kLoopback = 0x7f000001;

bool IsOpen(int descriptor) { return fcntl(descriptor, F_GETFD) >= 0; }

TEST(Port, FindsOnlyWhatIsOpen) {
  Port port(3, {.slots = 8});
  EXPECT_EQ(port.index(), 3u);
  Connection& connection = PortTester::Open(port, 2);
  const ConnectionId id = Port::IdOf(connection);
  EXPECT_EQ(port.Find(id), &connection);
  EXPECT_EQ(port.Find({id.slot, id.generation + 1}), nullptr);
  EXPECT_EQ(port.Find({id.slot + 1, id.generation}), nullptr);
  EXPECT_EQ(port.Find({8, 1}), nullptr);
  EXPECT_EQ(port.Find({}), nullptr);
  port.Close(connection, CloseReason::kIdle);
  EXPECT_EQ(port.Find(id), nullptr);
}

TEST(Port, FirstReasonToCloseStays) {
  Port port(0, {.slots = 8});
  Connection& connection = PortTester::Open(port, 2);
  port.Close(connection, CloseReason::kIdle);
  port.Close(connection, CloseReason::kReset);
  port.CloseAfterFlush(connection, CloseReason::kDrain);
  EXPECT_EQ(connection.close_reason, CloseReason::kIdle);
  EXPECT_EQ(PortTester::Closing(port), 1u);
}

TEST(Port, CloseAfterFlushWithNothingOwedClosesNow) {
  Port port(0, {.slots = 8});
  Connection& idle = PortTester::Open(port, 2);
  port.CloseAfterFlush(idle, CloseReason::kRefused);
  EXPECT_EQ(idle.state, ConnectionState::kClosing);
  Connection& owed = PortTester::Open(port, 3);
  port.Out(owed).Append({reinterpret_cast<const std::byte*>("bytes"), 5});
  port.CloseAfterFlush(owed, CloseReason::kRefused);
  EXPECT_EQ(owed.state, ConnectionState::kFlushing);
}

TEST(Port, RepliesToAClosingConnectionGoNowhere) {
  Port port(0, {.slots = 8});
  Connection& connection = PortTester::Open(port, 2);
  port.Close(connection, CloseReason::kIdle);
  std::byte* bytes = port.Out(connection).Append(kFrameBytesMax);
  ASSERT_NE(bytes, nullptr);
  std::fill_n(bytes, kFrameBytesMax, std::byte{1});
  EXPECT_EQ(PortTester::ReplyBlocks(port), 0u);
}

TEST(Port, LongAppendIsCutIntoFramesUpToTheCap) {
  Port port(0, {.slots = 8, .unsent_bytes_max = 1'000});
  Connection& connection = PortTester::Open(port, 2);
  const std::string text(1'000, 'x');
  port.Out(connection).Append({reinterpret_cast<const std::byte*>(text.data()), text.size()});
  EXPECT_EQ(connection.state, ConnectionState::kOpen);
  port.Out(connection).Append({reinterpret_cast<const std::byte*>(text.data()), 0});
  EXPECT_EQ(connection.state, ConnectionState::kOpen);
  port.Out(connection).Append({reinterpret_cast<const std::byte*>(text.data()), text.size()});
  EXPECT_EQ(connection.close_reason, CloseReason::kUnsentBytes);
}

TEST(PortDeathTest, AppendTakesOneFrame) {
  Port port(0, {.slots = 8});
  Connection& connection = PortTester::Open(port, 2);
  EXPECT_DEATH(port.Out(connection).Append(size_t{kFrameBytesMax} + 1), "one frame");
  EXPECT_DEATH(port.Out(connection).Append(size_t{0}), "one frame");
}

TEST(Port, DialFromAForeignAddressFails) {
  Port port(0, {.slots = 8});
  EXPECT_EQ(port.Connect(SocketAddress::Ipv4(0x08080808), SocketAddress::Ipv4(kLoopback, 9)), -EADDRNOTAVAIL);
  EXPECT_EQ(port.slots_in_use(), 0u);
  EXPECT_EQ(PortTester::Dials(port), 0u);
}

TEST(Port, DialBeyondTheTableFailsAndLeavesNoDescriptor) {
  Port port(0, {.slots = 1, .direct_descriptors = false});
  const int next = dup(0);
  close(next);
  EXPECT_EQ(port.Connect({}, SocketAddress::Ipv4(kLoopback, 9)), -EMFILE) << "descriptor numbers here are larger than 0";
  EXPECT_FALSE(IsOpen(next));
}

TEST(Port, AbandonedDescriptorsAreClosed) {
  for (const bool direct : {false, true}) {
    Port port(0, {.slots = 1'024, .direct_descriptors = direct});
    const int next = dup(0);
    close(next);
    ASSERT_GE(port.Connect({}, SocketAddress::Ipv4(kLoopback, 9)), 0);
    ASSERT_TRUE(IsOpen(next));
    const int accepted = direct ? -1 : dup(0);
    if (!direct) {
      PortTester::Open(port, static_cast<uint32_t>(accepted));
    }
    port.AbandonDescriptors();
    EXPECT_FALSE(IsOpen(next));
    EXPECT_FALSE(IsOpen(accepted));
    EXPECT_EQ(port.slots_in_use(), 0u);
  }
}

}  // namespace
}  // namespace hongbao::net
