#include "tools/conns_program/diag.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace hongbao::conns {
namespace {

struct StateName {
  uint32_t number;  // the kernel's (include/net/tcp_states.h)
  const char* name;
};
constexpr StateName kStates[] = {{1, "established"}, {2, "syn-sent"},  {3, "syn-recv"}, {4, "fin-wait-1"},
                                 {5, "fin-wait-2"},  {6, "time-wait"}, {7, "close"},    {8, "close-wait"},
                                 {9, "last-ack"},    {10, "listen"},   {11, "closing"}};

uint32_t AllStates() {
  uint32_t all = 0;
  for (const StateName& state : kStates) all |= 1U << state.number;
  return all;
}

Connection ConnectionOf(const inet_diag_msg& message) {
  Connection connection{
      .local_port = ntohs(message.id.idiag_sport), .peer_port = ntohs(message.id.idiag_dport), .state = message.idiag_state};
  if (message.idiag_family == AF_INET) {
    connection.peer[10] = connection.peer[11] = 0xff;
    std::memcpy(connection.peer.data() + 12, message.id.idiag_dst, 4);
  } else {
    std::memcpy(connection.peer.data(), message.id.idiag_dst, 16);
  }
  return connection;
}

template <typename Struct>
Struct Load(absl::Span<const std::byte> bytes) {
  Struct value;
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

template <typename Struct>
void Append(std::vector<std::byte>& bytes, const Struct& value) {
  const size_t before = bytes.size();
  bytes.resize(before + sizeof(value));
  std::memcpy(bytes.data() + before, &value, sizeof(value));
}

// Verdict of a message that ends the dump. NLMSG_DONE may carry the errno of a dump that failed on the way.
Parsed::Verdict End(uint16_t type, absl::Span<const std::byte> body, int& error) {
  int32_t negative = 0;
  if (body.size() >= sizeof(negative)) negative = Load<int32_t>(body);
  if (type == NLMSG_DONE && negative >= 0) return Parsed::Verdict::kDone;
  if (type == NLMSG_ERROR && body.size() < sizeof(negative)) return Parsed::Verdict::kMalformed;
  if (negative >= 0 || negative < -4'095) return Parsed::Verdict::kMalformed;  // an acknowledgement was not asked for
  error = -negative;
  return Parsed::Verdict::kError;
}

}  // namespace

Address AddressOfIpv4(uint32_t host_order) {
  Address address{};
  address[10] = address[11] = 0xff;
  for (size_t i = 0; i < 4; ++i) address[12 + i] = static_cast<uint8_t>(host_order >> (24 - 8 * i));
  return address;
}

std::string AddressToString(const Address& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (Ipv4Of(address).has_value()) {
    inet_ntop(AF_INET, address.data() + 12, text, sizeof(text));
  } else {
    inet_ntop(AF_INET6, address.data(), text, sizeof(text));
  }
  return text;
}

absl::StatusOr<uint32_t> ParseStates(absl::string_view text) {
  if (text == "all") return AllStates();
  uint32_t states = 0;
  for (const absl::string_view name : absl::StrSplit(text, ',')) {
    const auto* const state =
        std::find_if(std::begin(kStates), std::end(kStates), [name](const StateName& s) { return s.name == name; });
    if (state == std::end(kStates)) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", name, "' is no state of TCP; known are all, ", StatesToString(AllStates())));
    }
    states |= 1U << state->number;
  }
  return states;
}

std::string StatesToString(uint32_t states) {
  std::string text;
  for (const StateName& state : kStates) {
    if ((states & 1U << state.number) != 0) absl::StrAppend(&text, text.empty() ? "" : ",", state.name);
  }
  return text;
}

absl::StatusOr<std::vector<PortRange>> ParsePorts(absl::string_view text) {
  std::vector<PortRange> ports;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::vector<absl::string_view> ends = absl::StrSplit(part, '-');
    int first = 0;
    int last = 0;
    const bool are_digits = part.find_first_not_of("0123456789-") == absl::string_view::npos;
    if (!are_digits || ends.size() > 2 || !absl::SimpleAtoi(ends[0], &first) || !absl::SimpleAtoi(ends.back(), &last) ||
        first < 1 || last > 65'535 || first > last) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", part, "' is no port; write 1025, 1025-1028 or a list of them with commas"));
    }
    ports.push_back({.first = static_cast<uint16_t>(first), .last = static_cast<uint16_t>(last)});
  }
  if (ports.size() > kPortRangesMax) {
    return absl::InvalidArgumentError(absl::StrCat(ports.size(), " ranges of ports; at most ", kPortRangesMax));
  }
  return ports;
}

std::vector<std::byte> DumpRequest(Family family, uint32_t states, absl::Span<const std::byte> filter, uint32_t sequence) {
  std::vector<std::byte> bytes(sizeof(nlmsghdr));
  if (family == Family::kBoth) {
    inet_diag_req request{};
    request.idiag_states = states;
    Append(bytes, request);
  } else {
    inet_diag_req_v2 request{};
    request.sdiag_family = family == Family::kIpv4 ? AF_INET : AF_INET6;
    request.sdiag_protocol = IPPROTO_TCP;
    request.idiag_states = states;
    Append(bytes, request);
  }
  if (!filter.empty()) {
    Append(bytes, nlattr{.nla_len = static_cast<uint16_t>(sizeof(nlattr) + filter.size()), .nla_type = INET_DIAG_REQ_BYTECODE});
    bytes.insert(bytes.end(), filter.begin(), filter.end());
  }
  const nlmsghdr header{
      .nlmsg_len = static_cast<uint32_t>(bytes.size()),
      .nlmsg_type = static_cast<uint16_t>(family == Family::kBoth ? uint16_t{TCPDIAG_GETSOCK} : uint16_t{SOCK_DIAG_BY_FAMILY}),
      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
      .nlmsg_seq = sequence,
      .nlmsg_pid = 0};
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

Parsed ParseDatagram(absl::Span<const std::byte> bytes, uint32_t sequence, absl::FunctionRef<void(const Connection&)> found) {
  Parsed parsed;
  while (!bytes.empty()) {
    if (bytes.size() < sizeof(nlmsghdr)) {
      parsed.verdict = Parsed::Verdict::kMalformed;
      return parsed;
    }
    const auto header = Load<nlmsghdr>(bytes);
    if (header.nlmsg_len < sizeof(nlmsghdr) || header.nlmsg_len > bytes.size()) {
      parsed.verdict = Parsed::Verdict::kMalformed;
      return parsed;
    }
    const absl::Span<const std::byte> body = bytes.subspan(sizeof(nlmsghdr), header.nlmsg_len - sizeof(nlmsghdr));
    bytes.remove_prefix(std::min<size_t>(NLMSG_ALIGN(size_t{header.nlmsg_len}), bytes.size()));
    if (header.nlmsg_seq != sequence) continue;
    parsed.interrupted = parsed.interrupted || (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
    if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) {
      parsed.verdict = End(header.nlmsg_type, body, parsed.error);
      return parsed;
    }
    if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY && header.nlmsg_type != TCPDIAG_GETSOCK) continue;
    if (body.size() < sizeof(inet_diag_msg)) {
      parsed.verdict = Parsed::Verdict::kMalformed;
      return parsed;
    }
    found(ConnectionOf(Load<inet_diag_msg>(body)));
  }
  return parsed;
}

}  // namespace hongbao::conns
