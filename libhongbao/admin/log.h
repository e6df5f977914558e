// Log: sets up spdlog for a main: stderr, one line an event, UTC time in front.
//
// Owns: spdlog's default logger. Never writes to stdout (rows and results go there); under systemd it leaves the time
// to the journal. Thread tag: SetUpLogging thread-compatible, once, first in main; logging itself is thread-safe.
#pragma once

namespace hongbao::admin {

enum class LogLevel { kQuiet, kNormal, kVerbose };  // errors only / info / debug

void SetUpLogging(LogLevel level);

}  // namespace hongbao::admin
