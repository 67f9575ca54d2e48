//! How durable a write is.

/// The failures that an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// A write that returned survives a crash of the process, a crash of the system, and a power cut, provided the disk
    /// honors flushes. The default.
    ///
    /// Each transaction waits for the disk (`synchronous=FULL`).
    #[default]
    Full,
    /// A write that returned survives a crash of the process; a crash of the system or a power cut may lose the most
    /// recent writes, never an earlier one while keeping a later one. The file never becomes damaged.
    ///
    /// Only checkpoints wait for the disk (`synchronous=NORMAL`).
    Normal,
}
