//! A process that is killed while the outcome of a commit is unknown: another one goes on with its files.

use kpi_store_fault_vfs::Disk;

use super::support::{TestFile, with_suffix};
use super::world::{Checked, World};

impl World {
    /// Ends the fault that made an outcome unknown. In half of the cases the process is killed before it can settle the
    /// log, in which the commit may be complete although it was not synced. Returns the handle to go on with.
    pub(crate) fn after_unknown(&mut self, handle: usize) -> Checked<usize> {
        self.calm();
        if self.is_in_memory || self.random.percent(50) {
            return Ok(handle);
        }
        let next = TestFile::in_memory();
        for suffix in ["", "-wal"] {
            let (from, to) = (with_suffix(&self.file.path, suffix), with_suffix(&next.path, suffix));
            std::fs::copy(&from, to).map_err(|error| format!("copy {}: {error}", from.display()))?;
        }
        self.handles.clear();
        self.disk = Disk::new(next.folder.path());
        self.file = next;
        let opened = self.opened(false).map_err(|error| format!("open after a kill: {error:?}"))?;
        self.handles.push(opened);
        Ok(0)
    }
}
