//! System calls by seccomp: a list of what is needed, measured with `strace` over the tests, and what only an intruder calls.
//!
//! What is not on the list is refused with EPERM, as the service's unit does: a library that tries something new finds
//! another way or fails in one place, and the counting goes on. What gatewatch never does and an intruder would do first
//! (run a program, look into other processes, change namespaces) ends the process, which the kernel logs.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Compare, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use crate::confine::{State, Task};

/// Conditions on a call by its number; an empty list: none.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Files and folders, SQLite's locks and shared memory among them.
const FILES: &[c_long] = &[
    libc::SYS_chdir,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_copy_file_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_ioctl,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pipe2,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_renameat2,
    libc::SYS_sendfile,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_symlinkat,
    libc::SYS_sync_file_range,
    libc::SYS_truncate,
    libc::SYS_umask,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Memory, threads, clocks, signals, waiting, and what the process asks of itself.
const PROCESS: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    // Refused as unknown by a filter of its own, see `UNKNOWN`.
    libc::SYS_clone3,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_get_robust_list,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_getuid,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mremap,
    libc::SYS_msync,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_prlimit64,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_sysinfo,
    // `abort` ends the process by a signal to its own thread.
    libc::SYS_tgkill,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_uname,
];

/// The names that these have on an older architecture, which its libc still uses.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_chmod,
    libc::SYS_dup2,
    libc::SYS_epoll_wait,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_rmdir,
    libc::SYS_stat,
    libc::SYS_symlink,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(not(any(target_arch = "x86_64", target_arch = "riscv64")))]
const OLDER: &[c_long] = &[libc::SYS_renameat];
#[cfg(target_arch = "riscv64")]
const OLDER: &[c_long] = &[];

/// What capturing needs beside these: sockets, and raising the capability that rests.
const CAPTURE: &[c_long] = &[
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_capget,
    libc::SYS_capset,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_listen,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_socketpair,
];

/// Families of sockets: packets, lists of interfaces, the status and the service manager.
const FAMILIES: [i32; 3] = [libc::AF_PACKET, libc::AF_NETLINK, libc::AF_UNIX];
/// What a thread may ask of prctl: its name, and the name of its memory.
const PRCTL: [i32; 3] = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA];

/// libc makes a thread by clone3, whose flags no filter can see, and by clone where that is unknown.
const UNKNOWN: &[c_long] = &[libc::SYS_clone3];

/// What ends the process.
const INTRUSION: &[c_long] = &[
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_delete_module,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

/// Refuses every call but those of the task.
pub fn restrict(task: Task) -> State {
    let Ok(machine) = TargetArch::try_from(std::env::consts::ARCH) else {
        return State::Degraded(format!("no list of system calls for {}", std::env::consts::ARCH));
    };
    match install(task, machine) {
        Ok(allowed) => State::Closed(format!("seccomp, {allowed} system calls allowed")),
        Err(seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error)) => State::Degraded(
            format!("this kernel has no seccomp filters, or a container forbids them: {error}"),
        ),
        Err(error) => State::Degraded(format!("seccomp refused: {error}")),
    }
}

fn install(task: Task, machine: TargetArch) -> Result<usize, seccompiler::Error> {
    let allowed = allowed(task)?;
    let count = allowed.len();
    let errno = |number: i32| SeccompAction::Errno(number.unsigned_abs());
    // The strictest of all filters decides; the list comes last, as it forbids adding another.
    let filters = [
        (unconditional(INTRUSION), SeccompAction::Allow, SeccompAction::KillProcess),
        (unconditional(UNKNOWN), SeccompAction::Allow, errno(libc::ENOSYS)),
        (allowed, errno(libc::EPERM), SeccompAction::Allow),
    ];
    let compile = |(rules, otherwise, matched)| -> Result<BpfProgram, seccompiler::Error> {
        Ok(SeccompFilter::new(rules, otherwise, matched, machine)?.try_into()?)
    };
    let programs = filters.into_iter().map(compile).collect::<Result<Vec<_>, _>>()?;
    for program in &programs {
        seccompiler::apply_filter(program)?;
    }
    Ok(count)
}

fn unconditional(calls: &[c_long]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

fn allowed(task: Task) -> Result<Rules, seccompiler::Error> {
    let mut rules = Rules::new();
    for calls in [FILES, PROCESS, OLDER] {
        rules.extend(unconditional(calls));
    }
    rules.insert(libc::SYS_prctl, PRCTL.into_iter().map(first_is).collect::<Result<_, _>>()?);
    // Threads, never processes.
    rules.insert(libc::SYS_clone, vec![has_bits(0, libc::CLONE_THREAD)?]);
    // Memory that can be executed is made by the loader, which is done.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![lacks_bits(2, libc::PROT_EXEC)?]);
    }
    if task == Task::Capture {
        rules.extend(unconditional(CAPTURE));
        let families = FAMILIES.into_iter().map(first_is).collect::<Result<_, _>>()?;
        rules.insert(libc::SYS_socket, families);
    }
    Ok(rules)
}

fn first_is(value: i32) -> Result<SeccompRule, seccompiler::Error> {
    rule(0, Compare::Eq, value.unsigned_abs())
}

fn has_bits(argument: u8, bits: i32) -> Result<SeccompRule, seccompiler::Error> {
    let bits = bits.unsigned_abs();
    rule(argument, Compare::MaskedEq(u64::from(bits)), bits)
}

fn lacks_bits(argument: u8, bits: i32) -> Result<SeccompRule, seccompiler::Error> {
    rule(argument, Compare::MaskedEq(u64::from(bits.unsigned_abs())), 0)
}

fn rule(argument: u8, compare: Compare, value: u32) -> Result<SeccompRule, seccompiler::Error> {
    let condition = SeccompCondition::new(argument, Width::Dword, compare, u64::from(value))?;
    Ok(SeccompRule::new(vec![condition])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_both_allowed_and_an_intrusion() {
        for task in [Task::Capture, Task::Replay] {
            let allowed = allowed(task).unwrap();
            for call in INTRUSION {
                assert!(!allowed.contains_key(call), "{call}");
            }
        }
    }

    #[test]
    fn a_replay_has_no_sockets_and_no_capabilities() {
        let allowed = allowed(Task::Replay).unwrap();
        for call in [libc::SYS_socket, libc::SYS_connect, libc::SYS_bind, libc::SYS_capset] {
            assert!(!allowed.contains_key(&call), "{call}");
        }
    }

    #[test]
    fn what_is_confined_stays_so_in_a_thread_of_its_own() {
        // Filters are of the thread that asks for them: this test's own.
        let confined = std::thread::spawn(|| {
            assert!(matches!(restrict(Task::Replay), State::Closed(_)));
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").map_err(|error| error.kind());
            assert_eq!(socket.unwrap_err(), std::io::ErrorKind::PermissionDenied);
            std::thread::spawn(|| std::fs::metadata("/").is_ok()).join().unwrap()
        });
        assert!(confined.join().unwrap(), "files and threads are still there");
        assert!(std::net::UdpSocket::bind("127.0.0.1:0").is_ok(), "other threads are as before");
    }
}
