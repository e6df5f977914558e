// Connection: what a set remembers of one TCP connection between completions.
//
// Owns nothing by itself: the buffers it names by index belong to its Port. Never knows messages, users or money; the
// application keeps its own record per connection, in an array of its own indexed by `slot`.
// Thread tag: worker-local.
#pragma once

#include <cstdint>
#include <limits>

#include "libhongbao/cpp20.h"

namespace hongbao::net {

// Why a connection ended. One counter each; see count/label tables in the reports.
enum class CloseReason : uint8_t {
  kNone,           // still open
  kPeer,           // the peer closed (end of stream)
  kReset,          // the peer reset, or the network failed (errno on recv or send)
  kMalformed,      // bytes that the application refused
  kLoginDeadline,  // the application's first deadline passed (SetDeadline)
  kFrameDeadline,  // a partial frame did not complete in time
  kIdle,           // nothing received for idle_timeout_ms
  kUnsentBytes,    // more unsent reply bytes than unsent_bytes_max, or it took none of them for unsent_deadline_ms
  kSwamped,        // the application owes more answers than it can find out now: come again
  kSuperseded,     // the application replaced it by a newer connection
  kFull,           // no room for it
  kRefused,        // the application refused it in words (a failed login)
  kDrain,          // this side is stopping
  kNoAnswer,       // connect side: the application waited for an answer in vain
  kCount
};

inline constexpr uint32_t kNoIndex = std::numeric_limits<uint32_t>::max();

// Names one connection of one port for as long as the process lives: a later connection in the same slot has another
// generation, so an id kept too long finds nothing instead of somebody else.
struct ConnectionId {
  uint32_t slot = kNoIndex;
  uint32_t generation = 0;  // 1..2^24-1, see ring/tag.h
  friend bool operator==(const ConnectionId&, const ConnectionId&) = default;
};

enum class ConnectionState : uint8_t {
  kFree,        // nothing of it is in flight; the slot may be given out
  kConnecting,  // connect side only: a CONNECT is in flight
  kOpen,        // the application knows it
  kFlushing,    // closes as soon as the bytes queued so far have left; receives nothing more
  kClosing,     // the application has forgotten it; waits until the kernel has let go, then closes the descriptor
};

struct Connection {
  uint32_t slot = 0;  // its index in the port, and its descriptor's number in the ring
  uint32_t generation = 0;
  ConnectionState state = ConnectionState::kFree;
  CloseReason close_reason = CloseReason::kNone;
  // Exactly true while the kernel holds that operation of this connection.
  bool receive_armed : 1 = false;
  bool send_in_flight : 1 = false;
  bool connect_in_flight : 1 = false;
  bool close_in_flight : 1 = false;
  bool starved : 1 = false;  // wants its receive re-armed once buffers are back
  bool dirty : 1 = false;    // is on the port's list of connections with bytes to send
  bool in_wheel : 1 = false;
  bool frame_pending : 1 = false;   // `deadline_tick` is the deadline of a partial frame
  bool was_open : 1 = false;        // OnOpen was called, so OnClose has to be
  bool dialed : 1 = false;          // by our side: its slot in a table of direct descriptors was ours to choose
  bool let_go : 1 = false;          // closing, and the application has been told
  bool bulk : 1 = false;            // carries pipelined traffic, see Port::MakeBulk
  bool bulk_receiving : 1 = false;  // the receive that is armed is a bulk one
  bool switching : 1 = false;       // its receive into small buffers is being cancelled: it became bulk, or is held
  bool held : 1 = false;            // nothing more is received until there is room for the answers
  bool ended : 1 = false;           // the peer sends no more (a half-close), and gets what it is owed
  bool unread_pending : 1 = false;  // `deadline_tick` is when the peer must have taken something
  bool waits : 1 = false;           // bulk: nothing more is received until the application says so
  bool moves : 1 = false;           // is to be moved out once nothing of it is in flight, see Port::MoveOut
  bool take_out_in_flight : 1 = false;
  bool send_silent : 1 = false;  // the send in flight completes only if the kernel does not take all of it
  uint8_t cancels_in_flight : 3 = 0;
  uint8_t connect_error = 0;       // errno of a failed connect; 0 = it took too long
  uint16_t owed = 0;               // answers that are promised and come from elsewhere, see Port::Owe
  uint32_t wheel_next = kNoIndex;  // deadline wheel: doubly linked list of slots
  uint32_t wheel_previous = kNoIndex;
  uint32_t deadline_tick = 0;         // hard deadline (login or partial frame); 0 = none
  uint32_t last_receive_tick = 0;     // for the idle timeout; stored, never moved in the wheel (lazy wheel)
  uint32_t partial_block = kNoIndex;  // first bytes of a frame that is not complete
  uint32_t sending_block = kNoIndex;  // bytes that the kernel reads now
  uint32_t pending_block = kNoIndex;  // bytes that leave when the send in flight has completed
};
static_assert(sizeof(Connection) <= 44, "a million connections must stay well below 128 bytes each");

}  // namespace hongbao::net
