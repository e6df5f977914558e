// Replies: where an application writes the bytes that shall go to one connection.
//
// A view of the connection's pending block; all that is appended in one turn leaves in one send, in order. Owns nothing.
// Never allocates: past `unsent_bytes_max` the connection is closed (CloseReason::kUnsentBytes) and the bytes go nowhere.
// Thread tag: worker-local.
#pragma once

#include <cstddef>
#include <cstring>

#include "absl/types/span.h"
#include "libhongbao/cpp20.h"

namespace hongbao::net {

class Port;
struct Connection;

class Replies {
 public:
  Replies(Port& port, Connection& connection) : port_(&port), connection_(&connection) {}

  // `size` bytes (1..256; of a bulk connection also any number up to Room()) in one piece, to be filled in before anything
  // else is appended. Never null: a connection over its cap gets a scratch area, so that encoders need no error path.
  std::byte* Append(size_t size);

  // How many bytes may be appended now; 0 to a connection that is closing.
  size_t Room() const;

  // Any length up to the cap.
  void Append(absl::Span<const std::byte> bytes);

 private:
  Port* port_;
  Connection* connection_;
};

}  // namespace hongbao::net
