// The main program of a simulation with blocks: cocotb's, but for when these are made.
//
// A block is made by the first evaluation of the top module. A testbench that asks for its memories
// at once, and a file of waves, want it before.

#include "Vtop.h"
#include "verilated.h"

namespace {

struct EvaluatedTop : Vtop {
    explicit EvaluatedTop(const char* name) : Vtop{name} {
#if VM_TRACE
        Verilated::traceEverOn(true);
#endif
        eval_step();
    }
};

}  // namespace

#define Vtop EvaluatedTop
#include COCOTB_MAIN
