// Catches what operator new throws, with sizes that the compiler knows: it must not conclude that
// nothing is thrown.
#include <cstdio>
#include <cstdlib>
#include <new>
#include <vector>

namespace {

constexpr std::size_t too_much = std::size_t{1} << 46;

struct Huge {
    char bytes[too_much];
};

int destroyed = 0;
struct OnTheWay {
    ~OnTheWay() { destroyed++; }
};

template <typename Body>
bool throws(Body body) {
    try {
        const OnTheWay guard;
        body();
    } catch (const std::bad_alloc&) {
        return true;
    }
    return false;
}

[[gnu::noinline]] void* hide(void* block) {
    asm volatile("" : "+r"(block));
    return block;
}

bool handler_throws() {
    std::set_new_handler([] { throw 5; });
    try {
        ::operator delete(hide(::operator new(too_much)));
    } catch (int thrown) {
        std::set_new_handler(nullptr);
        return thrown == 5;
    }
    return false;
}

}  // namespace

int main() {
    const bool array = throws([] { delete[] static_cast<char*>(hide(new char[too_much])); });
    const bool scalar = throws([] { delete static_cast<Huge*>(hide(new Huge)); });
    const bool vector = throws([] { hide(std::vector<char>(too_much).data()); });
    const bool aligned = throws([] {
        ::operator delete (hide(::operator new (too_much, std::align_val_t{64})),
                           std::align_val_t{64});
    });
    if (!array || !scalar || !vector || !aligned || destroyed != 4 || !handler_throws()) return 1;
    std::puts("done");
}
