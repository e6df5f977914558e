// Standard streams: that 0, 1 and 2 are what everybody takes them for, and that output that was lost is not called a success.
//
// A program started with one of them closed (`>&-`) would get the number for the next file or socket it opens, and then print
// rows into it. What stdout does not take (a full disk) is said once on stderr and makes the exit code 1; a reader that went
// away (`| head`) ends the output and nothing else.
// Thread tag: thread-compatible (HoldStandardStreams before anything is opened, the rest from the reporter's thread).
#pragma once

#include <cstdio>

#include "absl/strings/string_view.h"
#include "libhongbao/cpp20.h"

namespace hongbao::cli {

// Opens /dev/null in place of each of the three that is closed.
void HoldStandardStreams();

// Writes and flushes; false: `out` takes no more.
bool WriteOut(std::FILE* out, absl::string_view text);

// The exit code of a program that would end with `code`: 1 in place of 0 when stdout did not take everything.
int ExitCodeOfOutput(int code);

}  // namespace hongbao::cli
