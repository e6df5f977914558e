// KernelRing: one io_uring with its provided receive buffers and, where the kernel allows, its direct descriptors.
//
// Owns the ring, its receive buffers and the table of direct descriptors. Never knows what a connection means; a slot is the
// number of a descriptor: an index in the table of direct descriptors, or a regular descriptor.
// It is the kernel's side of the seam that net::Set is written against (push an operation, enter, reap completions);
// tests put a scripted ring in its place. Operations only queue an SQE; Enter hands them to the kernel.
// Thread tag: worker-local (created and used by one thread: IORING_SETUP_SINGLE_ISSUER).
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "libhongbao/address.h"
#include "libhongbao/ring/buffer_group.h"
#include "libhongbao/ring/completion.h"
#include "libhongbao/ring/kernel_features.h"
#include "libhongbao/ring/tag.h"

namespace hongbao::ring {

struct RingOptions {
  uint32_t submission_entries = 1024;
  uint32_t completion_entries = 4096;
  uint32_t slots = 1024;        // size of the table of direct descriptors
  uint32_t buffers = 1024;      // provided receive buffers, a power of two
  uint32_t buffer_bytes = 256;  // 16 pipelined shakes
  uint32_t bulk_buffers = 0;    // buffers for ReceiveBulk, a power of two; 0 = there is none
  uint32_t bulk_buffer_bytes = 65'536;
  int wake_descriptor = -1;  // the worker's eventfd
  bool shared_wake = false;  // several rings sleep on it: NotifyWake; else this ring is waited in: WatchWake
};

class KernelRing {
 public:
  static absl::StatusOr<std::unique_ptr<KernelRing>> Create(const RingOptions& options, const Features& features);
  ~KernelRing();
  KernelRing(const KernelRing&) = delete;
  KernelRing& operator=(const KernelRing&) = delete;

  // ---- operations; each queues one SQE, and its completion carries the tag named ----
  void Accept(int listener);                             // multishot; {kAccept}, result = the new slot
  void Receive(uint32_t slot, uint32_t generation);      // multishot; {kReceive, ...}
  void ReceiveBulk(uint32_t slot, uint32_t generation);  // once, into a bulk buffer; {kReceiveBulk, ...}
  void Send(uint32_t slot, uint32_t generation, const std::byte* bytes, uint32_t length);  // bytes live until completion
  // Only with silent_sends(). Ends within the enter that hands it over; bytes live until then. {kSend, ...} only when the kernel
  // did not take all: with how many bytes it took, or -errno. That completion is there when the enter returns, unless
  // Overflowed().
  void SendSilently(uint32_t slot, uint32_t generation, const std::byte* bytes, uint32_t length);
  void Connect(uint32_t slot, uint32_t generation, const SocketAddress& destination);
  void Cancel(Tag target);  // completes as {kCancel, target's rest}
  void Close(uint32_t slot, uint32_t generation);
  void WatchWake();  // multishot poll of the wake descriptor; {kWake}
  // {kAlarm}, so long after the enter that hands it over. For who waits often and is to be woken seldom: it costs the waits
  // nothing, where a timeout of their own sets, starts and cancels a timer each time.
  void SetAlarm(int64_t in_ns);
  // Out of one ring's table of direct descriptors and into another's. The first gives the socket a regular descriptor beside
  // its slot; the second reads a regular descriptor at `place`, which stays open, and puts the slot that it has found there.
  void TakeOut(uint32_t slot, uint32_t generation);  // {kTakeOut, ...}
  void TakeIn(uint32_t id, int* place);              // {kTakeIn, 0, id}; `place` lives until completion

  // Puts a regular descriptor into the table at `slot` and closes the regular one; with regular descriptors, where the
  // slot is the descriptor, does nothing. Returns 0 or -errno.
  int Install(uint32_t slot, int descriptor);
  bool direct_descriptors() const { return features_.direct_descriptors; }
  bool silent_sends() const { return features_.silent_sends; }

  // ---- entering the kernel ----
  // True when entering would: something to submit, or the kernel has something for us that is not in the CQ yet. Of a ring that
  // is waited in (no shared_wake) the kernel does not say the latter; it is entered once a turn anyway.
  bool NeedsEnter() const;
  bool HasWork() const { return HasCompletions() || NeedsEnter(); }
  bool HasCompletions() const { return io_uring_cq_ready(&ring_) > 0; }
  bool HasSubmissions() const { return Submissions() > 0; }
  uint32_t Submissions() const { return io_uring_sq_ready(&ring_); }
  // Completions wait in the kernel because the CQ was full. The next enter brings them, once there is room.
  bool Overflowed() const { return io_uring_cq_has_overflow(&ring_); }
  // Submits and runs what the kernel has deferred to us; does not wait.
  void Enter();
  // The same, for up to `batch` completions: Enter stops at the kernel's 20 (from 6.13 on), and who sends more must receive more,
  // too.
  void EnterForBatch(uint32_t batch);
  // As Enter, and waits for a completion; up to `timeout_ns`, or until it comes, as an alarm's does.
  void EnterAndWait(int64_t timeout_ns);
  void EnterAndWait();
  // The same, but gathers completions: returns when there are `batch`, or when there is one and `min_wait_us` have passed.
  // Without Features::min_wait it returns at the first.
  void EnterAndWaitBatch(int64_t timeout_ns, uint32_t batch, uint32_t min_wait_us);
  // Whether the wake descriptor is written when completions become available.
  void NotifyWake(bool on);

  // ---- reaping ----
  // Calls handle(const Completion&) for the completions of sends, before their turn: of what was sent in silence, the rest was
  // taken whole. Reap passes them over.
  template <class Handle>
  void ReapSends(Handle&& handle);
  // Calls handle(const Completion&) for at most `limit` completions; returns how many.
  template <class Handle>
  uint32_t Reap(uint32_t limit, Handle&& handle);

  absl::Span<const std::byte> Buffer(const Completion& completion) const {
    return GroupOf(completion).Bytes(completion.buffer, static_cast<size_t>(completion.result));
  }
  // Gives a completion's buffer back. The kernel sees it after PublishBuffers.
  void RecycleBuffer(const Completion& completion) { GroupOf(completion).Recycle(completion.buffer); }
  // Once per turn, before entering: one store for all buffers recycled in it. Returns how many they were.
  uint32_t PublishBuffers() { return small_.Publish() + bulk_.Publish(); }

  uint64_t enters() const { return enters_; }
  uint64_t overflows() const { return overflows_; }  // turns in which the CQ had overflowed

 private:
  KernelRing(const RingOptions& options, const Features& features) : options_(options), features_(features) {}
  absl::Status Init();
  BufferGroup& GroupOf(const Completion& completion) {
    return completion.tag.operation == Operation::kReceiveBulk ? bulk_ : small_;
  }
  const BufferGroup& GroupOf(const Completion& completion) const {
    return completion.tag.operation == Operation::kReceiveBulk ? bulk_ : small_;
  }
  io_uring_sqe* NextSqe();
  void SetFixed(io_uring_sqe* sqe) const;
  void PrepareSend(uint32_t slot, uint32_t generation, const std::byte* bytes, uint32_t length, int flags, uint8_t sqe_flags);
  void HandleEnterResult(int result);

  RingOptions options_;
  Features features_;
  io_uring ring_ = {};
  bool initialised_ = false;
  BufferGroup small_;
  BufferGroup bulk_;
  std::vector<SocketAddress> destinations_;  // the kernel reads an address when the SQE is submitted: one per possible SQE
  uint32_t next_destination_ = 0;
  unsigned sends_reaped_ = 0;     // up to this place in the CQ
  __kernel_timespec alarm_ = {};  // the kernel reads it when the SQE is submitted
  uint64_t enters_ = 0;
  uint64_t overflows_ = 0;
};

template <class Handle>
void KernelRing::ReapSends(Handle&& handle) {
  const unsigned head = *ring_.cq.khead;  // only this thread moves it
  // Acquire: what the kernel wrote before it moved the tail is there.
  const unsigned tail = __atomic_load_n(ring_.cq.ktail, __ATOMIC_ACQUIRE);
  // What was there the last time has been looked at.
  const unsigned seen = sends_reaped_ - head <= tail - head ? sends_reaped_ : head;
  for (unsigned at = seen; at != tail; ++at) {
    io_uring_cqe& cqe = ring_.cq.cqes[at & ring_.cq.ring_mask];
    if (const Tag tag = Unpack(cqe.user_data); tag.operation == Operation::kSend) {
      handle(Completion{.tag = tag, .result = cqe.res});
      cqe.user_data = Pack({});
    }
  }
  sends_reaped_ = tail;
}

template <class Handle>
uint32_t KernelRing::Reap(uint32_t limit, Handle&& handle) {
  uint32_t count = 0;
  unsigned head = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    if (count == limit) {
      break;
    }
    ++count;
    handle(Completion{.tag = Unpack(cqe->user_data),
                      .result = cqe->res,
                      .more = (cqe->flags & IORING_CQE_F_MORE) != 0,
                      .has_buffer = (cqe->flags & IORING_CQE_F_BUFFER) != 0,
                      .buffer = static_cast<uint16_t>(cqe->flags >> IORING_CQE_BUFFER_SHIFT)});
  }
  io_uring_cq_advance(&ring_, count);
  if (static_cast<int32_t>(*ring_.cq.khead - sends_reaped_) > 0) {  // never so far behind that the count goes round
    sends_reaped_ = *ring_.cq.khead;
  }
  return count;
}

}  // namespace hongbao::ring
