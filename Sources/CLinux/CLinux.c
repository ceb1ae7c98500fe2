#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

static void close_from(int first) {
    if (syscall(SYS_close_range, (unsigned)first, ~0U, 0) == 0) return;
    long most = sysconf(_SC_OPEN_MAX);
    if (most < 0 || most > 65536) most = 65536;
    for (int fd = first; fd < most; fd++) close(fd);
}

// Lowers a limit of the calling process, never above what it has; 0 or -1 with errno.
static int limit(__rlimit_resource_t kind, int64_t value) {
    struct rlimit now;
    if (value <= 0) return 0;
    if (getrlimit(kind, &now) != 0) return -1;
    if ((rlim_t)value < now.rlim_max) now.rlim_cur = now.rlim_max = (rlim_t)value;
    return setrlimit(kind, &now);
}

// The bound of descriptors that the process began with; what it starts gets that again.
static struct rlimit first_open_files;
static bool has_raised_open_files;

int64_t clinux_raise_open_files(void) {
    struct rlimit now;
    if (getrlimit(RLIMIT_NOFILE, &now) != 0) return 1024;
    if (now.rlim_cur < now.rlim_max) {
        struct rlimit raised = {now.rlim_max, now.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
            first_open_files = now;
            has_raised_open_files = true;
            now = raised;
        }
    }
    return now.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)now.rlim_cur;
}

static int restore_open_files(void) {
    return has_raised_open_files ? setrlimit(RLIMIT_NOFILE, &first_open_files) : 0;
}

// A start as its child sees it, in the parent's memory.
struct start {
    const struct clinux_spawn *spawn;
    pid_t parent;
    int cgroup;  // to be joined by the child itself, or -1
    volatile int failure;
};

// Moves the calling process into a cgroup; 0 or -1 with errno.
static int join(int cgroup) {
    int fd = openat(cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, "0", 1) != 1 ? -1 : close(fd);
}

// Runs in the child on the parent's memory: async-signal-safe calls only, no return.
static void child(struct start *start) {
    const struct clinux_spawn *s = start->spawn;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != start->parent) _exit(127);  // the server died before the request was made
    if (start->cgroup >= 0 && join(start->cgroup)) goto fail;

    int null = open("/dev/null", O_RDWR);
    int wanted[4] = {s->input, s->output, s->error, s->channel};
    // Move every source above the targets first, so that no dup2 below overwrites one.
    for (int i = 0; i < 4; i++) {
        int fd = wanted[i] >= 0 ? wanted[i] : (i < 3 ? null : -1);
        wanted[i] = fd >= 0 ? fcntl(fd, F_DUPFD, 16) : -1;
        if (wanted[i] < 0 && i < 4 - (s->channel < 0)) goto fail;
    }
    for (int i = 0; i < 4; i++)
        if (wanted[i] >= 0) { if (dup2(wanted[i], i) < 0) goto fail; }
    close_from(wanted[3] >= 0 ? 4 : 3);
    if (s->directory && chdir(s->directory) != 0) goto fail;

    if (restore_open_files() || limit(RLIMIT_DATA, s->memory_bytes) || limit(RLIMIT_NOFILE, s->open_files) ||
        limit(RLIMIT_NPROC, s->processes)) goto fail;
    // A second more for the hard limit, whose SIGKILL would not tell what it was for.
    struct rlimit cpu = {(rlim_t)s->cpu_seconds, (rlim_t)s->cpu_seconds + 1};
    if (s->cpu_seconds > 0 && setrlimit(RLIMIT_CPU, &cpu)) goto fail;

    struct sigaction standard = {.sa_handler = SIG_DFL}, ignored = {.sa_handler = SIG_IGN};
    for (int n = 1; n < NSIG; n++) if (n != SIGKILL && n != SIGSTOP) sigaction(n, &standard, NULL);
    sigaction(SIGINT, &ignored, NULL);  // Ctrl-C on a terminal is for the server alone
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(s->path, s->arguments, s->environment);
fail:
    start->failure = errno;
    _exit(127);
}

// vfork into a cgroup, on a stack of its own; the process id, or -errno where the kernel, or a
// container's filter of calls, has no clone3. The C library offers no such call.
static long vfork_into(int cgroup, struct start *start) {
    enum { size = 64 << 10 };
    char stack[size] __attribute__((aligned(16)));
    struct clone_args arguments = {
        .flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP, .exit_signal = SIGCHLD,
        .stack = (uintptr_t)stack, .stack_size = size, .cgroup = (unsigned)cgroup};
#if defined(__x86_64__)
    long result;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %[start], %%rdi\n\t"
                     "call *%[child]\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "a"(SYS_clone3), "D"(&arguments), "S"(sizeof arguments), [start] "r"(start),
                       [child] "r"(child)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = SYS_clone3;
    register long x0 __asm__("x0") = (long)&arguments;
    register long x1 __asm__("x1") = sizeof arguments;
    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "mov x0, %[start]\n\t"
                     "blr %[child]\n\t"
                     "brk #1\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), [start] "r"(start), [child] "r"(child)
                     : "memory");
    return x0;
#else
    (void)arguments;
    (void)start;
    return -ENOSYS;
#endif
}

// Goes on when the child has begun its program, or ended; its id, or -errno.
static long start_child(struct start *start) {
    int cgroup = start->spawn->cgroup;
    if (cgroup >= 0) {
        long pid = vfork_into(cgroup, start);
        if (pid > 0) return pid;
    }
    // To move afterwards takes the kernel up to 16 ms, in which it waits for all processors.
    start->cgroup = cgroup;
    pid_t pid = vfork();
    if (pid == 0) child(start);
    return pid < 0 ? -errno : pid;
}

pid_t clinux_spawn(const struct clinux_spawn *spawn) {
    struct start start = {.spawn = spawn, .parent = getpid(), .cgroup = -1};
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // no handler may run in the shared memory
    pid_t pid = (pid_t)start_child(&start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) return pid;
    if (start.failure) waitpid(pid, NULL, 0);
    return start.failure ? -start.failure : pid;
}

void clinux_become_subreaper(void) { prctl(PR_SET_CHILD_SUBREAPER, 1); }

bool clinux_is_delegated(const char *path) {
    char mark = 0;
    // The second is of versions before 251, and root alone reads it.
    return (getxattr(path, "user.delegate", &mark, 1) == 1 ||
            getxattr(path, "trusted.delegate", &mark, 1) == 1) && mark == '1';
}

int clinux_pidfd_open(pid_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
}

int clinux_epoll_create(void) {
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int clinux_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t token) {
    struct epoll_event event = {.events = events, .data.u64 = token};
    return epoll_ctl(epoll, operation, fd, &event) == 0 ? 0 : -errno;
}

int clinux_accept(int listener, struct sockaddr_storage *peer) {
    socklen_t size = sizeof *peer;
    int fd = accept4(listener, (struct sockaddr *)peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int clinux_unix_listener(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    // A socket that nobody listens on is left from a server that was killed.
    struct stat there;
    if (lstat(path, &there) == 0 && S_ISSOCK(there.st_mode) &&
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno == ECONNREFUSED)
        unlink(path);
    close(fd);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    // For the server's user and group. The socket's own mode bounds that of its path, less the umask, so that
    // there is no moment in which it is everybody's; what the umask took from the group is given back.
    if (fchmod(fd, 0660) != 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        chmod(path, 0660) != 0 || listen(fd, 4096) != 0) {
        int failure = errno;
        close(fd);
        return -failure;
    }
    return fd;
}

int clinux_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

void clinux_name_thread(const char *name) {
    prctl(PR_SET_NAME, name);  // the kernel cuts it
}

void clinux_tune_allocator(void) {
#ifdef M_MMAP_THRESHOLD
    // Set once, it is not raised to the size of what was freed last.
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    // Else each thread gives back and fetches again a few pages every dozen jobs.
    mallopt(M_TOP_PAD, 256 << 10);
#endif
}

size_t clinux_spare_bytes(void) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
    return mallinfo2().fordblks;
#else
    return 0;
#endif
}

void clinux_give_back_spare(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

bool clinux_is_cached(int fd, int64_t offset, int64_t bytes) {
    const long call = 451;  // cachestat, the same number everywhere; the C library may not know it
    const struct { uint64_t offset, bytes; } part = {(uint64_t)offset, (uint64_t)bytes};
    struct { uint64_t cached, dirty, writeback, evicted, recently_evicted; } found;
    if (bytes <= 0) return true;
    if (syscall(call, fd, &part, &found, 0) != 0) return false;
    const int64_t page = sysconf(_SC_PAGESIZE);
    return found.cached >= (uint64_t)((offset + bytes - 1) / page - offset / page + 1);
}

void clinux_prefer_huge_pages(void *start, size_t bytes) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)start + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)start + bytes) & ~(page - 1);
    // Advice: what comes of it nobody depends on.
    if (end > first) madvise((void *)first, end - first, MADV_HUGEPAGE);
}

static int drop_code_pages(struct dl_phdr_info *object, size_t size, void *unused) {
    (void)size;
    (void)unused;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        // What the linker has written to and then protected is of a writable part.
        if (part->p_type != PT_LOAD || (part->p_flags & PF_W)) continue;
        uintptr_t start = (object->dlpi_addr + part->p_vaddr) & ~(page - 1);
        uintptr_t end = (object->dlpi_addr + part->p_vaddr + part->p_filesz) & ~(page - 1);
        // Where the kernel refuses, the pages stay.
        if (end > start) madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}

void clinux_drop_code_pages(void) { dl_iterate_phdr(drop_code_pages, NULL); }

// A place of its own: a handler must not read what another thread may free.
static char said_at_interrupt[512];
static _Atomic(size_t) said_bytes;

static void say_and_end(int number) {
    const size_t bytes = said_bytes;
    // Where nobody reads it the process ends all the same.
    if (bytes > 0 && write(STDERR_FILENO, said_at_interrupt, bytes) < 0) said_bytes = 0;
    raise(number);  // once this returns, and by default: the shell sees that it was a Ctrl-C
}

void clinux_say_at_interrupt(const char *text) {
    said_bytes = 0;
    if (text == NULL) return;
    const size_t bytes = strnlen(text, sizeof said_at_interrupt);
    memcpy(said_at_interrupt, text, bytes);
    said_bytes = bytes;
    struct sigaction action;
    if (sigaction(SIGINT, NULL, &action) != 0 || action.sa_handler != SIG_DFL) return;
    memset(&action, 0, sizeof action);
    action.sa_handler = say_and_end;
    action.sa_flags = (int)SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
}

// The process's mask is that of its first thread, which nobody narrows.
static int process_affinity(cpu_set_t *set) {
    CPU_ZERO(set);
    return sched_getaffinity(getpid(), sizeof *set, set) == 0 ? 0 : -errno;
}

int clinux_affinity_cpus(void) {
    cpu_set_t set;
    if (process_affinity(&set) != 0) return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? n : 1;
}

int clinux_stay_on_cpu(int index) {
    cpu_set_t all, one;
    int failure = process_affinity(&all);
    if (failure != 0) return failure;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &all) || index-- > 0) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        return sched_setaffinity(0, sizeof one, &one) == 0 ? 0 : -errno;
    }
    return -EINVAL;
}

void clinux_use_all_cpus(void) {
    cpu_set_t all, own;
    CPU_ZERO(&own);
    if (process_affinity(&all) != 0 || sched_getaffinity(0, sizeof own, &own) != 0) return;
    // Not without need: a mask that was set does not grow when the container is given more CPUs.
    if (!CPU_EQUAL(&all, &own)) sched_setaffinity(0, sizeof all, &all);
}

int clinux_untaken_bytes(int fd) {
    int bytes = 0;
    return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}
