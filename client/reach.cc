#include "client/reach.h"

#include <poll.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "libhongbao/cli/numbers.h"
#include "libhongbao/time/clock.h"

namespace hongbao::client {
namespace {

constexpr int64_t kPauseNs = 250 * time::kNsPerMs;
constexpr int kTryMs = 1'000;  // an address that says nothing for so long gives way to the next

// errno of a connect that is closed again at once; 0 when it came about.
int TryConnect(const SocketAddress& address) {
  const int socket = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) {
    return errno;
  }
  int error = ::connect(socket, address.get(), address.size()) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    pollfd wanted{.fd = socket, .events = POLLOUT, .revents = 0};
    socklen_t length = sizeof(error);
    if (poll(&wanted, 1, kTryMs) <= 0) {
      error = ETIMEDOUT;
    } else if (getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
      error = errno;
    }
  }
  close(socket);
  return error;
}

absl::StatusOr<SocketAddress> FirstThatAnswers(const HostPort& server, const std::vector<SocketAddress>& addresses) {
  if (addresses.size() == 1) {
    return addresses.front();
  }
  std::string tried;
  for (const SocketAddress& address : addresses) {
    const int error = TryConnect(address);
    if (error == 0) {
      return address;
    }
    absl::StrAppend(&tried, tried.empty() ? "" : ", ", address.ToString(), " ", std::strerror(error));
  }
  return absl::UnavailableError(absl::StrCat("cannot reach the server at ", server.ToString(), " (", tried,
                                             "): start hongbao-server there, or correct --server"));
}

// ---- what is met ----

constexpr int64_t kRefusedNs = 3 * time::kNsPerSecond;  // who says no says it at once, but may be starting again

std::string Count(uint64_t number, const char* what) {
  return absl::StrCat(cli::WithCommas(static_cast<int64_t>(number)), " ", what, number == 1 ? "" : "s");
}

std::string Quoted(const std::string& bytes) {
  std::string text = "\"";
  for (const char c : bytes) {
    absl::StrAppend(&text, c >= ' ' && c <= '~' ? std::string(1, c) : absl::StrFormat("\\x%02x", static_cast<unsigned char>(c)));
  }
  return text + "\"";
}

std::string StrangerText(const std::string& bytes) {
  constexpr char kItsPort[] = "give the port that hongbao-server prints behind \"listening on\"";
  if (absl::StartsWith(bytes, "HTTP/")) {
    return absl::StrCat("it speaks HTTP, as hongbao-server's --admin port does and every web server: ", kItsPort);
  }
  if (bytes.size() >= 2 && (bytes[0] == 0x15 || bytes[0] == 0x16) && bytes[1] == 0x03) {
    return absl::StrCat("it speaks TLS: ", kItsPort);
  }
  return absl::StrCat("it answers ", Quoted(bytes), ", which is not hongbao's protocol: ", kItsPort);
}

std::string RefusalText(const load::ClientCounts& snapshot) {
  constexpr auto kFull = static_cast<load::LoginRefusal>(wire::LoginResult::kFullOrDraining);
  constexpr auto kBadToken = static_cast<load::LoginRefusal>(wire::LoginResult::kBadToken);
  if (const uint64_t full = snapshot.login_refusals[kFull]; full > 0) {
    return absl::StrCat("the server is full or stopping (", Count(full, "login"),
                        " refused): raise its --connections-max, or use fewer users");
  }
  if (const uint64_t token = snapshot.login_refusals[kBadToken]; token > 0) {
    return absl::StrCat("the server does not take the token (", Count(token, "login"),
                        " refused): give both sides the same --user-key-file");
  }
  return absl::StrCat("the server refuses (", Count(snapshot.counters[load::Counter::kLoginsRefused], "login"),
                      "): start it with a larger --users-max");
}

// The clearest word first.
std::string MetText(const load::ClientCounts& snapshot) {
  using load::Counter;
  const auto& n = snapshot.counters;
  if (!snapshot.stranger.empty()) {
    return StrangerText(snapshot.stranger);
  }
  if (n[Counter::kLoginsRefused] > 0) {
    return RefusalText(snapshot);
  }
  if (n[Counter::kLoginsClosed] > 0) {
    return absl::StrCat("it closes the connection instead of answering the login (", Count(n[Counter::kLoginsClosed], "time"),
                        "): it is not hongbao-server, or full (--connections-max), or a proxy in front of nothing, or knows "
                        "--protocol 1 alone");
  }
  if (n[Counter::kLoginsTimedOut] > 0 || n[Counter::kConnects] > n[Counter::kClosed]) {
    return "it takes connections and does not answer the login: it is not hongbao-server, or stands still (--connect-timeout)";
  }
  if (snapshot.connect_errors.empty()) {
    return "no answer: a firewall, a full backlog, or a wrong address";
  }
  const char* const advice = AdviceFor(snapshot.connect_errors.front().first);
  return absl::StrCat(ErrorsOf(snapshot), advice == nullptr ? "" : absl::StrCat(": ", advice));
}

}  // namespace

std::string ErrorsOf(const load::ClientCounts& snapshot) {
  std::string text;
  for (const auto& [name, number] : snapshot.connect_errors) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", name, " ", cli::WithCommas(static_cast<int64_t>(number)));
  }
  return text;
}

const char* AdviceFor(const std::string& error) {
  static constexpr std::pair<const char*, const char*> kAdvice[] = {
      {"ECONNREFUSED", "nothing listens there: start hongbao-server, or correct --server"},
      {"EADDRNOTAVAIL", "no free local port, or --source is no address of this machine: give more or other sources"},
      {"EMFILE", "out of open files: raise the hard limit (ulimit -Hn), or use fewer users"},
      {"ENFILE", "out of open files: raise fs.file-max, or use fewer users"},
      {"ETIMEDOUT", "no answer: a firewall, a full backlog, or a wrong address"},
      {"EHOSTUNREACH", "no route: correct --server"},
      {"ENETUNREACH", "no route: correct --server"},
      {"ENOMEM", "the kernel is out of socket memory: see net.ipv4.tcp_mem, or use fewer users"},
      {"ENOBUFS", "the kernel is out of socket memory: see net.ipv4.tcp_mem, or use fewer users"},
  };
  for (const auto& [name, advice] : kAdvice) {
    if (error == name) {
      return advice;
    }
  }
  return nullptr;
}

absl::Status CheckReach(const Options& options, const load::ClientCounts& snapshot) {
  using load::Counter;
  const auto& n = snapshot.counters;
  const load::UserRange& users = options.load.users;
  if (options.load.gateways > 0 && n[Counter::kBarred] > 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the server does not take a gateway: give it the same --gateway-token-file or --user-key-file, "
                     "and --users-max of at least ",
                     users.total));
  }
  if (n[Counter::kBarred] == snapshot.target) {
    const bool unknown = snapshot.login_refusals[static_cast<load::LoginRefusal>(wire::LoginResult::kUserOutOfRange)] > 0;
    return absl::FailedPreconditionError(unknown
                                             ? absl::StrCat("the server knows none of the users ", users.first, "-", users.last,
                                                            ": start it with --users-max of at least ", users.total)
                                             : RefusalText(snapshot));
  }
  if (n[Counter::kLogins] > 0) {
    return absl::OkStatus();
  }
  const bool refused =
      !snapshot.connect_errors.empty() || n[Counter::kLoginsClosed] + n[Counter::kLoginsGarbled] + n[Counter::kLoginsRefused] > 0;
  const int64_t timeout_ns = options.load.connect_timeout_ns;
  const int64_t patience_ns = std::max(options.wait_for_server_ns, refused ? std::min(kRefusedNs, timeout_ns) : timeout_ns);
  const auto waited_ns = static_cast<int64_t>(snapshot.connect_seconds * 1e9);
  if (waited_ns <= patience_ns) {
    return absl::OkStatus();
  }
  return absl::UnavailableError(absl::StrFormat("%s the server at %s in %.0f s: %s",
                                                n[Counter::kConnects] == 0 ? "cannot reach" : "nobody could log in to",
                                                options.server.ToString(), snapshot.connect_seconds, MetText(snapshot)));
}

std::string TroubleOf(const Options& options, const load::ClientCounts& snapshot) {
  using load::Counter;
  const auto& n = snapshot.counters;
  const uint64_t in = n[Counter::kEstablished];
  if (in >= snapshot.target) {
    return "";
  }
  const bool met = n[Counter::kConnectsFailed] + n[Counter::kLoginsRefused] + n[Counter::kLoginsClosed] +
                       n[Counter::kLoginsGarbled] + n[Counter::kLoginsTimedOut] >
                   0;
  return absl::StrCat(Count(snapshot.target - in, "user"), " of ", cli::WithCommas(snapshot.target), " could not log in to ",
                      options.server.ToString(), met ? absl::StrCat(": ", MetText(snapshot)) : "");
}

bool SpeaksHttp(const SocketAddress& address) {
  const int socket = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) {
    return false;
  }
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));  // of the connect, too
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  constexpr std::string_view kAsk = "GET / HTTP/1.0\r\n\r\n";
  char answer[5] = {};
  const bool http = ::connect(socket, address.get(), address.size()) == 0 &&
                    ::send(socket, kAsk.data(), kAsk.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(kAsk.size()) &&
                    ::recv(socket, answer, sizeof(answer), MSG_WAITALL) == static_cast<ssize_t>(sizeof(answer)) &&
                    std::memcmp(answer, "HTTP/", sizeof(answer)) == 0;
  close(socket);
  return http;
}

absl::StatusOr<SocketAddress> FindServer(const HostPort& server, int64_t patience_ns, const std::function<bool(int64_t)>& pause) {
  const time::RealClock clock;
  const int64_t until_ns = clock.MonotonicNs() + patience_ns;
  for (;;) {
    const absl::StatusOr<std::vector<SocketAddress>> addresses = ResolvePeer(server);
    const absl::StatusOr<SocketAddress> found = addresses.ok() ? FirstThatAnswers(server, *addresses) : addresses.status();
    if (found.ok() || clock.MonotonicNs() >= until_ns) {
      return found;
    }
    if (!pause(kPauseNs)) {
      return absl::CancelledError("interrupted while waiting for the server");
    }
  }
}

}  // namespace hongbao::client
