#include "libhongbao/http/door.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "libhongbao/check.h"
#include "libhongbao/http/event_streams.h"

namespace hongbao::http {
namespace {

constexpr uint64_t kListener = 0;  // ids of what epoll watches; connections count up from kFirst
constexpr uint64_t kWake = 1;
constexpr uint64_t kFirst = 2;
constexpr int64_t kLingerMs = 2'000;       // for the peer to take the last bytes and to close
constexpr int64_t kNoDescriptorsMs = 100;  // until the next try to take a connection
constexpr size_t kReadBytes = 16 << 10;
constexpr int kAcceptsATurn = 64;  // then those that are connected get their turn
constexpr char kContinue[] = "HTTP/1.1 100 Continue\r\n\r\n";

int64_t NowMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000 + now.tv_nsec / 1'000'000;
}

struct Request {
  HttpHead head;
  std::string body;
};

struct Made {
  uint64_t id;
  HttpDoor::Answer answer;
};

// One thread that makes answers, one after another, and hands them back.
class LaneThread {
 public:
  void Start(const HttpDoor::Answerer& answerer, std::function<void(Made)> done) {
    thread_ = std::thread([this, answerer, done = std::move(done)] { Loop(answerer, done); });
  }

  // False: there are `waiting_max` already.
  bool Add(uint64_t id, Request request, size_t waiting_max) {
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.size() >= waiting_max) {
        return false;
      }
      waiting_.emplace_back(id, std::move(request));
    }
    changed_.notify_one();
    return true;
  }

  void Stop() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) {
      thread_.join();
    }
  }

 private:
  void Loop(const HttpDoor::Answerer& answerer, const std::function<void(Made)>& done) {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopped_ || !waiting_.empty(); });
      if (stopped_) {
        return;
      }
      const std::pair<uint64_t, Request> next = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      done({next.first, answerer(next.second.head, next.second.body)});
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<uint64_t, Request>> waiting_;
  bool stopped_ = false;
  std::thread thread_;
};

// In the order in which they make room for a new connection.
enum class State : uint8_t { kLingering, kReading, kWriting, kWaiting, kCount };

struct Connection {
  int socket = -1;
  State state = State::kReading;
  int64_t deadline_ms = 0;
  std::string in;
  size_t head_bytes = 0;  // 0: the head has not ended yet
  HttpHead head;
  ChunkReader chunks;
  std::string body;  // of chunks
  std::string out;
  size_t sent = 0;
};

}  // namespace

struct HttpDoor::Impl {
  void Loop();
  int64_t UntilNextMs(int64_t now_ms) const;
  void Accept(int64_t now_ms);
  bool MakeRoom();
  void DropLate(int64_t now_ms);
  void TakeMade();
  void Handle(uint64_t id, uint32_t events);
  void Read(uint64_t id, Connection& connection);
  void LookAt(uint64_t id, Connection& connection, size_t bytes_before);
  void LookAtBody(uint64_t id, Connection& connection);
  void Dispatch(uint64_t id, Connection& connection, std::string body);
  void Refuse(uint64_t id, Connection& connection, const HttpRefusal& refusal);
  void Give(uint64_t id, Answer answer);
  void Write(uint64_t id, Connection& connection);
  void Linger(uint64_t id, Connection& connection);
  void Forget(uint64_t id);
  void Watch(uint64_t id, int socket, uint32_t events, int operation) const;
  static void Count(std::atomic<uint64_t>& counter) {
    counter.fetch_add(1, std::memory_order_relaxed);  // a counter that orders nothing
  }

  HttpLimits limits;
  LaneOf lane_of;
  Answerer answerer;
  int listener = -1, epoll = -1, wake = -1;
  std::thread thread;
  LaneThread looks, commands;
  std::map<uint64_t, Connection> connections;  // by age
  uint64_t next_id = kFirst;
  int64_t listening_again_ms = 0;  // 0: it listens
  size_t out_bytes = 0;            // of all answers under way

  std::mutex made_mutex;
  std::vector<Made> made;
  std::atomic<bool> stopping{false};
  std::atomic<uint64_t> taken{0}, requests{0}, refused{0}, for_room{0}, late{0};
};

void HttpDoor::Impl::Watch(uint64_t id, int socket, uint32_t events, int operation) const {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  epoll_ctl(epoll, operation, socket, &event);
}

void HttpDoor::Impl::Loop() {
  std::array<epoll_event, 64> events;
  while (!stopping.load(std::memory_order_relaxed)) {  // a flag that guards no data; the eventfd says when to look
    const int count = epoll_wait(epoll, events.data(), events.size(), static_cast<int>(UntilNextMs(NowMs())));
    const int64_t now_ms = NowMs();
    bool is_asked = false;
    for (int i = 0; i < count; ++i) {
      const uint64_t id = events[static_cast<size_t>(i)].data.u64;
      if (id == kListener) {
        is_asked = true;  // last, so that what has come on old connections is read before one of them makes room
      } else if (id == kWake) {
        uint64_t number = 0;
        [[maybe_unused]] const ssize_t got = read(wake, &number, sizeof number);
        TakeMade();
      } else {
        Handle(id, events[static_cast<size_t>(i)].events);
      }
    }
    DropLate(now_ms);
    if (is_asked) {
      Accept(now_ms);
    }
    if (listening_again_ms != 0 && now_ms >= listening_again_ms) {
      listening_again_ms = 0;
      Watch(kListener, listener, EPOLLIN, EPOLL_CTL_MOD);
    }
  }
}

int64_t HttpDoor::Impl::UntilNextMs(int64_t now_ms) const {
  int64_t next_ms = now_ms + 60'000;
  for (const auto& [id, connection] : connections) {
    next_ms = connection.state == State::kWaiting ? next_ms : std::min(next_ms, connection.deadline_ms);
  }
  next_ms = listening_again_ms == 0 ? next_ms : std::min(next_ms, listening_again_ms);
  return std::max<int64_t>(next_ms - now_ms, 0);
}

void HttpDoor::Impl::Accept(int64_t now_ms) {
  for (int i = 0; i < kAcceptsATurn; ++i) {
    const int socket = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) {
      // Out of descriptors or memory: an old connection gives its own; without one, the queue waits a moment.
      if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED && !MakeRoom()) {
        listening_again_ms = now_ms + kNoDescriptorsMs;
        Watch(kListener, listener, 0, EPOLL_CTL_MOD);
      }
      return;
    }
    Count(taken);
    if (connections.size() >= limits.connections_max && !MakeRoom()) {
      close(socket);
      continue;
    }
    const uint64_t id = next_id++;
    Connection& connection = connections[id];
    connection.socket = socket;
    connection.deadline_ms = now_ms + limits.request_deadline_ms;
    Watch(id, socket, EPOLLIN, EPOLL_CTL_ADD);
    Read(id, connection);  // mostly there already: then nobody can push it out
  }
}

// Drops the oldest of those that are worth the least; false: there is none.
bool HttpDoor::Impl::MakeRoom() {
  for (State state : {State::kLingering, State::kReading, State::kWriting, State::kWaiting}) {
    const auto oldest =
        std::find_if(connections.begin(), connections.end(), [state](const auto& one) { return one.second.state == state; });
    if (oldest != connections.end()) {
      if (state != State::kLingering) {
        Count(for_room);
      }
      Forget(oldest->first);
      return true;
    }
  }
  return false;
}

void HttpDoor::Impl::DropLate(int64_t now_ms) {
  for (auto next = connections.begin(); next != connections.end();) {
    const auto [id, state] = std::pair(next->first, next->second.state);
    const bool is_late = state != State::kWaiting && next->second.deadline_ms <= now_ms;
    ++next;
    if (is_late) {
      if (state != State::kLingering) {
        Count(late);
      }
      Forget(id);
    }
  }
}

void HttpDoor::Impl::TakeMade() {
  std::vector<Made> taken_now;
  {
    const std::lock_guard lock(made_mutex);
    taken_now.swap(made);
  }
  for (Made& one : taken_now) {
    Give(one.id, std::move(one.answer));
  }
}

void HttpDoor::Impl::Handle(uint64_t id, uint32_t events) {
  const auto found = connections.find(id);
  if (found == connections.end()) {
    return;  // made room earlier in this turn
  }
  Connection& connection = found->second;
  switch (connection.state) {
    case State::kReading:
      return Read(id, connection);
    case State::kWriting:
      return Write(id, connection);
    case State::kLingering: {
      char chunk[kReadBytes];
      const ssize_t got = recv(connection.socket, chunk, sizeof chunk, 0);
      return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)) ? void() : Forget(id);
    }
    case State::kWaiting:
    case State::kCount:
      if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
        Forget(id);  // it is gone; its answer will find nobody
      }
  }
}

void HttpDoor::Impl::Read(uint64_t id, Connection& connection) {
  char chunk[kReadBytes];
  const ssize_t got = recv(connection.socket, chunk, sizeof chunk, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  if (got <= 0) {
    return Forget(id);  // half a request and no more to come
  }
  const size_t before = connection.in.size();
  connection.in.append(chunk, static_cast<size_t>(got));
  LookAt(id, connection, before);
}

void HttpDoor::Impl::LookAt(uint64_t id, Connection& connection, size_t bytes_before) {
  if (connection.head_bytes == 0) {
    // Its end, "\n\r\n", may have begun two bytes before what is new.
    connection.head_bytes = HeadLength(connection.in, bytes_before - std::min<size_t>(bytes_before, 2));
    if (connection.head_bytes > limits.head_bytes_max ||
        (connection.head_bytes == 0 && connection.in.size() >= limits.head_bytes_max)) {
      return Refuse(id, connection, {431, "the request's head is too large"});
    }
    if (connection.head_bytes == 0) {
      return;
    }
    const HttpRefusal refusal =
        ParseHead(absl::string_view(connection.in).substr(0, connection.head_bytes), limits.body_bytes_max, &connection.head);
    if (refusal.status != 0) {
      return Refuse(id, connection, refusal);
    }
    if (connection.head.expects_continue) {
      // 25 bytes into an empty buffer; where they do not fit, the peer sends its body after a moment all the same.
      [[maybe_unused]] const ssize_t sent = send(connection.socket, kContinue, sizeof kContinue - 1, MSG_NOSIGNAL);
    }
  }
  LookAtBody(id, connection);
}

void HttpDoor::Impl::LookAtBody(uint64_t id, Connection& connection) {
  const absl::string_view rest = absl::string_view(connection.in).substr(connection.head_bytes);
  if (!connection.head.is_chunked) {
    if (rest.size() >= connection.head.body_bytes) {
      Dispatch(id, connection, std::string(rest.substr(0, connection.head.body_bytes)));
    }
    return;
  }
  switch (connection.chunks.Take(rest, limits.body_bytes_max, &connection.body)) {
    case ChunkReader::State::kMore:
      if (rest.size() > 4 * limits.body_bytes_max) {  // chunks of a byte or two
        Refuse(id, connection, {413, "the request's body is too large"});
      }
      return;
    case ChunkReader::State::kWhole:
      return Dispatch(id, connection, std::move(connection.body));
    case ChunkReader::State::kWrong:
      return Refuse(id, connection, {400, "the chunks of the body are malformed"});
    case ChunkReader::State::kTooLarge:
      return Refuse(id, connection, {413, "the request's body is too large"});
  }
}

void HttpDoor::Impl::Dispatch(uint64_t id, Connection& connection, std::string body) {
  Count(requests);
  connection.state = State::kWaiting;
  Watch(id, connection.socket, 0, EPOLL_CTL_MOD);
  connection.in = {};
  const Lane lane = lane_of(connection.head);
  if (lane == Lane::kAtOnce) {
    return Give(id, answerer(connection.head, body));
  }
  LaneThread& thread_of = lane == Lane::kLook ? looks : commands;
  if (!thread_of.Add(id, {std::move(connection.head), std::move(body)}, limits.waiting_max)) {
    Refuse(id, connection, {503, "too many requests wait already: come again"});
  }
}

void HttpDoor::Impl::Refuse(uint64_t id, Connection& connection, const HttpRefusal& refusal) {
  Count(refused);
  connection.in = {};
  connection.state = State::kWaiting;
  Give(id, {.bytes = RefusalAnswer(refusal)});
}

void HttpDoor::Impl::Give(uint64_t id, Answer answer) {
  const auto found = connections.find(id);
  if (found == connections.end()) {
    return;  // it has gone, or made room
  }
  Connection& connection = found->second;
  if (answer.streams != nullptr) {
    if (answer.streams->Take(connection.socket)) {
      epoll_ctl(epoll, EPOLL_CTL_DEL, connection.socket, nullptr);
      connections.erase(found);
      return;
    }
    return Refuse(id, connection, {503, "too many event streams are open: close another page"});
  }
  if (answer.bytes.empty()) {
    return Forget(id);
  }
  connection.out = std::move(answer.bytes);
  out_bytes += connection.out.size();
  connection.state = State::kWriting;
  connection.deadline_ms = NowMs() + limits.answer_deadline_ms;
  for (auto oldest = connections.begin(); out_bytes > limits.answers_bytes_max && oldest != connections.end();) {
    const auto [other, state] = std::pair(oldest->first, oldest->second.state);
    ++oldest;
    if (state == State::kWriting && other != id) {
      Count(for_room);
      Forget(other);
    }
  }
  Write(id, connection);
}

void HttpDoor::Impl::Write(uint64_t id, Connection& connection) {
  while (connection.sent < connection.out.size()) {
    const ssize_t done =
        send(connection.socket, connection.out.data() + connection.sent, connection.out.size() - connection.sent, MSG_NOSIGNAL);
    if (done < 0 && errno == EINTR) {
      continue;
    }
    if (done < 0 && errno == EAGAIN) {
      return Watch(id, connection.socket, EPOLLOUT, EPOLL_CTL_MOD);
    }
    if (done < 0) {
      return Forget(id);
    }
    connection.sent += static_cast<size_t>(done);
  }
  Linger(id, connection);
}

// Closing at once would reset the connection when the peer has sent more than was read, before it has read its answer.
void HttpDoor::Impl::Linger(uint64_t id, Connection& connection) {
  out_bytes -= connection.out.size();
  connection.out = {};
  shutdown(connection.socket, SHUT_WR);
  connection.state = State::kLingering;
  connection.deadline_ms = NowMs() + std::min(kLingerMs, limits.request_deadline_ms);
  Watch(id, connection.socket, EPOLLIN, EPOLL_CTL_MOD);
}

void HttpDoor::Impl::Forget(uint64_t id) {
  const auto found = connections.find(id);
  out_bytes -= found->second.out.size();
  close(found->second.socket);  // which also ends epoll's watch
  connections.erase(found);
}

HttpDoor::HttpDoor() : impl_(std::make_unique<Impl>()) {}

HttpDoor::~HttpDoor() { Stop(); }

absl::Status HttpDoor::Start(int listener, const HttpLimits& limits, LaneOf lane_of, Answerer answerer) {
  Impl& impl = *impl_;
  Check(!impl.thread.joinable(), "a door opens once");
  impl.limits = limits;
  impl.lane_of = std::move(lane_of);
  impl.answerer = std::move(answerer);
  impl.listener = listener;
  impl.epoll = epoll_create1(EPOLL_CLOEXEC);
  impl.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (impl.epoll < 0 || impl.wake < 0) {
    const absl::Status failed = absl::ErrnoToStatus(errno, "cannot watch connections: raise the limit of open files (ulimit -n)");
    for (const int file : {impl.epoll, impl.wake, listener}) {
      if (file >= 0) {
        close(file);
      }
    }
    return failed;
  }
  impl.Watch(kListener, listener, EPOLLIN, EPOLL_CTL_ADD);
  impl.Watch(kWake, impl.wake, EPOLLIN, EPOLL_CTL_ADD);
  const auto done = [&impl](Made made) {
    {
      const std::lock_guard lock(impl.made_mutex);
      impl.made.push_back(std::move(made));
    }
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(impl.wake, &one, sizeof one);
  };
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // its threads inherit it: signals belong to main
  impl.looks.Start(impl.answerer, done);
  impl.commands.Start(impl.answerer, done);
  impl.thread = std::thread([&impl] { impl.Loop(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return absl::OkStatus();
}

void HttpDoor::Stop() {
  Impl& impl = *impl_;
  if (!impl.thread.joinable()) {
    return;
  }
  impl.stopping.store(true, std::memory_order_relaxed);  // a flag that guards no data
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(impl.wake, &one, sizeof one);
  impl.thread.join();
  impl.looks.Stop();
  impl.commands.Stop();
  for (const auto& [id, connection] : impl.connections) {
    close(connection.socket);
  }
  impl.connections.clear();
  close(impl.listener);
  close(impl.wake);
  close(impl.epoll);
}

HttpCounts HttpDoor::counts() const {
  const auto read = [](const std::atomic<uint64_t>& counter) {
    return counter.load(std::memory_order_relaxed);  // a counter that orders nothing
  };
  return {.connections = read(impl_->taken),
          .requests = read(impl_->requests),
          .refused = read(impl_->refused),
          .dropped_for_room = read(impl_->for_room),
          .dropped_late = read(impl_->late)};
}

}  // namespace hongbao::http
