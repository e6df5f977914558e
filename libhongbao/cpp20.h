// A clear word for whoever compiles an earlier C++: every header of the library comes to this one first, by itself or by others.
//
// Owns nothing. Thread tag: none.
#pragma once

#if __cplusplus < 202002L
#error "libhongbao needs C++20: compile with -std=c++20 or later"
#endif
