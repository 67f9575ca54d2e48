//! The calls outside SQLite that change files, and those whose answer decides whether SQLite may touch one, bare: in tests
//! a disk can fail them, and sees what they have done.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

#[cfg(test)]
use kpi_store_fault_vfs::{Kind, Operation, done, may};

/// Makes an empty file that its owner alone can read, from its first moment on.
pub(super) fn create_private(file: &Path) -> io::Result<()> {
    #[cfg(test)]
    may(Kind::Open, file)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?;
    #[cfg(test)]
    done(file, |file| Operation::Create { file });
    Ok(())
}

/// What lies there under this name; a link is one itself. None, only if nothing does, or nothing can: a name that is too long.
pub(super) fn look_up(file: &Path) -> io::Result<Option<Metadata>> {
    #[cfg(test)]
    may(Kind::Length, file)?;
    match fs::symlink_metadata(file) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename) => Ok(None),
        found => found.map(Some),
    }
}

/// Opens a file on which SQLite holds no locks, for reading.
pub(super) fn open(file: &Path) -> io::Result<File> {
    #[cfg(test)]
    may(Kind::Open, file)?;
    File::open(file)
}

/// Makes the contents of a file durable. Closing it drops all locks that the process holds on it.
pub(super) fn sync_file(file: &Path) -> io::Result<()> {
    #[cfg(test)]
    may(Kind::Sync, file).inspect_err(|_| done(file, |file| Operation::SyncFailed { file }))?;
    File::options().write(true).open(file)?.sync_all()?;
    #[cfg(test)]
    done(file, |file| Operation::Sync { file });
    Ok(())
}

/// Gives a file another name in its folder.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(test)]
    may(Kind::Rename, from)?;
    fs::rename(from, to)?;
    #[cfg(test)]
    done(from, |from| Operation::Rename { from, to: to.file_name().unwrap().to_string_lossy().into() });
    Ok(())
}

/// Removes a file.
pub(super) fn remove(file: &Path) -> io::Result<()> {
    #[cfg(test)]
    may(Kind::Delete, file)?;
    fs::remove_file(file)?;
    #[cfg(test)]
    done(file, |file| Operation::Delete { file });
    Ok(())
}

/// Makes the names of the files in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(test)]
    may(Kind::SyncFolder, &folder.join("any"))?;
    File::open(folder)?.sync_all()?;
    #[cfg(test)]
    done(&folder.join("any"), |_| Operation::SyncFolder);
    Ok(())
}
