// Standard streams: that 0, 1 and 2 are what everybody takes them for.
//
// Owns: nothing. A program started with one of them closed (`>&-`) would get the number for the next file or socket it
// opens, and then print rows into it. Thread tag: thread-compatible (before anything is opened).
#pragma once

namespace hongbao::admin {

// Opens /dev/null in place of each of the three that is closed.
void HoldStandardStreams();

}  // namespace hongbao::admin
