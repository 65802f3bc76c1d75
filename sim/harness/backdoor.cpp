// Where a Verilated memory lies, so that a testbench in the same process can fill it at once.

#include "verilated.h"
#include "verilated_sym_props.h"

extern "C" void* backspike_memory(const char* scope, const char* name) {
    const VerilatedScope* found = Verilated::threadContextp()->scopeFind(scope);
    VerilatedVar* variable = found ? found->varFind(name) : nullptr;
    return variable ? variable->datap() : nullptr;
}
