//! A test done again by a process that has no privileges and a working directory of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

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
