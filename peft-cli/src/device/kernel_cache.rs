//! Kernels that a GPU's backend compiled, and which of several was fastest, on disk: the next process need not find out
//! again.
//!
//! CubeCL keeps them in one database. Left to itself, that is below `target` of a Cargo project around the current folder,
//! and otherwise in the user's cache folder. Here it is always the latter, unless a `cubecl.toml` (or `[cubecl]` in
//! `burn.toml`) of the current folder or of one above it says another place.

use std::path::PathBuf;

/// The name of the database: programs of others on CubeCL have theirs beside it.
#[cfg(any(feature = "wgpu-plain", feature = "cuda-plain"))]
const NAME: &str = "peft";

/// Settles where the cache is, before the first device is opened.
#[cfg(any(feature = "wgpu-plain", feature = "cuda-plain"))]
pub fn prepare() {
    use cubecl::{
        config::{CubeClRuntimeConfig, RuntimeConfig, cache::CacheConfig},
        environment::DEFAULT,
        records::RecordLevel,
    };
    use std::sync::Once;

    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
        let place = &mut config.environment;
        if matches!(place.path, CacheConfig::Target) {
            place.path = CacheConfig::Global;
            // A log of how the cache was made, which grows with each run.
            place.records.level = RecordLevel::Off;
            if place.name == DEFAULT {
                place.name = NAME.to_string();
            }
        }
        config.compilation.cache = true;
        super::allocation::configure(&mut config);
        // Where something read the settings before, they stay as they were.
        CubeClRuntimeConfig::try_set(config);
    });
}

/// The file; `None` if this build has no backend that compiles kernels.
pub fn file() -> Option<PathBuf> {
    #[cfg(any(feature = "wgpu-plain", feature = "cuda-plain"))]
    {
        prepare();
        Some(cubecl::environment::path())
    }
    #[cfg(not(any(feature = "wgpu-plain", feature = "cuda-plain")))]
    None
}

/// Bytes of the file, with those of its journal beside it.
pub fn bytes(file: &std::path::Path) -> u64 {
    let beside = |end: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        std::fs::metadata(name).map_or(0, |found| found.len())
    };
    ["", "-wal", "-shm"].into_iter().map(beside).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_counts() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("peft.db");
        assert_eq!(bytes(&file), 0);
        std::fs::write(&file, [0; 5]).unwrap();
        std::fs::write(dir.path().join("peft.db-wal"), [0; 7]).unwrap();
        assert_eq!(bytes(&file), 12);
    }

    #[test]
    fn only_builds_for_gpus_have_a_cache() {
        let is_built = cfg!(any(feature = "wgpu-plain", feature = "cuda-plain"));
        assert_eq!(file().is_some(), is_built);
    }
}
