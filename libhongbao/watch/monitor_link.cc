#include "libhongbao/watch/monitor_link.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libhongbao/cli/numbers.h"

namespace hongbao::watch {
namespace {

// Some hundred records: enough to never run dry, and little enough that a monitor that does not read is noticed.
constexpr int kSendBufferBytes = 128 << 10;
constexpr int kUnacknowledgedMs = 30'000;  // a machine that is gone does not say so

std::string NameOf(int error) {
  const char* name = strerrorname_np(error);
  return name == nullptr ? absl::StrCat("errno ", error) : name;
}

// Without a listener, a connect to a port of this machine may be given that very port for its own, and TCP then connects the
// socket with itself. It would hold the port that the monitor is to come back to.
bool ConnectedWithItself(int socket) {
  sockaddr_storage own{}, peer{};
  socklen_t own_length = sizeof(own), peer_length = sizeof(peer);
  return getsockname(socket, reinterpret_cast<sockaddr*>(&own), &own_length) == 0 &&
         getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &peer_length) == 0 && own_length == peer_length &&
         std::memcmp(&own, &peer, own_length) == 0;
}

}  // namespace

// What a name stands for, asked on a thread of its own: a name server may take longer than a second's row may wait.
struct MonitorLink::Lookup {
  std::atomic<bool> done{false};
  absl::StatusOr<std::vector<SocketAddress>> found = absl::UnknownError("not asked");
};

MonitorLink::MonitorLink(HostPort monitor, const time::Clock& clock) : monitor_(std::move(monitor)), clock_(clock) {}

MonitorLink::~MonitorLink() {
  if (socket_ >= 0) {
    close(socket_);
  }
}

void MonitorLink::Add(const wire::CounterRecord& record) {
  if (queue_.size() >= kQueueMax) {
    queue_.pop_front();
    ++dropped_;
  }
  queue_.push_back(record);
}

void MonitorLink::Tick() {
  if (state_ == State::kIdle && (!ever_tried_ || clock_.MonotonicNs() >= retry_ns_)) {
    Connect();
  }
  if (state_ == State::kConnecting) {
    LookWhetherConnected();
  }
  if (state_ == State::kConnected) {
    ReadAndForget();
  }
  if (state_ == State::kConnected) {
    Send();
  }
}

bool MonitorLink::Flush(int64_t timeout_ms) {
  const int64_t until_ns = clock_.MonotonicNs() + timeout_ms * time::kNsPerMs;
  retry_ns_ = state_ == State::kIdle ? clock_.MonotonicNs() : retry_ns_;  // it may have come just now
  for (;;) {
    Tick();
    const int64_t left_ms = (until_ns - clock_.MonotonicNs()) / time::kNsPerMs;
    if (waiting() == 0 || state_ == State::kIdle || left_ms <= 0) {
      break;
    }
    Poll(POLLOUT, static_cast<int>(std::min<int64_t>(left_ms, 100)));
  }
  const bool all = waiting() == 0 && state_ == State::kConnected;
  if (socket_ >= 0) {
    close(std::exchange(socket_, -1));  // what the kernel has taken it still delivers
    state_ = State::kIdle;
  }
  return all;
}

// False: not known yet, or nothing to be found: then as if the connection had been lost.
bool MonitorLink::NextAddress(SocketAddress& address) {
  if (next_address_ == addresses_.size() && lookup_ == nullptr) {
    lookup_ = std::make_shared<Lookup>();
    const auto look_up = [lookup = lookup_, monitor = monitor_] {
      lookup->found = ResolvePeer(monitor);
      lookup->done.store(true, std::memory_order_release);  // after what was found
    };
    monitor_.IsNumeric() ? look_up() : std::thread(look_up).detach();
  }
  if (lookup_ != nullptr) {
    if (!lookup_->done.load(std::memory_order_acquire)) {  // pairs with the release
      return false;
    }
    const absl::StatusOr<std::vector<SocketAddress>> found = std::move(std::exchange(lookup_, nullptr)->found);
    if (!found.ok()) {
      Lose(EDESTADDRREQ);
      unresolved_ = std::string(found.status().message());
      return false;
    }
    addresses_ = *found;
    next_address_ = 0;
  }
  unresolved_.clear();
  address = addresses_[next_address_++];
  return true;
}

void MonitorLink::Connect() {
  ever_tried_ = true;
  SocketAddress address;
  if (!NextAddress(address)) {
    return;
  }
  socket_ = socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (socket_ < 0) {
    return Lose(errno);
  }
  // None of these is needed for it to work, so none may fail it.
  setsockopt(socket_, SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof(kSendBufferBytes));
  setsockopt(socket_, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUnacknowledgedMs, sizeof(kUnacknowledgedMs));
  const int on = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  state_ = State::kConnecting;
  retry_ns_ = clock_.MonotonicNs() + kConnectPatienceNs;
  if (connect(socket_, address.get(), address.size()) != 0 && errno != EINPROGRESS) {
    Lose(errno);
  }
}

void MonitorLink::LookWhetherConnected() {
  if ((Poll(POLLOUT, 0) & (POLLOUT | POLLERR | POLLHUP)) == 0) {
    if (clock_.MonotonicNs() >= retry_ns_) {
      Lose(ETIMEDOUT);
    }
    return;
  }
  int error = 0;
  socklen_t length = sizeof(error);
  if (getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0) {
    return Lose(error == 0 ? errno : error);
  }
  if (ConnectedWithItself(socket_)) {
    return Lose(ECONNREFUSED);
  }
  state_ = State::kConnected;
  changed_wall_ns_ = clock_.WallNs();
  error_ = 0;
}

// A monitor has nothing to say but its end.
void MonitorLink::ReadAndForget() {
  char bytes[256];
  for (int i = 0; i < 16; ++i) {
    const ssize_t got = recv(socket_, bytes, sizeof(bytes), 0);
    if (got == 0) {
      return Lose(0);
    }
    if (got < 0) {
      return errno == EAGAIN || errno == EINTR ? void() : Lose(errno);
    }
  }
}

void MonitorLink::Send() {
  while (sending_left_ > 0 || !queue_.empty()) {
    if (sending_left_ == 0) {
      wire::EncodeCounterRecord(sending_.data(), queue_.front());
      queue_.pop_front();
      sending_left_ = sending_.size();
    }
    if (!SendRest()) {
      return;
    }
    ++sent_;
  }
}

// False: the rest has to wait.
bool MonitorLink::SendRest() {
  while (sending_left_ > 0) {
    const ssize_t done = send(socket_, sending_.data() + sending_.size() - sending_left_, sending_left_, MSG_NOSIGNAL);
    if (done < 0 && errno == EINTR) {
      continue;
    }
    if (done < 0) {
      if (errno != EAGAIN) {
        Lose(errno);
      }
      return false;
    }
    sending_left_ -= static_cast<size_t>(done);
  }
  return true;
}

void MonitorLink::Lose(int error) {
  if (socket_ >= 0) {
    close(std::exchange(socket_, -1));
  }
  if (state_ == State::kConnected || changed_wall_ns_ == 0) {
    changed_wall_ns_ = clock_.WallNs();
  }
  state_ = State::kIdle;
  error_ = error;
  retry_ns_ = clock_.MonotonicNs() + kRetryNs;
  sending_left_ = sending_left_ > 0 ? sending_.size() : 0;  // again, whole
}

int MonitorLink::Poll(int events, int timeout_ms) const {
  pollfd wanted{.fd = socket_, .events = static_cast<short>(events), .revents = 0};
  return poll(&wanted, 1, timeout_ms) > 0 ? wanted.revents : 0;
}

std::string MonitorLink::StateText() const {
  const std::string waits = absl::StrCat(waiting(), waiting() == 1 ? " record waits, " : " records wait, ", dropped_, " dropped");
  const std::string name = absl::StrCat("monitor ", monitor_.ToString(), ": ");
  if (connected()) {
    return absl::StrCat(name, "connected", waiting() > 0 || dropped_ > 0 ? absl::StrCat(", ", waits) : "");
  }
  if (!ever_tried_ || (state_ == State::kConnecting && changed_wall_ns_ == 0)) {
    return absl::StrCat(name, "connecting");
  }
  return absl::StrCat(name, "no connection since ", cli::ClockTime(time::UnixSecond(changed_wall_ns_)), " (",
                      !unresolved_.empty() ? unresolved_
                      : error_ == 0        ? "it closed"
                                           : NameOf(error_),
                      "), ", waits, "; trying again each second");
}

absl::optional<std::string> MonitorLink::News() {
  const int64_t now_ns = clock_.MonotonicNs();
  const bool known = connected() || changed_wall_ns_ != 0;  // not while the first connect is under way
  if (!known || (ever_said_ && (said_connected_ == connected() || now_ns - said_ns_ < kNewsEveryNs))) {
    return absl::nullopt;
  }
  ever_said_ = true;
  said_connected_ = connected();
  said_ns_ = now_ns;
  return StateText();
}

}  // namespace hongbao::watch
