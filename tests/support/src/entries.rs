//! What is in a folder.

use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

/// Everything in a folder and the folders in it, sorted by path.
pub fn entries(folder: &Path) -> Vec<Entry> {
    let mut found = Vec::new();
    collect(folder, Path::new(""), &mut found);
    found.sort();
    found
}

/// An entry of a folder: of everything the kind, of a file its bytes, of a link its target.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Relative to the folder.
    pub path: PathBuf,
    kind: String,
    bytes: Vec<u8>,
}

/// A digest of the bytes tells as much, in less than a screen.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digest = DefaultHasher::new();
        digest.write(&self.bytes);
        write!(f, "{} ({}, {} bytes, {:x})", self.path.display(), self.kind, self.bytes.len(), digest.finish())
    }
}

impl Entry {
    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether its path ends with these letters.
    pub fn has_suffix(&self, suffix: &str) -> bool {
        self.path.as_os_str().as_encoded_bytes().ends_with(suffix.as_bytes())
    }
}

fn collect(root: &Path, below: &Path, found: &mut Vec<Entry>) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let (path, kind) = (below.join(entry.file_name()), entry.file_type().unwrap());
        let bytes = match kind {
            kind if kind.is_file() => fs::read(entry.path()).unwrap(),
            kind if kind.is_symlink() => fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes(),
            _ => Vec::new(),
        };
        if kind.is_dir() {
            collect(root, &path, found);
        }
        found.push(Entry { path, kind: format!("{kind:?}"), bytes });
    }
}
