// Streams operands through a Verilated arithmetic unit, one set of them a cycle; see stream.py.
//
//   unit binary                 records of 64-bit words, one per input port, to records of one
//                               word per output port
//   unit text OUTPUT FLIP       lines of hexadecimal operands, to lines of operands and the output
//                               of index OUTPUT; FLIP is XORed into the last operand
//
// Whatever has been read is answered before more is waited for, so this works in a pipe with
// something that writes one line and waits for its result.

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "unit.h"  // the model, its ports and latency: generated

namespace {

constexpr size_t CHUNK_BYTES = 1 << 18;

using Words = std::vector<uint64_t>;

Unit unit;

// Runs all records of `operands` through the unit, and the pipeline empty.
Words run(const Words& operands) {
    const size_t count = operands.size() / INPUTS;
    Words results(count * OUTPUTS);
    const size_t steps = count ? count + std::max<size_t>(LATENCY, 1) - 1 : 0;
    for (size_t step = 0; step < steps; ++step) {
        if (step < count) set_inputs(unit, &operands[step * INPUTS]);
        clock(unit);
        const size_t done = step + 1;
        if (done >= LATENCY) {
            const size_t record = LATENCY ? done - LATENCY : step;
            get_outputs(unit, &results[record * OUTPUTS]);
        }
    }
    return results;
}

void write_all(const char* data, size_t bytes) {
    while (bytes) {
        const ssize_t written = ::write(STDOUT_FILENO, data, bytes);
        if (written <= 0) {
            std::perror("cannot write the results");
            std::exit(1);
        }
        data += written;
        bytes -= written;
    }
}

// Reads whatever there is, at least a byte unless the input ends; appends it; returns false at the
// end.
bool read_some(std::string& buffer) {
    const size_t held = buffer.size();
    buffer.resize(held + CHUNK_BYTES);
    const ssize_t got = ::read(STDIN_FILENO, &buffer[held], CHUNK_BYTES);
    if (got < 0) {
        std::perror("cannot read the operands");
        std::exit(1);
    }
    buffer.resize(held + got);
    return got > 0;
}

int stream_binary() {
    std::string buffer;
    const size_t record = INPUTS * sizeof(uint64_t);
    while (read_some(buffer)) {
        const size_t whole = buffer.size() / record * record;
        Words operands(whole / sizeof(uint64_t));
        std::memcpy(operands.data(), buffer.data(), whole);
        buffer.erase(0, whole);
        const Words results = run(operands);
        write_all(reinterpret_cast<const char*>(results.data()), results.size() * sizeof(uint64_t));
    }
    if (!buffer.empty()) std::fprintf(stderr, "the input ends within a record\n");
    return buffer.empty() ? 0 : 1;
}

unsigned digits(unsigned bits) { return (bits + 3) / 4; }

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

void append_hex(std::string& text, uint64_t value, unsigned bits) {
    for (unsigned i = digits(bits); i--;) text += "0123456789ABCDEF"[value >> (4 * i) & 15];
}

class TextStream {
public:
    TextStream(size_t output, uint64_t flip) : output_{output}, flip_{flip} {}

    int stream() {
        std::string buffer;
        bool more = true, good = true;
        while (more && good) {
            more = read_some(buffer);
            if (!more && !buffer.empty()) buffer += '\n';
            const char* at = buffer.data();
            const char* const end = at + buffer.size();
            while (good && at < end) {
                const char* stop = static_cast<const char*>(std::memchr(at, '\n', end - at));
                if (!stop) break;
                good = parse(at, stop);
                at = stop + 1;
            }
            buffer.erase(0, at - buffer.data());
            answer();
        }
        if (!good) std::fprintf(stderr, "%s\n", error_.c_str());
        return good ? 0 : 1;
    }

private:
    // Appends the operands of a line; false, with error_ set, if they are not as they must be.
    bool parse(const char* at, const char* end) {
        ++line_;
        for (unsigned input = 0; input < INPUTS; ++input) {
            while (at < end && is_space(*at)) ++at;
            const char* const word = at;
            uint64_t value = 0;
            bool hex = true;
            for (; at < end && !is_space(*at); ++at) {
                const char c = std::toupper(static_cast<unsigned char>(*at));
                hex = hex && std::isxdigit(static_cast<unsigned char>(c));
                value = value << 4 | (c <= '9' ? c - '0' : c - 'A' + 10);
            }
            if (!hex || at - word != digits(INPUT_BITS[input])) {
                operands_.resize(operands_.size() - input);
                const std::string shown{word, std::min<size_t>(at - word, 40)};
                error_ = "line " + std::to_string(line_) + ": operand "
                         + std::to_string(input + 1) + " of " + std::to_string(INPUTS)
                         + " must be " + std::to_string(digits(INPUT_BITS[input]))
                         + " hexadecimal digits, not '" + shown + "'";
                return false;
            }
            operands_.push_back(value);
        }
        return true;
    }

    void answer() {
        Words flipped = operands_;
        for (size_t i = INPUTS - 1; i < flipped.size(); i += INPUTS) flipped[i] ^= flip_;
        const Words results = run(flipped);
        std::string text;
        for (size_t i = 0; i < operands_.size() / INPUTS; ++i) {
            for (unsigned input = 0; input < INPUTS; ++input) {
                append_hex(text, operands_[i * INPUTS + input], INPUT_BITS[input]);
                text += ' ';
            }
            append_hex(text, results[i * OUTPUTS + output_], OUTPUT_BITS[output_]);
            text += '\n';
        }
        operands_.clear();
        write_all(text.data(), text.size());
    }

    size_t output_;
    uint64_t flip_;
    size_t line_ = 0;
    Words operands_;
    std::string error_;
};

}  // namespace

int main(int argc, char** argv) {
    // The parent may have ignored it: a reader that goes away ends this program quietly.
    std::signal(SIGPIPE, SIG_DFL);
    const std::string mode = argc > 1 ? argv[1] : "";
    if (mode == "binary") return stream_binary();
    if (mode == "text" && argc == 4) {
        return TextStream{std::stoul(argv[2]), std::stoull(argv[3])}.stream();
    }
    std::fprintf(stderr, "the mode must be binary or text OUTPUT FLIP, not '%s'\n", mode.c_str());
    return 1;
}
