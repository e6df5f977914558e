// KernelRing on the real kernel, over loopback, with direct and with regular descriptors.
#include "libhongbao/ring/kernel_ring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "libhongbao/ring/listener.h"

namespace hongbao::ring {
namespace {

constexpr uint32_t kLoopback = 0x7f000001;
constexpr int64_t kMs = 1'000'000;

TEST(Features, KernelOfThisMachineIsProbed) {
  const absl::StatusOr<Features> features = ProbeFeatures();
  ASSERT_TRUE(features.ok()) << features.status();
  EXPECT_FALSE(features->kernel.empty());
  EXPECT_THAT(features->ToString(), testing::HasSubstr(features->kernel));
  // A kernel that has direct descriptors (6.13) has them too, unless this run hides them.
  EXPECT_TRUE(features->silent_sends || !features->direct_descriptors || getenv("HONGBAO_RING_OFF") != nullptr);
}

TEST(Features, EnvironmentHidesThem) {
  const char* outside = getenv("HONGBAO_RING_OFF");  // of a run that plays an older kernel
  const std::string before = outside == nullptr ? "" : outside;
  setenv("HONGBAO_RING_OFF", "min_wait,direct,silent", 1);
  absl::StatusOr<Features> features = ProbeFeatures();
  ASSERT_TRUE(features.ok());
  EXPECT_FALSE(features->direct_descriptors);
  EXPECT_FALSE(features->min_wait);
  EXPECT_FALSE(features->silent_sends);
  EXPECT_THAT(features->ToString(), testing::HasSubstr("regular descriptors"));
  setenv("HONGBAO_RING_OFF", "io_uring", 1);
  EXPECT_EQ(ProbeFeatures().status().code(), absl::StatusCode::kPermissionDenied);
  setenv("HONGBAO_RING_OFF", before.c_str(), 1);
}

TEST(Features, RefusalNamesCauseAndCure) {
  const struct {
    Refusal refusal;
    absl::StatusCode code;
    std::vector<std::string> words;
    const char* not_words = "???";
  } cases[] = {
      {{.error = EPERM}, absl::StatusCode::kPermissionDenied, {"seccomp", "io_uring_enter"}},
      {{.error = EPERM, .disabled = "0", .filtered = true}, absl::StatusCode::kPermissionDenied, {"seccomp"}},
      {{.error = EPERM, .disabled = "2"}, absl::StatusCode::kPermissionDenied, {"io_uring_disabled=2"}, "io_uring_group"},
      {{.error = EPERM, .disabled = "1", .group = "-1", .group_id = 77},
       absl::StatusCode::kPermissionDenied,
       {"io_uring_disabled=1", "io_uring_disabled=0", "io_uring_group=77"}},
      {{.error = ENOSYS, .kernel = "4.19.0"}, absl::StatusCode::kUnimplemented, {"6.1", "no io_uring"}},
      {{.error = ENOSYS, .kernel = "6.18.0"}, absl::StatusCode::kUnimplemented, {"CONFIG_IO_URING"}, "6.1 or newer"},
      {{.error = ENOSYS, .kernel = "6.18.0", .filtered = true},
       absl::StatusCode::kPermissionDenied,
       {"seccomp", "Podman", "unconfined"},
       "no io_uring"},
      {{.call = "io_uring_enter", .error = EPERM, .disabled = "1"},
       absl::StatusCode::kPermissionDenied,
       {"io_uring_enter is answered"}},
      {{.call = "io_uring_register", .error = ENOSYS}, absl::StatusCode::kPermissionDenied, {"io_uring_register is answered"}},
      {{.error = EACCES, .filtered = true}, absl::StatusCode::kPermissionDenied, {"seccomp"}},
      {{.error = EACCES}, absl::StatusCode::kInternal, {"SELinux"}},
      {{.error = ENOMEM}, absl::StatusCode::kResourceExhausted, {"memlock", "ulimit -l", "ulimit -v", "workers"}},
      {{.error = EMFILE}, absl::StatusCode::kResourceExhausted, {"ulimit -n"}},
      {{.error = ENFILE}, absl::StatusCode::kResourceExhausted, {"ulimit -n"}},
      {{.error = EINVAL, .kernel = "5.10"}, absl::StatusCode::kUnimplemented, {"6.1"}},
      {{.error = EINVAL, .kernel = "6.12", .filtered = true}, absl::StatusCode::kPermissionDenied, {"seccomp"}},
      {{.error = EFAULT}, absl::StatusCode::kInternal, {"Bad address"}},
  };
  for (const auto& c : cases) {
    const absl::Status status = Explain(c.refusal);
    const std::string message(status.message());
    EXPECT_EQ(status.code(), c.code) << message;
    for (const std::string& word : c.words) {
      EXPECT_THAT(message, testing::HasSubstr(word));
    }
    EXPECT_THAT(message, testing::Not(testing::HasSubstr(c.not_words)));
  }
}

class KernelRingTest : public testing::TestWithParam<bool> {
 protected:
  KernelRingTest() {
    const absl::StatusOr<Features> probed = ProbeFeatures();
    EXPECT_TRUE(probed.ok()) << probed.status();
    features_ = *probed;
    features_.direct_descriptors = features_.direct_descriptors && GetParam();
    absl::StatusOr<Listeners> listeners = Listeners::Open(SocketAddress::Ipv4(kLoopback), 1, 4096);
    EXPECT_TRUE(listeners.ok());
    listeners_ = *std::move(listeners);
  }
  ~KernelRingTest() override {
    ring_.reset();
    for (const int client : clients_) {
      close(client);
    }
    if (!features_.direct_descriptors) {
      for (const uint32_t slot : accepted_) {
        close(static_cast<int>(slot));
      }
    }
  }

  void Make(RingOptions options) {
    absl::StatusOr<std::unique_ptr<KernelRing>> ring = KernelRing::Create(options, features_);
    ASSERT_TRUE(ring.ok()) << ring.status();
    ring_ = *std::move(ring);
  }

  int Client() {
    const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const SocketAddress address = Destination();
    EXPECT_EQ(connect(descriptor, address.get(), address.size()), 0);
    clients_.insert(descriptor);
    return descriptor;
  }
  SocketAddress Destination() const { return SocketAddress::Ipv4(kLoopback, listeners_.port()); }

  // Enters and reaps until `done`; completions go to `seen_`, their bytes to `text_`.
  void Until(const std::function<bool()>& done) {
    for (int i = 0; i < 200 && !done(); ++i) {
      ring_->PublishBuffers();
      ring_->EnterAndWait(100 * kMs);
      ReapAll();
    }
    ASSERT_TRUE(done()) << "waited in vain";
  }
  void ReapAll() {
    ring_->Reap(10'000, [this](const Completion& completion) {
      seen_.push_back(completion);
      if (completion.tag.operation == Operation::kAccept && completion.result >= 0) {
        accepted_.push_back(static_cast<uint32_t>(completion.result));
      }
      if (completion.has_buffer) {
        const absl::Span<const std::byte> bytes = ring_->Buffer(completion);
        text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        ring_->RecycleBuffer(completion);
      }
    });
  }
  // The first completion of that operation; without one, one of no operation.
  Completion First(Operation operation) const {
    for (const Completion& completion : seen_) {
      if (completion.tag.operation == operation) {
        return completion;
      }
    }
    return {};
  }
  bool Seen(Operation operation) const { return First(operation).tag.operation == operation; }
  void UntilSeen(Operation operation) {
    Until([&] { return Seen(operation); });
  }
  // Accepts one connection; its slot. The client's end is `client_`.
  uint32_t AcceptOne() {
    ring_->Accept(listeners_.descriptor(0));
    client_ = Client();
    Until([&] { return !accepted_.empty(); });
    return accepted_.back();
  }

  Features features_;
  Listeners listeners_;
  std::unique_ptr<KernelRing> ring_;
  std::set<int> clients_;
  std::vector<uint32_t> accepted_;
  std::vector<Completion> seen_;
  std::string text_;
  int client_ = -1;
};

std::string DescriptorsName(const testing::TestParamInfo<bool>& direct) { return direct.param ? "Direct" : "Regular"; }
INSTANTIATE_TEST_SUITE_P(Descriptors, KernelRingTest, testing::Bool(), DescriptorsName);

TEST_P(KernelRingTest, AcceptsReceivesSendsAndCloses) {
  Make({});
  const uint32_t slot = AcceptOne();
  EXPECT_TRUE(First(Operation::kAccept).more);
  ring_->Receive(slot, 7);
  ASSERT_EQ(write(client_, "hello", 5), 5);
  UntilSeen(Operation::kReceive);
  const Completion received = First(Operation::kReceive);
  EXPECT_EQ(received.tag, (Tag{Operation::kReceive, 7, slot}));
  EXPECT_EQ(received.result, 5);
  EXPECT_TRUE(received.more);
  EXPECT_EQ(text_, "hello");

  static const char kReply[] = "world";
  ring_->Send(slot, 7, reinterpret_cast<const std::byte*>(kReply), 5);
  UntilSeen(Operation::kSend);
  EXPECT_EQ(First(Operation::kSend).result, 5);
  char reply[8] = {};
  EXPECT_EQ(read(client_, reply, sizeof(reply)), 5);
  EXPECT_STREQ(reply, "world");

  seen_.clear();
  shutdown(client_, SHUT_WR);
  UntilSeen(Operation::kReceive);
  EXPECT_EQ(First(Operation::kReceive).result, 0);
  EXPECT_FALSE(First(Operation::kReceive).more);
  ring_->Close(slot, 7);
  UntilSeen(Operation::kClose);
  EXPECT_EQ(First(Operation::kClose).result, 0);
  accepted_.clear();
  EXPECT_EQ(read(client_, reply, sizeof(reply)), 0) << "the peer sees the end";
}

// Full ones say nothing; then the peer's window and our buffer fill up: one is cut, and the next refused. What the kernel took is
// what arrives.
TEST_P(KernelRingTest, SilentSendsSpeakOnlyOfWhatIsLeft) {
  if (!features_.silent_sends) {
    GTEST_SKIP() << "this kernel has none";
  }
  Make({});
  const uint32_t slot = AcceptOne();
  ring_->SendSilently(slot, 7, reinterpret_cast<const std::byte*>("hello"), 5);
  ring_->Enter();
  ReapAll();
  EXPECT_FALSE(Seen(Operation::kSend));
  const std::vector<std::byte> bytes(1 << 20, std::byte{'x'});
  size_t taken = 0;
  bool cut = false;
  bool refused = false;
  for (int i = 0; i < 100 && !refused; ++i) {
    ring_->SendSilently(slot, 7, bytes.data(), static_cast<uint32_t>(bytes.size()));
    ring_->Enter();
    int32_t result = static_cast<int32_t>(bytes.size());
    ring_->ReapSends([&](const Completion& completion) {
      EXPECT_EQ(completion.tag, (Tag{Operation::kSend, 7, slot}));
      result = completion.result;
    });
    refused = result == -EAGAIN;
    cut |= result > 0 && result < static_cast<int32_t>(bytes.size());
    taken += result > 0 ? static_cast<size_t>(result) : 0;
  }
  EXPECT_TRUE(cut && refused) << taken;
  seen_.clear();
  ReapAll();
  EXPECT_FALSE(Seen(Operation::kSend)) << "ReapSends has had them";
  std::vector<char> into(1 << 20);
  size_t arrived = 0;
  for (ssize_t got = 1; arrived < 5 + taken && got > 0; arrived += got > 0 ? static_cast<size_t>(got) : 0) {
    got = read(client_, into.data(), into.size());
  }
  EXPECT_EQ(arrived, 5 + taken);
}

TEST_P(KernelRingTest, CancelEndsAReceiveAndTheSlotCanBeClosed) {
  Make({});
  const uint32_t slot = AcceptOne();
  ring_->Receive(slot, 7);
  ring_->Enter();
  ring_->Cancel({Operation::kReceive, 7, slot});
  Until([&] { return Seen(Operation::kReceive) && Seen(Operation::kCancel); });
  EXPECT_EQ(First(Operation::kReceive).result, -ECANCELED);
  EXPECT_FALSE(First(Operation::kReceive).more);
  EXPECT_EQ(First(Operation::kCancel).tag, (Tag{Operation::kCancel, 7, slot}));
  EXPECT_EQ(First(Operation::kCancel).result, 0);
  seen_.clear();
  ring_->Cancel({Operation::kReceive, 7, slot});
  UntilSeen(Operation::kCancel);
  EXPECT_EQ(First(Operation::kCancel).result, -ENOENT);
  ring_->Close(slot, 7);
  UntilSeen(Operation::kClose);
  accepted_.clear();
  char byte = 0;
  EXPECT_EQ(read(client_, &byte, 1), 0) << "the socket is really closed";
}

TEST_P(KernelRingTest, AcceptCanBeStopped) {
  Make({});
  AcceptOne();
  seen_.clear();
  ring_->Cancel({Operation::kAccept, 0, 0});
  UntilSeen(Operation::kAccept);
  EXPECT_EQ(First(Operation::kAccept).result, -ECANCELED);
  EXPECT_FALSE(First(Operation::kAccept).more);
}

TEST_P(KernelRingTest, ConnectsAndInstalls) {
  Make({});
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const uint32_t slot = features_.direct_descriptors ? 5 : static_cast<uint32_t>(descriptor);
  ASSERT_EQ(ring_->Install(slot, descriptor), 0);
  EXPECT_EQ(fcntl(descriptor, F_GETFD) < 0, features_.direct_descriptors) << "the table holds it, or the process does";
  ring_->Connect(slot, 3, Destination());
  UntilSeen(Operation::kConnect);
  EXPECT_EQ(First(Operation::kConnect).tag, (Tag{Operation::kConnect, 3, slot}));
  EXPECT_EQ(First(Operation::kConnect).result, 0);
  const int server = accept4(listeners_.descriptor(0), nullptr, nullptr, SOCK_CLOEXEC);
  ASSERT_GE(server, 0);
  ring_->Receive(slot, 3);
  ASSERT_EQ(write(server, "hi", 2), 2);
  UntilSeen(Operation::kReceive);
  EXPECT_EQ(text_, "hi");
  close(server);
  ring_->Close(slot, 3);
  UntilSeen(Operation::kClose);
}

// The slot that the socket gets is another's to give: the kernel chooses it as it does for accepted ones.
TEST_P(KernelRingTest, ASocketGoesFromOneTableToAnother) {
  if (!features_.direct_descriptors) {
    GTEST_SKIP() << "no tables";
  }
  Make({.slots = 8});
  const uint32_t slot = AcceptOne();
  ring_->TakeOut(slot, 1);
  UntilSeen(Operation::kTakeOut);
  EXPECT_EQ(First(Operation::kTakeOut).tag, (Tag{Operation::kTakeOut, 1, slot}));
  const int descriptor = First(Operation::kTakeOut).result;
  ASSERT_GE(descriptor, 0);
  EXPECT_EQ(fcntl(descriptor, F_GETFD), FD_CLOEXEC);
  ring_->Close(slot, 1);
  UntilSeen(Operation::kClose);
  const std::unique_ptr<KernelRing> first = std::move(ring_);
  seen_.clear();

  Make({.slots = 2});
  int places[] = {descriptor, descriptor, descriptor};
  for (uint32_t i = 0; i < 3; ++i) {
    ring_->TakeIn(500 + i, &places[i]);
  }
  Until([&] { return seen_.size() == 3; });
  EXPECT_EQ(seen_[0].tag, (Tag{Operation::kTakeIn, 0, 500}));
  EXPECT_EQ(seen_[0].result, 1);
  EXPECT_EQ(seen_[1].result, 1);
  EXPECT_EQ(places[0] + places[1], 0 + 1) << "the table's slots";
  EXPECT_EQ(seen_[2].result, -ENFILE) << "that is all it has room for";
  close(descriptor);
  const auto there = static_cast<uint32_t>(places[0]);
  ring_->Receive(there, 3);
  ASSERT_EQ(write(client_, "on", 2), 2);
  UntilSeen(Operation::kReceive);
  EXPECT_EQ(text_, "on");
  ring_->Close(static_cast<uint32_t>(places[1]), 1);
  UntilSeen(Operation::kClose);
  char byte = 0;
  EXPECT_EQ(recv(client_, &byte, 1, MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, EAGAIN) << "it lives on in the other slot";
}

TEST_P(KernelRingTest, RefusedConnectSaysSo) {
  Make({});
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const uint32_t slot = features_.direct_descriptors ? 5 : static_cast<uint32_t>(descriptor);
  ASSERT_EQ(ring_->Install(slot, descriptor), 0);
  const SocketAddress nobody = Destination();
  listeners_.Close(0);
  ring_->Connect(slot, 3, nobody);
  UntilSeen(Operation::kConnect);
  EXPECT_EQ(First(Operation::kConnect).result, -ECONNREFUSED);
  ring_->Close(slot, 3);
  UntilSeen(Operation::kClose);
  EXPECT_EQ(First(Operation::kClose).result, 0);
}

TEST_P(KernelRingTest, InstallOutsideTheTableFails) {
  if (!features_.direct_descriptors) {
    GTEST_SKIP() << "no table";
  }
  Make({.slots = 8});
  EXPECT_LT(ring_->Install(8, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), 0);
}

TEST_P(KernelRingTest, ManyConnectsInOneSubmissionKeepTheirAddresses) {
  Make({.submission_entries = 8, .completion_entries = 64});
  std::vector<uint32_t> slots;
  for (uint32_t i = 0; i < 30; ++i) {  // more than the SQ holds, to alternating addresses
    const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const uint32_t slot = features_.direct_descriptors ? i : static_cast<uint32_t>(descriptor);
    ASSERT_EQ(ring_->Install(slot, descriptor), 0);
    ring_->Connect(slot, 1 + i, Destination().Plus(i % 2));  // nobody listens on 127.0.0.2
    slots.push_back(slot);
  }
  Until([&] { return seen_.size() == 30; });
  for (const Completion& completion : seen_) {
    EXPECT_EQ(completion.result, completion.tag.generation % 2 == 1 ? 0 : -ECONNREFUSED);
  }
  for (const uint32_t slot : slots) {
    ring_->Close(slot, 1);
  }
  Until([&] { return seen_.size() == 60; });
}

TEST_P(KernelRingTest, BuffersGoRoundForEver) {
  Make({.buffers = 2, .buffer_bytes = 16});
  const uint32_t slot = AcceptOne();
  ring_->Receive(slot, 1);
  std::string sent;
  for (int i = 0; i < 500; ++i) {
    const std::string message = std::to_string(i) + ";";
    sent += message;
    ASSERT_EQ(write(client_, message.data(), message.size()), static_cast<ssize_t>(message.size()));
    Until([&] {
      if (!seen_.empty() && seen_.back().tag.operation == Operation::kReceive && !seen_.back().more) {
        ring_->PublishBuffers();
        ring_->Receive(slot, 1);
        seen_.clear();
      }
      return text_.size() == sent.size();
    });
  }
  EXPECT_EQ(text_, sent);
}

TEST_P(KernelRingTest, WithoutBuffersAReceiveEndsAndIsArmedAgainAfterPublishing) {
  Make({.buffers = 1, .buffer_bytes = 4});
  const uint32_t slot = AcceptOne();
  ring_->Receive(slot, 1);
  ring_->Enter();
  ASSERT_EQ(write(client_, "abcdefgh", 8), 8);
  // Not recycled yet: the second half finds no buffer.
  std::vector<Completion> receives;
  for (int i = 0; i < 200 && (receives.empty() || receives.back().more); ++i) {
    ring_->EnterAndWait(100 * kMs);
    ring_->Reap(100, [&](const Completion& completion) { receives.push_back(completion); });
  }
  ASSERT_EQ(receives.size(), 2u);
  EXPECT_EQ(receives[0].result, 4);
  EXPECT_EQ(receives[1].result, -ENOBUFS);
  EXPECT_FALSE(receives[1].has_buffer);
  ring_->RecycleBuffer(receives[0]);
  EXPECT_EQ(ring_->PublishBuffers(), 1u);
  ring_->Receive(slot, 1);
  UntilSeen(Operation::kReceive);
  EXPECT_EQ(text_, "efgh");
}

TEST_P(KernelRingTest, BulkReceivesOnceIntoALargeBuffer) {
  Make({.bulk_buffers = 2, .bulk_buffer_bytes = 8'192});
  const uint32_t slot = AcceptOne();
  const std::string bytes(5'000, 'x');
  ASSERT_EQ(write(client_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  ring_->ReceiveBulk(slot, 1);
  UntilSeen(Operation::kReceiveBulk);
  EXPECT_EQ(text_, bytes);
  EXPECT_FALSE(First(Operation::kReceiveBulk).more);
  EXPECT_EQ(ring_->PublishBuffers(), 1u);
  seen_.clear();
  // With nothing to receive it waits, and holds no buffer; it ends when it is cancelled.
  ring_->ReceiveBulk(slot, 1);
  ring_->Enter();
  ring_->Cancel({Operation::kReceiveBulk, 1, slot});
  UntilSeen(Operation::kReceiveBulk);
  EXPECT_EQ(First(Operation::kReceiveBulk).result, -ECANCELED);
  EXPECT_FALSE(First(Operation::kReceiveBulk).has_buffer);
}

TEST_P(KernelRingTest, FullSubmissionQueueIsHandedOver) {
  Make({.submission_entries = 4, .completion_entries = 8});
  const uint32_t slot = AcceptOne();
  // Many more than fit, and many more completions than the CQ holds: none may be lost.
  seen_.clear();
  for (uint32_t i = 0; i < 1'000; ++i) {
    ring_->Cancel({Operation::kReceive, 1 + i, slot});
  }
  Until([&] { return seen_.size() >= 1'000; });
  std::set<uint32_t> generations;
  for (const Completion& completion : seen_) {
    EXPECT_EQ(completion.tag.operation, Operation::kCancel);
    generations.insert(completion.tag.generation);
  }
  EXPECT_EQ(generations.size(), 1'000u);
  EXPECT_GT(ring_->overflows(), 0u);
}

TEST_P(KernelRingTest, QueueingFromInsideReapWithBothQueuesFull) {
  Make({.submission_entries = 4, .completion_entries = 8});
  const uint32_t slot = AcceptOne();
  uint32_t queued = 0;
  const auto queue = [&] { ring_->Cancel({Operation::kReceive, ++queued, slot}); };
  for (int i = 0; i < 8; ++i) {
    queue();
  }
  uint32_t reaped = 0;
  for (int i = 0; i < 1'000 && reaped < 1'000; ++i) {
    ring_->EnterAndWait(100 * kMs);
    ring_->Reap(512, [&](const Completion& completion) {
      if (completion.tag.operation == Operation::kCancel) {
        ++reaped;
        for (int k = 0; k < 3 && queued < 1'000; ++k) {
          queue();
        }
      }
    });
  }
  EXPECT_EQ(reaped, 1'000u);
}

TEST_P(KernelRingTest, ReapStopsAtItsLimitAndLosesNothing) {
  Make({});
  for (uint32_t i = 0; i < 10; ++i) {
    ring_->Cancel({Operation::kReceive, 1 + i, 3});
  }
  ring_->Enter();
  std::vector<uint32_t> order;
  const auto take = [&](const Completion& completion) { order.push_back(completion.tag.generation); };
  EXPECT_EQ(ring_->Reap(4, take), 4u);
  EXPECT_TRUE(ring_->HasWork());
  EXPECT_EQ(ring_->Reap(4, take), 4u);
  EXPECT_EQ(ring_->Reap(4, take), 2u);
  EXPECT_FALSE(ring_->HasWork());
  EXPECT_THAT(order, testing::ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
}

TEST_P(KernelRingTest, WatchedWakeEndsAWait) {
  const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  Make({.wake_descriptor = wake});
  ring_->WatchWake();
  ring_->Enter();
  EXPECT_FALSE(ring_->HasWork());
  for (int i = 0; i < 3; ++i) {  // also when nobody has read it in between
    seen_.clear();
    ASSERT_EQ(eventfd_write(wake, 1), 0);
    UntilSeen(Operation::kWake);
    EXPECT_TRUE(First(Operation::kWake).more);
  }
  close(wake);
}

TEST_P(KernelRingTest, AlarmEndsAWaitThatHasNoTimeout) {
  Make({});
  for (int i = 0; i < 3; ++i) {
    seen_.clear();
    ring_->SetAlarm(kMs);
    ring_->EnterAndWait();
    ReapAll();
    EXPECT_TRUE(Seen(Operation::kAlarm));
  }
}

TEST_P(KernelRingTest, NotifyWakeWritesTheSharedDescriptorOnlyWhileOn) {
  const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  Make({.wake_descriptor = wake, .shared_wake = true});
  const uint32_t slot = AcceptOne();
  ring_->Receive(slot, 1);
  ring_->Enter();
  ReapAll();
  eventfd_t count = 0;
  EXPECT_NE(eventfd_read(wake, &count), 0) << "off at first";
  ASSERT_EQ(write(client_, "a", 1), 1);
  Until([&] { return text_ == "a"; });
  EXPECT_NE(eventfd_read(wake, &count), 0);

  ring_->NotifyWake(true);
  ASSERT_EQ(write(client_, "b", 1), 1);
  pollfd readable = {.fd = wake, .events = POLLIN, .revents = 0};
  ASSERT_EQ(poll(&readable, 1, 10'000), 1) << "slept through it";
  EXPECT_EQ(eventfd_read(wake, &count), 0);
  EXPECT_TRUE(ring_->HasWork());
  Until([&] { return text_ == "ab"; });
  close(wake);
}

TEST_P(KernelRingTest, BatchedWaitEndsWithTheBatchOrWithTheFirstAfterItsTime) {
  Make({});
  const uint32_t slot = AcceptOne();
  ring_->Receive(slot, 1);
  ASSERT_EQ(write(client_, "x", 1), 1);
  for (int i = 0; i < 100 && text_.empty(); ++i) {
    ring_->EnterAndWaitBatch(100 * kMs, 128, 50);
    ReapAll();
  }
  EXPECT_EQ(text_, "x");
}

TEST(KernelRing, RefusedTableNamesTheLimit) {
  absl::StatusOr<Features> features = ProbeFeatures();
  ASSERT_TRUE(features.ok());
  if (!features->direct_descriptors) {
    GTEST_SKIP() << "no table";
  }
  const absl::StatusOr<std::unique_ptr<KernelRing>> ring = KernelRing::Create({.slots = (1u << 20) + 1}, *features);
  ASSERT_FALSE(ring.ok());
  EXPECT_THAT(std::string(ring.status().message()), testing::HasSubstr("ulimit -n"));
}

TEST(KernelRing, BuffersMustBeAPowerOfTwo) {
  absl::StatusOr<Features> features = ProbeFeatures();
  ASSERT_TRUE(features.ok());
  const absl::StatusOr<std::unique_ptr<KernelRing>> ring = KernelRing::Create({.buffers = 3}, *features);
  ASSERT_FALSE(ring.ok());
  EXPECT_THAT(std::string(ring.status().message()), testing::HasSubstr("3 receive buffers"));
}

}  // namespace
}  // namespace hongbao::ring
