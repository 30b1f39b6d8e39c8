//! The walls that the decoder process raises around itself before it reads a recording.
//!
//! Each one stands without the others. A wall that the kernel refuses, because it is old or because
//! a container forbids it, is left out, and the daemon logs which ones stand.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
))]
mod system_calls;

use std::fmt::Display;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::Allowance;

/// Which walls stand around a decoder process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walls {
    /// Their names.
    pub standing: Vec<String>,
    /// The names of the others, each with the reason.
    pub missing: Vec<String>,
}

impl Walls {
    fn add<E: Display>(&mut self, name: &str, raised: Result<(), E>) {
        match raised {
            Ok(()) => self.standing.push(name.to_owned()),
            Err(error) => self.missing.push(format!("{name} ({error})")),
        }
    }
}

/// Raises all walls around this process. They cannot be taken down again.
pub(super) fn raise(allowance: &Allowance) -> Walls {
    let mut walls = Walls::default();
    // First what the later walls would forbid.
    #[cfg(target_os = "linux")]
    {
        linux::close_inherited_files();
        walls.add("parent", linux::die_with_the_parent());
        walls.add("memory", linux::limit_memory(allowance.memory));
        walls.add("undumpable", linux::forbid_dumps());
        walls.add("no_new_privs", linux::forbid_new_privileges());
        walls.add("landlock", linux::forbid_files_and_network());
    }
    walls.add("rlimits", limit_resources(allowance));
    #[cfg(target_os = "linux")]
    walls.add("seccomp", linux::filter_system_calls());
    walls
}

/// Processor time within the allowance; no new file, nothing written to a file, no other process.
fn limit_resources(allowance: &Allowance) -> rustix::io::Result<()> {
    let limit =
        |resource, soft, hard| setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) });
    let seconds = allowance.cpu.as_secs().max(1);
    // The first limit ends it with SIGXCPU, which tells the daemon why; the second with SIGKILL.
    limit(Resource::Cpu, seconds, seconds + 1)?;
    for resource in [Resource::Core, Resource::Fsize, Resource::Nproc, Resource::Nofile] {
        limit(resource, 0, 0)?;
    }
    Ok(())
}
