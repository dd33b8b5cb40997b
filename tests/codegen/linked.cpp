// Allocates blocks of constant size in a program that is linked with HAKMEM's archive, both with
// -flto: what is left of malloc and operator new there are a few instructions of the caller.
#include <new>

#include "counted.hpp"

namespace {

constexpr std::size_t constant_bytes = 48;

}  // namespace

// [linked]
// Functions, for the sake of their names: each is one call that was taken in, and a ret.
extern "C" {
[[gnu::noinline]] void* malloc_constant() { return malloc(constant_bytes); }
[[gnu::noinline]] void* new_constant() { return ::operator new(constant_bytes); }
}
// [/linked]

int main(int argc, char** argv) {
    constexpr counted::Kind kinds[] = {
        counted::known,
        {"malloc_constant", [](std::size_t) { free(counted::hide(malloc_constant())); }},
        {"new_constant", [](std::size_t) { ::operator delete(counted::hide(new_constant())); }},
    };
    for (const counted::Kind& kind : kinds) {
        counted::count(kind, constant_bytes, counted::pairs(argc, argv));
    }
}
