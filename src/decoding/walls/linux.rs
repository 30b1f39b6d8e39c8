//! The walls that only Linux has.

use std::fs;
use std::io;

use landlock::{ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetStatus, Scope};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior, set_parent_process_death_signal,
    setrlimit,
};

/// The first file descriptor that is not one of the three pipes.
const FIRST: u32 = 3;
/// Up to here descriptors are closed one by one where the kernel cannot close a range of them.
const LAST: i32 = 1024;

/// Closes what other code of the daemon, or whoever started it, has left open for its children.
pub fn close_inherited_files() {
    // SAFETY: the process has a single thread, which has opened nothing of its own yet.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, FIRST, u32::MAX, 0) };
    if closed != 0 {
        for file in FIRST as i32..LAST {
            // SAFETY: as above.
            unsafe { rustix::io::close(file) };
        }
    }
}

/// Has the kernel kill this process when the thread that started it ends.
pub fn die_with_the_parent() -> rustix::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))
}

/// Limits the address space to `allowed` bytes more than now. The code of the program and its
/// libraries are part of it, for a GPU gigabytes.
pub fn limit_memory(allowed: u64) -> io::Result<()> {
    let sizes = fs::read_to_string("/proc/self/statm")?;
    let pages = sizes.split(' ').next().and_then(|pages| pages.parse::<u64>().ok());
    let now = pages.ok_or(io::ErrorKind::InvalidData)? * rustix::param::page_size() as u64;
    let limit = Some(now.saturating_add(allowed));
    Ok(setrlimit(Resource::As, Rlimit { current: limit, maximum: limit })?)
}

/// Neither a core dump nor another process of the same user shows what is in its memory.
pub fn forbid_dumps() -> rustix::io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// No program that it might start has more rights.
pub fn forbid_new_privileges() -> rustix::io::Result<()> {
    rustix::thread::set_no_new_privs(true)
}

/// Nothing of the file system, no connection, no signal to other processes: as much of that as the
/// kernel's Landlock knows.
pub fn forbid_files_and_network() -> Result<(), String> {
    let abi = ABI::V6;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(abi)))
        .and_then(|rules| rules.scope(Scope::from_all(abi)))
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.restrict_self())
        .map_err(|error| error.to_string())?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("not in this kernel, or forbidden".to_owned()),
        _ => Ok(()),
    }
}

/// Only the system calls that decoding needs.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
pub fn filter_system_calls() -> Result<(), String> {
    super::system_calls::filter()
        .map_err(seccompiler::Error::from)
        .and_then(|filter| seccompiler::apply_filter(&filter))
        .map_err(|error| error.to_string())
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
pub fn filter_system_calls() -> Result<(), &'static str> {
    Err("not for this processor")
}
