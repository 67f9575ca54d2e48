//! A test done again by a process that has no privileges and a working directory of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::child::Child;

const FOLDER: &str = "KPI_STORE_CHILD_FOLDER";

/// Does `work` in a process of its own, with a working directory of its own, and not as root, which may write anywhere.
pub fn in_a_child(test: &str, work: impl FnOnce(&Path)) {
    in_a_child_by(|program| Command::new(program), test, work);
}

/// The same under a umask, in octal digits.
#[cfg(unix)]
pub fn in_a_child_with_umask(umask: &str, test: &str, work: impl FnOnce(&Path)) {
    let by_a_shell = |program: &Path| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("umask {umask}; exec \"$0\" \"$@\"")).arg(program);
        shell
    };
    in_a_child_by(by_a_shell, test, work);
}

/// The user ids of two accounts without privileges.
pub const ACCOUNTS: [u32; 2] = [NOBODY, NOBODY - 1];

const NOBODY: u32 = 65_534;

/// A folder that several accounts can write, and the program that they run.
#[cfg(unix)]
#[derive(Debug)]
pub struct SharedFolder {
    folder: tempfile::TempDir,
    program: tempfile::TempDir,
}

#[cfg(unix)]
impl SharedFolder {
    /// An empty folder; `None` if this process may not run another as another account.
    pub fn new() -> Option<Self> {
        let (folder, program) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        if owner(folder.path()) != 0 {
            return None;
        }
        allow(folder.path(), 0o777);
        allow(program.path(), 0o755);
        fs::copy(std::env::current_exe().unwrap(), program.path().join("program")).unwrap();
        Some(Self { folder, program })
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a child as this account.
    pub fn start(&self, account: u32, test: &str, role: &str, file: &Path) -> Child {
        let mut command = Command::new(self.program.path().join("program"));
        std::os::unix::process::CommandExt::uid(&mut command, account);
        command.current_dir(self.path());
        Child::start_by(command, test, role, file, 0)
    }
}

#[cfg(unix)]
fn owner(path: &Path) -> u32 {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata(path).unwrap())
}

#[cfg(unix)]
fn allow(path: &Path, mode: u32) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    fs::set_permissions(path, mode).unwrap();
}

fn in_a_child_by(start: impl FnOnce(&Path) -> Command, test: &str, work: impl FnOnce(&Path)) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return work(Path::new(&folder));
    }
    let temporary = tempfile::tempdir().unwrap();
    let folder = fs::canonicalize(temporary.path()).unwrap();
    let (own, program) = (folder.join("own"), folder.join("program"));
    fs::create_dir(&own).unwrap();
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut child = start(&program);
    child.args(["--exact", test]).current_dir(&own).env(FOLDER, &own);
    #[cfg(unix)]
    if owner(&own) == 0 {
        allow(&folder, 0o755);
        std::os::unix::fs::chown(&own, Some(NOBODY), None).unwrap();
        std::os::unix::process::CommandExt::uid(&mut child, NOBODY);
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
