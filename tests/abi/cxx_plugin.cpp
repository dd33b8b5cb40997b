/**
 * @file cxx_plugin.cpp
 * @brief The plugin of c_program.c: operator new runs out of memory in a library that came late.
 */
#include <cstddef>
#include <new>

namespace {

// The compiler must not see that nobody can have as much.
volatile std::size_t too_much = std::size_t{1} << 62;

unsigned handled = 0;
void handle() {
    handled++;
    std::set_new_handler(nullptr);
}

template <typename Make>
bool throws(Make make) {
    try {
        make();
    } catch (const std::bad_alloc&) {
        return true;
    }
    return false;
}

}  // namespace

/** @return What is wrong, a line; null if nothing is. */
extern "C" [[gnu::visibility("default")]] const char* cxx_plugin_complaint() {
    if (::operator new(too_much, std::nothrow) != nullptr) {
        return "operator new of too much, nothrow, gives a block\n";
    }
    if (::operator new[](too_much, std::align_val_t{64}, std::nothrow) != nullptr) {
        return "operator new[] of too much, aligned and nothrow, gives a block\n";
    }
    if (!throws([] { ::operator delete(::operator new(too_much)); })) {
        return "operator new of too much does not throw\n";
    }
    if (!throws([] {
            const std::align_val_t alignment{64};
            ::operator delete[](::operator new[](too_much, alignment), alignment);
        })) {
        return "operator new[] of too much, aligned, does not throw\n";
    }
    std::set_new_handler(handle);
    if (!throws([] { ::operator delete(::operator new(too_much)); }) || handled != 1) {
        return "operator new of too much does not ask the handler\n";
    }
    delete new int(3);
    return nullptr;
}
