// What differs between compilers and devices, kept to macros and a few intrinsics.
#pragma once

#ifdef __CUDACC_RTC__
// Compiled at run time there is no standard library, but all that is used of it is built in.
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
namespace std {
using int32_t = int;
using int64_t = long long;
using uint8_t = unsigned char;
using uint16_t = unsigned short;
using uint32_t = unsigned int;
using uint64_t = unsigned long long;
using ::cos;
using ::exp;
using ::expm1;
using ::fabs;
using ::floor;
using ::log;
using ::log1p;
using ::memcpy;
using ::rint;
using ::sin;
using ::sqrt;
}  // namespace std
#else
#include <cmath>
#include <cstdint>
#include <cstring>
#endif

// ADAGEN_HD: for host and device alike. ADAGEN_TEAM: runs where its team does, and a device
// compiler is only ever given device teams.
#ifdef __CUDACC__
#define ADAGEN_HD __host__ __device__
#define ADAGEN_TEAM __device__
#else
#define ADAGEN_HD
#define ADAGEN_TEAM
#endif

// Compiles a driver, with all it calls inlined, once for each x86-64 level and picks one when
// the library is loaded: one binary is safe everywhere and fast where AVX-512 is there.
// Needs GCC for the level names and glibc for the indirect functions.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && __GNUC__ >= 12 && \
    !defined(__clang__) && !defined(__CUDACC__)
#define ADAGEN_CLONES \
  __attribute__((flatten, target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#elif defined(__GNUC__) && !defined(__CUDACC__)
#define ADAGEN_CLONES __attribute__((flatten))
#else
#define ADAGEN_CLONES
#endif

namespace adagen {

// Headers only reach a device compiler's half through these two; memcpy is how host C++17
// spells a bit cast, and compilers vectorise it.
ADAGEN_HD inline std::int32_t float_bits(float value) {
  std::int32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

ADAGEN_HD inline float bits_float(std::int32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace adagen
