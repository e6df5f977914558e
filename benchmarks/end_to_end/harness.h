// Harness: what the servers of this folder do alike around their loops: options, the line that says where they listen, and the
// processor time they used.
//
// Owns the flags and their defaults. Never touches a connection. Thread tag: for the main thread.
#pragma once

#include <cstdint>
#include <string>

namespace CLI {
class App;
}  // namespace CLI

namespace hongbao::bench {

struct Options {
  uint32_t port = 0;  // 0 = a free one
  uint32_t workers;   // threads; one per processor, as hongbao-server's default
  uint32_t connections_max = 100'000;
};

inline constexpr uint32_t kLoopbackIpv4 = 0x7f00'0001;  // these servers are for a client on the same machine

// Binds --port, --workers and --connections-max to `options`.
void AddOptions(CLI::App& app, Options& options);

// Raises the soft limit of open files to the hard one; returns it.
uint32_t RaiseOpenFiles();

// How many tables of at most `table` connections take `connections`, when SO_REUSEPORT spreads them by hash: filled to 90 % on
// average, as hongbao-server's are.
uint32_t TablesFor(uint32_t connections, uint32_t table);

// "error: ..." on stderr; returns 1, the exit code.
int Fail(const std::string& why);

// "listening on 127.0.0.1:PORT, ..." on stdout, at once.
void SayListening(uint16_t port, const std::string& plan);

// "cpu: user 1.234 s, system 1.234 s" on stdout: of this process, and of the children it has waited for.
void SayCpu();

}  // namespace hongbao::bench
