// epoll_server: hongbao's protocol on an ordinary event loop, so that what io_uring and libhongbao/net bring can be measured.
//
// Frames and sessions are libhongbao/wire and serve::Sessions, as in hongbao-server; only the engine differs: one thread per
// worker with its own SO_REUSEPORT listener and its own epoll, edge-triggered; one receive into one buffer of the thread, one
// send of all its replies; EPOLLOUT only after a short send, and nothing is read from a peer that does not read.
//
// A socket costs a descriptor here, and a process may have only as many as its hard limit of open files says. So for more
// connections than that (at 20,000: more than 17,900) this program forks processes that share the TCP port by SO_REUSEPORT, and
// --workers is spread over them, at least one thread each: 100,000 connections take 6 processes of one thread. Processor time is
// that of all of them.
//
// No money is issued here, and workers have no way to tell each other anything: a gift's notice, an open, and the end of a
// session that a newer login replaces go nowhere, and are counted at the end.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmarks/end_to_end/harness.h"
#include "libhongbao/check.h"
#include "libhongbao/cli/options.h"
#include "libhongbao/net/run.h"
#include "libhongbao/ring/listener.h"
#include "libhongbao/serve/worker_parts.h"
#include "libhongbao/time/clock.h"

namespace hongbao::bench {
namespace {

constexpr size_t kReceiveBytes = 16'384;
// Every request is answered by less than twice its bytes (16 -> 28 at most), so the replies to one receive always fit.
constexpr size_t kReplyBytes = 2 * (kReceiveBytes + wire::kFrameBytesMax);
constexpr int kEventsMax = 512;
constexpr uint32_t kOwnDescriptors = 64;  // standard ones, listeners, epolls
constexpr uint32_t kUsersMax = 1 << 24;   // touched only where used
// With --batch-wait: from 5,000 events a second on, as hongbao's workers.
constexpr int64_t kTickNs = 100'000'000;
constexpr uint32_t kBatchEventsPerTick = 500;

struct Partial {
  uint32_t length = 0;
  std::array<std::byte, wire::kFrameBytesMax> bytes;
};

struct Connection {
  serve::Session session;
  uint32_t generation = 0;                         // makes the address of each connection on this descriptor its own
  bool ending = false;                             // closed once `unsent` has left
  std::unique_ptr<Partial> partial;                // the start of a frame
  std::unique_ptr<std::vector<std::byte>> unsent;  // what a short send left over
};

// Where one receive's replies are gathered.
class GatheredReplies {
 public:
  std::byte* Append(size_t size) {
    Check(length_ + size <= bytes_.size(), "a request is answered by less than twice its bytes");
    length_ += size;
    return bytes_.data() + length_ - size;
  }
  bool open() const { return true; }
  size_t Room() const { return bytes_.size() - length_; }
  absl::Span<const std::byte> bytes() const { return {bytes_.data(), length_}; }
  void Clear() { length_ = 0; }

 private:
  size_t length_ = 0;
  std::array<std::byte, kReplyBytes> bytes_;
};

// What serves the frames of one thread: the parts of serve::App without its engine.
struct Worker {
  Worker(serve::Shared& shared, const time::Clock& clock)
      // Overload control is off: it answers "overloaded" instead of "nothing", which costs the same; nothing here should depend
      // on it.
      : parts(0, 1, {.gifts = {.gifts_max = 1}, .delay = {.wait_max_us = 0}}, shared, clock, cells,
              [this](uint32_t, const serve::Message&) { ++dropped; }) {}

  uint64_t dropped = 0;
  count::Cells<serve::Counter> cells;
  serve::WorkerParts parts;
};

struct ThreadOptions {
  uint8_t index = 0;  // in its process
  int listener = -1;
  int stop = -1;  // eventfd: readable when it is time to leave
  uint32_t descriptors = 0;
  int64_t batch_wait_ns = 0;
};

class EpollThread {
 public:
  EpollThread(const ThreadOptions& options, serve::Shared& shared, const time::Clock& clock)
      : options_(options), clock_(clock), worker_(shared, clock), connections_(options.descriptors) {}
  ~EpollThread();

  // Until the stop descriptor is readable.
  void Run();
  uint64_t dropped() const { return worker_.dropped; }

 private:
  void Watch(int operation, int descriptor, uint32_t events);
  int Wait();
  void AcceptAll();
  void Serve(int descriptor, uint32_t events);
  bool Receive(int descriptor, Connection& connection, bool until_empty);
  bool OnBytes(int descriptor, Connection& connection, absl::Span<const std::byte> in);
  bool Send(int descriptor, Connection& connection, absl::Span<const std::byte> bytes);
  bool SendUnsent(int descriptor, Connection& connection);
  void Close(int descriptor);
  uint64_t AddressOf(int descriptor, const Connection& connection) const {
    return serve::Pack(
        {.worker = options_.index, .generation = connection.generation, .slot = static_cast<uint32_t>(descriptor)});
  }

  const ThreadOptions options_;
  const time::Clock& clock_;
  Worker worker_;
  GatheredReplies replies_;
  std::vector<Connection> connections_;                                 // by descriptor
  std::array<std::byte, kReceiveBytes + wire::kFrameBytesMax> buffer_;  // the start of a frame, and what comes to it
  std::array<epoll_event, kEventsMax> events_;
  int epoll_ = -1;
  int64_t tick_ns_ = 0;
  uint32_t events_this_tick_ = 0;
  bool batching_ = false;
};

EpollThread::~EpollThread() {
  for (size_t descriptor = 0; descriptor < connections_.size(); ++descriptor) {
    if (connections_[descriptor].generation % 2 == 1) {
      close(static_cast<int>(descriptor));
    }
  }
  if (epoll_ >= 0) {
    close(epoll_);
  }
}

void EpollThread::Watch(int operation, int descriptor, uint32_t events) {
  epoll_event event = {.events = events, .data = {.fd = descriptor}};
  Check(epoll_ctl(epoll_, operation, descriptor, &event) == 0, "epoll_ctl was refused");
}

void EpollThread::Run() {
  prctl(PR_SET_TIMERSLACK, 1);  // the default lets the kernel wake us 50 us late
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  Check(epoll_ >= 0, "no epoll to be had");
  // Edge-triggered too: without a free descriptor a readable backlog would make the loop spin.
  Watch(EPOLL_CTL_ADD, options_.listener, EPOLLIN | EPOLLET);
  Watch(EPOLL_CTL_ADD, options_.stop, EPOLLIN);
  for (;;) {
    const int count = Wait();
    worker_.parts.overload.BeginTurn(clock_.MonotonicNs(), 0, 0);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events_[static_cast<size_t>(i)];
      if (event.data.fd == options_.listener) {
        AcceptAll();
      } else if (event.data.fd == options_.stop) {
        return;
      } else {
        Serve(event.data.fd, event.events);
      }
    }
  }
}

// With --batch-wait, under load: who has run out of work sleeps a little before it looks again, as hongbao's workers do.
int EpollThread::Wait() {
  int count = 0;
  if (options_.batch_wait_ns > 0) {
    const int64_t now_ns = clock_.MonotonicNs();
    if (now_ns - tick_ns_ >= kTickNs) {
      batching_ = events_this_tick_ >= kBatchEventsPerTick;
      events_this_tick_ = 0;
      tick_ns_ = now_ns;
    }
    if (batching_) {
      count = epoll_wait(epoll_, events_.data(), kEventsMax, 0);
      if (count == 0) {
        const timespec nap = {.tv_sec = 0, .tv_nsec = options_.batch_wait_ns};
        clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, nullptr);
      }
    }
  }
  while (count <= 0) {
    count = epoll_wait(epoll_, events_.data(), kEventsMax, -1);
    Check(count > 0 || errno == EINTR, "epoll_wait was refused");
  }
  events_this_tick_ += static_cast<uint32_t>(count);
  return count;
}

void EpollThread::AcceptAll() {
  for (;;) {
    const int descriptor = accept4(options_.listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
      if (errno == EINTR || errno == ECONNABORTED) {
        continue;
      }
      return;  // all taken, or no descriptor left: the next to come brings us here again
    }
    if (static_cast<size_t>(descriptor) >= connections_.size()) {
      close(descriptor);
      continue;
    }
    Connection& connection = connections_[static_cast<size_t>(descriptor)];
    ++connection.generation;  // odd: open
    Watch(EPOLL_CTL_ADD, descriptor, EPOLLIN | EPOLLRDHUP | EPOLLET);
  }
}

void EpollThread::Serve(int descriptor, uint32_t events) {
  Connection& connection = connections_[static_cast<size_t>(descriptor)];
  if (connection.generation % 2 == 0) {
    return;  // closed earlier in this turn
  }
  bool open = true;
  // An end of stream may have come together with bytes, and would not be told again.
  bool until_empty = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  if (connection.unsent != nullptr) {
    open = SendUnsent(descriptor, connection);
    if (open && connection.unsent != nullptr) {
      return;
    }
    until_empty = true;  // nothing was read meanwhile
  }
  if (open) {
    open = Receive(descriptor, connection, until_empty);
  }
  if (!open) {
    Close(descriptor);
  }
}

// Reads until there is no more, or until the peer has to read first. False: the connection is over.
bool EpollThread::Receive(int descriptor, Connection& connection, bool until_empty) {
  while (connection.unsent == nullptr && !connection.ending) {
    size_t had = 0;
    if (connection.partial != nullptr) {
      had = connection.partial->length;
      std::memcpy(buffer_.data(), connection.partial->bytes.data(), had);
      connection.partial.reset();
    }
    const ssize_t got = recv(descriptor, buffer_.data() + had, kReceiveBytes, 0);
    const bool some = got > 0;
    if (!some && had > 0) {
      connection.partial = std::make_unique<Partial>();
      connection.partial->length = static_cast<uint32_t>(had);
      std::memcpy(connection.partial->bytes.data(), buffer_.data(), had);
    }
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (!some) {
      return got < 0 && errno == EAGAIN;
    }
    const size_t bytes = static_cast<size_t>(got);
    if (!OnBytes(descriptor, connection, {buffer_.data(), had + bytes})) {
      return false;
    }
    if (bytes < kReceiveBytes && !until_empty) {
      return true;  // the socket was emptied (epoll(7)): no further call to hear EAGAIN
    }
  }
  return !connection.ending || connection.unsent != nullptr;
}

bool EpollThread::OnBytes(int descriptor, Connection& connection, absl::Span<const std::byte> in) {
  replies_.Clear();
  const serve::Served served =
      worker_.parts.sessions.OnBytes(connection.session, AddressOf(descriptor, connection), in, replies_);
  if (!replies_.bytes().empty() && !Send(descriptor, connection, replies_.bytes())) {
    return false;
  }
  if (served.close != net::CloseReason::kNone) {
    connection.ending = true;
    return connection.unsent != nullptr;  // what the frames before are owed leaves first
  }
  in.remove_prefix(served.consumed);
  if (!in.empty()) {
    connection.partial = std::make_unique<Partial>();
    connection.partial->length = static_cast<uint32_t>(in.size());
    std::memcpy(connection.partial->bytes.data(), in.data(), in.size());
  }
  return true;
}

bool EpollThread::Send(int descriptor, Connection& connection, absl::Span<const std::byte> bytes) {
  ssize_t sent = send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) {
    return false;
  }
  sent = std::max<ssize_t>(sent, 0);
  if (static_cast<size_t>(sent) < bytes.size()) {
    connection.unsent = std::make_unique<std::vector<std::byte>>(bytes.begin() + sent, bytes.end());
    Watch(EPOLL_CTL_MOD, descriptor, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  }
  return true;
}

// False: the connection is over.
bool EpollThread::SendUnsent(int descriptor, Connection& connection) {
  std::vector<std::byte>& unsent = *connection.unsent;
  const ssize_t sent = send(descriptor, unsent.data(), unsent.size(), MSG_NOSIGNAL);
  if (sent < 0) {
    return errno == EAGAIN;
  }
  unsent.erase(unsent.begin(), unsent.begin() + sent);
  if (unsent.empty()) {
    connection.unsent.reset();
    Watch(EPOLL_CTL_MOD, descriptor, EPOLLIN | EPOLLRDHUP | EPOLLET);
    return !connection.ending;
  }
  return true;
}

void EpollThread::Close(int descriptor) {
  Connection& connection = connections_[static_cast<size_t>(descriptor)];
  worker_.parts.sessions.OnClose(connection.session, AddressOf(descriptor, connection));
  const uint32_t generation = connection.generation + 1;  // even: closed
  connection = Connection();
  connection.generation = generation & serve::Address::kGenerationMax;
  close(descriptor);
}

// ---- processes ----

struct Plan {
  uint32_t processes = 1;
  uint32_t threads = 1;  // of each
  uint32_t descriptors = 0;
  int64_t batch_wait_ns = 0;
};

// One process from its listeners to the stop signal; its exit code.
int RunProcess(const Plan& plan, const std::vector<int>& listeners) {
  absl::StatusOr<serve::Directory> directory = serve::Directory::Create(kUsersMax);
  if (!directory.ok()) {
    return Fail(std::string(directory.status().message()));
  }
  const time::RealClock clock;
  serve::Shared shared(*std::move(directory), /*pool_envelopes=*/2, /*max_qps=*/0, clock);
  const int stop = eventfd(0, EFD_CLOEXEC);
  std::vector<std::unique_ptr<EpollThread>> parts;
  for (uint32_t i = 0; i < plan.threads; ++i) {
    fcntl(listeners[i], F_SETFL, O_NONBLOCK);
    parts.push_back(std::make_unique<EpollThread>(ThreadOptions{.index = static_cast<uint8_t>(i),
                                                                .listener = listeners[i],
                                                                .stop = stop,
                                                                .descriptors = plan.descriptors,
                                                                .batch_wait_ns = plan.batch_wait_ns},
                                                  shared, clock));
  }
  std::vector<std::thread> threads;
  for (const std::unique_ptr<EpollThread>& part : parts) {
    threads.emplace_back([&part] { part->Run(); });
  }
  net::WaitForStopSignal();
  eventfd_write(stop, 1);
  uint64_t dropped = 0;
  for (size_t i = 0; i < threads.size(); ++i) {
    threads[i].join();
    dropped += parts[i]->dropped();
  }
  if (dropped > 0) {
    std::printf("messages between workers that went nowhere: %llu\n", static_cast<unsigned long long>(dropped));
  }
  parts.clear();
  close(stop);
  return 0;
}

// True when all ended well.
bool EndAll(const std::vector<pid_t>& children) {
  for (const pid_t child : children) {
    kill(child, SIGTERM);
  }
  bool well = true;
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    well = well && status == 0;
  }
  return well;
}

// Forks the processes, each with its share of the listeners, and waits for a signal or for the untimely end of one of them; then
// ends all.
int RunProcesses(const Plan& plan, ring::Listeners& listeners, uint16_t port, const std::string& words) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGCHLD}) {
    sigaddset(&signals, signal);
  }
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before the first child that may end
  std::vector<pid_t> children;
  for (uint32_t i = 0; i < plan.processes; ++i) {
    const pid_t child = fork();
    if (child < 0) {
      const int error = errno;
      EndAll(children);
      return Fail(absl::StrCat("no further process: ", strerror(error)));
    }
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // whoever kills the parent means all
      std::vector<int> mine;
      for (uint32_t k = 0; k < plan.processes * plan.threads; ++k) {
        if (k / plan.threads == i) {
          mine.push_back(listeners.descriptor(k));
        } else {
          listeners.Close(k);
        }
      }
      const int code = RunProcess(plan, mine);
      std::fflush(stdout);
      std::_Exit(code);
    }
    children.push_back(child);
  }
  for (uint32_t k = 0; k < plan.processes * plan.threads; ++k) {
    listeners.Close(k);  // the children's now: a connection must not wait in a backlog that nobody accepts from
  }
  SayListening(port, words);
  int signal = 0;
  sigwait(&signals, &signal);
  if (signal == SIGCHLD) {
    EndAll(children);
    return Fail("a process ended by itself");
  }
  return EndAll(children) ? 0 : 1;
}

int Main(int argc, char** argv) {
  CLI::App app{"epoll_server: hongbao's protocol on an edge-triggered epoll loop."};
  Options options;
  int64_t batch_wait_ns = 0;
  AddOptions(app, options);
  cli::AddDurationNs(app, "--batch-wait", &batch_wait_ns,
                     "under load, sleep this long before looking again, as hongbao does (50us); 0 = never", {.max = 100'000'000});
  if (const absl::optional<int> code = cli::ParseCommandLine(app, "epoll_server", argc, argv)) {
    return *code;
  }
  const uint32_t descriptors = RaiseOpenFiles();
  if (descriptors <= 2 * kOwnDescriptors) {
    return Fail(absl::StrCat("a hard limit of ", descriptors, " open files is too low; raise it with: ulimit -Hn"));
  }
  Plan plan = {.processes = TablesFor(options.connections_max, descriptors - kOwnDescriptors),
               .descriptors = descriptors,
               .batch_wait_ns = batch_wait_ns};
  plan.threads = (options.workers + plan.processes - 1) / plan.processes;
  // Sockets of one TCP port, made before any fork: nobody else may have it, and the kernel spreads over all of them.
  absl::StatusOr<ring::Listeners> listeners = ring::Listeners::Open(
      SocketAddress::Ipv4(kLoopbackIpv4, static_cast<uint16_t>(options.port)), plan.processes * plan.threads, /*backlog=*/4'096);
  if (!listeners.ok()) {
    return Fail(std::string(listeners.status().message()));
  }
  const uint16_t port = listeners->port();
  const std::string words = absl::StrCat(plan.processes, " processes of ", plan.threads, " threads");
  net::BlockStopSignals();  // inherited by threads and children
  int code = 0;
  if (plan.processes == 1) {
    std::vector<int> all;
    for (uint32_t k = 0; k < plan.threads; ++k) {
      all.push_back(listeners->descriptor(k));
    }
    SayListening(port, words);
    code = RunProcess(plan, all);
  } else {
    code = RunProcesses(plan, *listeners, port, words);
  }
  SayCpu();
  return code;
}

}  // namespace
}  // namespace hongbao::bench

int main(int argc, char** argv) { return hongbao::bench::Main(argc, argv); }
