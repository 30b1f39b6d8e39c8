//! How much memory this process may still take, by the machine and by its control groups.

use std::fs;
use std::path::{Path, PathBuf};

/// The memory that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headroom {
    pub bytes: u64,
    /// What the number is about, worded to follow "512 MiB".
    pub scope: &'static str,
}

/// All memory, whoever uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// The machine's, in bytes.
    pub machine: u64,
    /// The tightest limit of the control groups above this process, in bytes, if there is one.
    pub limit: Option<u64>,
}

/// All memory. `root` is `/`, except in tests. `None` if the machine's is not known.
pub fn total(root: &Path) -> Option<Total> {
    let limit = groups(root).into_iter().filter_map(|group| group.bytes(true)).min();
    machine(root, true).map(|machine| Total { machine, limit: limit.filter(|limit| *limit < machine) })
}

/// The least free memory, or with `total` the least total, of the machine and of all control groups
/// above this process. `root` is `/`, except in tests. `None` if the machine's is not known.
pub fn headroom(root: &Path, total: bool) -> Option<Headroom> {
    let machine = machine(root, total)?;
    let groups = groups(root).into_iter().filter_map(|group| group.bytes(total));
    let words =
        if total { ["in all", "is the container's limit"] } else { ["free", "free in this container"] };
    match groups.min() {
        Some(bytes) if bytes < machine => Some(Headroom { bytes, scope: words[1] }),
        _ => Some(Headroom { bytes: machine, scope: words[0] }),
    }
}

/// The machine's memory, as the kernel reports it, or lxcfs in its place.
fn machine(root: &Path, total: bool) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let wanted = if total { "MemTotal:" } else { "MemAvailable:" };
    let line = text.lines().find_map(|line| line.strip_prefix(wanted))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The files of a control group with memory limits.
struct Group {
    folder: PathBuf,
    limit: &'static str,
    used: &'static str,
    /// The line of memory.stat with the cache that the kernel drops on demand.
    cache: &'static str,
}

impl Group {
    fn v2(folder: PathBuf) -> Self {
        Self { folder, limit: "memory.max", used: "memory.current", cache: "inactive_file " }
    }

    fn v1(folder: PathBuf) -> Self {
        let (limit, used) = ("memory.limit_in_bytes", "memory.usage_in_bytes");
        Self { folder, limit, used, cache: "total_inactive_file " }
    }

    fn number(&self, file: &str) -> Option<u64> {
        // Without a limit the file contains "max".
        fs::read_to_string(self.folder.join(file)).ok()?.trim().parse().ok()
    }

    /// `None` if the group has no limit.
    fn bytes(&self, total: bool) -> Option<u64> {
        let limit = self.number(self.limit)?;
        if total {
            return Some(limit);
        }
        let used = self.number(self.used)?;
        let stat = fs::read_to_string(self.folder.join("memory.stat")).unwrap_or_default();
        let cache = stat.lines().find_map(|line| line.strip_prefix(self.cache)?.parse().ok()).unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(cache)))
    }
}

/// The control groups of this process, of both versions, from its own up to the root.
///
/// In a container the path may be the host's, while only the container's own files are visible:
/// then those at the top count.
fn groups(root: &Path) -> Vec<Group> {
    let memberships = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut found = Vec::new();
    for line in memberships.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (top, make): (PathBuf, fn(PathBuf) -> Group) = match controllers {
            "" => (root.join("sys/fs/cgroup"), Group::v2),
            list if list.split(',').any(|name| name == "memory") => {
                (root.join("sys/fs/cgroup/memory"), Group::v1)
            }
            _ => continue,
        };
        let own = top.join(path.trim_start_matches('/'));
        found.extend(
            own.ancestors().take_while(|folder| folder.starts_with(&top)).map(|at| make(at.to_owned())),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    const MIB: u64 = 1 << 20;

    /// A root with these files; the machine has 4096 MiB, of which 2048 are available.
    fn root(files: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        let meminfo = "MemTotal:        4194304 kB\nMemFree:  1000 kB\nMemAvailable:    2097152 kB\n";
        for (file, text) in files.iter().chain(&[("proc/meminfo", meminfo)]) {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn both(files: &[(&str, &str)]) -> [(u64, &'static str); 2] {
        let root = root(files);
        [false, true]
            .map(|total| headroom(root.path(), total).map(|found| (found.bytes / MIB, found.scope)).unwrap())
    }

    #[test]
    fn without_control_groups_the_machine_counts() {
        assert_eq!(both(&[]), [(2048, "free"), (4096, "in all")]);
        assert_eq!(headroom(Path::new("/nowhere"), false), None);
    }

    #[test]
    fn of_all_groups_above_the_tightest_counts_and_cache_makes_way() {
        let own = "sys/fs/cgroup/system.slice/stenogram.service";
        let found = both(&[
            ("proc/self/cgroup", "0::/system.slice/stenogram.service\n"),
            (&format!("{own}/memory.max"), "1073741824\n"),
            (&format!("{own}/memory.current"), "629145600\n"),
            (&format!("{own}/memory.stat"), "anon 5\ninactive_file 104857600\nactive_file 7\n"),
            ("sys/fs/cgroup/system.slice/memory.max", "max\n"),
            ("sys/fs/cgroup/system.slice/memory.current", "629145600\n"),
        ]);
        assert_eq!(found, [(524, "free in this container"), (1024, "is the container's limit")]);
    }

    #[test]
    fn the_machine_and_its_tightest_limit_are_told_apart() {
        let total_of = |files: &[(&str, &str)]| total(root(files).path());
        let machine = 4096 * MIB;
        assert_eq!(total_of(&[]), Some(Total { machine, limit: None }));
        for (text, limit) in [("2147483648\n", Some(2048 * MIB)), ("8589934592\n", None), ("max\n", None)] {
            let files = [("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", text)];
            assert_eq!(total_of(&files), Some(Total { machine, limit }));
        }
        assert_eq!(total(Path::new("/nowhere")), None);
    }

    #[test]
    fn a_looser_group_than_the_machine_does_not_count() {
        let found = both(&[
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "8589934592\n"),
            ("sys/fs/cgroup/memory.current", "0\n"),
        ]);
        assert_eq!(found, [(2048, "free"), (4096, "in all")]);
    }

    #[test]
    fn the_first_version_is_read_too_also_where_the_path_is_the_hosts() {
        let found = both(&[
            ("proc/self/cgroup", "9:name=systemd:/docker/abc\n4:cpu,memory:/docker/abc\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "209715200\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 104857600\n"),
        ]);
        assert_eq!(found, [(412, "free in this container"), (512, "is the container's limit")]);
    }
}
