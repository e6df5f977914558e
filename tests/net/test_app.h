// Framed: a little application for tests of net/, with fixed or variable frames, that remembers what it was told.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "libhongbao/net/application.h"

namespace hongbao::net {

inline constexpr size_t kTestFrame = 16;

// A 16-byte frame whose first byte is a command: 'e' echo, 'f' echo and close after flush, 'x' close at once,
// 'l' log in (clears the deadline) and echo, 'm' malformed, 'b' reply with 256 bytes.
inline std::string Frame(char command, uint32_t number = 0) {
  std::string frame = std::string(1, command) + std::to_string(number);
  frame.resize(kTestFrame, '.');
  return frame;
}

// A frame of variable length: its first byte is its length, itself included.
inline std::string VariableFrame(uint8_t length, char fill) {
  std::string frame(length, fill);
  frame[0] = static_cast<char>(length);
  return frame;
}

struct Framed {
  struct Record {
    uint32_t opened = 0;
    uint32_t closed = 0;
    CloseReason reason = CloseReason::kNone;
    std::string frames;  // all whole frames, in order
  };
  using Key = std::pair<uint32_t, uint32_t>;  // slot, generation

  void OnOpen(Port&, Connection& connection) { ++records[KeyOf(connection)].opened; }

  size_t OnBytes(Port& port, Connection& connection, absl::Span<const std::byte> in, Replies& out) {
    Record& record = records[KeyOf(connection)];
    EXPECT_EQ(record.opened, 1u);
    EXPECT_EQ(record.closed, 0u) << "bytes after OnClose";
    EXPECT_FALSE(in.empty());
    const char* bytes = reinterpret_cast<const char*>(in.data());
    size_t consumed = 0;
    while (consumed < in.size() && connection.state == ConnectionState::kOpen) {
      const size_t length = variable ? static_cast<uint8_t>(bytes[consumed]) : kTestFrame;
      if (length == 0) {
        return kMalformed;
      }
      if (in.size() - consumed < length) {
        break;
      }
      const std::string frame(bytes + consumed, length);
      consumed += length;
      record.frames += frame;
      if (variable) {
        out.Append(in.subspan(consumed - length, length));
      } else if (!Serve(port, connection, frame, out)) {
        return kMalformed;
      }
    }
    return consumed;
  }

  void OnClose(Port&, Connection& connection, CloseReason reason) {
    Record& record = records[KeyOf(connection)];
    ++record.closed;
    record.reason = reason;
  }

  void OnConnectFailed(Port&, uint32_t slot, int error) { failed.emplace_back(slot, error); }

  bool Serve(Port& port, Connection& connection, const std::string& frame, Replies& out) {
    if (frame[0] == 'm') {
      return false;
    }
    if (frame[0] == 'b') {
      std::fill_n(out.Append(kFrameBytesMax), kFrameBytesMax, std::byte{'b'});
      return true;
    }
    out.Append({reinterpret_cast<const std::byte*>(frame.data()), frame.size()});
    if (frame[0] == 'l') {
      port.ClearDeadline(connection);
    } else if (frame[0] == 'f') {
      port.CloseAfterFlush(connection, CloseReason::kRefused);
    } else if (frame[0] == 'x') {
      port.Close(connection, CloseReason::kSuperseded);
    }
    return true;
  }

  static Key KeyOf(const Connection& connection) { return {connection.slot, connection.generation}; }
  uint64_t Opened() const {
    uint64_t count = 0;
    for (const auto& [key, record] : records) {
      count += record.opened;
    }
    return count;
  }
  uint64_t Closed() const {
    uint64_t count = 0;
    for (const auto& [key, record] : records) {
      count += record.closed;
    }
    return count;
  }
  // Each connection was opened once and closed at most once.
  bool Sound() const {
    for (const auto& [key, record] : records) {
      if (record.opened != 1 || record.closed > 1) {
        return false;
      }
    }
    return true;
  }

  bool variable = false;
  std::map<Key, Record> records;
  std::vector<std::pair<uint32_t, int>> failed;  // slot, errno
};

}  // namespace hongbao::net
