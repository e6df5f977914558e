// floor_server: what the machine can do at all: a bare io_uring echo that hongbao-client takes for a server.
//
// The same bytes on the wire as hongbao-server's to users who win nothing: 36 bytes to each login of 44, 28 bytes to every frame
// of 16, with the stamp and the user of the request. The ring is set up as hongbao's (libhongbao/ring/kernel_ring.cc), is entered
// and waited in as hongbao's (libhongbao/net/worker.h), and has the same sizes (libhongbao/net/service_plan.cc); but there are no
// sessions, no directory, no deadlines, no counters, no messages between threads and no drain. So the difference in processor
// time per request is what libhongbao's layers and the service itself cost. Needs Linux 6.13 (direct descriptors).
//
// A connection that sends anything else, or reads so little that 4 KiB of replies wait, is closed.

#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "benchmarks/end_to_end/harness.h"
#include "libhongbao/check.h"
#include "libhongbao/cli/options.h"
#include "libhongbao/net/block_pool.h"
#include "libhongbao/net/lazy_array.h"
#include "libhongbao/net/run.h"
#include "libhongbao/ring/kernel_features.h"
#include "libhongbao/ring/listener.h"
#include "libhongbao/wire/bytes.h"
#include "libhongbao/wire/messages.h"

namespace hongbao::bench {
namespace {

constexpr int kBufferGroup = 1;
constexpr uint32_t kBufferBytes = 256;
constexpr uint32_t kReapLimit = 512;
constexpr uint32_t kNoSlot = ~0u;
constexpr uint32_t kNone = 0;  // no block: their numbers start at 1, so that a zeroed record is a fresh one
constexpr uint32_t kLarge = 1u << 31;
constexpr uint32_t kSmallBytes = 256;
constexpr uint32_t kLargeBytes = 4'096;
constexpr uint32_t kPartialBytes = 64;  // a login has 44
constexpr size_t kLoginBytes = wire::LoginRequestBytes(wire::Version::k2);
constexpr size_t kLoginReplyBytes = wire::LoginResponseBytes(wire::Version::k2);
// As Worker's: over 256 connections, from 5,000 completions a second on, or 10,000 with one ring, waits are batched.
constexpr int64_t kTickNs = 100'000'000;
constexpr int64_t kBatchWaitNs = 100'000;
constexpr uint32_t kBatchCompletionsPerTick = 500;
constexpr uint32_t kBatchCompletionsPerTickOfOne = 1'000;
constexpr uint32_t kBatchConnections = 256;
constexpr uint32_t kBatchMax = 64;
constexpr uint32_t kManySubmissions = 8;  // from here on sends are worth an enter of their own

enum class Op : uint64_t { kAccept, kReceive, kSend, kTick, kOther };
uint64_t Tag(Op op, uint32_t slot) { return static_cast<uint64_t>(op) << 32 | slot; }

// All zero bytes: nobody.
struct Connection {
  uint32_t sending;  // block that the kernel reads
  uint32_t pending;  // block of replies that leave next
  uint32_t partial;  // block with the start of a frame
  bool receiving;
  bool ending;   // receives no more; closed once nothing is in flight
  bool dirty;    // listed in dirty_
  bool starved;  // listed in starved_
};

struct Block {
  uint32_t length;
  uint32_t sent;  // of them, already taken by the kernel
  std::byte* bytes() { return reinterpret_cast<std::byte*>(this + 1); }
};

int64_t NowNs() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

struct Plan {
  uint32_t rings_per_worker = 1;
  uint32_t slots = 0;
};

// One ring with its table of connections.
class Ring {
 public:
  explicit Ring(uint32_t slots)
      : slots_(slots),
        connections_(slots),
        small_(kSmallBytes, 2 * slots + 1),
        large_(kLargeBytes, 2 * slots),
        partials_(kPartialBytes, slots + 1) {
    small_.Take();  // number 0 stands for none
    partials_.Take();
  }
  ~Ring();

  // `wake`: eventfd to write when completions come, or -1 when this ring is waited in. Returns 0 or -errno.
  int Init(int wake, int listener);

  bool HasWork() const { return io_uring_cq_ready(&ring_) > 0 || NeedsEnter(); }
  // Hands over what is queued and runs what the kernel has deferred to us, if that is worth while.
  void EnterIfNeeded() {
    if (NeedsEnter()) {
      io_uring_submit_and_get_events(&ring_);
    }
  }
  // Handles what has completed and queues the replies. Returns how many completions there were.
  uint32_t Turn();
  // Hands over what is queued and waits for one completion, the tick's at the latest, or for a batch.
  void Wait(bool batch);
  void Notify(bool on) { io_uring_cq_eventfd_toggle(&ring_, on); }
  void Tick() {
    if (accept_paused_) {
      ArmAccept();
    }
  }
  uint32_t live() const { return live_; }
  uint32_t queued() const { return io_uring_sq_ready(&ring_); }

 private:
  bool NeedsEnter() const {
    // Relaxed: a flag seen late is seen in the next turn, and sleeping is guarded by the eventfd.
    const unsigned flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);
    return io_uring_sq_ready(&ring_) > 0 || (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
  }
  io_uring_sqe* NextSqe();
  void ArmAccept();
  void ArmReceive(uint32_t slot);
  void Handle(const io_uring_cqe& cqe);
  void OnAccept(const io_uring_cqe& cqe);
  void OnReceive(uint32_t slot, const io_uring_cqe& cqe);
  void OnSend(uint32_t slot, int result);
  void SettleSilentSends();
  void FinishSend(uint32_t slot);
  void Send(uint32_t slot, bool silent);
  void OnBytes(uint32_t slot, absl::Span<const std::byte> in);
  bool Answer(uint32_t slot, absl::Span<const std::byte>& in);
  bool Reply(uint32_t slot, const std::byte* frame, size_t length);
  std::byte* Append(uint32_t slot, uint32_t size);
  void Flush();
  void End(uint32_t slot);
  void CloseIfQuiet(uint32_t slot);
  void Give(uint32_t& block);
  Block& At(uint32_t block) {
    return *reinterpret_cast<Block*>((block & kLarge) != 0 ? large_.Data(block & ~kLarge) : small_.Data(block));
  }
  Block& PartialAt(uint32_t block) { return *reinterpret_cast<Block*>(partials_.Data(block)); }

  io_uring ring_ = {};
  bool initialised_ = false;
  io_uring_buf_ring* buffer_ring_ = nullptr;
  std::unique_ptr<std::byte[]> buffers_;
  uint32_t buffer_count_ = 0;
  int recycled_ = 0;
  int listener_ = -1;
  bool accept_paused_ = false;
  uint32_t live_ = 0;
  uint32_t slots_;
  net::LazyArray<Connection> connections_;
  net::BlockPool small_;  // one reply, or a few
  net::BlockPool large_;
  net::BlockPool partials_;
  __kernel_timespec tick_ = {.tv_sec = 0, .tv_nsec = kTickNs};
  std::vector<uint32_t> silent_;   // connections whose send is queued, or was handed over and said nothing yet
  std::vector<uint32_t> dirty_;    // connections with replies to send
  std::vector<uint32_t> starved_;  // whose receive ended for want of a buffer
};

int Ring::Init(int wake, int listener) {
  const bool alone = wake < 0;
  io_uring_params params = {};
  params.flags = IORING_SETUP_SINGLE_ISSUER    // one thread owns the ring: needed for DEFER_TASKRUN
                 | IORING_SETUP_DEFER_TASKRUN  // completions run when we enter, never in the middle of our code
                 | IORING_SETUP_COOP_TASKRUN   // no interrupt to hurry us
                 | IORING_SETUP_SUBMIT_ALL     // one bad SQE must not hold back those behind it
                 | IORING_SETUP_CQSIZE         // an overflowing CQ ends multishots: give it room of its own
                 | IORING_SETUP_CLAMP;         // more than the kernel's limit becomes the limit
  if (!alone) {
    params.flags |= IORING_SETUP_TASKRUN_FLAG;  // says in shared memory that entering is worth while; who is alone enters anyway
  }
  params.cq_entries = alone ? 16'384 : 4'096;
  buffer_count_ = alone ? 4'096 : 256;
  if (const int result = io_uring_queue_init_params(alone ? 4'096 : 512, &ring_, &params); result < 0) {
    return result;
  }
  initialised_ = true;
  io_uring_register_ring_fd(&ring_);  // saves a descriptor look-up per enter; a task may register 16, further rings do without
  if (wake >= 0) {
    if (const int result = io_uring_register_eventfd(&ring_, wake); result < 0) {
      return result;
    }
    Notify(false);
  }
  if (const int result = io_uring_register_files_sparse(&ring_, slots_); result < 0) {
    return result;
  }
  int result = 0;
  buffer_ring_ = io_uring_setup_buf_ring(&ring_, buffer_count_, kBufferGroup, 0, &result);
  if (buffer_ring_ == nullptr) {
    return result;
  }
  buffers_ = std::make_unique<std::byte[]>(size_t{buffer_count_} * kBufferBytes);
  for (uint32_t id = 0; id < buffer_count_; ++id) {
    io_uring_buf_ring_add(buffer_ring_, buffers_.get() + size_t{id} * kBufferBytes, kBufferBytes, static_cast<uint16_t>(id),
                          io_uring_buf_ring_mask(buffer_count_), static_cast<int>(id));
  }
  io_uring_buf_ring_advance(buffer_ring_, static_cast<int>(buffer_count_));
  dirty_.reserve(slots_);
  starved_.reserve(slots_);
  silent_.reserve(slots_);
  listener_ = listener;
  ArmAccept();
  if (alone) {  // the tick wakes it: a wait with a timeout would set, start and cancel a timer each time
    io_uring_sqe* sqe = NextSqe();
    io_uring_prep_timeout(sqe, &tick_, 0, IORING_TIMEOUT_MULTISHOT);
    sqe->user_data = Tag(Op::kTick, 0);
  }
  return 0;
}

Ring::~Ring() {
  if (buffer_ring_ != nullptr) {
    io_uring_free_buf_ring(&ring_, buffer_ring_, buffer_count_, kBufferGroup);
  }
  if (initialised_) {
    io_uring_queue_exit(&ring_);  // and with it every connection of its table
  }
}

io_uring_sqe* Ring::NextSqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  for (int tries = 0; sqe == nullptr; ++tries) {
    Check(tries < 1'000, "the kernel takes no more submissions");
    io_uring_submit_and_get_events(&ring_);
    sqe = io_uring_get_sqe(&ring_);
  }
  return sqe;
}

void Ring::ArmAccept() {
  accept_paused_ = false;
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_multishot_accept_direct(sqe, listener_, nullptr, nullptr, 0);
  sqe->user_data = Tag(Op::kAccept, 0);
}

void Ring::ArmReceive(uint32_t slot) {
  connections_[slot].receiving = true;
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_recv_multishot(sqe, static_cast<int>(slot), nullptr, 0, 0);
  sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;             // there is nothing yet
  sqe->flags |= IOSQE_BUFFER_SELECT | IOSQE_FIXED_FILE;  // a provided buffer, a direct descriptor
  sqe->buf_group = kBufferGroup;
  sqe->user_data = Tag(Op::kReceive, slot);
}

uint32_t Ring::Turn() {
  SettleSilentSends();
  uint32_t count = 0;
  unsigned head = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    if (count == kReapLimit) {
      break;
    }
    ++count;
    Handle(*cqe);
  }
  io_uring_cq_advance(&ring_, count);
  Flush();
  return count;
}

// A silent send has ended when the enter that handed it over returns. Only of one that was short, or failed, there is a
// completion.
void Ring::SettleSilentSends() {
  const unsigned flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);  // set by our own enter, so never late
  if (silent_.empty() || io_uring_sq_ready(&ring_) > 0 || (flags & IORING_SQ_CQ_OVERFLOW) != 0) {
    return;
  }
  unsigned head = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    if (static_cast<Op>(cqe->user_data >> 32) == Op::kSend) {
      const uint32_t slot = static_cast<uint32_t>(cqe->user_data);
      std::replace(silent_.begin(), silent_.end(), slot, kNoSlot);
      OnSend(slot, cqe->res);
      cqe->user_data = Tag(Op::kOther, 0);
    }
  }
  for (const uint32_t slot : silent_) {
    if (slot != kNoSlot) {
      FinishSend(slot);
    }
  }
  silent_.clear();
}

void Ring::Wait(bool batch) {
  if (batch) {
    __kernel_timespec timeout = {.tv_sec = 0, .tv_nsec = kTickNs};
    io_uring_cqe* cqe = nullptr;
    io_uring_submit_and_wait_min_timeout(&ring_, &cqe, kBatchMax, &timeout, kBatchWaitNs / 1'000, nullptr);
  } else {
    io_uring_submit_and_wait(&ring_, 1);
  }
}

void Ring::Handle(const io_uring_cqe& cqe) {
  const uint32_t slot = static_cast<uint32_t>(cqe.user_data);
  switch (static_cast<Op>(cqe.user_data >> 32)) {
    case Op::kReceive:
      OnReceive(slot, cqe);
      break;
    case Op::kSend:
      OnSend(slot, cqe.res);
      break;
    case Op::kAccept:
      OnAccept(cqe);
      break;
    case Op::kTick:
    case Op::kOther:  // a close or a cancel: nothing waits for it
      break;
  }
}

void Ring::OnAccept(const io_uring_cqe& cqe) {
  if (cqe.res >= 0) {
    const uint32_t slot = static_cast<uint32_t>(cqe.res);
    connections_[slot] = {};
    ++live_;
    ArmReceive(slot);
  }
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) {
    if (cqe.res < 0) {
      accept_paused_ = true;  // no room in the table: the backlog stays readable, so arming at once would spin
    } else {
      ArmAccept();
    }
  }
}

void Ring::OnReceive(uint32_t slot, const io_uring_cqe& cqe) {
  if (cqe.res > 0) {
    const uint32_t id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
    std::byte* buffer = buffers_.get() + size_t{id} * kBufferBytes;
    if (!connections_[slot].ending) {
      OnBytes(slot, {buffer, static_cast<size_t>(cqe.res)});
    }
    io_uring_buf_ring_add(buffer_ring_, buffer, kBufferBytes, static_cast<uint16_t>(id), io_uring_buf_ring_mask(buffer_count_),
                          recycled_++);
  }
  if ((cqe.flags & IORING_CQE_F_MORE) != 0) {
    return;
  }
  Connection& connection = connections_[slot];
  connection.receiving = false;
  if (connection.ending) {
    CloseIfQuiet(slot);
  } else if (cqe.res > 0 || cqe.res == -ENOBUFS || cqe.res == -EINTR || cqe.res == -EAGAIN) {
    connection.starved = true;
    starved_.push_back(slot);  // armed again once this turn's buffers are back
  } else {
    connection.ending = true;  // the peer's end, or an error; replies that wait still leave
    CloseIfQuiet(slot);
  }
}

void Ring::OnSend(uint32_t slot, int result) {
  Connection& connection = connections_[slot];
  Block& block = At(connection.sending);
  block.sent += result > 0 ? static_cast<uint32_t>(result) : 0;
  if (result < 0 && result != -EAGAIN && result != -EINTR) {
    Give(connection.sending);
    Give(connection.pending);
    End(slot);
    CloseIfQuiet(slot);
  } else if (block.sent < block.length) {
    Send(slot, /*silent=*/false);  // the rest waits in the kernel until there is room
  } else {
    FinishSend(slot);
  }
}

void Ring::FinishSend(uint32_t slot) {
  Connection& connection = connections_[slot];
  Give(connection.sending);
  if (connection.pending != kNone && !connection.dirty) {
    connection.dirty = true;
    dirty_.push_back(slot);
  }
  if (connection.ending) {
    CloseIfQuiet(slot);
  }
}

void Ring::Send(uint32_t slot, bool silent) {
  Block& block = At(connections_[slot].sending);
  io_uring_sqe* sqe = NextSqe();
  // WAITALL: short is a failure when silent; else the kernel goes on by itself after a short send. NOSIGNAL: no SIGPIPE.
  // DONTWAIT: the send ends within the enter that hands it over, whatever comes of it.
  const int flags = MSG_WAITALL | MSG_NOSIGNAL | (silent ? MSG_DONTWAIT : 0);
  io_uring_prep_send(sqe, static_cast<int>(slot), block.bytes() + block.sent, block.length - block.sent, flags);
  sqe->flags |= IOSQE_FIXED_FILE;
  sqe->user_data = Tag(Op::kSend, slot);
  if (silent) {
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    silent_.push_back(slot);
  }
}

// ---- bytes ----

void Ring::OnBytes(uint32_t slot, absl::Span<const std::byte> in) {
  Connection& connection = connections_[slot];
  if (connection.partial != kNone) {
    Block& partial = PartialAt(connection.partial);
    // Its length first, then no more than the frame: the rest is read where it lies.
    while (!in.empty() && (partial.length < 2 || partial.length < wire::LoadU16(partial.bytes()))) {
      partial.bytes()[partial.length++] = in.front();
      in.remove_prefix(1);
      if (partial.length == kLoginBytes) {
        break;
      }
    }
    absl::Span<const std::byte> frame(partial.bytes(), partial.length);
    if (!Answer(slot, frame)) {
      return End(slot);
    }
    if (!frame.empty()) {
      return;
    }
    partials_.Give(connection.partial);
    connection.partial = kNone;
  }
  if (!Answer(slot, in)) {
    return End(slot);
  }
  if (!in.empty()) {
    connection.partial = partials_.Take();
    Block& partial = PartialAt(connection.partial);
    partial.length = static_cast<uint32_t>(in.size());
    std::memcpy(partial.bytes(), in.data(), in.size());
  }
}

// Answers every whole frame in `in` and leaves the start of the next one in it. False: no frame of ours, or too many replies.
bool Ring::Answer(uint32_t slot, absl::Span<const std::byte>& in) {
  while (in.size() >= 2) {
    const size_t length = wire::LoadU16(in.data());
    if (length != wire::kShakeRequestBytes && length != kLoginBytes) [[unlikely]] {
      return false;
    }
    if (in.size() < length) {
      break;
    }
    if (!Reply(slot, in.data(), length)) [[unlikely]] {
      return false;
    }
    in.remove_prefix(length);
  }
  return true;
}

bool Ring::Reply(uint32_t slot, const std::byte* frame, size_t length) {
  const bool shake = length == wire::kShakeRequestBytes;
  std::byte* to = Append(slot, shake ? wire::kShakeResponseBytes : kLoginReplyBytes);
  if (to == nullptr) {
    return false;
  }
  std::memcpy(to + 4, frame + 4, 12);  // the stamp, and the user or the first one
  if (shake) {
    wire::StoreU32(to, wire::Head(wire::FrameType::kShakeResponse, wire::kShakeResponseBytes));
    wire::StoreU32(to + 16, static_cast<uint32_t>(wire::ShakeResult::kNothing));
    wire::StoreU64(to + 20, 0);  // no envelope, no money
  } else {
    timespec now = {};
    clock_gettime(CLOCK_REALTIME, &now);
    wire::StoreU32(to, wire::Head(wire::FrameType::kLoginResponse, kLoginReplyBytes));
    wire::StoreU32(to + 16, static_cast<uint32_t>(wire::LoginResult::kOk));
    wire::StoreU64(to + 20, static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec));
    wire::StoreU64(to + 28, 0);  // no stamp is known of the user
  }
  return true;
}

// Room in the block of replies that leave next; null when too many wait.
std::byte* Ring::Append(uint32_t slot, uint32_t size) {
  Connection& connection = connections_[slot];
  if (connection.pending == kNone) {
    connection.pending = small_.Take();
    At(connection.pending) = {.length = 0, .sent = 0};
    if (!connection.dirty) {
      connection.dirty = true;
      dirty_.push_back(slot);
    }
  }
  Block* block = &At(connection.pending);
  const bool is_large = (connection.pending & kLarge) != 0;
  if (sizeof(Block) + block->length + size > (is_large ? kLargeBytes : kSmallBytes)) {
    if (is_large) {
      return nullptr;
    }
    const uint32_t larger = large_.Take() | kLarge;
    std::memcpy(&At(larger), block, sizeof(Block) + block->length);
    Give(connection.pending);
    connection.pending = larger;
    block = &At(larger);
  }
  std::byte* to = block->bytes() + block->length;
  block->length += size;
  return to;
}

void Ring::Flush() {
  for (const uint32_t slot : dirty_) {
    Connection& connection = connections_[slot];
    connection.dirty = false;
    if (connection.sending != kNone || connection.pending == kNone) {
      continue;  // one send at a time: io_uring does not order independent ones
    }
    connection.sending = connection.pending;
    connection.pending = kNone;
    Send(slot, /*silent=*/true);
  }
  dirty_.clear();
  if (recycled_ > 0) {
    io_uring_buf_ring_advance(buffer_ring_, recycled_);  // one store for all of the turn
    recycled_ = 0;
  }
  for (const uint32_t slot : starved_) {
    Connection& connection = connections_[slot];
    connection.starved = false;
    if (connection.ending) {
      CloseIfQuiet(slot);
    } else {
      ArmReceive(slot);
    }
  }
  starved_.clear();
}

// ---- the end of a connection ----

// From our side: replies so far still leave.
void Ring::End(uint32_t slot) {
  Connection& connection = connections_[slot];
  if (connection.ending) {
    return;
  }
  connection.ending = true;
  if (connection.receiving) {
    io_uring_sqe* sqe = NextSqe();
    io_uring_prep_cancel64(sqe, Tag(Op::kReceive, slot), 0);  // closing does not end a receive that is armed
    sqe->user_data = Tag(Op::kOther, slot);
  }
}

void Ring::CloseIfQuiet(uint32_t slot) {
  Connection& connection = connections_[slot];
  if (connection.receiving || connection.starved || connection.sending != kNone || connection.pending != kNone) {
    return;
  }
  if (connection.partial != kNone) {
    partials_.Give(connection.partial);
  }
  connection = {};
  --live_;
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_close_direct(sqe, slot);
  sqe->user_data = Tag(Op::kOther, slot);
}

void Ring::Give(uint32_t& block) {
  if (block == kNone) {
    return;
  }
  if ((block & kLarge) != 0) {
    large_.Give(block & ~kLarge);
  } else {
    small_.Give(block);
  }
  block = kNone;
}

// ---- the thread ----

class Worker {
 public:
  // On its own thread. Empty, or what went wrong.
  std::string Init(const Plan& plan, const std::vector<int>& listeners) {
    prctl(PR_SET_TIMERSLACK, 1);  // the default lets the kernel wake us 50 us late
    const bool alone = plan.rings_per_worker == 1;
    wake_ = alone ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (uint32_t i = 0; i < plan.rings_per_worker; ++i) {
      rings_.push_back(std::make_unique<Ring>(plan.slots));
      if (const int result = rings_.back()->Init(wake_, listeners[i]); result < 0) {
        return absl::StrCat("an io_uring with a table of ", plan.slots, " was refused: ", strerror(-result));
      }
    }
    return {};
  }

  // Until `stop`, which is looked at ten times a second. Its rings live and die on this thread.
  void Run(const std::atomic<bool>& stop) {
    next_tick_ns_ = NowNs() + kTickNs;
    // Relaxed: nothing else is handed over with it.
    while (!stop.load(std::memory_order_relaxed)) {
      const uint32_t completions = rings_.size() == 1 ? rings_[0]->Turn() : TurnAll();
      completions_this_tick_ += completions;
      napped_ = napped_ && completions == 0;
      const int64_t now_ns = NowNs();
      if (now_ns >= next_tick_ns_) {
        Tick(now_ns);
      }
      if (rings_.size() == 1) {
        rings_[0]->Wait(batching_);
      } else if (completions == 0) {
        Sleep(next_tick_ns_ - now_ns);
      }
    }
    rings_.clear();
    if (wake_ >= 0) {
      close(wake_);
    }
  }

 private:
  uint32_t TurnAll() {
    uint32_t completions = 0;
    for (const std::unique_ptr<Ring>& ring : rings_) {
      if (ring->HasWork()) {
        for (int round = 0; round < 3 && (round == 0 || ring->queued() >= kManySubmissions); ++round) {
          ring->EnterIfNeeded();
          completions += ring->Turn();
        }
      }
    }
    return completions;
  }

  void Tick(int64_t now_ns) {
    uint32_t live = 0;
    for (const std::unique_ptr<Ring>& ring : rings_) {
      ring->Tick();
      live += ring->live();
    }
    const uint32_t enough = rings_.size() > 1 ? kBatchCompletionsPerTick : kBatchCompletionsPerTickOfOne;
    batching_ = completions_this_tick_ >= enough && live >= kBatchConnections;
    completions_this_tick_ = 0;
    next_tick_ns_ = now_ns + kTickNs;
  }

  void Sleep(int64_t timeout_ns) {
    if (timeout_ns <= 0) {
      return;
    }
    if (batching_ && !napped_) {
      const timespec nap = {.tv_sec = 0, .tv_nsec = std::min(timeout_ns, kBatchWaitNs)};
      clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, nullptr);  // completions pile up; nobody is asked to wake us
      napped_ = true;
    } else {
      SleepOnEventfd(timeout_ns);
    }
  }

  void SleepOnEventfd(int64_t timeout_ns) {
    bool work = false;
    for (const std::unique_ptr<Ring>& ring : rings_) {
      ring->Notify(true);
    }
    // The kernel sets the flag that HasWork reads before it looks whether to write the eventfd; we do it the other way round.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (const std::unique_ptr<Ring>& ring : rings_) {
      work |= ring->HasWork();
    }
    if (!work) {
      pollfd wake = {.fd = wake_, .events = POLLIN, .revents = 0};
      const timespec timeout = {.tv_sec = 0, .tv_nsec = timeout_ns};
      if (ppoll(&wake, 1, &timeout, nullptr) > 0) {
        eventfd_t ignored = 0;
        eventfd_read(wake_, &ignored);
      }
    }
    for (const std::unique_ptr<Ring>& ring : rings_) {
      ring->Notify(false);
    }
  }

  std::vector<std::unique_ptr<Ring>> rings_;
  int wake_ = -1;
  bool batching_ = false;
  bool napped_ = false;
  uint32_t completions_this_tick_ = 0;
  int64_t next_tick_ns_ = 0;
};

int Main(int argc, char** argv) {
  CLI::App app{"floor_server: a bare io_uring echo of hongbao's bytes: what the machine can do at all."};
  Options options;
  AddOptions(app, options);
  if (const absl::optional<int> code = cli::ParseCommandLine(app, "floor_server", argc, argv)) {
    return *code;
  }
  const absl::StatusOr<ring::Features> features = ring::ProbeFeatures();
  if (!features.ok()) {
    return Fail(std::string(features.status().message()));
  }
  if (!features->direct_descriptors || !features->min_wait) {
    return Fail("floor_server needs direct descriptors and batched waits (Linux 6.13 or newer); this is " + features->ToString());
  }
  const uint32_t table = RaiseOpenFiles();
  const uint32_t per_worker = (options.connections_max + options.workers - 1) / options.workers;
  const Plan plan = {.rings_per_worker = TablesFor(per_worker, table),
                     .slots = std::min(table, options.connections_max + options.connections_max / 100 + 64)};
  const uint32_t rings = plan.rings_per_worker * options.workers;
  const uint32_t backlog = plan.rings_per_worker == 1 ? 4'096 : 1'024;
  absl::StatusOr<ring::Listeners> listeners =
      ring::Listeners::Open(SocketAddress::Ipv4(kLoopbackIpv4, static_cast<uint16_t>(options.port)), rings, backlog);
  if (!listeners.ok()) {
    return Fail(std::string(listeners.status().message()));
  }
  net::BlockStopSignals();
  std::atomic<bool> stop{false};
  std::atomic<uint32_t> ready{0};
  std::vector<std::string> errors(options.workers);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < options.workers; ++i) {
    threads.emplace_back([&, i] {
      std::vector<int> mine;
      for (uint32_t k = 0; k < plan.rings_per_worker; ++k) {
        mine.push_back(listeners->descriptor(i * plan.rings_per_worker + k));
      }
      Worker worker;
      errors[i] = worker.Init(plan, mine);
      ready.fetch_add(1, std::memory_order_release);  // errors[i] before it
      ready.notify_one();
      if (errors[i].empty()) {
        worker.Run(stop);
      }
    });
  }
  for (uint32_t n = 0; n < options.workers; n = ready.load(std::memory_order_acquire)) {  // pairs with the workers' release
    ready.wait(n);
  }
  std::string error;
  for (const std::string& one : errors) {
    error = error.empty() ? one : error;
  }
  if (error.empty()) {
    SayListening(listeners->port(), absl::StrCat(options.workers, " workers, ", rings, " rings of ", plan.slots, " slots"));
    net::WaitForStopSignal();
  }
  stop.store(true, std::memory_order_relaxed);  // see Worker::Run
  for (std::thread& thread : threads) {
    thread.join();
  }
  SayCpu();
  return error.empty() ? 0 : Fail(error);
}

}  // namespace
}  // namespace hongbao::bench

int main(int argc, char** argv) { return hongbao::bench::Main(argc, argv); }
