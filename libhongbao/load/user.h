// User: what the load generator remembers of one simulated user that has a connection of its own; a million is the
// normal case.
//
// Its outstanding requests belong to the InFlight pool and are named by index. Only the worker that runs the user
// touches it (in the prototype a reading and a sending thread shared one connection; its author noted "race here").
// Thread tag: worker-local.
#pragma once

#include <cstdint>

#include "libhongbao/load/in_flight.h"
#include "libhongbao/load/member.h"

namespace hongbao::load {

// Protocol v2's statement: what the server says the user got.
enum class StatementState : uint8_t {
  kNone,       // none is awaited; what is known of the user's account is all there is
  kBaseAsked,  // what the user had before this client's time is on its way
  kBaseLost,   // the connection ended before it came
  kAsked,      // at the end: the account to be compared is on its way
  kSettled,    // compared, or skipped
};

// Above it a due request is counted missed: a user does not pile up requests on a server that does not answer.
inline constexpr uint8_t kOutstandingPerUserMax = 64;
// Shakes and opens together: after a reconnect all of them leave at once, and fit what a connection may have unsent.
inline constexpr uint8_t kRequestsPerUserMax = 200;

struct User : Member {
  uint8_t outstanding = 0;       // shakes and opens in `requests`
  bool ended_young : 1 = false;  // v1: the server has ended the session soon after its login, and is still there
  StatementState statement : 7 = StatementState::kNone;
  RequestList requests{};       // outstanding, oldest first
  uint32_t statement_mark = 0;  // of the statement asked last: the low half of its stamp
  uint32_t grants = 0;          // wins and shares that came, each stamp once, and the base
  uint64_t fen = 0;             // theirs
};
static_assert(sizeof(User) == 48, "a million users are 48 MB: the account took 16 bytes, and no more are free");

}  // namespace hongbao::load
