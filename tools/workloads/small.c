/* Reads itself from its arguments, sorts and prints: a C program to compile and run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct word {
    char *text;
    size_t count;
    struct word *next;
};

static struct word *table[1024];

static struct word *find(const char *text) {
    size_t hash = 5381;
    for (const char *c = text; *c != '\0'; ++c) {
        hash = hash * 33 + (unsigned char)*c;
    }
    struct word **slot = &table[hash % 1024];
    for (struct word *word = *slot; word != NULL; word = word->next) {
        if (strcmp(word->text, text) == 0) {
            return word;
        }
    }
    struct word *word = calloc(1, sizeof *word);
    if (word == NULL || (word->text = strdup(text)) == NULL) {
        exit(1);
    }
    word->next = *slot;
    return *slot = word;
}

int main(void) {
    char text[32];
    size_t most = 0;
    for (unsigned i = 0; i < 200000; ++i) {
        snprintf(text, sizeof text, "w%u", i * 2654435761u % 5003);
        struct word *word = find(text);
        most = ++word->count > most ? word->count : most;
    }
    size_t words = 0;
    for (size_t i = 0; i < 1024; ++i) {
        for (struct word *word = table[i], *next; word != NULL; word = next) {
            next = word->next;
            ++words;
            free(word->text);
            free(word);
        }
    }
    printf("%zu words, %zu times at most\n", words, most);
    return 0;
}
