#include <iostream>
#include <new>

// throw, malloc(1) and new int in a comment, "catch" below in a string
const char* text = "try to malloc(2) a new int";
void* operator new(unsigned long size);
struct Arena {
    void* malloc(int size);
};
void bad(Arena& arena, Arena* other, void* place) {
    arena.malloc(1);
    other->malloc(1);
    hakmem_malloc(1);
    new (place) Arena();
    ::malloc(1);
    std::calloc(1, 2);
    int* p = new int;
    if (!p) throw 1;
    (void)dynamic_cast<void*>(&arena);
}
