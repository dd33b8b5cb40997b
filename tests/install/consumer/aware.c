/* A C program that knows hakmem.h: its malloc is HAKMEM's, seen from three sides. */
#include <hakmem.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

static void expect(int condition, const char* what) {
    if (!condition) {
        fprintf(stderr, "not so: %s\n", what);
        failures++;
    }
}

enum { blocks = 1000, block_bytes = 1000 };

int main(void) {
    static char* block[blocks];
    struct hakmem_statistics before;
    struct hakmem_statistics during;

    expect(hakmem_version() == HAKMEM_VERSION, "library and header have one version");
    expect(hakmem_statistics_get(&before, sizeof before) == 0, "statistics are to be had");
    for (int i = 0; i < blocks; i++) {
        block[i] = malloc(block_bytes);
        expect(block[i] != NULL, "malloc gives a block");
        memset(block[i], i, block_bytes);
    }
    expect(hakmem_statistics_get(&during, sizeof during) == 0, "statistics are to be had again");
    expect(during.live_bytes >= before.live_bytes + (size_t)blocks * block_bytes,
           "malloc makes HAKMEM's heap grow");
    expect(hakmem_usable_size(block[0]) >= block_bytes, "HAKMEM knows the block");
    expect(hakmem_usable_size(block[0]) == malloc_usable_size(block[0]),
           "malloc_usable_size is HAKMEM's");
    for (int i = 0; i < blocks; i++) {
        expect(block[i][block_bytes - 1] == (char)i, "the block keeps its bytes");
        free(block[i]);
    }
    free(strdup("a block that the C library asked for"));
    hakmem_free(malloc(1));
    free(hakmem_malloc(1));
    expect(hakmem_validate() == 0, "the heap is in order");
    puts(failures ? "failed" : "served by HAKMEM");
    return failures != 0;
}
