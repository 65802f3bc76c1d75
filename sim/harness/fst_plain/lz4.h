// What Verilator's writer of FST files calls of LZ4, without compression: for machines that lack
// the library. A block of literals alone is a valid LZ4 block; readers need no more than they do.
#pragma once
#include <cstring>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

inline int LZ4_compress_default(const char* source, char* out, int size, int) {
    char* to = out;
    if (size < 15) {
        *to++ = static_cast<char>(size << 4);
    } else {
        *to++ = static_cast<char>(15 << 4);
        int left = size - 15;
        for (; left >= 255; left -= 255) *to++ = static_cast<char>(255);
        *to++ = static_cast<char>(left);
    }
    std::memcpy(to, source, size);
    return static_cast<int>(to - out) + size;
}
