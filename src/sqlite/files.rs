//! The file-system calls outside SQLite: where the file is, making it, keeping its name.
//!
//! IMPORTANT: an existing file is never opened here. Closing any descriptor of a file drops all POSIX locks that the
//! process holds on it, those of SQLite included (<https://sqlite.org/howtocorrupt.html>, section 2.2); so its length
//! comes from `stat`, and a file that is being made is hidden from other threads until its descriptor is closed.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use xxhash_rust::xxh3::xxh3_64;

use super::disk;
use crate::error::{Error, from_io, is_lack_of_descriptors, shared};

/// The longest path, in bytes, that SQLite's Unix VFS opens: 512, less the suffix `-journal`.
const PATH_MAX_BYTES: usize = 504;

/// Held from the look at a path to the closing of the file made there.
static MAKING: Mutex<()> = Mutex::new(());

/// The absolute path of the one real file behind `path`; an empty file is made if there is none.
///
/// Its folder is canonicalized and a symbolic link at its end followed, so that every handle agrees on the file. An
/// absolute path is also never taken for a URI, as SQLite would take `file:x?mode=memory`.
pub(super) fn find_or_make(path: &Path) -> Result<PathBuf, Error> {
    check_spelling(path)?;
    let _made_by_one_thread = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(metadata) = look_up(path)? {
        return find(path, &metadata);
    }
    let real = real_path(path)?;
    refuse_orphaned_log(&real)?;
    make(path, real)
}

/// The same for a file that must be there.
pub(super) fn find_existing(path: &Path) -> Result<PathBuf, Error> {
    check_spelling(path)?;
    let _not_being_made = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    match look_up(path)? {
        Some(metadata) => find(path, &metadata),
        None => Err(Error::invalid_path(path, "there is no such file", None)),
    }
}

/// The same for a file that must not be there yet; none is made.
pub(super) fn find_vacant(path: &Path) -> Result<PathBuf, Error> {
    check_spelling(path)?;
    // The name may be free now; the next opening would take the file for a journal of its own, play it back and delete it.
    let text = path.as_os_str().as_encoded_bytes();
    if COMPANIONS.iter().any(|suffix| text.ends_with(suffix.as_bytes())) {
        return Err(Error::invalid_path(path, "SQLite gives such names to files of its own", None));
    }
    let real = real_path(path)?;
    refuse_taken(path, &real)?;
    Ok(real)
}

/// Whether something has this name, or would be taken for a part of a file by this name.
pub(super) fn is_taken(file: &Path) -> bool {
    let is_there = |path: &Path| matches!(look_up(path), Ok(Some(_)));
    is_there(file) || COMPANIONS.iter().any(|suffix| is_there(&beside(file, suffix)))
}

fn refuse_taken(path: &Path, real: &Path) -> Result<(), Error> {
    if look_up(real)?.is_some() {
        return Err(Error::invalid_path(path, "something is there already", None));
    }
    if is_taken(real) {
        return Err(Error::invalid_path(path, "a log or journal of another file lies beside it", None));
    }
    Ok(())
}

fn look_up(path: &Path) -> Result<Option<Metadata>, Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::invalid_path(path, "it cannot be looked up", shared(error))),
    }
}

fn check_spelling(path: &Path) -> Result<(), Error> {
    let text = path.as_os_str().as_encoded_bytes();
    let refuse = |reason| Err(Error::invalid_path(path, reason, None));
    let last = text.rsplit(|byte| std::path::is_separator(char::from(*byte))).next().unwrap_or_default();
    match (text, last) {
        (b"", _) => refuse("it is empty"),
        (b":memory:", _) => refuse("a store in memory is opened with open_in_memory"),
        (text, _) if text.contains(&0) => refuse("it contains a NUL byte"),
        (_, b"" | b"." | b"..") => refuse("it names a folder"),
        (_, name) if cfg!(windows) && name.contains(&b':') => refuse("a colon names an alternate stream"),
        _ => Ok(()),
    }
}

fn find(path: &Path, metadata: &Metadata) -> Result<PathBuf, Error> {
    let (real, metadata) = if metadata.is_symlink() {
        let dangles = |error| Error::invalid_path(path, "it is a link that leads nowhere", shared(error));
        let real = fs::canonicalize(path).map_err(dangles)?;
        let metadata = fs::metadata(&real).map_err(dangles)?;
        (real, metadata)
    } else {
        (real_path(path)?, metadata.clone())
    };
    check_kind(path, &metadata)?;
    match metadata.len() {
        0 => refuse_orphaned_log(&real)?,
        // SQLite takes a file of one byte for an empty one and overwrites it.
        1 => return Err(Error::NotAStore { reason: "it is one byte long", source: None }),
        _ => {}
    }
    Ok(real)
}

/// Refuses a log without its file, which may be all that there is of a store: SQLite would take the file for new, and
/// remove the log.
fn refuse_orphaned_log(file: &Path) -> Result<(), Error> {
    // In this order: another process that makes the file writes its first page before there is a log.
    let has_log = wal_length(file)?.is_some_and(|length| length > 0);
    if has_log && look_at(file)?.is_none_or(|metadata| metadata.len() == 0) {
        return Err(Error::damaged("there is only its write-ahead log, the file itself is empty or missing"));
    }
    Ok(())
}

/// The suffixes of the files that SQLite keeps beside one.
const COMPANIONS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// Refuses a file beside which something stands in the place of SQLite's own files: a pipe would hold it up for ever.
pub(super) fn check_companions(file: &Path) -> Result<(), Error> {
    for suffix in COMPANIONS {
        let companion = beside(file, suffix);
        if look_at(&companion)?.is_some_and(|metadata| !metadata.is_file()) {
            return Err(Error::invalid_path(
                &companion,
                "SQLite keeps a file by that name there, and it is none",
                None,
            ));
        }
    }
    Ok(())
}

fn check_kind(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    let refuse = |reason| Err(Error::invalid_path(path, reason, None));
    if metadata.is_dir() {
        return refuse("it is a folder");
    }
    if !metadata.is_file() {
        return refuse("it is no regular file");
    }
    // Each name would have a write-ahead log of its own, and what one handle commits the other would overwrite.
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::nlink(metadata) > 1 {
        return refuse("the file has several names (hard links)");
    }
    Ok(())
}

fn make(path: &Path, real: PathBuf) -> Result<PathBuf, Error> {
    match disk::create_private(&real) {
        Ok(()) => Ok(real),
        // Another process was faster: it is as good as ours.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(real),
        Err(error) => {
            Err(from_io(error).unwrap_or_else(|error| Error::invalid_path(path, "it cannot be created", shared(error))))
        }
    }
}

/// The path with its folder canonicalized.
fn real_path(path: &Path) -> Result<PathBuf, Error> {
    let Some(name) = path.file_name() else {
        return Err(Error::invalid_path(path, "it names a folder", None));
    };
    let folder = fs::canonicalize(folder_of(path))
        .map_err(|error| Error::invalid_path(path, "its folder cannot be found", shared(error)))?;
    let real = folder.join(name);
    if cfg!(unix) && real.as_os_str().len() > PATH_MAX_BYTES {
        return Err(Error::invalid_path(path, "it is longer than SQLite opens, 504 bytes", None));
    }
    Ok(real)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// How many bytes of a write-ahead log lie beside the file; none if there is none.
pub(super) fn wal_length(file: &Path) -> Result<Option<u64>, Error> {
    Ok(look_at(&beside(file, "-wal"))?.map(|metadata| metadata.len()))
}

/// IMPORTANT: what cannot be looked at is not taken for missing. SQLite would act on what it finds there.
fn look_at(file: &Path) -> Result<Option<Metadata>, Error> {
    disk::look_up(file).map_err(|error| failed(file, error))
}

/// Makes durable that the log was cut. No lock of SQLite's is on it.
pub(super) fn sync_log(file: &Path) -> Result<(), Error> {
    disk::sync_file(&beside(file, "-wal")).map_err(|error| failed(file, error))
}

/// The numbers of the pages that the write-ahead log holds (<https://sqlite.org/fileformat2.html#walformat>). No lock of
/// SQLite's is on the log, so that it may be opened here.
pub(super) fn pages_in_log(file: &Path, page_size: u64) -> io::Result<HashSet<u64>> {
    let mut log = io::BufReader::new(fs::File::open(beside(file, "-wal"))?);
    let (mut pages, mut header, mut frame) = (HashSet::new(), [0; 32], [0; 24]);
    match log.read_exact(&mut header) {
        // Who only reads leaves an empty log behind.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(pages),
        read => read?,
    }
    // Frames with other salts are left from before the log was begun anew.
    while log.read_exact(&mut frame).is_ok() && frame.get(8..16) == header.get(16..24) {
        let [a, b, c, d, ..] = frame;
        pages.insert(u32::from_be_bytes([a, b, c, d]).into());
        log.seek_relative(page_size.try_into().unwrap_or(i64::MAX))?;
    }
    Ok(pages)
}

/// Whether a rollback journal lies beside the file.
pub(super) fn has_journal(file: &Path) -> Result<bool, Error> {
    Ok(look_at(&beside(file, "-journal"))?.is_some())
}

/// Whether the rollback journal beside the file is one of a transaction over several files. It names another file, which
/// SQLite deletes once it has played the journal back, whatever that file is.
pub(super) fn has_journal_of_several_files(file: &Path) -> Result<bool, Error> {
    const MAGIC_AT_THE_END: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    Ok(eight_bytes(&beside(file, "-journal"), SeekFrom::End(-8))? == Some(MAGIC_AT_THE_END))
}

/// Whether the write-ahead log beside the file is of a version that SQLite does not read.
pub(super) fn has_log_of_another_version(file: &Path) -> Result<bool, Error> {
    const VERSION: [u8; 4] = 3_007_000_u32.to_be_bytes();
    let begins = eight_bytes(&beside(file, "-wal"), SeekFrom::Start(0))?;
    Ok(begins.is_some_and(|bytes| matches!(bytes, [0x37, 0x7f, 0x06, 0x82 | 0x83, version @ ..] if version != VERSION)))
}

/// Eight bytes of a log or journal, on which SQLite holds no locks; none if there are not as many.
fn eight_bytes(file: &Path, place: SeekFrom) -> Result<Option<[u8; 8]>, Error> {
    // Opening a FIFO would wait.
    if !look_at(file)?.is_some_and(|metadata| metadata.is_file() && metadata.len() >= 8) {
        return Ok(None);
    }
    let mut bytes = [0; 8];
    let read = disk::open(file).and_then(|mut file| file.seek(place).and_then(|_| file.read_exact(&mut bytes)));
    match read {
        Ok(()) => Ok(Some(bytes)),
        Err(error) => match error.kind() {
            // Another process has removed or cut it meanwhile, as they do when they are done with it.
            ErrorKind::NotFound | ErrorKind::UnexpectedEof | ErrorKind::InvalidInput
            // SQLite may not read it either, and says what that means for the file.
            | ErrorKind::PermissionDenied => Ok(None),
            _ => Err(failed(file, error)),
        },
    }
}

/// How many bytes the file has.
pub(super) fn length(file: &Path) -> io::Result<u64> {
    fs::metadata(file).map(|metadata| metadata.len())
}

/// Whether nobody may write the file.
pub(super) fn is_frozen(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|metadata| metadata.permissions().readonly())
}

/// How long the file is and when it was changed last, as far as that can be known.
pub(super) fn last_change(file: &Path) -> Option<(u64, SystemTime)> {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

/// Why SQLite cannot open as many files as it needs, if it is that this process or the system has too many open: from
/// SQLite's error alone this cannot be told.
pub(super) fn lacks_descriptors(file: &Path) -> Option<Error> {
    // The file, its log, the log's index, and one to spare, all at the same time.
    let failed = [(); 4].map(|()| fs::File::open(folder_of(file)));
    failed
        .into_iter()
        .filter_map(Result::err)
        .find(is_lack_of_descriptors)
        .map(|error| Error::Storage { source: shared(error) })
}

/// The path of a file whose name begins with that of `file`.
pub(super) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// What the file is, whatever its name: device and number. Elsewhere than on Unix an open file cannot be renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

/// The identity of the file that has this name now.
pub(super) fn identity(file: &Path) -> io::Result<Identity> {
    let metadata = fs::metadata(file)?;
    #[cfg(unix)]
    let identity = (std::os::unix::fs::MetadataExt::dev(&metadata), std::os::unix::fs::MetadataExt::ino(&metadata));
    #[cfg(not(unix))]
    let identity = (0, u64::from(metadata.is_file()));
    Ok(Identity(identity.0, identity.1))
}

/// A file that is being written under another name, and goes if it is not given its own.
pub(super) struct Draft {
    file: PathBuf,
}

impl Draft {
    /// An empty draft of `target`, in the same folder.
    pub(super) fn new(target: &Path) -> Result<Self, Error> {
        let (_, random) = uuid::Uuid::new_v4().as_u64_pair();
        Self::named(target, random)
    }

    /// The same where nobody else can be making one: what a process that was killed left of its own goes.
    pub(super) fn only(target: &Path) -> Result<Self, Error> {
        let number = xxh3_64(target.as_os_str().as_encoded_bytes());
        remove_with_companions(&Self::path_of(target, number));
        Self::named(target, number)
    }

    fn named(target: &Path, number: u64) -> Result<Self, Error> {
        let file = Self::path_of(target, number);
        disk::create_private(&file).map_err(|error| failed(target, error))?;
        Ok(Self { file })
    }

    /// A name without the target's, which may be as long as names can be.
    fn path_of(target: &Path, number: u64) -> PathBuf {
        folder_of(target).join(format!("kpi-store-{number:016x}.draft"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.file
    }

    /// Makes the draft durable and gives it the name `target`, unless something has that name.
    ///
    /// Who takes the name between the look and the renaming loses what was there. A hard link would close that gap, but
    /// after a crash leave a file with two names, which [`find_or_make`] refuses.
    pub(super) fn publish(self, target: &Path) -> Result<(), Error> {
        let failed = |error| failed(target, error);
        // No connection has the draft open any more, so that this descriptor drops no locks.
        disk::sync_file(&self.file).map_err(failed)?;
        refuse_taken(target, target)?;
        disk::rename(&self.file, target).map_err(failed)?;
        // A copy that may not outlive a power cut is none, and would be in the way of the next.
        sync_folder(target).inspect_err(|_| remove_with_companions(target))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        remove_with_companions(&self.file);
    }
}

/// Removes a file of ours that is open nowhere, and what SQLite may have left beside it.
///
/// What is not there need not go; what cannot go is left, under a name that says what it is.
pub(super) fn remove_with_companions(file: &Path) {
    for suffix in [""].into_iter().chain(COMPANIONS) {
        let _ = disk::remove(&beside(file, suffix));
    }
}

/// What the operating system's error on a new file at `path` means.
pub(super) fn failed(path: &Path, error: io::Error) -> Error {
    from_io(error).unwrap_or_else(|error| match error.kind() {
        ErrorKind::InvalidFilename => Error::invalid_path(path, "its name is too long", shared(error)),
        _ => Error::Storage { source: shared(error) },
    })
}

/// Whether a file can be made in the folder of `file`, or fails to be for another reason than that nobody may.
pub(super) fn can_make_beside(file: &Path) -> bool {
    !matches!(Draft::new(file), Err(Error::ReadOnly { .. }))
}

/// Makes the name of a new file as durable as its contents.
pub(super) fn sync_folder(file: &Path) -> Result<(), Error> {
    if !cfg!(unix) {
        return Ok(());
    }
    disk::sync_folder(folder_of(file)).map_err(|error| failed(file, error))
}
