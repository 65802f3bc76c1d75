// Where a Verilated memory lies, so that a testbench in the same process can fill it at once.

#include <map>
#include <string>

#include "verilated.h"
#include "verilated_sym_props.h"

namespace {

// Scopes of the insides of blocks, by their paths; see block.cpp.
std::map<std::string, std::string> blocks;

std::string inside_of_block(const std::string& scope) {
    for (const auto& [path, inner] : blocks) {
        if (scope.rfind(path + '.', 0) == 0) return inner + scope.substr(path.size());
    }
    return scope;
}

}  // namespace

void backspike_block(const std::string& path, const std::string& inner) { blocks[path] = inner; }

extern "C" void* backspike_memory(const char* scope, const char* name) {
    const std::string path = inside_of_block(scope);
    const VerilatedScope* found = Verilated::threadContextp()->scopeFind(path.c_str());
    VerilatedVar* variable = found ? found->varFind(name) : nullptr;
    return variable ? variable->datap() : nullptr;
}
