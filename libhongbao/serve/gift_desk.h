// GiftDesk: the gifts that one worker owns, as the other workers deal with them: by message, both ways.
//
// Owns the worker's gift book and its random numbers. Every request comes as a call or a Message and every answer
// leaves as a Message through `post`, also to the own worker, so there is one path and it needs no socket to be tested.
// Keeps the directory's unopened count in step, which is what lets a login skip the question. Thread tag: worker-local.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>

#include "absl/types/span.h"
#include "libhongbao/count/cells.h"
#include "libhongbao/envelope/gift_book.h"
#include "libhongbao/envelope/random.h"
#include "libhongbao/serve/counters.h"
#include "libhongbao/serve/directory.h"
#include "libhongbao/serve/message.h"
#include "libhongbao/wire/messages.h"

namespace hongbao::serve {

// Brings a message to a worker, 0..workers-1. Never loses one. May act on it at once if it is the own worker.
using PostFunction = std::function<void(uint32_t worker, const Message& message)>;

struct GiftDeskOptions {
  uint32_t worker = 0;  // this one
  uint32_t workers = 1;
  uint32_t gifts_max = 100'000;  // live gifts in this worker's book
  int64_t expiry_ms = 24 * 3'600'000;
};

class GiftDesk {
 public:
  // Notices sent to one user by one owner at a login: the oldest unopened gifts. Each that is opened lets the next one in.
  static constexpr size_t kRemindMax = 32;
  // By all owners together: of the longest notices (224 bytes) no more than a connection may hold unsent.
  static constexpr size_t kRemindMaxOfAll = 64;

  GiftDesk(const GiftDeskOptions& options, Directory* directory, count::Cells<Counter>* cells, PostFunction post,
           envelope::Random random = envelope::Random::FromSystem());

  // Monotonic; from then on "now". Takes out up to `budget` expired gifts. True when more may be due.
  bool BeginTurn(int64_t now_ns, size_t budget = 256);

  // A user's send: a gift in this worker's book. `gift_id` is set when kOk.
  wire::SendResult Send(uint32_t sender, uint32_t amount_fen, absl::Span<const uint32_t> users, uint32_t* gift_id);

  // kGift, kOpen or kRemind, for this worker.
  void Handle(const Message& message);

  const envelope::GiftBook& book() const { return book_; }

 private:
  envelope::GiftCreated Create(uint32_t gift_id, uint32_t sender, uint32_t amount_fen,
                               absl::Span<const uint32_t> users);
  void NotifyAll(uint32_t gift_id, uint32_t amount_fen, absl::Span<const uint32_t> users);
  void Mint(const Message& message);
  void Open(const Message& message);
  // Notices of the user's oldest unopened gifts, remind_max_ at most, without the first `skip`.
  void Remind(const Message& message, size_t skip);

  GiftDeskOptions options_;
  size_t remind_max_;
  Directory* directory_;
  count::Cells<Counter>* cells_;
  PostFunction post_;
  envelope::Random random_;
  envelope::GiftBook book_;
  std::deque<uint32_t> by_age_;  // live gifts; all live equally long, so the first is the first to expire
  int64_t now_ms_ = 0;
  int64_t next_expiry_ms_ = 0;  // nothing is due before; 0 = look
  uint32_t next_sent_id_;
};

}  // namespace hongbao::serve
