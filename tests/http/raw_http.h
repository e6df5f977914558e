// Raw HTTP over a socket to 127.0.0.1, byte for byte as a test wants it.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>

namespace hongbao::http {

class RawPeer {
 public:
  explicit RawPeer(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  RawPeer(RawPeer&& other) noexcept : socket_(std::exchange(other.socket_, -1)), pending_(std::move(other.pending_)) {}
  ~RawPeer() { Close(); }

  void Close() {
    if (socket_ >= 0) {
      ::close(std::exchange(socket_, -1));
    }
  }

  // False: the other side is gone.
  bool Send(const std::string& bytes) const {
    return ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  void EndSending() const { ::shutdown(socket_, SHUT_WR); }

  // What comes up to and with `end`; all there is when the other side closes before (or says nothing for 20 s).
  std::string ReadTo(const std::string& end) {
    for (;;) {
      if (const size_t at = pending_.find(end); at != std::string::npos) {
        std::string taken = pending_.substr(0, at + end.size());
        pending_.erase(0, taken.size());
        return taken;
      }
      char chunk[4096];
      const ssize_t got = ::recv(socket_, chunk, sizeof chunk, 0);
      if (got <= 0) {
        return std::exchange(pending_, {});
      }
      pending_.append(chunk, static_cast<size_t>(got));
    }
  }

  // What comes until the other side closes.
  std::string ReadAll() {
    std::string all = std::exchange(pending_, {});
    char chunk[4096];
    for (ssize_t got; (got = ::recv(socket_, chunk, sizeof chunk, 0)) > 0;) {
      all.append(chunk, static_cast<size_t>(got));
    }
    return all;
  }

 private:
  int socket_;
  std::string pending_;
};

// Sends `bytes`, ends its side, and returns the answer.
inline std::string RawAnswer(uint16_t port, const std::string& bytes) {
  RawPeer peer(port);
  peer.Send(bytes);
  peer.EndSending();
  return peer.ReadAll();
}

inline std::string Head(const std::string& method, const std::string& target, const std::string& more = "") {
  return method + " " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + more + "\r\n";
}

}  // namespace hongbao::http
