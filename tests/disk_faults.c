/* Makes calls on the files below one folder fail, on demand, in a process that this is preloaded into.
 *
 * STREAMLAB_TEST_FAULT_PREFIX is the folder's real path. STREAMLAB_TEST_FAULT_SWITCH is a file that is mapped
 * into memory, so that the switch acts at once and costs one load while it is off: an int, the errno to fail
 * with or 0, and an int that counts the calls that failed.
 *
 * With any errno set, writing, shortening, growing and syncing fail. With EROFS nothing can be opened for
 * writing, made, renamed or removed either. Reading goes on, and so does writing through a mapping. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct fault {
    int number;
    int struck;
};

static struct fault *fault;
static const char *prefix;

__attribute__((constructor)) static void map_switch(void) {
    const char *name = getenv("STREAMLAB_TEST_FAULT_SWITCH");
    struct stat found;
    prefix = getenv("STREAMLAB_TEST_FAULT_PREFIX");
    if (!name || !prefix) return;
    prefix = strdup(prefix); /* the process may change its environment */
    int fd = open(name, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    if (!fstat(fd, &found) && found.st_size >= (off_t)sizeof *fault) {
        void *memory = mmap(NULL, sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (memory != MAP_FAILED) fault = memory;
    }
    close(fd);
}

static int armed(void) { return fault ? __atomic_load_n(&fault->number, __ATOMIC_RELAXED) : 0; }

static int lies_below(const char *path) {
    size_t length = strlen(prefix);
    return !strncmp(path, prefix, length) && (path[length] == '/' || path[length] == '\0');
}

static int strike(int number) {
    __atomic_add_fetch(&fault->struck, 1, __ATOMIC_RELAXED);
    errno = number;
    return 1;
}

static int fails_on_fd(int fd) {
    char link[32], path[PATH_MAX];
    int number = armed();
    if (!number) return 0;
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0) return 0;
    path[length] = '\0';
    return lies_below(path) && strike(number);
}

/* A path may not exist yet, so it is its folder that is resolved. */
static int fails_on_path(int folder, const char *path) {
    char joined[PATH_MAX], real[PATH_MAX];
    if (armed() != EROFS || !path) return 0;
    int before = errno, length;
    if (path[0] == '/' || folder == AT_FDCWD)
        length = snprintf(joined, sizeof joined, "%s%s", path[0] == '/' ? "" : "./", path);
    else
        length = snprintf(joined, sizeof joined, "/proc/self/fd/%d/%s", folder, path);
    if (length >= (int)sizeof joined) return 0;
    char *last = strrchr(joined, '/');
    *last = '\0';
    char *found = realpath(joined[0] ? joined : "/", real);
    errno = before;
    if (!found) return 0;
    size_t used = strlen(real);
    snprintf(real + used, sizeof real - used, "/%s", last + 1);
    return lies_below(real) && strike(EROFS);
}

#define NEXT(name) static __typeof__(&name) next; if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define BY_FD(type, name, params, args) \
    type name params { \
        if (fails_on_fd(fd)) return -1; \
        NEXT(name); \
        return next args; \
    }

BY_FD(ssize_t, write, (int fd, const void *from, size_t size), (fd, from, size))
BY_FD(ssize_t, pwrite, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at))
BY_FD(ssize_t, pwrite64, (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at))
BY_FD(ssize_t, writev, (int fd, const struct iovec *from, int parts), (fd, from, parts))
BY_FD(ssize_t, pwritev, (int fd, const struct iovec *from, int parts, off_t at), (fd, from, parts, at))
BY_FD(ssize_t, pwritev64, (int fd, const struct iovec *from, int parts, off64_t at), (fd, from, parts, at))
BY_FD(int, ftruncate, (int fd, off_t size), (fd, size))
BY_FD(int, ftruncate64, (int fd, off64_t size), (fd, size))
BY_FD(int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
BY_FD(int, fallocate64, (int fd, int mode, off64_t at, off64_t size), (fd, mode, at, size))
BY_FD(int, fsync, (int fd), (fd))
BY_FD(int, fdatasync, (int fd), (fd))

/* These return the errno and leave the variable alone. */
#define RETURNING_ERRNO(name, offset) \
    int name(int fd, offset at, offset size) { \
        int before = errno; \
        if (fails_on_fd(fd)) { \
            int number = errno; \
            errno = before; \
            return number; \
        } \
        NEXT(name); \
        return next(fd, at, size); \
    }

RETURNING_ERRNO(posix_fallocate, off_t)
RETURNING_ERRNO(posix_fallocate64, off64_t)

#define BY_PATH(type, name, folder, path, params, args) \
    type name params { \
        if (fails_on_path(folder, path)) return -1; \
        NEXT(name); \
        return next args; \
    }

BY_PATH(int, creat, AT_FDCWD, path, (const char *path, mode_t mode), (path, mode))
BY_PATH(int, creat64, AT_FDCWD, path, (const char *path, mode_t mode), (path, mode))
BY_PATH(int, mkdir, AT_FDCWD, path, (const char *path, mode_t mode), (path, mode))
BY_PATH(int, rmdir, AT_FDCWD, path, (const char *path), (path))
BY_PATH(int, unlink, AT_FDCWD, path, (const char *path), (path))
BY_PATH(int, unlinkat, folder, path, (int folder, const char *path, int flags), (folder, path, flags))
BY_PATH(int, truncate, AT_FDCWD, path, (const char *path, off_t size), (path, size))
BY_PATH(int, truncate64, AT_FDCWD, path, (const char *path, off64_t size), (path, size))
BY_PATH(int, rename, AT_FDCWD, to, (const char *from, const char *to), (from, to))

/* The mode is there only when a file may be made. */
#define OPENING(name, folder, params, args) \
    int name params { \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        int writes = (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC); \
        if (writes && fails_on_path(folder, path)) return -1; \
        NEXT(name); \
        return next args; \
    }

OPENING(open, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPENING(open64, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPENING(openat, folder, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
OPENING(openat64, folder, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
