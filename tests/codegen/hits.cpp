// Allocates and frees in pairs that always hit, whatever allocator is preloaded.
#include <new>

#include "counted.hpp"

namespace {

using counted::hide;

constexpr std::size_t sizes[] = {16, 24, 32, 64, 256, 1024};

void c_pair(std::size_t bytes) { free(hide(malloc(bytes))); }
void cpp_pair(std::size_t bytes) { ::operator delete(hide(::operator new(bytes))); }
void sized_pair(std::size_t bytes) { ::operator delete(hide(::operator new(bytes)), bytes); }

constexpr counted::Kind kinds[] = {
    counted::known, {"c", c_pair}, {"cpp", cpp_pair}, {"cpp_sized", sized_pair}};

}  // namespace

int main(int argc, char** argv) {
    for (const counted::Kind& kind : kinds) {
        for (const std::size_t bytes : sizes) {
            counted::count(kind, bytes, counted::pairs(argc, argv));
        }
    }
}
