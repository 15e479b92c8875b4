//! Paths that lead from one folder to another, by their text.

use std::{
    env,
    path::{self, Component, Path, PathBuf},
};

/// A path as it is remembered and shown: as it was given if that is absolute, otherwise in its shortest form.
pub fn shown(given: &Path) -> PathBuf {
    match absolute(Path::new(""), given) {
        Some(path) if given.is_relative() => from_here(&path),
        _ => given.to_path_buf(),
    }
}

/// A path from `folder`, itself from the working folder, as an absolute one without `.` and, where that can be found
/// out, without `..`.
pub fn absolute(folder: &Path, path: &Path) -> Option<PathBuf> {
    let path = path::absolute(folder.join(path)).ok()?;
    let parts: Vec<Component<'_>> = path.components().collect();
    let last = parts.iter().rposition(|part| *part == Component::ParentDir);
    let (before, after) = parts.split_at(last.map_or(0, |last| last + 1));
    // A link in front of `..` leads elsewhere than the text says.
    let before: PathBuf = before.iter().collect();
    let before = before.canonicalize().unwrap_or(before);
    Some(before.join(after.iter().collect::<PathBuf>()))
}

/// An absolute path from the working folder, as long as that can be said.
pub fn from_here(path: &Path) -> PathBuf {
    let here = env::current_dir().and_then(|here| here.canonicalize());
    let found = here.ok().and_then(|here| relative(&here, path));
    found.unwrap_or_else(|| path.to_path_buf())
}

/// The path that leads from the folder `from` to `to`; both are absolute, and `from` has no links and no `..`.
pub fn relative(from: &Path, to: &Path) -> Option<PathBuf> {
    let (from, to): (Vec<_>, Vec<_>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    // Nothing leads from one drive to another.
    if common == 0 {
        return None;
    }
    let up = from[common..].iter().map(|_| Component::ParentDir);
    let found: PathBuf = up.chain(to[common..].iter().copied()).collect();
    Some(if found.as_os_str().is_empty() { PathBuf::from(".") } else { found })
}

/// The folder from which `out` leads to `folder`.
pub fn before(folder: &Path, out: &Path) -> Option<PathBuf> {
    let out: PathBuf = out.components().filter(|part| *part != Component::CurDir).collect();
    let is_below = out.is_relative() && folder.ends_with(&out);
    is_below.then(|| folder.ancestors().nth(out.components().count()).map(Path::to_path_buf))?
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn paths_lead_from_one_folder_to_another() {
        for (from, to, expected) in [
            ("/a/b", "/a/b/c/d", Some("c/d")),
            ("/a/b", "/a/b", Some(".")),
            ("/a/b/c", "/a/d", Some("../../d")),
            ("/a", "/d", Some("../d")),
            ("/", "/d", Some("d")),
            ("/a", "d", None),
        ] {
            assert_eq!(
                relative(Path::new(from), Path::new(to)),
                expected.map(PathBuf::from),
                "{from} {to}"
            );
        }
        for (folder, out, expected) in [
            ("/a/runs/x", "runs/x", Some("/a")),
            ("/a/runs/x", "./x/", Some("/a/runs")),
            ("/a", ".", Some("/a")),
            ("/a/moved", "x", None),
            ("/a/x", "../x", None),
            ("/a/x", "/a/x", None),
        ] {
            assert_eq!(
                before(Path::new(folder), Path::new(out)),
                expected.map(PathBuf::from),
                "{folder} {out}"
            );
        }
    }

    #[test]
    #[cfg(unix)]
    fn links_in_front_of_two_dots_are_followed() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        fs::create_dir_all(dir.join("far/away")).unwrap();
        symlink("far/away", dir.join("near")).unwrap();
        assert_eq!(absolute(&dir, Path::new("near/../x")), Some(dir.join("far/x")));
        assert_eq!(absolute(&dir, Path::new("./near/x/")), Some(dir.join("near/x")));
        assert_eq!(absolute(&dir, Path::new("none/../x")), Some(dir.join("none/../x")));
    }
}
