// The instances of a block: a module that is Verilated once for all of them; see block.py.
//
// Each instance is a model of its own, and in the top module stands what calls the functions below.
// The inputs of the model are registers that the signal `load` writes, a register of its own for
// resets: what depends on an input is evaluated when one has changed, not with each clock.

#include <cstdint>
#include <cstring>
#include <string>

#include "ports.h"  // Model and its ports: generated
#include "svdpi.h"

void backspike_block(const std::string& path, const std::string& inner);  // in backdoor.cpp

namespace {

constexpr uint32_t LOAD = 1U << 30, LOAD_RESETS = 1U << 31;  // bits below these are clocks

template <class T>
void put(T& port, const svBitVecVal* words) {
    port = words[0];
}
void put(QData& port, const svBitVecVal* words) {
    port = words[0] | static_cast<QData>(words[1]) << 32;
}
template <std::size_t N>
void put(VlWide<N>& port, const svBitVecVal* words) {
    std::memcpy(&port[0], words, sizeof(EData) * N);
}

template <class T>
void get(const T& port, svBitVecVal* words) {
    words[0] = port;
}
void get(const QData& port, svBitVecVal* words) {
    words[0] = port;
    words[1] = port >> 32;
}
template <std::size_t N>
void get(const VlWide<N>& port, svBitVecVal* words) {
    std::memcpy(words, &port[0], sizeof(EData) * N);
}

class Block {
public:
    explicit Block(const char* path) : model_{path} {
        backspike_block(path, std::string{path} + INNER);
        model_.eval();  // all signals are low at first, so that it sees them rise
    }

    // Takes the levels of the clocks; returns a number that tells whether outputs may have changed.
    int edge(uint32_t clocks) {
        const uint32_t rising = clocks & ~clocks_;
        clocks_ = clocks;
        if (rising) {
            fire(rising);
            ++edges_;
        }
        return edges_;
    }

    void update(const svBitVecVal* operands, svBitVecVal* results) {
        const bool resets = !loaded_ || differ(operands, FIRST_RESET, OPERANDS);
        if (resets || differ(operands, 0, FIRST_RESET)) {
            loaded_ = true;
            std::memcpy(operands_, operands, sizeof operands_);
            each_operand(model_, [&](auto& port, std::size_t first) {
                put(port, operands + first);
            });
            fire(resets ? LOAD | LOAD_RESETS : LOAD);
        }
        each_result(model_, [&](auto& port, std::size_t first) { get(port, results + first); });
    }

private:
    bool differ(const svBitVecVal* operands, std::size_t first, std::size_t end) const {
        return std::memcmp(operands_ + first, operands + first, sizeof *operands * (end - first));
    }

    // Evaluates the model with edges of these signals; they are low otherwise.
    void fire(uint32_t signals) {
        if (signals & seen_high_) model_.eval();
        set(signals);
        model_.eval();
        set(0);
        seen_high_ = signals;
    }

    void set(uint32_t signals) {
        each_clock(model_, [&](auto& port, int number) { port = signals >> number & 1; });
        model_.block_load = (signals & LOAD) != 0;
        model_.block_load_resets = (signals & LOAD_RESETS) != 0;
    }

    Model model_;
    uint32_t clocks_ = 0, seen_high_ = 0;
    int edges_ = 0;
    bool loaded_ = false;
    svBitVecVal operands_[OPERANDS];
};

}  // namespace

extern "C" {

void* MAKE(const char* path) { return new Block{path}; }

int EDGE(void* block, uint32_t clocks) { return static_cast<Block*>(block)->edge(clocks); }

void UPDATE(void* block, int, const svBitVecVal* operands, svBitVecVal* results) {
    static_cast<Block*>(block)->update(operands, results);
}

}
