#include "mysql/crc32.h"

#include <zlib.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tailwater::mysql {
namespace {

uint32_t ByZlib(uint32_t crc, const char* bytes, size_t size) {
  return static_cast<uint32_t>(crc32_z(crc, reinterpret_cast<const Bytef*>(bytes), size));
}

#if defined(__x86_64__)
#define TW_FOLDING __attribute__((target("pclmul,sse4.1")))

constexpr size_t kSmallest = 16;

// x^n mod P for the distances over which `folded` is carried forward, low and high half at once.
TW_FOLDING inline __m128i Carry(__m128i folded, __m128i distance, __m128i onto) {
  const __m128i low = _mm_clmulepi64_si128(folded, distance, 0x00);
  const __m128i high = _mm_clmulepi64_si128(folded, distance, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), onto);
}

TW_FOLDING inline __m128i Load(const char* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

// "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ" (Intel, 2009), bits reflected.
// `size` is a multiple of 16 and at least kSmallest; `state` is the inverted CRC, as is the result.
TW_FOLDING uint32_t Fold(uint32_t state, const char* bytes, size_t size) {
  const __m128i by_64_bytes = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
  const __m128i by_16_bytes = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
  const __m128i by_8_bytes = _mm_set_epi64x(0, 0x163cd6124);
  const __m128i barrett = _mm_set_epi64x(0x1f7011641, 0x1db710641);
  const __m128i low_words = _mm_setr_epi32(~0, 0, ~0, 0);

  __m128i a = _mm_xor_si128(Load(bytes), _mm_cvtsi32_si128(static_cast<int>(state)));
  if (size >= 64) {
    __m128i b = Load(bytes + 16), c = Load(bytes + 32), d = Load(bytes + 48);
    for (bytes += 64, size -= 64; size >= 64; bytes += 64, size -= 64) {
      a = Carry(a, by_64_bytes, Load(bytes));
      b = Carry(b, by_64_bytes, Load(bytes + 16));
      c = Carry(c, by_64_bytes, Load(bytes + 32));
      d = Carry(d, by_64_bytes, Load(bytes + 48));
    }
    a = Carry(a, by_16_bytes, b);
    a = Carry(a, by_16_bytes, c);
    a = Carry(a, by_16_bytes, d);
  } else {
    bytes += 16, size -= 16;
  }
  for (; size >= 16; bytes += 16, size -= 16) a = Carry(a, by_16_bytes, Load(bytes));

  // 128 bits to 64, to 32.
  a = _mm_xor_si128(_mm_srli_si128(a, 8), _mm_clmulepi64_si128(a, by_16_bytes, 0x10));
  a = _mm_xor_si128(_mm_srli_si128(a, 4),
                    _mm_clmulepi64_si128(_mm_and_si128(a, low_words), by_8_bytes, 0x00));
  __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(a, low_words), barrett, 0x10);
  quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, low_words), barrett, 0x00);
  return static_cast<uint32_t>(_mm_extract_epi32(_mm_xor_si128(a, quotient), 1));
}
#endif

}  // namespace

uint32_t Crc32(std::string_view bytes) {
#if defined(__x86_64__)
  static const bool kCanFold = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
  if (kCanFold && bytes.size() >= kSmallest) {
    const size_t folded = bytes.size() & ~size_t{15};
    const uint32_t crc = ~Fold(0xFFFFFFFF, bytes.data(), folded);
    return ByZlib(crc, bytes.data() + folded, bytes.size() - folded);
  }
#endif
  return ByZlib(0, bytes.data(), bytes.size());
}

}  // namespace tailwater::mysql
