//! The memory that the program has, and what the machine has left.

use std::{fs, path::Path};

/// Bytes in main memory, mapped files included; `None` where the system does not say.
pub fn resident() -> Option<u64> {
    field(&status()?, "VmRSS:")
}

/// Bytes in main memory that are the program's own, without mapped files.
pub fn own() -> Option<u64> {
    field(&status()?, "RssAnon:")
}

/// The most bytes that have been in main memory.
pub fn peak() -> Option<u64> {
    field(&status()?, "VmHWM:")
}

/// Forgets what [`peak`] was before; whether the system did so.
pub fn reset_peak() -> bool {
    // 5 is what Linux calls that.
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Bytes of the files at `path`, or below it, that are mapped, in main memory or not.
pub fn mapped(path: &Path) -> Option<u64> {
    let path = path.canonicalize().ok()?;
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    Some(maps.lines().filter_map(|line| of_file(line, &path)).sum())
}

/// The bytes of a line of `/proc/self/maps`, if it is of such a file.
fn of_file(line: &str, path: &Path) -> Option<u64> {
    // Address, permissions, offset, device, inode; the name may have spaces.
    let name = line.splitn(6, ' ').nth(5)?.trim_start();
    let (start, end) = line.split(' ').next()?.split_once('-')?;
    let at = |number| u64::from_str_radix(number, 16).ok();
    Path::new(name).starts_with(path).then_some(at(end)?.checked_sub(at(start)?)?)
}

/// Bytes that the machine has left for programs, or the group of programs that this one is in.
pub fn available() -> Option<u64> {
    let machine = field(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?;
    Some(machine.min(left_of_group().unwrap_or(u64::MAX)))
}

/// Bytes of main memory that the machine has, or the group of programs that this one is in.
pub fn total() -> Option<u64> {
    let machine = field(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")?;
    Some(machine.min(group("memory.max").unwrap_or(u64::MAX)))
}

/// What the limit of a control group leaves (version 2, as in containers).
fn left_of_group() -> Option<u64> {
    let (limit, used) = (group("memory.max")?, group("memory.current")?);
    // Files that were read are dropped where memory is needed.
    let stat = of_group("memory.stat").unwrap_or_default();
    let files = stat.lines().find_map(|line| line.strip_prefix("inactive_file "));
    let files = files.and_then(|files| files.parse().ok()).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(files)))
}

/// A number of the control group; `None` also where there is no limit.
fn group(name: &str) -> Option<u64> {
    of_group(name)?.trim().parse().ok()
}

/// A file of the control group.
fn of_group(name: &str) -> Option<String> {
    fs::read_to_string(Path::new("/sys/fs/cgroup").join(name)).ok()
}

fn status() -> Option<String> {
    fs::read_to_string("/proc/self/status").ok()
}

/// A number of kibibytes as bytes, by the name in front of it.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_program_has_memory() {
        let found = [resident(), own(), peak(), available()].map(Option::unwrap_or_default);
        assert!(found.iter().all(|bytes| *bytes > 1 << 20), "{found:?}");
        assert!(found[1] <= found[0] && found[0] <= found[2], "{found:?}");
        assert!(total() >= available(), "{:?}", total());
        let program = std::env::current_exe().unwrap_or_default();
        assert!(mapped(&program).is_some_and(|bytes| bytes > 1 << 16));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_can_be_forgotten() {
        if !reset_peak() {
            return;
        }
        let before = peak().unwrap_or_default();
        // More than other tests take meanwhile.
        let taken = vec![1u8; 256 << 20];
        let with = peak().unwrap_or_default();
        drop(std::hint::black_box(taken));
        assert!(reset_peak() && with >= before + (128 << 20), "{before} {with}");
        // What was freed may be kept for what comes.
        let [after, now] = [peak(), resident()].map(Option::unwrap_or_default);
        assert!(after < now + (64 << 20), "{after} {now}");
    }

    #[test]
    fn lines_of_maps_are_read() {
        let line = "7f00a000-7f00c000 r--p 00001000 08:02 42                     /a b/model.gguf";
        let of = |path: &str| of_file(line, Path::new(path));
        assert_eq!(
            [of("/a b"), of("/a b/model.gguf"), of("/a"), of("/a b/model")],
            [Some(0x2000), Some(0x2000), None, None]
        );
        assert_eq!(of_file("7f00a000-7f00c000 rw-p 00000000 00:00 0 ", Path::new("/a")), None);
    }
}
