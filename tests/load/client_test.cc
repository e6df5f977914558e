#include "libhongbao/load/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hongbao::load {
namespace {

constexpr uint32_t kLoopback = 0x7f00'0001;

// A port where nothing listens: bound, never listening, so that nobody else gets it.
class ClosedPort {
 public:
  ClosedPort() : descriptor_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(kLoopback);
    EXPECT_EQ(bind(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    socklen_t length = sizeof(address);
    getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &length);
    number_ = ntohs(address.sin_port);
  }
  ~ClosedPort() { close(descriptor_); }
  uint16_t number() const { return number_; }

 private:
  int descriptor_;
  uint16_t number_ = 0;
};

ClientOptions Options(uint16_t port) {
  return {.servers = {SocketAddress::Ipv4(kLoopback, port)}, .users = {0, 9, 10}, .workers = 2};
}

template <typename Condition>
bool Eventually(Condition condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST(Client, WrongOptionsAreRefusedInWords) {
  const time::RealClock clock;
  ClientOptions options = Options(1);
  options.users = {5, 4, 10};
  EXPECT_EQ(Client::Start(options, clock).status().code(), absl::StatusCode::kInvalidArgument);
  options.users = {0, 10, 10};
  EXPECT_EQ(Client::Start(options, clock).status().code(), absl::StatusCode::kInvalidArgument);
  options = Options(1);
  options.connects_per_second = 0;
  EXPECT_EQ(Client::Start(options, clock).status().code(), absl::StatusCode::kInvalidArgument);
  options = Options(1);
  options.servers.clear();
  EXPECT_EQ(Client::Start(options, clock).status().code(), absl::StatusCode::kInvalidArgument);
  options = Options(1);
  options.servers = {SocketAddress::Ipv4(0x0a00'0001, 1)};
  options.users = {0, 999'999, 1'000'000};
  const absl::Status too_few = Client::Start(options, clock).status();
  EXPECT_EQ(too_few.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(too_few.message()), testing::HasSubstr("--source"));
}

TEST(Client, WrongGatewayOptionsAreRefusedInWords) {
  const time::RealClock clock;
  const auto refused = [&clock](void (*change)(ClientOptions&)) {
    ClientOptions options = Options(1);
    options.gateways = 2;
    change(options);
    return Client::Start(options, clock).status().code() == absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](ClientOptions& options) { options.gateways = 6; }));  // of 10 users
  EXPECT_TRUE(refused([](ClientOptions& options) { options.version = wire::Version::k1; }));
  EXPECT_TRUE(refused([](ClientOptions& options) { options.window = 0; }));
  EXPECT_TRUE(refused([](ClientOptions& options) { options.window = GatewayWindow::kCapacityMax + 1; }));
  EXPECT_TRUE(refused([](ClientOptions& options) { options.requests_max = kRequestsMax + 1; }));
  EXPECT_TRUE(refused([](ClientOptions& options) { options.gateways = 0, options.max_rate = true; }));
  EXPECT_TRUE(refused([](ClientOptions& options) { options.gateways = 0, options.requests_max = 1; }));
}

// A client of gateways that find nobody: all that was due waits, and is told as missed when it ends.
TEST(Client, GatewaysWithoutAServerMissNothingSilently) {
  const ClosedPort port;
  const time::RealClock clock;
  ClientOptions options = Options(port.number());
  options.gateways = 4;
  options.requests_max = 150;
  auto client = Client::Start(options, clock);
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_EQ((*client)->workers(), 2u);
  ASSERT_TRUE((*client)->SetRate(100, time::UnixSecond(clock.WallNs()) + 1, "load").ok());
  ASSERT_TRUE(Eventually([&] { return (*client)->Look().counters[Counter::kScheduled] == 150; }));
  EXPECT_FALSE((*client)->SentAll());
  (*client)->StopSending();
  EXPECT_EQ((*client)->SetRate(10, time::UnixSecond(clock.WallNs()) + 5, "").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Eventually([&] { return (*client)->Quiet(); }));
  (*client)->AskStatements();
  EXPECT_TRUE(Eventually([&] { return (*client)->StatementsDone(); }));
  (*client)->Drain(100);
  const ClientCounts snapshot = (*client)->Look();
  EXPECT_EQ(snapshot.counters[Counter::kDue], 150u);
  EXPECT_EQ(snapshot.counters[Counter::kMissedBacklog], 150u);
  EXPECT_EQ(snapshot.counters[Counter::kStatementsSkipped], 10u);
  EXPECT_EQ(snapshot.target, 10u);
}

TEST(Client, WithoutAServerTheErrnosSayWhy) {
  const ClosedPort port;
  const time::RealClock clock;
  auto client = Client::Start(Options(port.number()), clock);
  ASSERT_TRUE(client.ok()) << client.status();
  ASSERT_TRUE(Eventually([&] { return (*client)->Look().counters[Counter::kConnectsFailed] >= 10; }));
  const ClientCounts snapshot = (*client)->Look();
  ASSERT_EQ(snapshot.connect_errors.size(), 1u);
  EXPECT_EQ(snapshot.connect_errors[0].first, "ECONNREFUSED");
  EXPECT_FALSE(snapshot.all_online);
  EXPECT_EQ(snapshot.target, 10u);
}

TEST(Client, ARateOfThePastIsRefusedAndPhasesAreTold) {
  const ClosedPort port;
  const time::RealClock clock;
  auto client = Client::Start(Options(port.number()), clock);
  ASSERT_TRUE(client.ok()) << client.status();
  const int64_t now = time::UnixSecond(clock.WallNs());
  EXPECT_EQ((*client)->SetRate(100, now - 1, "late").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ((*client)->SetRate(time::kQpsMax + 1, now + 10, "wild").code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE((*client)->SetRate(100, now + 1, "first").ok());
  ASSERT_TRUE((*client)->SetRate(200, now + 2, "").ok());
  ASSERT_TRUE((*client)->SetRate(0, now + 3, "end").ok());
  Client::Series series = (*client)->MakeSeries();
  std::vector<Client::Series::Row> rows;
  const auto collect = [&] {
    series.Collect();
    rows.insert(rows.end(), series.rows().begin(), series.rows().end());
  };
  ASSERT_TRUE(Eventually([&] {
    collect();
    return !rows.empty() && rows.back().unix_second >= now + 3;
  }));
  (*client)->StopSending();
  EXPECT_TRUE(Eventually([&] { return (*client)->Quiet(); }));
  (*client)->Drain(100);
  collect();
  const std::vector<PhaseReport> phases = (*client)->Phases(rows);
  ASSERT_EQ(phases.size(), 2u);
  EXPECT_EQ(phases[0].name, "first");
  EXPECT_EQ(phases[1].name, "200 qps");
  EXPECT_DOUBLE_EQ(phases[0].duration_s, 1.0);
  EXPECT_DOUBLE_EQ(phases[1].duration_s, 1.0);
  // Nobody was online: all due were missed, exactly as many as the schedule has.
  EXPECT_EQ(phases[0].counters[PhaseCounter::kMissed], 100u);
  EXPECT_EQ(phases[1].counters[PhaseCounter::kMissed], 200u);
  EXPECT_EQ(phases[0].counters[PhaseCounter::kSent], 0u);
  EXPECT_EQ(series.total()[Counter::kScheduled], 300u);
}

TEST(Client, ClosingTwiceIsClosing) {
  const ClosedPort port;
  const time::RealClock clock;
  auto client = Client::Start(Options(port.number()), clock);
  ASSERT_TRUE(client.ok()) << client.status();
  (*client)->StopSending();
  (*client)->Drain(100);
  (*client)->Drain(100);
  EXPECT_EQ((*client)->Outstanding(), 0u);
}

}  // namespace
}  // namespace hongbao::load
