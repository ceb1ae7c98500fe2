// Linux calls that Swift's Glibc overlay does not carry, and the few that must be C:
// what runs between vfork and exec.
#ifndef CLINUX_H
#define CLINUX_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/types.h>

/// How a child process is to be started. All strings are NUL-terminated; arrays end in NULL.
struct clinux_spawn {
    const char *path;               ///< executable, absolute or found by the caller
    char *const *arguments;         ///< argv
    char *const *environment;       ///< envp
    const char *directory;          ///< working directory, or NULL for the server's
    int input;                      ///< becomes file descriptor 0, or -1 for /dev/null
    int output;                     ///< becomes 1, or -1 for /dev/null
    int error;                      ///< becomes 2, or -1 for /dev/null
    int channel;                    ///< becomes 3, or -1 for none
    int64_t memory_bytes;           ///< RLIMIT_DATA, or 0 for the server's own
    int64_t cpu_seconds;            ///< RLIMIT_CPU, or 0
    int64_t open_files;             ///< RLIMIT_NOFILE, or 0
    int64_t processes;              ///< RLIMIT_NPROC, or 0
    int cgroup;                     ///< folder of the cgroup (version 2) it begins in, or -1
};

/// Raises the soft limit of open descriptors to the hard one, as far as it goes, for this process alone: children
/// of `clinux_spawn` have again what it began with, since programs that use select(2), or close all
/// descriptors that there may be, do not get on with a high one. Returns the limit in force. To be called once,
/// before any start.
int64_t clinux_raise_open_files(void);

/// The name of an entry that readdir(3) has given. Swift would copy the 256 bytes that the field may have, of
/// which only as many are there as the name takes.
static inline const char *clinux_entry_name(const struct dirent *entry) { return entry->d_name; }

/// Starts a child in a process group of its own that the kernel kills when the calling *thread*
/// ends. Every descriptor above 3 is closed in the child, its signal mask and dispositions are
/// reset (SIGINT stays ignored). Returns the process id, or -errno; an exec that fails is
/// reported here too.
pid_t clinux_spawn(const struct clinux_spawn *spawn);

/// Makes this process the parent of all descendants whose own parent ends.
void clinux_become_subreaper(void);

/// Whether systemd has marked a cgroup's folder as handed out to its unit (`Delegate=`).
bool clinux_is_delegated(const char *path);

/// A descriptor that becomes readable when the process ends, or -errno.
int clinux_pidfd_open(pid_t pid);

/// EPOLLEXCLUSIVE: of several that watch one descriptor, one is woken.
static const uint32_t clinux_epoll_exclusive = EPOLLEXCLUSIVE;

/// A non-blocking, close-on-exec epoll descriptor, or -errno.
int clinux_epoll_create(void);
/// epoll_ctl with the token as data; 0 or -errno.
int clinux_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t token);

/// Accepts one connection, non-blocking and close-on-exec; the descriptor or -errno.
int clinux_accept(int listener, struct sockaddr_storage *peer);

/// A listening Unix socket at `path`; one that a dead server left there is replaced. Or -errno.
int clinux_unix_listener(const char *path);

/// A pipe whose ends are closed on exec; 0 or -1 with errno.
int clinux_pipe(int ends[2]);

/// Names the calling thread; longer than 15 bytes is cut.
void clinux_name_thread(const char *name);

/// Has allocations over a mebibyte go back to the system when they are freed, of which the C library would
/// soon keep some tens of megabytes for each thread; and has each thread keep 256 KiB of what is free below
/// that, which it would give back and fetch again every dozen jobs.
void clinux_tune_allocator(void);

/// Bytes that the allocator keeps of what was freed, given back to the system or not; 0 where it does not say.
size_t clinux_spare_bytes(void);

/// Gives all of them back. Takes the allocator's locks one by one, for some milliseconds a 100 MB each.
void clinux_give_back_spare(void);

/// Whether a part of a file is in the page cache. False where the kernel cannot tell (before Linux 6.5).
bool clinux_is_cached(int fd, int64_t offset, int64_t bytes);

/// Bytes in a socket's queue that the other side has not acknowledged; 0 where that cannot be told.
int clinux_untaken_bytes(int fd);

/// Asks for large pages where memory will be filled: one fault for 2 MiB in place of 512. Where the system is
/// set to give none, nothing changes.
void clinux_prefer_huge_pages(void *start, size_t bytes);

/// Unmaps the pages of the program's and its libraries' files that cannot be written to; those that are still
/// needed come back from the page cache when they are next touched.
void clinux_drop_code_pages(void);

/// What SIGINT has the process write to stderr before it ends it, as it does anyway; NULL for nothing. Where
/// SIGINT is ignored it stays so. Of a longer text the first 512 bytes are kept.
void clinux_say_at_interrupt(const char *text);

/// Number of CPUs in this process's affinity mask, at least 1.
int clinux_affinity_cpus(void);

/// Keeps the calling thread on one CPU, the `index`-th of this process's affinity mask, counted from 0; 0 or
/// -errno. Threads that it starts are kept there, too.
int clinux_stay_on_cpu(int index);

/// Lets the calling thread run on all CPUs of this process's affinity mask, whoever has started it.
void clinux_use_all_cpus(void);

#endif
