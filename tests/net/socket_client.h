// A plain blocking TCP client for tests, with generous time-outs; and waiting for a condition.
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace hongbao::net {

inline constexpr uint32_t kLoopback = 0x7f000001;

template <class Condition>
bool WaitFor(Condition&& condition, int seconds = 30) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

class SocketClient {
  // A socket with a time-out is interrupted also by a stop of the whole process (SIGSTOP and SIGCONT).
  template <class Call>
  static auto Retry(Call&& call) {
    auto result = call();
    while (result < 0 && errno == EINTR) {
      result = call();
    }
    return result;
  }

 public:
  SocketClient() : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval limit = {.tv_sec = 30, .tv_usec = 0};
    setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    const int on = 1;
    setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  explicit SocketClient(uint16_t port) : SocketClient() { Connect(port); }
  SocketClient(SocketClient&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  SocketClient& operator=(SocketClient&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~SocketClient() { Close(); }

  bool Connect(uint16_t port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(kLoopback);
    address.sin_port = htons(port);
    return Retry([&] { return connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)); }) == 0;
  }
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = Retry([&] { return send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL); });
      if (sent <= 0) {
        return false;
      }
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // Up to `size` bytes; fewer when the peer ends the connection first.
  std::string Receive(size_t size) {
    std::string bytes(size, '\0');
    size_t got = 0;
    while (got < size) {
      const ssize_t part = Retry([&] { return recv(descriptor_, bytes.data() + got, size - got, 0); });
      if (part <= 0) {
        break;
      }
      got += static_cast<size_t>(part);
    }
    bytes.resize(got);
    return bytes;
  }
  // True when the peer ended the connection (end of stream or reset); false after the time-out or when bytes came.
  bool Ended() {
    char byte = 0;
    const ssize_t got = Retry([&] { return recv(descriptor_, &byte, 1, 0); });
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
  }
  void FinishSending() { shutdown(descriptor_, SHUT_WR); }
  // RST instead of FIN.
  void Reset() {
    const linger hard = {.l_onoff = 1, .l_linger = 0};
    setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    Close();
  }
  void Close() {
    if (descriptor_ >= 0) {
      close(descriptor_);
      descriptor_ = -1;
    }
  }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

}  // namespace hongbao::net
