/* Hostile numbers, and memory between two pages that can be neither read nor written. A source that includes this
 * defines _DEFAULT_SOURCE first. */

#ifndef GUARDED_H
#define GUARDED_H

#include <sys/mman.h>
#include <unistd.h>

#include "common.h"

__extension__ typedef unsigned __int128 wide;

enum { REGION = 1 << 16 };

static uint64_t state;

/* A number below `count`. */
static inline size_t below(size_t count) { return next_number(&state) % count; }

static inline int chance(size_t percent) { return below(100) < percent; }

/* Memory that ends where a page begins that cannot be accessed, and begins where one ends. */
static inline uint8_t *guarded(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    CHECK(REGION % page == 0);
    uint8_t *all = mmap(NULL, REGION + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(all != MAP_FAILED);
    CHECK(mprotect(all + page, REGION, PROT_READ | PROT_WRITE) == 0);
    return all + page;
}

/* A number that may lead to an overflow. */
static inline size_t hostile(void) {
    static const size_t BASES[] = {0, SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 3, SIZE_MAX / 4,
                                   (size_t)1 << 32, (size_t)1 << 63, (size_t)1 << 16};
    return BASES[below(8)] + below(5) - 2;
}

#endif
