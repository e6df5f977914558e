#include "libhongbao/ring/kernel_ring.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libhongbao/check.h"

namespace hongbao::ring {
namespace {

constexpr int kSmallGroup = 1;
constexpr int kBulkGroup = 2;

}  // namespace

absl::StatusOr<std::unique_ptr<KernelRing>> KernelRing::Create(const RingOptions& options, const Features& features) {
  std::unique_ptr<KernelRing> ring(new KernelRing(options, features));
  if (absl::Status status = ring->Init(); !status.ok()) {
    return status;
  }
  return ring;
}

absl::Status KernelRing::Init() {
  io_uring_params params = {};
  params.flags = IORING_SETUP_SINGLE_ISSUER    // one thread owns the ring: needed for DEFER_TASKRUN, and saves locking
                 | IORING_SETUP_DEFER_TASKRUN  // completions run when we enter, never in the middle of our code
                 | IORING_SETUP_COOP_TASKRUN   // no interrupt to hurry us: we enter soon anyway
                 | IORING_SETUP_SUBMIT_ALL     // one bad SQE must not hold back those behind it
                 | IORING_SETUP_CQSIZE         // an overflowing CQ ends multishots: give it room of its own
                 | IORING_SETUP_CLAMP;         // more than the kernel's limit becomes the limit
  if (options_.shared_wake) {
    // Says in shared memory that entering is worth while (HasWork). Who waits in the ring enters once a turn and need not be
    // told: it would cost the kernel two atomic operations a turn.
    params.flags |= IORING_SETUP_TASKRUN_FLAG;
  }
  params.cq_entries = options_.completion_entries;
  if (const int result = io_uring_queue_init_params(options_.submission_entries, &ring_, &params); result < 0) {
    return SetupError(-result);
  }
  initialised_ = true;
  destinations_.resize(params.sq_entries);
  // Saves a descriptor look-up per enter. A task may register 16 ring descriptors; further ones work without.
  io_uring_register_ring_fd(&ring_);
  io_uring_ring_dontfork(&ring_);
  // The few operations that do go to kernel workers must not become thousands of threads.
  unsigned workers[2] = {1, 2};
  io_uring_register_iowq_max_workers(&ring_, workers);
  if (options_.shared_wake) {
    if (const int result = io_uring_register_eventfd(&ring_, options_.wake_descriptor); result < 0) {
      return absl::InternalError(absl::StrCat("registering the wake eventfd failed: ", strerror(-result)));
    }
    NotifyWake(false);
  }
  if (features_.direct_descriptors) {
    if (const int result = io_uring_register_files_sparse(&ring_, options_.slots); result < 0) {
      return absl::ResourceExhaustedError(
          absl::StrCat("a table of ", options_.slots, " direct descriptors was refused: ", strerror(-result),
                       "; it may not be larger than the limit of open files (ulimit -n) nor 1,048,576"));
    }
  }
  absl::Status status = small_.Init(ring_, kSmallGroup, options_.buffers, options_.buffer_bytes);
  if (status.ok() && options_.bulk_buffers > 0) {
    status = bulk_.Init(ring_, kBulkGroup, options_.bulk_buffers, options_.bulk_buffer_bytes);
  }
  return status;
}

KernelRing::~KernelRing() {
  small_.Release(ring_);
  bulk_.Release(ring_);
  if (initialised_) {
    io_uring_queue_exit(&ring_);
  }
}

io_uring_sqe* KernelRing::NextSqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  // The SQ is full: hand over what there is. With an overflowed CQ the kernel may refuse until it has flushed it to us,
  // which Enter asks for; completions then wait in the CQ.
  for (int tries = 0; sqe == nullptr; ++tries) {
    Check(tries < 1000, "the kernel takes no more submissions");
    Enter();
    sqe = io_uring_get_sqe(&ring_);
  }
  return sqe;
}

void KernelRing::SetFixed(io_uring_sqe* sqe) const {
  if (features_.direct_descriptors) {
    sqe->flags |= IOSQE_FIXED_FILE;  // the descriptor's number is an index in the table of direct descriptors
  }
}

void KernelRing::Accept(int listener) {
  io_uring_sqe* sqe = NextSqe();
  // No address: a multishot accept would overwrite it with the next peer's.
  if (features_.direct_descriptors) {
    io_uring_prep_multishot_accept_direct(sqe, listener, nullptr, nullptr, 0);
  } else {
    io_uring_prep_multishot_accept(sqe, listener, nullptr, nullptr, SOCK_CLOEXEC);
  }
  sqe->user_data = Pack({Operation::kAccept, 0, 0});
}

void KernelRing::Receive(uint32_t slot, uint32_t generation) {
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_recv_multishot(sqe, static_cast<int>(slot), nullptr, 0, 0);
  // POLL_FIRST: do not try to receive now. There is nothing yet on a fresh or answered connection, and a try would take a
  // buffer, or fail for want of one.
  sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
  sqe->flags |= IOSQE_BUFFER_SELECT;  // the kernel picks one of the provided buffers when bytes arrive
  sqe->buf_group = kSmallGroup;
  SetFixed(sqe);
  sqe->user_data = Pack({Operation::kReceive, generation, slot});
}

void KernelRing::ReceiveBulk(uint32_t slot, uint32_t generation) {
  io_uring_sqe* sqe = NextSqe();
  // Not multishot: whoever asked for bulk asks again when there is room for what the bytes will cause. Not POLL_FIRST: on a
  // pipelined connection there mostly is something, and a try that finds nothing gives its buffer back.
  io_uring_prep_recv(sqe, static_cast<int>(slot), nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;  // an idle connection holds no buffer
  sqe->buf_group = kBulkGroup;
  SetFixed(sqe);
  sqe->user_data = Pack({Operation::kReceiveBulk, generation, slot});
}

void KernelRing::Send(uint32_t slot, uint32_t generation, const std::byte* bytes, uint32_t length) {
  // WAITALL: the kernel itself goes on after a short send, as soon as the peer makes room.
  PrepareSend(slot, generation, bytes, length, MSG_WAITALL, 0);
}

void KernelRing::SendSilently(uint32_t slot, uint32_t generation, const std::byte* bytes, uint32_t length) {
  // DONTWAIT: it is never left waiting for room, so it ends within the enter. WAITALL: less than all is a failure, and a failure
  // completes. SKIP_SUCCESS: nothing else does.
  PrepareSend(slot, generation, bytes, length, MSG_DONTWAIT | MSG_WAITALL, IOSQE_CQE_SKIP_SUCCESS);
}

void KernelRing::PrepareSend(uint32_t slot, uint32_t generation, const std::byte* bytes, uint32_t length, int flags,
                             uint8_t sqe_flags) {
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_send(sqe, static_cast<int>(slot), bytes, length, flags | MSG_NOSIGNAL);  // NOSIGNAL: no SIGPIPE
  sqe->flags |= sqe_flags;
  SetFixed(sqe);
  sqe->user_data = Pack({Operation::kSend, generation, slot});
}

void KernelRing::Connect(uint32_t slot, uint32_t generation, const SocketAddress& destination) {
  io_uring_sqe* sqe = NextSqe();
  SocketAddress& kept = destinations_[next_destination_++ % destinations_.size()];
  kept = destination;
  io_uring_prep_connect(sqe, static_cast<int>(slot), kept.get(), kept.size());
  SetFixed(sqe);
  sqe->user_data = Pack({Operation::kConnect, generation, slot});
}

void KernelRing::Cancel(Tag target) {
  io_uring_sqe* sqe = NextSqe();
  // By exact user_data: cancelling by descriptor walks every armed request of the ring.
  io_uring_prep_cancel64(sqe, Pack(target), 0);
  sqe->user_data = Pack({Operation::kCancel, target.generation, target.slot});
}

void KernelRing::Close(uint32_t slot, uint32_t generation) {
  io_uring_sqe* sqe = NextSqe();
  if (features_.direct_descriptors) {
    io_uring_prep_close_direct(sqe, slot);  // without IOSQE_FIXED_FILE, or the kernel answers EBADF
  } else {
    io_uring_prep_close(sqe, static_cast<int>(slot));
  }
  sqe->user_data = Pack({Operation::kClose, generation, slot});
}

void KernelRing::TakeOut(uint32_t slot, uint32_t generation) {
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_fixed_fd_install(sqe, static_cast<int>(slot), 0);  // 0: close-on-exec, which is its default; sets FIXED_FILE
  sqe->user_data = Pack({Operation::kTakeOut, generation, slot});
}

void KernelRing::TakeIn(uint32_t id, int* place) {
  io_uring_sqe* sqe = NextSqe();
  // INDEX_ALLOC: the kernel chooses the slot, as for an accepted connection, so that the two never meet in one.
  io_uring_prep_files_update(sqe, place, 1, static_cast<int>(IORING_FILE_INDEX_ALLOC));
  sqe->user_data = Pack({Operation::kTakeIn, 0, id});
}

void KernelRing::WatchWake() {
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_poll_multishot(sqe, options_.wake_descriptor, POLLIN);
  sqe->user_data = Pack({Operation::kWake, 0, 0});
}

void KernelRing::SetAlarm(int64_t in_ns) {
  io_uring_sqe* sqe = NextSqe();
  alarm_ = {.tv_sec = in_ns / 1'000'000'000, .tv_nsec = in_ns % 1'000'000'000};
  io_uring_prep_timeout(sqe, &alarm_, 0, 0);  // 0 completions: time alone ends it
  sqe->user_data = Pack({Operation::kAlarm, 0, 0});
}

int KernelRing::Install(uint32_t slot, int descriptor) {
  if (!features_.direct_descriptors) {
    return 0;
  }
  const int result = io_uring_register_files_update(&ring_, slot, &descriptor, 1);
  close(descriptor);  // the table holds the socket now; on failure nobody does
  return result == 1 ? 0 : (result < 0 ? result : -EIO);
}

bool KernelRing::NeedsEnter() const {
  // Relaxed: a flag seen late is seen in the next turn, and sleeping is guarded by the eventfd.
  const unsigned flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);
  return io_uring_sq_ready(&ring_) > 0 || (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

void KernelRing::HandleEnterResult(int result) {
  ++enters_;
  if (Overflowed()) {
    ++overflows_;
  }
  // Normal: interrupted, timed out, nothing to wait for, or the CQ has to be reaped first.
  const bool fine = result >= 0 || result == -EINTR || result == -ETIME || result == -EAGAIN || result == -EBUSY;
  // EBADR: the kernel had no memory to keep a completion. Something in flight will never be heard of again.
  Check(fine, "io_uring_enter failed: completions are lost");
}

void KernelRing::Enter() { HandleEnterResult(io_uring_submit_and_get_events(&ring_)); }

void KernelRing::EnterForBatch(uint32_t batch) {
  __kernel_timespec none = {};
  io_uring_cqe* cqe = nullptr;
  HandleEnterResult(io_uring_submit_and_wait_timeout(&ring_, &cqe, batch, &none, nullptr));
}

void KernelRing::EnterAndWait() { HandleEnterResult(io_uring_submit_and_wait(&ring_, 1)); }

void KernelRing::EnterAndWait(int64_t timeout_ns) {
  __kernel_timespec timeout = {.tv_sec = timeout_ns / 1'000'000'000, .tv_nsec = timeout_ns % 1'000'000'000};
  io_uring_cqe* cqe = nullptr;
  HandleEnterResult(io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &timeout, nullptr));
}

void KernelRing::EnterAndWaitBatch(int64_t timeout_ns, uint32_t batch, uint32_t min_wait_us) {
  if (!features_.min_wait) {
    EnterAndWait(timeout_ns);
    return;
  }
  __kernel_timespec timeout = {.tv_sec = timeout_ns / 1'000'000'000, .tv_nsec = timeout_ns % 1'000'000'000};
  io_uring_cqe* cqe = nullptr;
  HandleEnterResult(io_uring_submit_and_wait_min_timeout(&ring_, &cqe, batch, &timeout, min_wait_us, nullptr));
}

void KernelRing::NotifyWake(bool on) { io_uring_cq_eventfd_toggle(&ring_, on); }

}  // namespace hongbao::ring
