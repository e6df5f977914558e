#include "tools/conns_program/dump.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace hongbao::conns {
namespace {

constexpr size_t kBufferBytes = 256 * 1024;  // the kernel fills at most 32 KiB at a time today
constexpr size_t kBufferBytesMax = 16 << 20;
constexpr int kReceiveQueueBytes = 1 << 20;
constexpr uint32_t kRetriesMax = 3;

absl::Status Failed(const std::string& what, int error, const char* cure = "") {
  return absl::InternalError(absl::StrCat(what, ": ", std::strerror(error), cure));
}

absl::Status Enter(const std::string& path) {
  const int space = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (space < 0) {
    return Failed(absl::StrCat("cannot open the network namespace ", path), errno,
                  errno == EACCES ? "; run as root" : "; is that process running?");
  }
  const int entered = setns(space, CLONE_NEWNET);
  const int error = errno;
  close(space);
  if (entered != 0) {
    return Failed(absl::StrCat("cannot enter the network namespace ", path), error, error == EPERM ? "; run as root" : "");
  }
  return absl::OkStatus();
}

const char* CureOf(int error) {
  switch (error) {
    case ENOENT:
    case EPROTONOSUPPORT:
      return "; this kernel has no TCP socket diagnosis: modprobe tcp_diag (CONFIG_INET_TCP_DIAG)";
    case EPERM:
    case EACCES:
      return "; a container's seccomp profile or security module forbids NETLINK_SOCK_DIAG: run outside of it";
    case EINVAL:
      return "; this kernel refuses the filter: leave out --port";
    default:
      return "";
  }
}

}  // namespace

Dump::Dump(int socket) : socket_(socket), buffer_(kBufferBytes) {}

Dump::Dump(Dump&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)),
      sequence_(other.sequence_),
      both_at_once_(other.both_at_once_),
      buffer_(std::move(other.buffer_)) {}

Dump::~Dump() {
  if (socket_ >= 0) close(socket_);
}

absl::StatusOr<Dump> Dump::Open(const std::string& namespace_path) {
  if (!namespace_path.empty()) {
    if (absl::Status status = Enter(namespace_path); !status.ok()) return status;
  }
  const int socket = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (socket < 0) return Failed("cannot ask the kernel for its sockets", errno, CureOf(errno));
  // Only more room for a burst; what the system allows is enough as well.
  setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &kReceiveQueueBytes, sizeof(kReceiveQueueBytes));
  return Dump(socket);
}

absl::StatusOr<Dump::Walked> Dump::Walk(Family family, const Wanted& wanted, Tally& tally) {
  const std::vector<std::byte> request = DumpRequest(family, wanted.states, PortFilter(wanted.ports), ++sequence_);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  while (sendto(socket_, request.data(), request.size(), 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof(kernel)) < 0) {
    if (errno != EINTR) return Failed("asking the kernel for its sockets", errno, CureOf(errno));
  }
  bool interrupted = false;
  while (true) {
    iovec into{.iov_base = buffer_.data(), .iov_len = buffer_.size()};
    sockaddr_nl from{};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof(from);
    message.msg_iov = &into;
    message.msg_iovlen = 1;
    const ssize_t size = recvmsg(socket_, &message, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == ENOBUFS) return Walked::kCut;
    if (size < 0) return Failed("reading the kernel's sockets", errno);
    if (size == 0) return absl::InternalError("the kernel ended its list of sockets in the middle");
    if (from.nl_pid != 0) continue;  // not the kernel
    if ((message.msg_flags & MSG_TRUNC) != 0) {
      if (buffer_.size() >= kBufferBytesMax)
        return absl::InternalError("the kernel's messages are larger than any known kernel's");
      buffer_.resize(2 * buffer_.size());
      return Walked::kCut;
    }
    const Parsed parsed = ParseDatagram({buffer_.data(), static_cast<size_t>(size)}, sequence_,
                                        [&tally](const Connection& connection) { tally.Add(connection); });
    interrupted = interrupted || parsed.interrupted;
    switch (parsed.verdict) {
      case Parsed::Verdict::kMore:
        break;
      case Parsed::Verdict::kDone:
        return interrupted ? Walked::kInterrupted : Walked::kWhole;
      case Parsed::Verdict::kError:
        if (family == Family::kBoth) return Walked::kRefused;
        return Failed("the kernel does not list its sockets", parsed.error, CureOf(parsed.error));
      case Parsed::Verdict::kMalformed:
        return absl::InternalError("the kernel's answer is not what this program knows: a bug, or a kernel newer than it");
    }
  }
}

absl::StatusOr<DumpTold> Dump::Count(const Wanted& wanted, Tally& tally) {
  DumpTold told;
  while (true) {
    tally.Clear();
    const bool both_at_once = both_at_once_ && wanted.ipv4 && wanted.ipv6;
    Walked worst = Walked::kWhole;
    for (const auto& [family, is_wanted] :
         {std::pair(Family::kBoth, both_at_once), std::pair(Family::kIpv4, !both_at_once && wanted.ipv4),
          std::pair(Family::kIpv6, !both_at_once && wanted.ipv6)}) {
      if (!is_wanted || worst == Walked::kCut) continue;
      const absl::StatusOr<Walked> walked = Walk(family, wanted, tally);
      if (!walked.ok()) return walked.status();
      if (*walked != Walked::kWhole) worst = *walked;
    }
    if (worst == Walked::kRefused) {  // once; the newer requests say what is really wrong, if it is not this one's form
      both_at_once_ = false;
      continue;
    }
    if (worst == Walked::kWhole) return told;
    if (told.retries == kRetriesMax) {
      if (worst == Walked::kCut) return absl::InternalError("the kernel's answer was cut off each time; is memory short?");
      told.interrupted = true;
      return told;
    }
    ++told.retries;
    // What is left of a walk that was given up comes under its old sequence number and is skipped, but the kernel
    // refuses a second dump on a socket whose first is not over: take a new one.
    if (worst == Walked::kCut) {
      const int fresh = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
      if (fresh < 0) return Failed("cannot ask the kernel for its sockets", errno);
      close(std::exchange(socket_, fresh));
    }
  }
}

}  // namespace hongbao::conns
