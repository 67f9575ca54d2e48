//! Files for the time of a test.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The path of a store in a folder of its own, which is removed with the value. The file itself is not made.
#[derive(Debug)]
pub struct TestFile {
    /// The folder, and nothing else is in it.
    pub folder: TempDir,
    /// `kpis.db` in that folder.
    pub path: PathBuf,
}

impl TestFile {
    /// A path in a folder for temporary files.
    #[allow(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        Self::within(tempfile::tempdir().unwrap())
    }

    /// A path in a folder in memory, where the system has one: for files that need not last.
    pub fn in_memory() -> Self {
        Self::within(folder_in_memory())
    }

    /// A path in a fresh folder in which a file with these bytes is.
    pub fn with(bytes: impl AsRef<[u8]>) -> Self {
        let file = Self::new();
        std::fs::write(&file.path, bytes).unwrap();
        file
    }

    fn within(folder: TempDir) -> Self {
        let path = folder.path().join("kpis.db");
        Self { folder, path }
    }

    /// The path with a suffix, as SQLite names what belongs to a file: `-wal`, `-journal`.
    pub fn with_suffix(&self, suffix: &str) -> PathBuf {
        with_suffix(&self.path, suffix)
    }
}

/// A temporary folder in memory, where the system has a place for it.
pub fn folder_in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The path with `suffix` appended; `join` would normalize it.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut whole = path.as_os_str().to_owned();
    whole.push(suffix);
    whole.into()
}
