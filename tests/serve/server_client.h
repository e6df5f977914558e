// Client: a blocking client of a Server in this process, on a real socket; and the fixture of tests that have such a server.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "libhongbao/serve/server.h"
#include "tests/serve/test_workers.h"

namespace hongbao::serve {

// One gift of 3 yuan to so many of the users first..last.
inline MintOrder OneGift(uint32_t users, uint32_t first_user, uint32_t last_user) {
  return {.kind = MintOrder::Kind::kGift,
          .rate = 100,
          .count = 1,
          .min_fen = 300,
          .max_fen = 300,
          .users = users,
          .first_user = first_user,
          .last_user = last_user};
}

// A blocking client. Everything it waits for comes at once or within the deadlines that a test sets; ten seconds mean
// never.
class Client {
 public:
  using Bytes = std::vector<std::byte>;

  explicit Client(const Server& server, int receive_buffer = 0) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer > 0) {
      setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(server.port());
    EXPECT_EQ(connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  ~Client() {
    if (socket_ >= 0) {
      close(socket_);
    }
  }
  Client(Client&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // False when the peer has closed.
  bool Send(const Bytes& bytes) { return send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0; }
  // The next frame; empty at the end of the stream.
  Bytes Take() {
    Bytes frame(2);
    if (!Read(frame.data(), 2)) {
      return {};
    }
    const size_t length = wire::LoadU16(frame.data());
    frame.resize(length);
    return Read(frame.data() + 2, length - 2) ? frame : Bytes();
  }
  bool Closed() { return Take().empty(); }
  bool Quiet(int for_ms) {
    pollfd waited{.fd = socket_, .events = POLLIN, .revents = 0};
    return poll(&waited, 1, for_ms) == 0;
  }
  void Vanish() {  // with a reset, as a killed process leaves it
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(std::exchange(socket_, -1));
  }

  wire::LoginResult Login(uint32_t user, wire::Version version = wire::Version::k1) {
    return LoginAfter(user, version, 0).result;
  }
  wire::LoginResponse LoginAfter(uint32_t user, wire::Version version, uint64_t resume_after) {
    Send(LoginFrame(user, version, 1, 1, resume_after));
    wire::LoginResponse response;
    EXPECT_EQ(wire::DecodeLoginResponse(Take(), version, response), wire::Decoded::kOk);
    return response;
  }
  void SendShake(uint32_t user, uint64_t stamp) { Send(ShakeFrame(user, stamp)); }
  wire::ShakeResponse Shake(uint32_t user, uint64_t stamp) {
    SendShake(user, stamp);
    return TakeShake();
  }
  bool SendShakes(uint32_t user, int count) {
    Bytes frames;
    for (int i = 0; i < count; ++i) {
      frames = frames + ShakeFrame(user, static_cast<uint64_t>(i));
    }
    return Send(frames);
  }
  wire::ShakeResponse TakeShake() {
    wire::ShakeResponse response;
    EXPECT_EQ(wire::DecodeShakeResponse(Take(), response), wire::Decoded::kOk);
    return response;
  }
  wire::GiftNotice TakeNotice(wire::Version version) {
    wire::GiftNotice notice;
    EXPECT_EQ(wire::DecodeGiftNotice(Take(), version, notice), wire::Decoded::kOk);
    return notice;
  }
  uint32_t Open(uint32_t user, uint32_t gift, wire::Version version) {
    Send(OpenFrame(user, gift, 2));
    wire::OpenResponse response;
    EXPECT_EQ(wire::DecodeOpenResponse(Take(), version, response), wire::Decoded::kOk);
    return response.amount_fen;
  }

 private:
  bool Read(std::byte* to, size_t size) {
    while (size > 0) {
      pollfd waited{.fd = socket_, .events = POLLIN, .revents = 0};
      if (poll(&waited, 1, 60'000) != 1) {
        ADD_FAILURE() << "nothing came";
        return false;
      }
      const ssize_t got = recv(socket_, to, size, 0);
      if (got <= 0) {
        return false;
      }
      to += got;
      size -= static_cast<size_t>(got);
    }
    return true;
  }

  int socket_;
};

class ServerFixture : public testing::Test {
 protected:
  // Options that make a small server on a free port of the loopback interface.
  static ServerOptions Small() {
    return {.listen_address = SocketAddress::Ipv4(INADDR_LOOPBACK),
            .users_max = 1'000,
            .connections_max = 100,
            .workers = 2,
            .gifts_max = 1'024};
  }
  void Start(const ServerOptions& options, std::unique_ptr<ledger::Ledger> ledger = nullptr) {
    absl::StatusOr<std::unique_ptr<Server>> started = Server::Start(options, &clock_, std::move(ledger));
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
  }
  // Waits until `holds` does; what it waits for happens by itself.
  template <class Condition>
  void Await(const char* what, Condition holds) {
    for (int i = 0; i < 2'000; ++i) {
      if (holds()) {
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ADD_FAILURE() << "never: " << what;
  }
  // Drains, and expects that everything adds up.
  void Stop(uint32_t drain_ms = 5'000) {
    server_->Drain(drain_ms);
    for (const Identity& identity : Identities(server_->Look(), server_->LookAtRest())) {
      EXPECT_TRUE(identity.holds) << identity.name;
    }
    server_.reset();
  }
  void TearDown() override {
    if (server_ != nullptr) {
      Stop();
    }
  }

  time::RealClock clock_;
  std::unique_ptr<Server> server_;
};

}  // namespace hongbao::serve
