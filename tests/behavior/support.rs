//! What several modules need: stores, requests, and a second eye on the file.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kpi_store::{DatasetQuery, Error, NewDataset, NewKpi, Organization, OrganizationId, Store, StoreOptions};
use tempfile::TempDir;

/// A folder that goes with the test, and the path of a store in it.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) file: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kpis.db");
        Self { folder, file }
    }
}

/// An organization of its own on the store.
pub(crate) fn organization(store: &Store) -> Organization {
    store.organization(OrganizationId::new())
}

/// A valid request with so many KPIs.
pub(crate) fn request_with_kpis(count: usize) -> NewDataset {
    NewDataset::new("Water").kpis((0..count).map(|index| NewKpi::new(format!("KPI {index}")).unit("m³")))
}

/// The paths of the violations that an error names.
pub(crate) fn paths(error: &Error) -> Vec<String> {
    let Error::Invalid(violations) = error else { panic!("expected violations, got {error:?}") };
    violations.iter().map(kpi_store::Violation::path).collect()
}

/// A plain connection to the file, with nothing of this crate in it.
pub(crate) fn plain_sqlite(file: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(file).unwrap()
}

/// How many rows a plain connection finds: datasets and KPIs.
pub(crate) fn rows_seen_by_plain_sqlite(file: &Path) -> (i64, i64) {
    let count = "SELECT (SELECT count(*) FROM dataset), (SELECT count(*) FROM kpi)";
    plain_sqlite(file).query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

/// What lies in a folder and the folders in it: of everything the kind, of a file its bytes, of a link where it leads.
pub(crate) fn entries(folder: &Path) -> Vec<Entry> {
    let mut found = Vec::new();
    collect(folder, Path::new(""), &mut found);
    found.sort();
    found
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// Relative to the folder.
    pub(crate) path: PathBuf,
    kind: String,
    bytes: Vec<u8>,
}

/// A digest of the bytes tells as much, in less than a screen.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = twox_hash::XxHash3_64::oneshot(&self.bytes);
        write!(f, "{} ({}, {} bytes, {digest:x})", self.path.display(), self.kind, self.bytes.len())
    }
}

impl Entry {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn has_suffix(&self, suffix: &str) -> bool {
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

/// A store with something in it, closed: one file.
pub(crate) fn checkpointed_store() -> Place {
    let place = Place::new();
    let store = Store::open(&place.file).unwrap();
    organization(&store).create_dataset(request_with_kpis(60)).unwrap();
    store.close().unwrap();
    place
}

/// The path with `text` behind it; `join` would tidy it.
pub(crate) fn with_text(path: &Path, text: &str) -> PathBuf {
    let mut whole = path.as_os_str().to_owned();
    whole.push(text);
    whole.into()
}

/// Does `work` in a process of its own, which stands in a folder of its own, and is not root, who may write anywhere.
pub(crate) fn in_a_child(test: &str, work: impl FnOnce(&Path)) {
    in_a_child_by(|program| Command::new(program), test, work);
}

/// The same under a umask, in octal digits.
#[cfg(unix)]
pub(crate) fn in_a_child_with_umask(umask: &str, test: &str, work: impl FnOnce(&Path)) {
    let by_a_shell = |program: &Path| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("umask {umask}; exec \"$0\" \"$@\"")).arg(program);
        shell
    };
    in_a_child_by(by_a_shell, test, work);
}

fn in_a_child_by(start: impl FnOnce(&Path) -> Command, test: &str, work: impl FnOnce(&Path)) {
    if let Some(folder) = std::env::var_os("FOLDER_OF_THE_CHILD") {
        return work(Path::new(&folder));
    }
    let temporary = tempfile::tempdir().unwrap();
    let folder = fs::canonicalize(temporary.path()).unwrap();
    let (own, program) = (folder.join("own"), folder.join("program"));
    fs::create_dir(&own).unwrap();
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut child = start(&program);
    child.args(["--exact", test]).current_dir(&own).env("FOLDER_OF_THE_CHILD", &own);
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::uid(&fs::metadata(&own).unwrap()) == 0 {
        use std::os::unix::{fs::PermissionsExt, process::CommandExt};
        const NOBODY: u32 = 65_534;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::chown(&own, Some(NOBODY), None).unwrap();
        child.uid(NOBODY);
    }
    // A process that another test is just starting may still hold the copy open for writing; of a shell this is 126.
    let done = loop {
        match child.output() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            Ok(done) if done.status.code() == Some(126) => std::thread::yield_now(),
            done => break done.unwrap(),
        }
    };
    let [said, complained] = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(done.status.success() && said.contains("1 passed"), "{said}{complained}");
}

/// Checks the same of a store in a file, whose path is given too, and of one in memory.
pub(crate) fn in_a_file_and_in_memory(options: impl Fn() -> StoreOptions, check: impl Fn(&Store, Option<&Path>)) {
    let place = Place::new();
    check(&options().open(&place.file).unwrap(), Some(&place.file));
    check(&options().open_in_memory().unwrap(), None);
}

/// How many datasets there are in all; in a file a plain connection must find as many.
pub(crate) fn datasets_in_all(store: &Store, file: Option<&Path>) -> u64 {
    let count = |id| store.organization(id).count_datasets(&DatasetQuery::new()).unwrap();
    let counted = store.organizations().unwrap().into_iter().map(count).sum();
    if let Some(file) = file {
        assert_eq!(rows_seen_by_plain_sqlite(file).0.cast_unsigned(), counted, "two eyes on one file");
    }
    counted
}

/// Whether another connection can take the write lock at once: nobody holds it.
pub(crate) fn is_unlocked(file: &Path) -> bool {
    let connection = plain_sqlite(file);
    connection.busy_timeout(Duration::ZERO).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok()
}
