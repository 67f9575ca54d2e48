//! The calls that change files outside SQLite, bare: in tests a disk can fail them, and sees what they have done.

use std::fs::{self, OpenOptions};
use std::io;
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

/// Makes the contents of a file durable. Closing it drops all locks that the process holds on it.
pub(super) fn sync_file(file: &Path) -> io::Result<()> {
    #[cfg(test)]
    may(Kind::Sync, file).inspect_err(|_| done(file, |file| Operation::SyncFailed { file }))?;
    fs::File::options().write(true).open(file)?.sync_all()?;
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
    fs::File::open(folder)?.sync_all()?;
    #[cfg(test)]
    done(&folder.join("any"), |_| Operation::SyncFolder);
    Ok(())
}
